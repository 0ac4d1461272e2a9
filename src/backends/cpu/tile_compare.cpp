// Comparisons, logic and classification: results are bool (0 or 1 in a byte).
#include "backends/cpu/tile_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backends/cpu/tile_compare.cpp"
#include "hwy/foreach_target.h"
// clang-format off
#include "backends/cpu/tile_loops-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace plimsoll::cpu {
namespace HWY_NAMESPACE {

#define PLIMSOLL_TILE_PREDICATE(Name, expr) \
  struct Name {                             \
    template <class T>                      \
    static uint8_t apply(T a, T b) {        \
      return expr;                          \
    }                                       \
  }
PLIMSOLL_TILE_PREDICATE(Equal, a == b);
PLIMSOLL_TILE_PREDICATE(NotEqual, a != b);
PLIMSOLL_TILE_PREDICATE(Less, a < b);
PLIMSOLL_TILE_PREDICATE(LessEqual, a <= b);
PLIMSOLL_TILE_PREDICATE(Greater, a > b);
PLIMSOLL_TILE_PREDICATE(GreaterEqual, a >= b);
PLIMSOLL_TILE_PREDICATE(LogicalAnd, (a != T{0}) & (b != T{0}));
PLIMSOLL_TILE_PREDICATE(LogicalOr, (a != T{0}) | (b != T{0}));
#undef PLIMSOLL_TILE_PREDICATE

struct LogicalNot {
  template <class T>
  static uint8_t apply(T a) {
    return a == T{0};
  }
};
struct Never {
  template <class T>
  static uint8_t apply(T) {
    return 0;
  }
};
struct Always {
  template <class T>
  static uint8_t apply(T) {
    return 1;
  }
};

template <class T>
constexpr T kInfinity = std::is_same_v<T, float> ? static_cast<T>(__builtin_inff())
                                                 : static_cast<T>(__builtin_inf());
struct IsNan {
  template <class T>
  static uint8_t apply(T a) {
    return a != a;
  }
};
struct IsPosInf {
  template <class T>
  static uint8_t apply(T a) {
    return a == kInfinity<T>;
  }
};
struct IsNegInf {
  template <class T>
  static uint8_t apply(T a) {
    return a == -kInfinity<T>;
  }
};
struct IsInf {
  template <class T>
  static uint8_t apply(T a) {
    return (a == kInfinity<T>) | (a == -kInfinity<T>);
  }
};
struct IsFinite {
  template <class T>
  static uint8_t apply(T a) {
    return (a > -kInfinity<T>)&(a < kInfinity<T>);
  }
};

template <Dtype kDtype, class T>
void add_predicates(TileTable* table) {
  using U = std::conditional_t<std::is_floating_point_v<T>, T, UnsignedOf<T>>;
  table->set(TileOp::kEqual, kDtype, binary_loop<Equal, U, uint8_t>);
  table->set(TileOp::kNotEqual, kDtype, binary_loop<NotEqual, U, uint8_t>);
  table->set(TileOp::kLess, kDtype, binary_loop<Less, T, uint8_t>);
  table->set(TileOp::kLessEqual, kDtype, binary_loop<LessEqual, T, uint8_t>);
  table->set(TileOp::kGreater, kDtype, binary_loop<Greater, T, uint8_t>);
  table->set(TileOp::kGreaterEqual, kDtype, binary_loop<GreaterEqual, T, uint8_t>);
  table->set(TileOp::kLogicalAnd, kDtype, binary_loop<LogicalAnd, U, uint8_t>);
  table->set(TileOp::kLogicalOr, kDtype, binary_loop<LogicalOr, U, uint8_t>);
  table->set(TileOp::kLogicalNot, kDtype, unary_loop<LogicalNot, U, uint8_t>);
  using Nan = std::conditional_t<std::is_floating_point_v<T>, IsNan, Never>;
  using Inf = std::conditional_t<std::is_floating_point_v<T>, IsInf, Never>;
  using Pos = std::conditional_t<std::is_floating_point_v<T>, IsPosInf, Never>;
  using Neg = std::conditional_t<std::is_floating_point_v<T>, IsNegInf, Never>;
  using Finite = std::conditional_t<std::is_floating_point_v<T>, IsFinite, Always>;
  table->set(TileOp::kIsNan, kDtype, unary_loop<Nan, U, uint8_t>);
  table->set(TileOp::kIsInf, kDtype, unary_loop<Inf, U, uint8_t>);
  table->set(TileOp::kIsPosInf, kDtype, unary_loop<Pos, U, uint8_t>);
  table->set(TileOp::kIsNegInf, kDtype, unary_loop<Neg, U, uint8_t>);
  table->set(TileOp::kIsFinite, kDtype, unary_loop<Finite, U, uint8_t>);
}

void add_compare(TileTable* table) {
  using enum Dtype;
  for_dtypes<kBool, kUint8, kUint16, kUint32, kUint64, kInt8, kInt16, kInt32, kInt64, kFloat32,
             kFloat64>([&]<Dtype kDtype, class T>() { add_predicates<kDtype, T>(table); });
}

}  // namespace HWY_NAMESPACE
}  // namespace plimsoll::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace plimsoll::cpu {
HWY_EXPORT(add_compare);
void add_compare_kernels(TileTable* table) { HWY_DYNAMIC_DISPATCH(add_compare)(table); }
}  // namespace plimsoll::cpu
#endif
