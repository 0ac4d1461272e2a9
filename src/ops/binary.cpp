// Arithmetic on two arrays.
#include "plimsoll/ops/binary.h"

#include <cstddef>
#include <optional>
#include <type_traits>

#include "ops/common.h"
#include "ops/lists.h"
#include "plimsoll/ops/compare.h"
#include "plimsoll/ops/select.h"
#include "plimsoll/ops/unary.h"

namespace plimsoll {
namespace ops {
namespace {

// Without a gradient `vjp` is nullptr, as a type: sanitizers do not compare addresses in constants.
template <typename V>
constexpr OpDef binary(const char* name, TileOp tile_op, V vjp, graph::Entry entry,
                       const char* signature, const char* doc) {
  return {.name = name,
          .kind = Kind::kElementwise,
          .tile_op = tile_op,
          .vjp = vjp,
          .differentiable = !std::is_same_v<V, std::nullptr_t>,
          .entry = entry,
          .signature = signature,
          .doc = doc};
}

// RuleA and RuleB map (cotangent, a, b, result) to the gradients.
template <auto RuleA, auto RuleB>
std::vector<array> binary_vjp(const VjpArgs& v) {
  const array &g = v.cotangents[0], &a = v.inputs[0], &b = v.inputs[1], &y = v.outputs[0];
  std::vector<array> out(2);
  if (v.needed[0]) out[0] = RuleA(g, a, b, y);
  if (v.needed[1]) out[1] = RuleB(g, a, b, y);
  return out;
}

array zero_of(const array& a) { return constant_like(0, a); }

// b * a^(b-1); 0 and not 0 * inf where b is 0.
array power_vjp_base(const array& g, const array& a, const array& b) {
  array slope = b * power(a, b - scalar(1));
  return g * conj_if_complex(where(equal(b, zero_of(b)), zero_of(b), slope));
}

// a^b * log(a); 0 and not 0 * -inf where a is 0.
array power_vjp_exponent(const array& g, const array& a, const array& y) {
  array slope = where(equal(a, zero_of(a)), zero_of(y), y * log(a));
  return g * conj_if_complex(slope);
}

// exp(a - y), also where both are the same infinity.
array share_of(const array& a, const array& y) {
  return where(equal(a, y), constant_like(1, y), exp(a - y));
}

// For the Python numbers that most code raises to: what these are by multiplications and divisions,
// within two ulp of the power (of its modulus for a complex square). Narrow dtypes keep one
// rounding, by the power itself, and complex numbers its special values.
std::optional<array> plain_power(const array& a, const array& b) {
  if (!graph::is_weak(b) || graph::is_weak(a)) return std::nullopt;
  const TileConstant& c = b.node()->constant;
  if (c.imag != 0) return std::nullopt;
  const double exponent = is_integral(c.dtype) ? static_cast<double>(c.integer) : c.real;
  const Dtype t = result_dtype(a, b);
  if (t == Dtype::kBool || c.dtype == Dtype::kBool) return std::nullopt;
  if (exponent == 2) return square(cast(a, t));
  if (t == Dtype::kComplex64) return std::nullopt;
  const bool wide = is_integral(t) || size_of(t) >= 4;
  if (exponent == 3 && wide) return square(cast(a, t)) * cast(a, t);
  if (exponent == -1 && is_inexact(t)) return reciprocal(cast(a, t));
  return std::nullopt;
}

constinit const OpDef kAdd = binary(
    "add", TileOp::kAdd,
    binary_vjp<[](const array& g, const array&, const array&, const array&) { return g; },
               [](const array& g, const array&, const array&, const array&) { return g; }>,
    boxed<&plimsoll::add>::call,
    "add(a: scalar | array, b: scalar | array, stream: None | Stream | Device = None) -> array",
    R"(a + b.

The shapes broadcast, the dtypes are promoted.

Example:
    >>> mx.add(mx.array([1, 2]), 3)
    array([4, 5], dtype=int32)
)");

constinit const OpDef kSubtract =
    binary("subtract", TileOp::kSubtract,
           binary_vjp<[](const array& g, const array&, const array&, const array&) { return g; },
                      [](const array& g, const array&, const array&, const array&) { return -g; }>,
           boxed<&plimsoll::subtract>::call,
           "subtract(a: scalar | array, b: scalar | array, stream: None | Stream | Device = None) "
           "-> array",
           R"(a - b.

The shapes broadcast, the dtypes are promoted. For bool: whether the two differ.

Example:
    >>> mx.subtract(mx.array([1, 2]), 3)
    array([-2, -1], dtype=int32)
)");

constinit const OpDef kMultiply =
    binary("multiply", TileOp::kMultiply,
           binary_vjp<[](const array& g, const array&, const array& b, const array&) {
             return g * conj_if_complex(b);
           },
                      [](const array& g, const array& a, const array&, const array&) {
                        return g * conj_if_complex(a);
                      }>,
           boxed<&plimsoll::multiply>::call,
           "multiply(a: scalar | array, b: scalar | array, stream: None | Stream | Device = None) "
           "-> array",
           R"(a * b.

The shapes broadcast, the dtypes are promoted.

Example:
    >>> mx.multiply(mx.array([1, 2]), 3)
    array([3, 6], dtype=int32)
)");

constinit const OpDef kDivide = binary(
    "divide", TileOp::kDivide,
    binary_vjp<[](const array& g, const array&, const array& b, const array&) {
      return g / conj_if_complex(b);
    },
               [](const array& g, const array&, const array& b, const array& y) {
                 return -(g * conj_if_complex(y / b));
               }>,
    boxed<&plimsoll::divide>::call,
    "divide(a: scalar | array, b: scalar | array, stream: None | Stream | Device = None) -> array",
    R"(a / b.

The shapes broadcast, the dtypes are promoted. Two integers are divided as float32.

Example:
    >>> mx.divide(mx.array([1, 2]), 2)
    array([0.5, 1], dtype=float32)
)");

constinit const OpDef kFloorDivide =
    binary("floor_divide", TileOp::kFloorDivide, nullptr, boxed<&plimsoll::floor_divide>::call,
           "floor_divide(a: scalar | array, b: scalar | array, stream: None | Stream | Device = "
           "None) -> array",
           R"(The integral quotient floor(a / b).

The shapes broadcast, the dtypes are promoted. An integer divided by 0 gives 0. Raises ValueError for complex64.

Example:
    >>> mx.floor_divide(mx.array([-7, 7]), 2)
    array([-4, 3], dtype=int32)
)");

constinit const OpDef kRemainder =
    binary("remainder", TileOp::kRemainder,
           binary_vjp<[](const array& g, const array&, const array&, const array&) { return g; },
                      [](const array& g, const array& a, const array& b, const array&) {
                        return -(g * floor_divide(a, b));
                      }>,
           boxed<&plimsoll::remainder>::call,
           "remainder(a: scalar | array, b: scalar | array, stream: None | Stream | Device = None) "
           "-> array",
           R"(The remainder a - b * floor(a / b), which has the sign of b.

The shapes broadcast, the dtypes are promoted. An integer over 0 leaves itself. Raises ValueError for complex64.

Example:
    >>> mx.remainder(mx.array([-7, 7]), 3)
    array([2, 1], dtype=int32)
)");

constinit const OpDef kPower =
    binary("power", TileOp::kPower,
           binary_vjp<[](const array& g, const array& a, const array& b, const array&) {
             return power_vjp_base(g, a, b);
           },
                      [](const array& g, const array& a, const array&, const array& y) {
                        return power_vjp_exponent(g, a, y);
                      }>,
           boxed<&plimsoll::power>::call,
           "power(a: scalar | array, b: scalar | array, /, *, stream: None | Stream | Device = "
           "None) -> array",
           R"(a to the power of b.

The shapes broadcast, the dtypes are promoted. An integer to a negative power is 0. The Python numbers
2, 3 and -1 as ``b`` multiply and divide, within two ulp of the power (complex numbers: 2 only).

Example:
    >>> mx.power(mx.array([1.0, 2.0]), 3)
    array([1, 8], dtype=float32)
)");

constinit const OpDef kMaximum =
    binary("maximum", TileOp::kMaximum,
           binary_vjp<[](const array& g, const array& a, const array& b, const array&) {
             return where(greater(a, b), g, zero_of(g));
           },
                      [](const array& g, const array& a, const array& b, const array&) {
                        return where(greater(a, b), zero_of(g), g);
                      }>,
           boxed<&plimsoll::maximum>::call,
           "maximum(a: scalar | array, b: scalar | array, /, *, stream: None | Stream | Device = "
           "None) -> array",
           R"(The greater of the two; NaN where one is NaN.

The shapes broadcast, the dtypes are promoted. Where they are equal the gradient goes to b.

Example:
    >>> mx.maximum(mx.array([1, 5]), 3)
    array([3, 5], dtype=int32)
)");

constinit const OpDef kMinimum =
    binary("minimum", TileOp::kMinimum,
           binary_vjp<[](const array& g, const array& a, const array& b, const array&) {
             return where(less(a, b), g, zero_of(g));
           },
                      [](const array& g, const array& a, const array& b, const array&) {
                        return where(less(a, b), zero_of(g), g);
                      }>,
           boxed<&plimsoll::minimum>::call,
           "minimum(a: scalar | array, b: scalar | array, /, *, stream: None | Stream | Device = "
           "None) -> array",
           R"(The lesser of the two; NaN where one is NaN.

The shapes broadcast, the dtypes are promoted. Where they are equal the gradient goes to b.

Example:
    >>> mx.minimum(mx.array([1, 5]), 3)
    array([1, 3], dtype=int32)
)");

constinit const OpDef kLogaddexp =
    binary("logaddexp", TileOp::kLogAddExp,
           binary_vjp<[](const array& g, const array& a, const array&, const array& y) {
             return g * share_of(a, y);
           },
                      [](const array& g, const array&, const array& b, const array& y) {
                        return g * share_of(b, y);
                      }>,
           boxed<&plimsoll::logaddexp>::call,
           "logaddexp(a: scalar | array, b: scalar | array, /, *, stream: None | Stream | Device = "
           "None) -> array",
           R"(log(exp(a) + exp(b)) without overflow.

The shapes broadcast, the dtypes are promoted. Two integers are computed in float32. Raises ValueError for complex64.

Example:
    >>> mx.logaddexp(mx.array([0.0]), mx.array([0.0]))
    array([0.693147], dtype=float32)
)");

constinit const OpDef kArctan2 =
    binary("arctan2", TileOp::kArctan2,
           binary_vjp<[](const array& g, const array& a, const array& b, const array&) {
             return g * b / (square(a) + square(b));
           },
                      [](const array& g, const array& a, const array& b, const array&) {
                        return -(g * a / (square(a) + square(b)));
                      }>,
           boxed<&plimsoll::arctan2>::call,
           "arctan2(a: scalar | array, b: scalar | array, /, *, stream: None | Stream | Device = "
           "None) -> array",
           R"(The angle in radians of the point (b, a), in [-pi, pi].

The shapes broadcast, the dtypes are promoted. Two integers are computed in float32. Raises ValueError for complex64.

Example:
    >>> mx.arctan2(mx.array([0.0]), mx.array([1.0]))
    array([0], dtype=float32)
)");

constinit const OpDef kBitwiseAnd =
    binary("bitwise_and", TileOp::kBitwiseAnd, nullptr, boxed<&bitwise_and>::call,
           "bitwise_and(a: scalar | array, b: scalar | array, stream: None | Stream | Device = "
           "None) -> array",
           R"(Bits that both have.

The shapes broadcast, the dtypes are promoted. Integers and bool only; raises RuntimeError for others.

Example:
    >>> mx.bitwise_and(mx.array([6]), 3)
    array([2], dtype=int32)
)");

constinit const OpDef kBitwiseOr =
    binary("bitwise_or", TileOp::kBitwiseOr, nullptr, boxed<&bitwise_or>::call,
           "bitwise_or(a: scalar | array, b: scalar | array, stream: None | Stream | Device = "
           "None) -> array",
           R"(Bits that one or both have.

The shapes broadcast, the dtypes are promoted. Integers and bool only; raises RuntimeError for others.

Example:
    >>> mx.bitwise_or(mx.array([6]), 3)
    array([7], dtype=int32)
)");

constinit const OpDef kBitwiseXor =
    binary("bitwise_xor", TileOp::kBitwiseXor, nullptr, boxed<&bitwise_xor>::call,
           "bitwise_xor(a: scalar | array, b: scalar | array, stream: None | Stream | Device = "
           "None) -> array",
           R"(Bits that one but not both have.

The shapes broadcast, the dtypes are promoted. Integers and bool only; raises RuntimeError for others.

Example:
    >>> mx.bitwise_xor(mx.array([6]), 3)
    array([5], dtype=int32)
)");

constinit const OpDef kLeftShift =
    binary("left_shift", TileOp::kLeftShift, nullptr, boxed<&left_shift>::call,
           "left_shift(a: scalar | array, b: scalar | array, stream: None | Stream | Device = "
           "None) -> array",
           R"(a with its bits moved b places up.

The shapes broadcast, the dtypes are promoted. Integers and bool only (bool is taken as uint8); raises RuntimeError for others.

Example:
    >>> mx.left_shift(mx.array([3]), 2)
    array([12], dtype=int32)
)");

constinit const OpDef kRightShift =
    binary("right_shift", TileOp::kRightShift, nullptr, boxed<&right_shift>::call,
           "right_shift(a: scalar | array, b: scalar | array, stream: None | Stream | Device = "
           "None) -> array",
           R"(a with its bits moved b places down; signed numbers keep their sign.

The shapes broadcast, the dtypes are promoted. Integers and bool only (bool is taken as uint8); raises RuntimeError for others.

Example:
    >>> mx.right_shift(mx.array([-8]), 1)
    array([-4], dtype=int32)
)");

constinit const OpDef kDivmod{.name = "divmod",
                              .kind = Kind::kComposite,
                              .entry = boxed<&divmod>::call,
                              .signature =
                                  "divmod(a: scalar | array, b: scalar | array, stream: None | "
                                  "Stream | Device = None) -> tuple[array, array]",
                              .doc = R"(floor_divide(a, b) and remainder(a, b).

Example:
    >>> mx.divmod(mx.array([7]), 2)
    (array([3], dtype=int32), array([1], dtype=int32))
)"};

array promoted(const OpDef& def, const array& a, const array& b, Dtype t) {
  return record(def, {cast(a, t), cast(b, t)});
}

// Of two bools, by way of uint8.
array of_bools(const OpDef& def, const array& a, const array& b) {
  return cast(promoted(def, cast(a, Dtype::kBool), cast(b, Dtype::kBool), Dtype::kUint8),
              Dtype::kBool);
}

array arithmetic(const OpDef& def, const array& a, const array& b) {
  if (is_plain_pair(a, b)) [[likely]]
    return record(def, {a, b});
  return promoted(def, a, b, result_dtype(a, b));
}

array real_arithmetic(const OpDef& def, const array& a, const array& b) {
  Dtype t = result_dtype(a, b);
  PLIMSOLL_CHECK(t != Dtype::kComplex64, ValueError, "[{}] expected real dtypes, got {} and {}",
                 def.name, name_of(a.dtype()), name_of(b.dtype()));
  return t == Dtype::kBool ? of_bools(def, a, b) : promoted(def, a, b, t);
}

array bitwise(const OpDef& def, const array& a, const array& b, bool shift) {
  Dtype t = result_dtype(a, b);
  PLIMSOLL_CHECK(is_integral(t), Error, "[{}] expected integers or bool, got {} and {}", def.name,
                 name_of(a.dtype()), name_of(b.dtype()));
  if (shift && t == Dtype::kBool) t = Dtype::kUint8;
  return promoted(def, a, b, t);
}

}  // namespace

OpList binary_ops() {
  static constexpr const OpDef* kOps[] = {
      &kAdd,       &kSubtract,   &kMultiply,  &kDivide,     &kFloorDivide, &kRemainder,
      &kPower,     &kMaximum,    &kMinimum,   &kLogaddexp,  &kArctan2,     &kBitwiseAnd,
      &kBitwiseOr, &kBitwiseXor, &kLeftShift, &kRightShift, &kDivmod};
  return kOps;
}

}  // namespace ops

array add(const array& a, const array& b) { return ops::arithmetic(ops::kAdd, a, b); }
array subtract(const array& a, const array& b) {
  if (a.dtype() == Dtype::kBool && b.dtype() == Dtype::kBool) return not_equal(a, b);
  return ops::arithmetic(ops::kSubtract, a, b);
}
array multiply(const array& a, const array& b) { return ops::arithmetic(ops::kMultiply, a, b); }
array power(const array& a, const array& b) {
  if (auto plain = ops::plain_power(a, b)) return *plain;
  if (a.dtype() == Dtype::kBool && b.dtype() == Dtype::kBool)
    return ops::of_bools(ops::kPower, a, b);
  return ops::arithmetic(ops::kPower, a, b);
}
array maximum(const array& a, const array& b) { return ops::arithmetic(ops::kMaximum, a, b); }
array minimum(const array& a, const array& b) { return ops::arithmetic(ops::kMinimum, a, b); }

array divide(const array& a, const array& b) {
  if (ops::is_plain_pair(a, b) && is_inexact(a.dtype())) [[likely]]
    return ops::record(ops::kDivide, {a, b});
  return ops::promoted(ops::kDivide, a, b, ops::inexact(ops::result_dtype(a, b)));
}

array floor_divide(const array& a, const array& b) {
  return ops::real_arithmetic(ops::kFloorDivide, a, b);
}
array remainder(const array& a, const array& b) {
  return ops::real_arithmetic(ops::kRemainder, a, b);
}
std::vector<array> divmod(const array& a, const array& b) {
  return {floor_divide(a, b), remainder(a, b)};
}

array logaddexp(const array& a, const array& b) {
  Dtype t = ops::inexact(ops::result_dtype(a, b));
  return ops::real_arithmetic(ops::kLogaddexp, ops::cast(a, t), ops::cast(b, t));
}
array arctan2(const array& a, const array& b) {
  Dtype t = ops::inexact(ops::result_dtype(a, b));
  return ops::real_arithmetic(ops::kArctan2, ops::cast(a, t), ops::cast(b, t));
}

array bitwise_and(const array& a, const array& b) {
  return ops::bitwise(ops::kBitwiseAnd, a, b, false);
}
array bitwise_or(const array& a, const array& b) {
  return ops::bitwise(ops::kBitwiseOr, a, b, false);
}
array bitwise_xor(const array& a, const array& b) {
  return ops::bitwise(ops::kBitwiseXor, a, b, false);
}
array left_shift(const array& a, const array& b) {
  return ops::bitwise(ops::kLeftShift, a, b, true);
}
array right_shift(const array& a, const array& b) {
  return ops::bitwise(ops::kRightShift, a, b, true);
}

}  // namespace plimsoll
