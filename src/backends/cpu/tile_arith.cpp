// Arithmetic whose results IEEE 754 or modular integers fix exactly: all dtypes but complex64.
#include "backends/cpu/tile_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backends/cpu/tile_arith.cpp"
#include "hwy/foreach_target.h"
// clang-format off
#include "backends/cpu/tile_loops-inl.h"
// clang-format on
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace plimsoll::cpu {
namespace HWY_NAMESPACE {

// Integers are added and multiplied as unsigned of at least 32 bits: overflow wraps.
template <class T>
using Wrap = std::conditional_t<std::is_floating_point_v<T>, T,
                                std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>>;

struct Copy {
  template <class T>
  static T apply(T a) {
    return a;
  }
};
struct Negative {
  template <class T>
  static T apply(T a) {
    if constexpr (std::is_floating_point_v<T>) return -a;
    return static_cast<T>(Wrap<T>{0} - static_cast<Wrap<T>>(a));
  }
};
struct Abs {
  template <class T>
  static T apply(T a) {
    if constexpr (std::is_same_v<T, float>) return __builtin_fabsf(a);
    if constexpr (std::is_same_v<T, double>) return __builtin_fabs(a);
    if constexpr (std::is_unsigned_v<T>) return a;
    return a < 0 ? Negative::apply(a) : a;
  }
};
struct Sign {  // of NaN: 0, as in MLX
  template <class T>
  static T apply(T a) {
    if constexpr (std::is_unsigned_v<T>) return a != 0;
    return static_cast<T>((a > T{0} ? T{1} : T{0}) - (a < T{0} ? T{1} : T{0}));
  }
};
struct Square {
  template <class T>
  static T apply(T a) {
    return static_cast<T>(static_cast<Wrap<T>>(a) * static_cast<Wrap<T>>(a));
  }
};
struct Add {
  template <class T>
  static T apply(T a, T b) {
    return one_nan(static_cast<T>(static_cast<Wrap<T>>(a) + static_cast<Wrap<T>>(b)));
  }
};
struct Subtract {
  template <class T>
  static T apply(T a, T b) {
    return static_cast<T>(static_cast<Wrap<T>>(a) - static_cast<Wrap<T>>(b));
  }
};
struct Multiply {
  template <class T>
  static T apply(T a, T b) {
    return one_nan(static_cast<T>(static_cast<Wrap<T>>(a) * static_cast<Wrap<T>>(b)));
  }
};
// A NaN of either operand is the result; of zeros of both signs the second is taken.
struct Maximum {
  template <class T>
  static T apply(T a, T b) {
    return a > b || a != a ? a : b;
  }
};
struct Minimum {
  template <class T>
  static T apply(T a, T b) {
    return a < b || a != a ? a : b;
  }
};
struct Clamp {
  template <class T>
  static T apply(T a, T low, T high) {
    return Minimum::apply(Maximum::apply(a, low), high);
  }
};
struct Select {
  template <class T>
  static T apply(uint8_t c, T a, T b) {
    return c ? a : b;
  }
};
struct Divide {
  template <class T>
  static T apply(T a, T b) {
    return a / b;
  }
};
struct Reciprocal {
  template <class T>
  static T apply(T a) {
    return T{1} / a;
  }
};
struct Sqrt {
  static float apply(float a) { return __builtin_sqrtf(a); }
  static double apply(double a) { return __builtin_sqrt(a); }
};
struct Rsqrt {
  template <class T>
  static T apply(T a) {
    return T{1} / Sqrt::apply(a);
  }
};
struct Floor {
  static float apply(float a) { return __builtin_floorf(a); }
  static double apply(double a) { return __builtin_floor(a); }
};
struct Ceil {
  static float apply(float a) { return __builtin_ceilf(a); }
  static double apply(double a) { return __builtin_ceil(a); }
};
struct Trunc {
  static float apply(float a) { return __builtin_truncf(a); }
  static double apply(double a) { return __builtin_trunc(a); }
};
struct Round {  // half to even: every worker runs in that rounding mode
  static float apply(float a) { return __builtin_rintf(a); }
  static double apply(double a) { return __builtin_rint(a); }
};
struct FloorDivideFloat {  // floor of the rounded quotient, as in MLX (not NumPy's divmod)
  template <class T>
  static T apply(T a, T b) {
    return Floor::apply(a / b);
  }
};

template <Dtype kDtype, class T>
void add_modular(TileTable* table) {
  // The sign changes neither sums nor products nor copies: one loop serves both.
  using U = std::conditional_t<std::is_floating_point_v<T>, T, UnsignedOf<T>>;
  table->set(TileOp::kCopy, kDtype, unary_loop<Copy, UnsignedOf<T>, UnsignedOf<T>>);
  table->set(TileOp::kSelect, kDtype, ternary_loop<Select, uint8_t, UnsignedOf<T>, UnsignedOf<T>>);
  table->set(TileOp::kNegative, kDtype, unary_loop<Negative, U, U>);
  table->set(TileOp::kSquare, kDtype, unary_loop<Square, U, U>);
  table->set(TileOp::kAdd, kDtype, binary_loop<Add, U, U>);
  table->set(TileOp::kSubtract, kDtype, binary_loop<Subtract, U, U>);
  table->set(TileOp::kMultiply, kDtype, binary_loop<Multiply, U, U>);
}

template <Dtype kDtype, class T>
void add_ordered(TileTable* table) {
  table->set(TileOp::kAbs, kDtype, unary_loop<Abs, T, T>);
  table->set(TileOp::kSign, kDtype, unary_loop<Sign, T, T>);
  table->set(TileOp::kMaximum, kDtype, binary_loop<Maximum, T, T>);
  table->set(TileOp::kMinimum, kDtype, binary_loop<Minimum, T, T>);
  table->set(TileOp::kClamp, kDtype, ternary_loop<Clamp, T, T, T>);
}

template <Dtype kDtype, class T>
void add_float(TileTable* table) {
  table->set(TileOp::kDivide, kDtype, binary_loop<Divide, T, T>);
  table->set(TileOp::kFloorDivide, kDtype, binary_loop<FloorDivideFloat, T, T>);
  table->set(TileOp::kReciprocal, kDtype, unary_loop<Reciprocal, T, T>);
  table->set(TileOp::kSqrt, kDtype, unary_loop<Sqrt, T, T>);
  table->set(TileOp::kRsqrt, kDtype, unary_loop<Rsqrt, T, T>);
  table->set(TileOp::kFloor, kDtype, unary_loop<Floor, T, T>);
  table->set(TileOp::kCeil, kDtype, unary_loop<Ceil, T, T>);
  table->set(TileOp::kTrunc, kDtype, unary_loop<Trunc, T, T>);
  table->set(TileOp::kRound, kDtype, unary_loop<Round, T, T>);
}

// Pairs ----------------------------------------------------------------------------------------

template <class V>
HWY_INLINE V one_nan_of(V v) {
  if constexpr (std::is_same_v<V, float>) {
    return one_nan(v);
  } else {
    namespace hn = hwy::HWY_NAMESPACE;
    const hn::DFromV<V> d;
    return hn::IfThenElse(hn::IsNaN(v), hn::Set(d, std::numeric_limits<float>::quiet_NaN()), v);
  }
}
struct VectorAdd {
  static HWY_INLINE auto apply(auto a, auto b) { return one_nan_of(a + b); }
};
struct VectorSubtract {
  static HWY_INLINE auto apply(auto a, auto b) { return a - b; }
};
struct VectorMultiply {
  static HWY_INLINE auto apply(auto a, auto b) { return one_nan_of(a * b); }
};

// What lies between the two stays in a register; each rounds as it does alone.
template <class First, class Second, bool kOnRight>
void pair_loop(const TileCall& c) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::ScalableTag<float> d;
  constexpr size_t kLanes = HWY_LANES(float);
  const auto both = [](auto x, auto y, auto z) HWY_ATTR {
    const auto between = First::apply(x, y);
    if constexpr (kOnRight) return Second::apply(z, between);
    return Second::apply(between, z);
  };
  HWY_ALIGN float fill[3][kLanes];
  const float* at[3];
  size_t step[3];
  for (int s = 0; s < 3; ++s) {
    at[s] = static_cast<const float*>(c.src[s]);
    step[s] = kLanes;
    if (c.splat >> s & 1) {
      std::fill_n(fill[s], kLanes, *at[s]);
      at[s] = fill[s];
      step[s] = 0;
    }
  }
  auto* r = static_cast<float*>(c.dst);
  size_t i = 0;
  for (; i + kLanes <= c.n; i += kLanes) {
    hn::StoreU(both(hn::LoadU(d, at[0]), hn::LoadU(d, at[1]), hn::LoadU(d, at[2])), d, r + i);
    for (int s = 0; s < 3; ++s) at[s] += step[s];
  }
  for (size_t k = 0; i + k < c.n; ++k) r[i + k] = both(at[0][k], at[1][k], at[2][k]);
}

template <TileOp kFirst, class First, TileOp kSecond, class Second>
void set_pair(TileTable* table) {
  table->pairs[TileTable::pair_index(kFirst, kSecond, false)] = pair_loop<First, Second, false>;
  table->pairs[TileTable::pair_index(kFirst, kSecond, true)] = pair_loop<First, Second, true>;
}

template <TileOp kFirst, class First>
void set_pairs(TileTable* table) {
  set_pair<kFirst, First, TileOp::kAdd, VectorAdd>(table);
  set_pair<kFirst, First, TileOp::kSubtract, VectorSubtract>(table);
  set_pair<kFirst, First, TileOp::kMultiply, VectorMultiply>(table);
}

void add_arith(TileTable* table) {
  set_pairs<TileOp::kAdd, VectorAdd>(table);
  set_pairs<TileOp::kSubtract, VectorSubtract>(table);
  set_pairs<TileOp::kMultiply, VectorMultiply>(table);
  using enum Dtype;
  for_dtypes<kUint8, kUint16, kUint32, kUint64, kInt8, kInt16, kInt32, kInt64, kFloat32, kFloat64>(
      [&]<Dtype kDtype, class T>() {
        add_modular<kDtype, T>(table);
        add_ordered<kDtype, T>(table);
        if constexpr (!std::is_floating_point_v<T>) {
          for (TileOp op : {TileOp::kFloor, TileOp::kCeil, TileOp::kTrunc, TileOp::kRound})
            table->set(op, kDtype, table->find(TileOp::kCopy, kDtype));
        }
      });
  for_dtypes<kFloat32, kFloat64>([&]<Dtype kDtype, class T>() { add_float<kDtype, T>(table); });
  for (TileOp op : {TileOp::kCopy, TileOp::kSelect, TileOp::kMaximum, TileOp::kMinimum,
                    TileOp::kClamp, TileOp::kAbs, TileOp::kSign})
    table->set(op, kBool, table->find(op, kUint8));
  // On 0/1 a sum is "or", a product "and".
  table->set(TileOp::kAdd, kBool, table->find(TileOp::kMaximum, kUint8));
  table->set(TileOp::kMultiply, kBool, table->find(TileOp::kMinimum, kUint8));
  table->set(TileOp::kSquare, kBool, table->find(TileOp::kCopy, kUint8));
  // Moved without being computed in.
  for (Dtype t : {kFloat16, kBfloat16})
    for (TileOp op : {TileOp::kCopy, TileOp::kSelect}) table->set(op, t, table->find(op, kUint16));
  for (TileOp op : {TileOp::kCopy, TileOp::kSelect})
    table->set(op, kComplex64, table->find(op, kUint64));
}

}  // namespace HWY_NAMESPACE
}  // namespace plimsoll::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace plimsoll::cpu {
HWY_EXPORT(add_arith);
void add_arith_kernels(TileTable* table) { HWY_DYNAMIC_DISPATCH(add_arith)(table); }
}  // namespace plimsoll::cpu
#endif
