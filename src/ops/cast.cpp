// astype and stop_gradient.
#include "plimsoll/ops/cast.h"

#include "ops/common.h"
#include "ops/lists.h"
#include "opset/tile_attrs.h"

namespace plimsoll {
namespace ops {
namespace {

constinit const OpDef kAstype{
    .name = "astype",
    .kind = Kind::kElementwise,
    .tile_op = TileOp::kCast,
    .attrs = &kAttrsOf<TileAttrs>,
    .infer =
        [](const OpInstance& op, std::vector<TensorSpec>& out) {
          out.push_back({attrs_as<TileAttrs>(op.attrs).dtype, op.inputs[0].shape});
        },
    .vjp =
        vjp_of_one<[](const array& g, const array& x, const array&) { return cast(g, x.dtype()); }>,
    .entry = boxed<&astype>::call,
    .signature =
        "astype(a: array, dtype: Dtype, /, *, stream: None | Stream | Device = None) -> array",
    .doc = R"(The array with its elements converted to ``dtype``.

A float becomes an integer by dropping its fraction, a complex number a real one by dropping its
imaginary part, anything but zero becomes true. An array that has the dtype already is returned.

Example:
    >>> mx.array([1.5, -2.5]).astype(mx.int32)
    array([1, -2], dtype=int32)
)"};

constinit const OpDef kStopGradient{
    .name = "stop_gradient",
    .kind = Kind::kView,
    .check = contract::one_input,
    .infer = [](const OpInstance& op,
                std::vector<TensorSpec>& out) { out.push_back(op.inputs[0]); },
    .vmap = [](const VmapArgs& v) -> VmapResult {
      return {{stop_gradient(v.inputs[0])}, {v.axes[0]}};
    },
    .differentiable = false,
    .view =
        [](const graph::ViewArgs& v, Layout& out) {
          out = v.in_layout;
          return true;
        },
    .entry = boxed<&stop_gradient>::call,
    .signature = "stop_gradient(a: array, /, *, stream: None | Stream | Device = None) -> array",
    .doc = R"(The same values, as a constant to differentiation: no gradient flows through.

Example:
    >>> mx.grad(lambda x: (mx.stop_gradient(x) * x).sum())(mx.array([3.0]))
    array([3], dtype=float32)
)"};

}  // namespace

OpList cast_ops() {
  static constexpr const OpDef* kOps[] = {&kAstype, &kStopGradient};
  return kOps;
}

}  // namespace ops

array astype(const array& a, Dtype dtype) {
  using namespace ops;
  if (is_foldable(a)) return cast(a, dtype);
  if (a.dtype() == dtype) return a;
  return record(kAstype, {a}, make_attrs(TileAttrs(dtype)));
}

array stop_gradient(const array& a) {
  using namespace ops;
  if (is_foldable(a)) return a;
  array out = record(kStopGradient, {a});
  out.node()->flags |= graph::Node::kBarrier;
  return out;
}

}  // namespace plimsoll
