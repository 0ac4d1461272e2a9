// Bitwise ops and shifts, division with Python's signs, integer powers; floating remainders.
#include "backends/cpu/tile_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backends/cpu/tile_integer.cpp"
#include "hwy/foreach_target.h"
// clang-format off
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

// Towards minus infinity; by zero: 0; the least number by -1: itself.
struct FloorDivide {
  template <class T>
  static T apply(T a, T b) {
    if (b == 0) return 0;
    if constexpr (std::is_signed_v<T>) {
      if (b == -1) return static_cast<T>(UnsignedOf<T>{0} - static_cast<UnsignedOf<T>>(a));
      const T q = static_cast<T>(a / b);
      return static_cast<T>(q - (a % b != 0 && (a < 0) != (b < 0)));
    }
    return static_cast<T>(a / b);
  }
};
// With the divisor's sign; by zero: a, as a - b * (a / b) gives, and MLX.
struct Remainder {
  template <class T>
  static T apply(T a, T b) {
    if (b == 0) return a;
    if constexpr (std::is_signed_v<T>) {
      if (b == -1) return 0;
      const T r = static_cast<T>(a % b);
      return static_cast<T>(r != 0 && (r < 0) != (b < 0) ? r + b : r);
    }
    return static_cast<T>(a % b);
  }
};
struct FloatRemainder {  // fmod is exact; moved by b where its sign differs
  static float apply(float a, float b) {
    const float r = __builtin_fmodf(a, b);
    return r != 0 && (r < 0) != (b < 0) ? r + b : r;
  }
  static double apply(double a, double b) {
    const double r = __builtin_fmod(a, b);
    return r != 0 && (r < 0) != (b < 0) ? r + b : r;
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
    W base = static_cast<W>(a), result = 1;
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
  table->set(TileOp::kRemainder, kFloat32, binary_loop<FloatRemainder, float, float>);
  table->set(TileOp::kRemainder, kFloat64, binary_loop<FloatRemainder, double, double>);
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
