// Real numbers to integers, for values that are known before any kernel runs.
#pragma once

#include <cstdint>
#include <limits>
#include <type_traits>

namespace plimsoll {

/// `v` without its fraction where `Step` holds that; else (and for NaN) Step's least value.
template <class Step>
Step whole(double v) {
  constexpr double kEnd = sizeof(Step) == 8 ? 0x1p63 : 0x1p31;
  bool fits = v < kEnd && (sizeof(Step) == 8 ? v >= -kEnd : v > -kEnd - 1);
  return fits ? static_cast<Step>(v) : std::numeric_limits<Step>::min();
}

/// As the kernels do (backends/cpu/tile_cast.cpp): to int32, or to int64 for uint32 and up, then
/// cut to the width of `To`.
template <class To>
To truncate_to(double v) {
  constexpr bool kWide = sizeof(To) == 8 || std::is_same_v<To, uint32_t>;
  if constexpr (std::is_same_v<To, uint64_t>) {
    if (v >= 0x1p63) return static_cast<uint64_t>(whole<int64_t>(v - 0x1p63)) + (uint64_t{1} << 63);
  }
  return static_cast<To>(whole<std::conditional_t<kWide, int64_t, int32_t>>(v));
}

}  // namespace plimsoll
