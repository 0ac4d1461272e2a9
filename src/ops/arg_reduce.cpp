// argmax and argmin.
#include "plimsoll/ops/arg_reduce.h"

#include "ops/common.h"
#include "ops/lists.h"
#include "opset/arg_reduce.h"
#include "plimsoll/ops/view.h"

namespace plimsoll {
namespace ops {
namespace {

void infer_position(const OpInstance& op, std::vector<TensorSpec>& out) {
  const auto& attrs = attrs_as<ArgReduceAttrs>(op.attrs);
  Shape shape = op.inputs[0].shape;
  PLIMSOLL_CHECK(shape[attrs.axis] != 0, ValueError,
                 "[arg_reduce] expected at least one element on axis {}, got shape {}", attrs.axis,
                 to_string(shape));
  if (attrs.keepdims)
    shape[attrs.axis] = 1;
  else
    shape.erase(shape.begin() + attrs.axis);
  out.push_back({Dtype::kUint32, std::move(shape)});
}

double one_an_input(const OpInstance& op) {
  return static_cast<double>(num_elements(op.inputs[0].shape));
}

const OpDef& argmax_def();
const OpDef& argmin_def();

template <const OpDef& (*Def)()>
VmapResult position_vmap(const VmapArgs& v) {
  const auto& attrs = attrs_as<ArgReduceAttrs>(v.attrs);
  array a = batch_first(v.inputs[0], v.axes[0]);
  return {{record(Def(), {a}, make_attrs(ArgReduceAttrs(attrs.axis + 1, attrs.keepdims)))}, {0}};
}

constinit const OpDef kArgmax{
    .name = "argmax",
    .kind = Kind::kReduction,
    .attrs = &kAttrsOf<ArgReduceAttrs>,
    .check = contract::position,
    .infer = infer_position,
    .vmap = position_vmap<argmax_def>,
    .differentiable = false,
    .tiling = arg_reduce_tiling,
    .flops = one_an_input,
    .entry = boxed<&argmax>::call,
    .signature =
        "argmax(a: array, /, axis: None | int = None, keepdims: bool = False, *, stream: None | "
        "Stream | Device = None) -> "
        "array",
    .doc =
        R"(Position (uint32) of the greatest element along ``axis``; in the flattened array for None.

The first one where several are equal; the first NaN where there is one. Any dtype. Raises ValueError
for an empty axis, IndexError for one that is not there.

Example:
    >>> mx.argmax(mx.array([1, 3, 2]))
    array(1, dtype=uint32)
)"};

constinit const OpDef kArgmin{
    .name = "argmin",
    .kind = Kind::kReduction,
    .attrs = &kAttrsOf<ArgReduceAttrs>,
    .check = contract::position,
    .infer = infer_position,
    .vmap = position_vmap<argmin_def>,
    .differentiable = false,
    .tiling = arg_reduce_tiling,
    .flops = one_an_input,
    .entry = boxed<&argmin>::call,
    .signature =
        "argmin(a: array, /, axis: None | int = None, keepdims: bool = False, *, stream: None | "
        "Stream | Device = None) -> "
        "array",
    .doc =
        R"(Position (uint32) of the least element along ``axis``; in the flattened array for None.

The first one where several are equal; the first NaN where there is one. Any dtype. Raises ValueError
for an empty axis, IndexError for one that is not there.

Example:
    >>> mx.argmin(mx.array([1, 3, 0]))
    array(2, dtype=uint32)
)"};

const OpDef& argmax_def() { return kArgmax; }
const OpDef& argmin_def() { return kArgmin; }

array position(const OpDef& def, const array& a, std::optional<int64_t> axis, bool keepdims) {
  array x = cast(a, a.dtype());
  if (!axis) {
    PLIMSOLL_CHECK(a.size() > 0, ValueError, "[{}] expected at least one element, got shape {}",
                   def.name, to_string(a.shape()));
    array flat = record(def, {flatten(x)}, make_attrs(ArgReduceAttrs(0, false)));
    return keepdims ? reshape(flat, Shape(a.shape().size(), 1)) : flat;
  }
  int at = checked_axis(*axis, a.ndim(), def.name);
  return record(def, {x}, make_attrs(ArgReduceAttrs(at, keepdims)));
}

}  // namespace

OpList arg_reduce_ops() {
  static constexpr const OpDef* kOps[] = {&kArgmax, &kArgmin};
  return kOps;
}

}  // namespace ops

array argmax(const array& a, std::optional<int64_t> axis, bool keepdims) {
  return ops::position(ops::kArgmax, a, axis, keepdims);
}
array argmin(const array& a, std::optional<int64_t> axis, bool keepdims) {
  return ops::position(ops::kArgmin, a, axis, keepdims);
}

}  // namespace plimsoll
