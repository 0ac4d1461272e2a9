// What the row kernels read and write: an element's storage type and the lane it is computed in.
#pragma once

#include <complex>
#include <type_traits>

#include "core/half.h"

namespace plimsoll::cpu {

using Complex64 = std::complex<float>;

/// The value of one stored element as T.
template <typename T, typename TIn>
inline T to_lane(TIn v) {
  if constexpr (std::is_same_v<TIn, Float16> || std::is_same_v<TIn, Bfloat16>)
    return static_cast<T>(to_float(v));
  else
    return static_cast<T>(v);
}

/// A result rounded to its dtype.
template <typename TOut, typename T>
inline TOut from_lane(T v) {
  if constexpr (std::is_same_v<TOut, Float16>)
    return to_float16(v);
  else if constexpr (std::is_same_v<TOut, Bfloat16>)
    return to_bfloat16(v);
  else
    return static_cast<TOut>(v);
}

}  // namespace plimsoll::cpu
