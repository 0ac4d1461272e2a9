// Bitwise ops and shifts, division with Python's signs, integer powers; floating remainders.
#include <cmath>
#include <limits>

#include "backends/cpu/tile_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backends/cpu/tile_integer.cpp"
#include "hwy/foreach_target.h"
// clang-format off
#include "backends/cpu/tile_lanes-inl.h"
#include "backends/cpu/tile_loops-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace plimsoll::cpu {
namespace HWY_NAMESPACE {

struct Invert {
  template <class T>
  static T apply(T a) {
    return static_cast<T>(~a);
  }
};
struct And {
  template <class T>
  static T apply(T a, T b) {
    return a & b;
  }
};
struct Or {
  template <class T>
  static T apply(T a, T b) {
    return a | b;
  }
};
struct Xor {
  template <class T>
  static T apply(T a, T b) {
    return a ^ b;
  }
};

// By the width or more, or by a negative count: all bits leave, as in NumPy. The count is unsigned
// here, so a negative one is huge.
template <class T>
constexpr UnsignedOf<T> kBits = 8 * sizeof(T);
struct LeftShift {
  template <class T>
  static T apply(T a, T b) {
    using U = UnsignedOf<T>;
    using W = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;
    const U count = static_cast<U>(b);
    const T r = static_cast<T>(static_cast<W>(static_cast<U>(a)) << (count & (kBits<T> - 1)));
    return count < kBits<T> ? r : T{0};
  }
};
struct RightShift {
  template <class T>
  static T apply(T a, T b) {
    using U = UnsignedOf<T>;
    const U count = static_cast<U>(b);
    if constexpr (std::is_signed_v<T>)
      return static_cast<T>(a >> (count < kBits<T> ? count : kBits<T> - 1));
    const T r = static_cast<T>(a >> (count & (kBits<T> - 1)));
    return count < kBits<T> ? r : T{0};
  }
};

/// The whole part of a quotient of two T is exact in Real, which the compiler has vectors of (not
/// of 64-bit division); it fits Int, that of the least number by -1 too, which wraps to itself.
template <class T>
struct Quotient {
  using Real = std::conditional_t<sizeof(T) == 4, double, float>;
  using Int = std::conditional_t<sizeof(T) == 4, int64_t, int32_t>;
  static Int truncated(T a, T b) { return static_cast<Int>(Real(a) / Real(b)); }
};
template <>
struct Quotient<uint64_t> {
  static uint64_t truncated(uint64_t a, uint64_t b) { return a / b; }
};
template <>
struct Quotient<int64_t> {
  static int64_t truncated(int64_t a, int64_t b) {
    const int64_t q = a / (b == -1 ? 1 : b);
    return b == -1 ? static_cast<int64_t>(uint64_t{0} - static_cast<uint64_t>(q)) : q;
  }
};

/// a - q * b, wrapped.
template <class T, class Q>
T rest_of(T a, Q q, T b) {
  using U = UnsignedOf<T>;
  using W = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;
  const W wide_a = static_cast<U>(a), wide_b = static_cast<U>(b);
  return static_cast<T>(static_cast<U>(wide_a - static_cast<W>(q) * wide_b));
}

// Towards minus infinity; by zero: 0; the least number by -1: itself.
struct FloorDivide {
  template <class T>
  static T apply(T a, T b) {
    const T d = b == 0 ? T{1} : b;
    const auto whole = Quotient<T>::truncated(a, d);
    T q = static_cast<T>(whole);
    if constexpr (std::is_signed_v<T>) {
      const T r = rest_of(a, whole, d);
      q = r != 0 && (r ^ d) < 0 ? static_cast<T>(q - 1) : q;
    }
    return b == 0 ? T{0} : q;
  }
};
// With the divisor's sign; by zero: a, as a - b * (a / b) gives, and MLX.
struct Remainder {
  template <class T>
  static T apply(T a, T b) {
    const T d = b == 0 ? T{1} : b;
    T r = rest_of(a, Quotient<T>::truncated(a, d), d);
    if constexpr (std::is_signed_v<T>) r = r != 0 && (r ^ d) < 0 ? static_cast<T>(r + d) : r;
    return b == 0 ? a : r;
  }
};
// fmod is exact; moved by b where its sign differs.
inline double remainder_of(double a, double b) {
  const double r = std::fmod(a, b);
  return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}
struct DoubleRemainder {
  static double apply(double a, double b) { return remainder_of(a, b); }
};
// float32 in float64 lanes, where a less a small multiple of b is exact; the rest one by one.
struct FloatRemainder {
  using L = WideLane;
  static HWY_INLINE L::V apply(L::V a, L::V b) {
    const L::V zero = L::set(0.0);
    const L::V q = L::round(a / b);
    const auto few = L::both(L::lt(L::abs(q), L::set(0x1p28)),
                             L::lt(L::abs(b), L::set(std::numeric_limits<double>::infinity())));
    if (HWY_UNLIKELY(!hn::AllTrue(L::D(), few))) return one_by_one(a, b);
    const L::V r = L::fma(zero - q, b, a);
    const auto other_side = L::lt(L::copysign(L::set(1.0), r) * b, zero);
    return L::select(L::eq(r, zero), L::copysign(zero, a), L::select(other_side, r + b, r));
  }
  static HWY_NOINLINE L::V one_by_one(L::V a, L::V b) {
    HWY_ALIGN double x[HWY_MAX_BYTES / sizeof(double)], y[HWY_MAX_BYTES / sizeof(double)];
    hn::Store(a, L::D(), x);
    hn::Store(b, L::D(), y);
    for (size_t i = 0; i < hn::Lanes(L::D()); ++i) x[i] = remainder_of(x[i], y[i]);
    return hn::Load(L::D(), x);
  }
};
// Wraps; 0 for a negative exponent, as in MLX.
struct Power {
  template <class T>
  static T apply(T a, T b) {
    using W = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;
    if constexpr (std::is_signed_v<T>) {
      if (b < 0) return 0;
    }
    W base = static_cast<UnsignedOf<T>>(a), result = 1;
    for (auto e = static_cast<UnsignedOf<T>>(b); e != 0; e = static_cast<UnsignedOf<T>>(e >> 1)) {
      if (e & 1) result *= base;
      base *= base;
    }
    return static_cast<T>(result);
  }
};

template <Dtype kDtype, class T>
void add_bitwise(TileTable* table) {
  using U = UnsignedOf<T>;
  table->set(TileOp::kBitwiseAnd, kDtype, binary_loop<And, U, U>);
  table->set(TileOp::kBitwiseOr, kDtype, binary_loop<Or, U, U>);
  table->set(TileOp::kBitwiseXor, kDtype, binary_loop<Xor, U, U>);
}

void add_integers(TileTable* table) {
  using enum Dtype;
  for_dtypes<kUint8, kUint16, kUint32, kUint64, kInt8, kInt16, kInt32, kInt64>(
      [&]<Dtype kDtype, class T>() {
        add_bitwise<kDtype, T>(table);
        using U = UnsignedOf<T>;
        table->set(TileOp::kBitwiseInvert, kDtype, unary_loop<Invert, U, U>);
        table->set(TileOp::kLeftShift, kDtype, binary_loop<LeftShift, U, U>);
        table->set(TileOp::kRightShift, kDtype, binary_loop<RightShift, T, T>);
        table->set(TileOp::kFloorDivide, kDtype, binary_loop<FloorDivide, T, T>);
        table->set(TileOp::kRemainder, kDtype, binary_loop<Remainder, T, T>);
        table->set(TileOp::kPower, kDtype, binary_loop<Power, T, T>);
      });
  add_bitwise<kBool, uint8_t>(table);
  table->set(TileOp::kBitwiseInvert, kBool, table->find(TileOp::kLogicalNot, kBool));
  table->set(TileOp::kRemainder, kFloat32, binary_lanes<AsDouble, FloatRemainder>);
  table->set(TileOp::kRemainder, kFloat64, binary_loop<DoubleRemainder, double, double>);
}

}  // namespace HWY_NAMESPACE
}  // namespace plimsoll::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace plimsoll::cpu {
HWY_EXPORT(add_integers);
void add_integer_kernels(TileTable* table) { HWY_DYNAMIC_DISPATCH(add_integers)(table); }
}  // namespace plimsoll::cpu
#endif
