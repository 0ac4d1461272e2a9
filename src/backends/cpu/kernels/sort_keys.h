// Unsigned keys whose order is the sorting order of a dtype (see opset/sort.h).
#pragma once

#include <cstdint>
#include <limits>

#include "plimsoll/dtype.h"

namespace plimsoll::cpu {

enum class KeyKind { kUnsigned, kSigned, kFloat };

constexpr KeyKind key_kind(Dtype t) {
  switch (kind_of(t)) {
    case DtypeKind::kSigned:
      return KeyKind::kSigned;
    case DtypeKind::kFloat:
      return KeyKind::kFloat;
    default:
      return KeyKind::kUnsigned;
  }
}

/// The bits of a float's positive infinity.
constexpr uint64_t infinity_bits(Dtype t) {
  switch (t) {
    case Dtype::kFloat16:
      return 0x7C00;
    case Dtype::kBfloat16:
      return 0x7F80;
    case Dtype::kFloat64:
      return 0x7FF0000000000000;
    default:
      return 0x7F800000;
  }
}

/// Bijective: decode(encode(x)) == x. For floats: negative ones are complemented, which orders all
/// but NaNs with a sign; these come first and a rotation by their number moves them to the end.
template <typename U, KeyKind kKind>
struct KeyCode {
  static constexpr U kTop = U(U(1) << (8 * sizeof(U) - 1));
  U infinity;

  explicit KeyCode(Dtype t) : infinity(static_cast<U>(infinity_bits(t))) {}
  U negative_nans() const { return static_cast<U>(U(kTop - 1) - infinity); }
  U encode(U bits) const {
    if constexpr (kKind == KeyKind::kUnsigned) return bits;
    if constexpr (kKind == KeyKind::kSigned) return static_cast<U>(bits ^ kTop);
    const U ordered = static_cast<U>(bits & kTop ? ~bits : bits | kTop);
    return static_cast<U>(ordered - negative_nans());
  }
  U decode(U key) const {
    if constexpr (kKind == KeyKind::kUnsigned) return key;
    if constexpr (kKind == KeyKind::kSigned) return static_cast<U>(key ^ kTop);
    const U ordered = static_cast<U>(key + negative_nans());
    return static_cast<U>(ordered & kTop ? ordered ^ kTop : ~ordered);
  }
  /// Not bijective: all NaNs are equal, so that a stable sort keeps their order.
  U encode_equal_nans(U bits) const {
    const U key = encode(bits);
    if constexpr (kKind == KeyKind::kFloat)
      return key > encode(infinity) ? std::numeric_limits<U>::max() : key;
    return key;
  }
};

}  // namespace plimsoll::cpu
