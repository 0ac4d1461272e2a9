// Comparisons and logic.
#include "plimsoll/ops/compare.h"

#include "ops/common.h"
#include "ops/lists.h"
#include "plimsoll/ops/binary.h"
#include "plimsoll/ops/classify.h"
#include "plimsoll/ops/creation.h"
#include "plimsoll/ops/reduce.h"
#include "plimsoll/ops/unary.h"

namespace plimsoll {
namespace ops {
namespace {

constexpr OpDef comparison(const char* name, TileOp tile_op, graph::Entry entry,
                           const char* signature, const char* doc) {
  return {.name = name,
          .kind = Kind::kElementwise,
          .tile_op = tile_op,
          .infer =
              [](const OpInstance& op, std::vector<TensorSpec>& out) {
                const Shape &a = op.inputs[0].shape, &b = op.inputs[1].shape;
                out.push_back({Dtype::kBool, a == b ? a : broadcast_shapes(a, b, "compare")});
              },
          .differentiable = false,
          .entry = entry,
          .signature = signature,
          .doc = doc};
}

constinit const OpDef kEqual = comparison(
    "equal", TileOp::kEqual, boxed<&equal>::call,
    "equal(a: scalar | array, b: scalar | array, stream: None | Stream | Device = None) -> array",
    R"(a == b; NaN equals nothing.

The shapes broadcast, the dtypes are promoted; the result is bool.

Example:
    >>> mx.equal(mx.array([1, 2]), 2)
    array([False, True], dtype=bool)
)");

constinit const OpDef kNotEqual =
    comparison("not_equal", TileOp::kNotEqual, boxed<&not_equal>::call,
               "not_equal(a: scalar | array, b: scalar | array, stream: None | Stream | Device = "
               "None) -> array",
               R"(a != b; NaN differs from everything.

The shapes broadcast, the dtypes are promoted; the result is bool.

Example:
    >>> mx.not_equal(mx.array([1, 2]), 2)
    array([True, False], dtype=bool)
)");

constinit const OpDef kLess = comparison(
    "less", TileOp::kLess, boxed<&less>::call,
    "less(a: scalar | array, b: scalar | array, stream: None | Stream | Device = None) -> array",
    R"(a < b; false where one is NaN.

The shapes broadcast, the dtypes are promoted; the result is bool.

Example:
    >>> mx.less(mx.array([1, 2]), 2)
    array([True, False], dtype=bool)
)");

constinit const OpDef kLessEqual =
    comparison("less_equal", TileOp::kLessEqual, boxed<&less_equal>::call,
               "less_equal(a: scalar | array, b: scalar | array, stream: None | Stream | Device = "
               "None) -> array",
               R"(a <= b; false where one is NaN.

The shapes broadcast, the dtypes are promoted; the result is bool.

Example:
    >>> mx.less_equal(mx.array([1, 3]), 2)
    array([True, False], dtype=bool)
)");

constinit const OpDef kGreater = comparison(
    "greater", TileOp::kGreater, boxed<&greater>::call,
    "greater(a: scalar | array, b: scalar | array, stream: None | Stream | Device = None) -> array",
    R"(a > b; false where one is NaN.

The shapes broadcast, the dtypes are promoted; the result is bool.

Example:
    >>> mx.greater(mx.array([1, 3]), 2)
    array([False, True], dtype=bool)
)");

constinit const OpDef kGreaterEqual =
    comparison("greater_equal", TileOp::kGreaterEqual, boxed<&greater_equal>::call,
               "greater_equal(a: scalar | array, b: scalar | array, stream: None | Stream | Device "
               "= None) -> array",
               R"(a >= b; false where one is NaN.

The shapes broadcast, the dtypes are promoted; the result is bool.

Example:
    >>> mx.greater_equal(mx.array([1, 2]), 2)
    array([False, True], dtype=bool)
)");

constinit const OpDef kLogicalAnd =
    comparison("logical_and", TileOp::kLogicalAnd, boxed<&logical_and>::call,
               "logical_and(a: scalar | array, b: scalar | array, /, *, stream: None | Stream | "
               "Device = None) -> array",
               R"(Whether both are not 0.

The shapes broadcast; any dtypes; the result is bool.

Example:
    >>> mx.logical_and(mx.array([True, True]), mx.array([True, False]))
    array([True, False], dtype=bool)
)");

constinit const OpDef kLogicalOr =
    comparison("logical_or", TileOp::kLogicalOr, boxed<&logical_or>::call,
               "logical_or(a: scalar | array, b: scalar | array, /, *, stream: None | Stream | "
               "Device = None) -> array",
               R"(Whether one or both are not 0.

The shapes broadcast; any dtypes; the result is bool.

Example:
    >>> mx.logical_or(mx.array([True, False]), mx.array([False, False]))
    array([True, False], dtype=bool)
)");

constinit const OpDef kLogicalXor =
    composite("logical_xor", boxed<&logical_xor>::call,
              "logical_xor(a: scalar | array, b: scalar | array, /, *, stream: None | Stream | "
              "Device = None) -> array",
              R"(Whether exactly one is not 0.

The shapes broadcast; any dtypes; the result is bool.

Example:
    >>> mx.logical_xor(mx.array([True, True]), mx.array([True, False]))
    array([False, True], dtype=bool)
)");

constinit const OpDef kIsclose = composite(
    "isclose", boxed<&isclose>::call,
    "isclose(a: array, b: array, /, rtol: float = 1e-05, atol: float = 1e-08, *, equal_nan: bool = "
    "False, stream: None | Stream | Device = None) -> array",
    R"(Whether abs(a - b) <= atol + rtol * abs(b), element by element.

Infinities are close to themselves only, NaN to NaN where ``equal_nan``. The shapes broadcast; the
result is bool.

Example:
    >>> mx.isclose(mx.array([1.0, 2.0]), mx.array([1.0, 2.1]))
    array([True, False], dtype=bool)
)");

constinit const OpDef kAllclose = composite(
    "allclose", boxed<&allclose>::call,
    "allclose(a: array, b: array, /, rtol: float = 1e-05, atol: float = 1e-08, *, equal_nan: bool "
    "= False, stream: None | Stream | Device = None) -> array",
    R"(Whether isclose holds for every element: a 0-d bool.

Example:
    >>> mx.allclose(mx.array([1.0, 2.0]), mx.array([1.0, 2.1]))
    array(False, dtype=bool)
)");

constinit const OpDef kArrayEqual =
    composite("array_equal", boxed<&array_equal>::call,
              "array_equal(a: scalar | array, b: scalar | array, equal_nan: bool = False, stream: "
              "None | Stream | Device = None) -> array",
              R"(Whether two arrays have the same shape and equal elements: a 0-d bool.

The dtypes are promoted. Two NaNs are equal where ``equal_nan``.

Example:
    >>> mx.array_equal(mx.array([1, 2]), mx.array([1.0, 2.0]))
    array(True, dtype=bool)
)");

array compare(const OpDef& def, const array& a, const array& b) {
  if (is_plain_pair(a, b)) [[likely]]
    return record(def, {a, b});
  Dtype t = result_dtype(a, b);
  return record(def, {cast(a, t), cast(b, t)});
}

array logic(const OpDef& def, const array& a, const array& b) {
  return record(def, {cast(a, Dtype::kBool), cast(b, Dtype::kBool)});
}

}  // namespace

OpList compare_ops() {
  static constexpr const OpDef* kOps[] = {&kEqual,      &kNotEqual,     &kLess,       &kLessEqual,
                                          &kGreater,    &kGreaterEqual, &kLogicalAnd, &kLogicalOr,
                                          &kLogicalXor, &kIsclose,      &kAllclose,   &kArrayEqual};
  return kOps;
}

}  // namespace ops

array equal(const array& a, const array& b) { return ops::compare(ops::kEqual, a, b); }
array not_equal(const array& a, const array& b) { return ops::compare(ops::kNotEqual, a, b); }
array less(const array& a, const array& b) { return ops::compare(ops::kLess, a, b); }
array less_equal(const array& a, const array& b) { return ops::compare(ops::kLessEqual, a, b); }
array greater(const array& a, const array& b) { return ops::compare(ops::kGreater, a, b); }
array greater_equal(const array& a, const array& b) {
  return ops::compare(ops::kGreaterEqual, a, b);
}
array logical_and(const array& a, const array& b) { return ops::logic(ops::kLogicalAnd, a, b); }
array logical_or(const array& a, const array& b) { return ops::logic(ops::kLogicalOr, a, b); }
array logical_xor(const array& a, const array& b) {
  return not_equal(ops::cast(a, Dtype::kBool), ops::cast(b, Dtype::kBool));
}

array isclose(const array& a, const array& b, double rtol, double atol, bool equal_nan) {
  Dtype t = ops::inexact(ops::result_dtype(a, b));
  array x = ops::cast(a, t), y = ops::cast(b, t);
  array close = less_equal(abs(x - y), scalar(atol) + abs(y) * scalar(rtol));
  // A difference from an infinity is infinite or NaN; equality decides there.
  array out = logical_or(logical_and(close, logical_and(isfinite(x), isfinite(y))), equal(x, y));
  return equal_nan ? logical_or(out, logical_and(isnan(x), isnan(y))) : out;
}

array allclose(const array& a, const array& b, double rtol, double atol, bool equal_nan) {
  return all(isclose(a, b, rtol, atol, equal_nan));
}

array array_equal(const array& a, const array& b, bool equal_nan) {
  if (!(a.shape() == b.shape())) return array(false);
  array same = equal(a, b);
  if (equal_nan && is_inexact(ops::result_dtype(a, b)))
    same = logical_or(same, logical_and(isnan(a), isnan(b)));
  return all(same);
}

}  // namespace plimsoll
