// Scalar float16 and bfloat16 storage types. Conversions from float and double round to nearest
// even, once.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace plimsoll {

struct Float16 {
  uint16_t bits;
};
struct Bfloat16 {
  uint16_t bits;
};

inline float to_float(Float16 h) { return static_cast<float>(std::bit_cast<_Float16>(h.bits)); }
inline float to_float(Bfloat16 h) { return std::bit_cast<float>(uint32_t{h.bits} << 16); }

inline Float16 to_float16(double v) { return {std::bit_cast<uint16_t>(static_cast<_Float16>(v))}; }

inline Bfloat16 to_bfloat16(float v) {
  const uint32_t u = std::bit_cast<uint32_t>(v);
  if (v != v) return {static_cast<uint16_t>((u >> 16) | 0x40)};
  return {static_cast<uint16_t>((u + 0x7fff + ((u >> 16) & 1)) >> 16)};
}

// Through a float whose last bit is sticky (rounded to odd), so that the second rounding is exact.
inline Bfloat16 to_bfloat16(double v) {
  float f = static_cast<float>(v);
  if (f == f && !std::isinf(f) && static_cast<double>(f) != v) {
    uint32_t u = std::bit_cast<uint32_t>(f);
    if (std::fabs(static_cast<double>(f)) > std::fabs(v)) --u;  // toward zero
    f = std::bit_cast<float>(u | 1);
  }
  return to_bfloat16(f);
}

}  // namespace plimsoll
