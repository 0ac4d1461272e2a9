// Numbers without a dtype of their own.
#pragma once

#include <complex>
#include <concepts>
#include <cstdint>

#include "plimsoll/array.h"

namespace plimsoll {

/// A 0-d constant that takes the dtype of the array it meets unless its kind is higher, as a Python
/// number does: scalar(2) * uint8 array is uint8, scalar(2.0) * int32 array is float32.
array scalar(bool value);
array scalar(int64_t value);
array scalar(double value);
array scalar(std::complex<float> value);

template <typename T>
concept Number = std::integral<T> || std::floating_point<T>;
template <Number T>
array scalar(T value) {
  if constexpr (std::floating_point<T>)
    return scalar(static_cast<double>(value));
  else
    return scalar(static_cast<int64_t>(value));
}

}  // namespace plimsoll
