// Element types, MLX's set and promotion rules.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace plimsoll {

enum class Dtype : uint8_t {
  kBool,
  kUint8,
  kUint16,
  kUint32,
  kUint64,
  kInt8,
  kInt16,
  kInt32,
  kInt64,
  kFloat16,
  kBfloat16,
  kFloat32,
  kFloat64,
  kComplex64,
};
inline constexpr int kNumDtypes = 14;

/// Kind of a dtype, ordered so that promotion never lowers it.
enum class DtypeKind : uint8_t { kBool, kUnsigned, kSigned, kFloat, kComplex };

/// Bytes of one element.
constexpr size_t size_of(Dtype t) {
  constexpr uint8_t kSizes[kNumDtypes] = {1, 1, 2, 4, 8, 1, 2, 4, 8, 2, 2, 4, 8, 8};
  return kSizes[static_cast<int>(t)];
}

constexpr DtypeKind kind_of(Dtype t) {
  if (t == Dtype::kBool) return DtypeKind::kBool;
  if (t <= Dtype::kUint64) return DtypeKind::kUnsigned;
  if (t <= Dtype::kInt64) return DtypeKind::kSigned;
  return t == Dtype::kComplex64 ? DtypeKind::kComplex : DtypeKind::kFloat;
}

constexpr bool is_floating(Dtype t) { return kind_of(t) == DtypeKind::kFloat; }
constexpr bool is_inexact(Dtype t) { return kind_of(t) >= DtypeKind::kFloat; }
constexpr bool is_integral(Dtype t) { return kind_of(t) < DtypeKind::kFloat; }  // bool included

/// MLX's name: "float32", "bool", ...
std::string_view name_of(Dtype t);
/// The dtype with that name; throws ValueError for another.
Dtype dtype_from_name(std::string_view name);
/// The dtype that holds both, by MLX's lattice (int32 + float16 -> float16, uint8 + int8 -> int16).
Dtype promote_types(Dtype a, Dtype b);

}  // namespace plimsoll
