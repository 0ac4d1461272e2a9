// What kind of number an element is.
#include "plimsoll/ops/classify.h"

#include <limits>

#include "ops/common.h"
#include "ops/lists.h"
#include "plimsoll/ops/creation.h"
#include "plimsoll/ops/scalar.h"
#include "plimsoll/ops/select.h"

namespace plimsoll {
namespace ops {
namespace {

constexpr OpDef predicate(const char* name, TileOp tile_op, graph::Entry entry,
                          const char* signature, const char* doc) {
  return {.name = name,
          .kind = Kind::kElementwise,
          .tile_op = tile_op,
          .infer =
              [](const OpInstance& op, std::vector<TensorSpec>& out) {
                out.push_back({Dtype::kBool, op.inputs[0].shape});
              },
          .differentiable = false,
          .entry = entry,
          .signature = signature,
          .doc = doc};
}

constinit const OpDef kIsnan =
    predicate("isnan", TileOp::kIsNan, boxed<&plimsoll::isnan>::call,
              "isnan(a: scalar | array, stream: None | Stream | Device = None) -> array",
              R"(Whether the number is NaN; a complex number is where a part is.

Any dtype; the result is bool. Integers never are.

Example:
    >>> mx.isnan(mx.array([1.0, float("nan")]))
    array([False, True], dtype=bool)
)");

constinit const OpDef kIsinf =
    predicate("isinf", TileOp::kIsInf, boxed<&plimsoll::isinf>::call,
              "isinf(a: scalar | array, stream: None | Stream | Device = None) -> array",
              R"(Whether the number is an infinity of either sign.

Any dtype; the result is bool. Integers never are.

Example:
    >>> mx.isinf(mx.array([1.0, float("inf")]))
    array([False, True], dtype=bool)
)");

constinit const OpDef kIsfinite =
    predicate("isfinite", TileOp::kIsFinite, boxed<&plimsoll::isfinite>::call,
              "isfinite(a: scalar | array, stream: None | Stream | Device = None) -> array",
              R"(Whether the number is neither an infinity nor NaN.

Any dtype; the result is bool. Integers always are.

Example:
    >>> mx.isfinite(mx.array([1.0, float("inf")]))
    array([True, False], dtype=bool)
)");

constinit const OpDef kIsposinf =
    predicate("isposinf", TileOp::kIsPosInf, boxed<&isposinf>::call,
              "isposinf(a: scalar | array, stream: None | Stream | Device = None) -> array",
              R"(Whether the number is positive infinity.

Real dtypes; the result is bool. Complex numbers never are.

Example:
    >>> mx.isposinf(mx.array([float("-inf"), float("inf")]))
    array([False, True], dtype=bool)
)");

constinit const OpDef kIsneginf =
    predicate("isneginf", TileOp::kIsNegInf, boxed<&isneginf>::call,
              "isneginf(a: scalar | array, stream: None | Stream | Device = None) -> array",
              R"(Whether the number is negative infinity.

Real dtypes; the result is bool. Complex numbers never are.

Example:
    >>> mx.isneginf(mx.array([float("-inf"), float("inf")]))
    array([True, False], dtype=bool)
)");

constinit const OpDef kNanToNum = composite(
    "nan_to_num", boxed<&nan_to_num>::call,
    "nan_to_num(a: scalar | array, nan: float = 0, posinf: float | None = None, neginf: float | "
    "None = None, *, stream: None | Stream | Device = None) -> array",
    R"(The array with NaN and the infinities replaced.

NaN becomes ``nan``, inf becomes ``posinf`` (the greatest finite number for None), -inf becomes
``neginf`` (the least one for None). Real dtypes, which are kept; integers are returned as they are.
Raises ValueError for complex64.

Example:
    >>> mx.nan_to_num(mx.array([1.0, float("nan")]))
    array([1, 0], dtype=float32)
)");

array classify(const OpDef& def, const array& a, bool of_integers) {
  if (is_integral(a.dtype())) return full(a.shape(), array(of_integers));
  return record(def, {cast(a, a.dtype())});
}

float greatest(Dtype t) {
  switch (t) {
    case Dtype::kFloat16:
      return 65504.0f;
    case Dtype::kBfloat16:
      return 3.3895313892515355e38f;
    default:
      return std::numeric_limits<float>::max();
  }
}

}  // namespace

OpList classify_ops() {
  static constexpr const OpDef* kOps[] = {&kIsnan,    &kIsinf,    &kIsfinite,
                                          &kIsposinf, &kIsneginf, &kNanToNum};
  return kOps;
}

}  // namespace ops

using ops::cast;

array isnan(const array& a) { return ops::classify(ops::kIsnan, a, false); }
array isinf(const array& a) { return ops::classify(ops::kIsinf, a, false); }
array isfinite(const array& a) { return ops::classify(ops::kIsfinite, a, true); }
array isposinf(const array& a) {
  if (a.dtype() == Dtype::kComplex64) return full(a.shape(), array(false));
  return ops::classify(ops::kIsposinf, a, false);
}
array isneginf(const array& a) {
  if (a.dtype() == Dtype::kComplex64) return full(a.shape(), array(false));
  return ops::classify(ops::kIsneginf, a, false);
}

array nan_to_num(const array& a, float nan, std::optional<float> posinf,
                 std::optional<float> neginf) {
  Dtype t = a.dtype();
  PLIMSOLL_CHECK(t != Dtype::kComplex64, ValueError,
                 "[nan_to_num] expected a real dtype, got complex64");
  if (is_integral(t)) return cast(a, t);
  double top = t == Dtype::kFloat64 ? std::numeric_limits<double>::max() : ops::greatest(t);
  array x = cast(a, t);
  array out = where(isnan(x), scalar(nan), x);
  out = where(isposinf(x), scalar(posinf ? double{*posinf} : top), out);
  return where(isneginf(x), scalar(neginf ? double{*neginf} : -top), out);
}

}  // namespace plimsoll
