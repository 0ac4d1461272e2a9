// where and clip.
#include "plimsoll/ops/select.h"

#include "ops/common.h"
#include "ops/lists.h"
#include "plimsoll/ops/binary.h"
#include "plimsoll/ops/compare.h"

namespace plimsoll {
namespace ops {
namespace {

void infer_select(const OpInstance& op, std::vector<TensorSpec>& out) {
  Shape shape = broadcast_shapes(op.inputs[1].shape, op.inputs[2].shape, "where");
  out.push_back({op.inputs[1].dtype, broadcast_shapes(op.inputs[0].shape, shape, "where")});
}

std::vector<array> where_vjp(const VjpArgs& v) {
  const array &g = v.cotangents[0], &condition = v.inputs[0];
  array zero = constant_like(0, g);
  std::vector<array> out(3);
  if (v.needed[1]) out[1] = where(condition, g, zero);
  if (v.needed[2]) out[2] = where(condition, zero, g);
  return out;
}

// As minimum(maximum(a, lo), hi): at a bound the gradient goes to the bound.
std::vector<array> clamp_vjp(const VjpArgs& v) {
  const array &g = v.cotangents[0], &a = v.inputs[0], &lo = v.inputs[1], &hi = v.inputs[2];
  array zero = constant_like(0, g);
  array above = greater(a, lo), below = less(maximum(a, lo), hi);
  std::vector<array> out(3);
  if (v.needed[0]) out[0] = where(logical_and(above, below), g, zero);
  if (v.needed[1]) out[1] = where(above, zero, where(below, g, zero));
  if (v.needed[2]) out[2] = where(below, zero, g);
  return out;
}

constinit const OpDef kWhere{.name = "where",
                             .kind = Kind::kElementwise,
                             .tile_op = TileOp::kSelect,
                             .infer = infer_select,
                             .vjp = where_vjp,
                             .entry = boxed<&where>::call,
                             .signature =
                                 "where(condition: scalar | array, x: scalar | array, y: scalar | "
                                 "array, /, *, stream: None | Stream | Device = None) "
                                 "-> array",
                             .doc = R"(x where ``condition`` is not 0, else y.

The three shapes broadcast; the result has the dtype of x and y, promoted.

Example:
    >>> mx.where(mx.array([True, False]), mx.array([1, 2]), 0)
    array([1, 0], dtype=int32)
)"};

constinit const OpDef kClip{
    .name = "clip",
    .kind = Kind::kElementwise,
    .tile_op = TileOp::kClamp,
    .vjp = clamp_vjp,
    .entry = boxed<&clip>::call,
    .signature =
        "clip(a: array, /, a_min: scalar | array | None, a_max: scalar | array | None, *, "
        "stream: None | Stream | Device = None) -> array",
    .doc = R"(min(max(a, a_min), a_max): the elements moved into an interval.

The shapes broadcast, the dtypes are promoted. One bound may be None; raises ValueError where both
are. NaN stays NaN. Where ``a_min`` is above ``a_max`` the result is ``a_max``.

Example:
    >>> mx.clip(mx.array([-1, 5]), 0, 3)
    array([0, 3], dtype=int32)
)"};

}  // namespace

OpList select_ops() {
  static constexpr const OpDef* kOps[] = {&kWhere, &kClip};
  return kOps;
}

}  // namespace ops

array where(const array& condition, const array& x, const array& y) {
  using namespace ops;
  Dtype t = result_dtype(x, y);
  return record(kWhere, {cast(condition, Dtype::kBool), cast(x, t), cast(y, t)});
}

array clip(const array& a, const std::optional<array>& a_min, const std::optional<array>& a_max) {
  using namespace ops;
  PLIMSOLL_CHECK(a_min || a_max, ValueError, "[clip] expected a_min or a_max, got neither");
  if (!a_max) return maximum(a, *a_min);
  if (!a_min) return minimum(a, *a_max);
  Dtype t = result_dtype({&a, &*a_min, &*a_max});
  if (t == Dtype::kComplex64) return minimum(maximum(a, *a_min), *a_max);
  return record(kClip, {cast(a, t), cast(*a_min, t), cast(*a_max, t)});
}

}  // namespace plimsoll
