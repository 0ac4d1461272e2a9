// Softmax. Its record works on the last axis; other axes are moved there as views.
#include "plimsoll/ops/softmax.h"

#include <algorithm>

#include "ops/common.h"
#include "ops/lists.h"
#include "opset/softmax.h"
#include "plimsoll/ops/binary.h"
#include "plimsoll/ops/creation.h"
#include "plimsoll/ops/view.h"

namespace plimsoll {
namespace ops {
namespace {

void infer_same(const OpInstance& op, std::vector<TensorSpec>& out) { out.push_back(op.inputs[0]); }

double flops(const OpInstance& op) {
  return 5.0 * static_cast<double>(num_elements(op.inputs[0].shape));
}

array softmax_gradient(const array& y, const array& g, const AttrBase* attrs);

std::vector<array> softmax_vjp_of(const VjpArgs& v) {
  if (!v.needed[0]) return {array()};
  return {softmax_gradient(v.outputs[0], v.cotangents[0], v.attrs)};
}

// Of y * (g - sum(y * g)).
std::vector<array> softmax_vjp_vjp(const VjpArgs& v) {
  const array &y = v.inputs[0], &g = v.inputs[1], &c = v.cotangents[0];
  std::vector<array> out(2);
  if (v.needed[0]) out[0] = c * (g - sum(y * g, Dims{-1}, true)) - g * sum(c * y, Dims{-1}, true);
  if (v.needed[1]) out[1] = softmax_gradient(y, c, v.attrs);
  return out;
}

const OpDef& softmax_def();
const OpDef& softmax_vjp_def();

constinit const OpDef kSoftmax{
    .name = "softmax",
    .kind = Kind::kRows,
    .attrs = &kAttrsOf<SoftmaxAttrs>,
    .check = contract::softmax,
    .infer = infer_same,
    .vjp = softmax_vjp_of,
    .vmap = [](const VmapArgs& v) -> VmapResult {
      return {{record(softmax_def(), {batch_first(v.inputs[0], v.axes[0])}, same_attrs(v.attrs))},
              {0}};
    },
    .tiling = softmax_tiling,
    .flops = flops,
    .entry = boxed<&softmax>::call,
    .signature =
        "softmax(a: array, /, axis: None | int | Sequence[int] = None, *, precise: bool = "
        "False, stream: None | Stream | Device = None) -> array",
    .doc = R"(exp(a) over its sum along the axes; along all of them for None.

float dtypes are kept; integers are computed in float32. The greatest element is subtracted first, so
nothing overflows. Sums are in float32 or better whatever ``precise`` says. Raises IndexError for an
axis that is not there, ValueError for complex64.

Example:
    >>> mx.softmax(mx.array([0.0, 0.0]))
    array([0.5, 0.5], dtype=float32)
)"};

constinit const OpDef kSoftmaxVjp{
    .name = "softmax_vjp",
    .kind = Kind::kRows,
    .attrs = &kAttrsOf<SoftmaxAttrs>,
    .check = contract::softmax_vjp,
    .infer = infer_same,
    .vjp = softmax_vjp_vjp,
    .vmap = [](const VmapArgs& v) -> VmapResult {
      return {{record(softmax_vjp_def(),
                      {batch_or_repeat(v.inputs[0], v.axes[0], v.batch),
                       batch_or_repeat(v.inputs[1], v.axes[1], v.batch)},
                      same_attrs(v.attrs))},
              {0}};
    },
    .tiling = softmax_tiling,
    .flops = flops,
    .doc = "y * (g - sum(y * g)) along the last axis: the gradient of a softmax y."};

const OpDef& softmax_def() { return kSoftmax; }
const OpDef& softmax_vjp_def() { return kSoftmaxVjp; }

array softmax_gradient(const array& y, const array& g, const AttrBase* attrs) {
  return record(kSoftmaxVjp, {y, g}, same_attrs(attrs));
}

}  // namespace

OpList softmax_ops() {
  static constexpr const OpDef* kOps[] = {&kSoftmax, &kSoftmaxVjp};
  return kOps;
}

}  // namespace ops

array softmax(const array& a, const Axes& axes, bool precise) {
  using namespace ops;
  PLIMSOLL_CHECK(a.dtype() != Dtype::kComplex64, ValueError,
                 "[softmax] expected a real dtype, got complex64");
  array x = cast(a, inexact(a.dtype()));
  Dims over = checked_axes(axes, a.ndim(), "softmax");
  if (over.empty()) return ones_like(x);
  Dims order;
  for (int i = 0; i < x.ndim(); ++i)
    if (std::find(over.begin(), over.end(), i) == over.end()) order.push_back(i);
  size_t kept = order.size();
  for (int64_t axis : over) order.push_back(axis);
  array moved = transpose(x, order);
  Shape rows(moved.shape().begin(), moved.shape().begin() + kept);
  rows.push_back(1);
  for (size_t i = kept; i < order.size(); ++i) rows.back() *= moved.shape()[i];
  array y = record(kSoftmax, {reshape(moved, rows)}, make_attrs(SoftmaxAttrs(precise)));
  Dims back(order.size());
  for (size_t i = 0; i < order.size(); ++i) back[order[i]] = static_cast<int64_t>(i);
  return transpose(reshape(y, moved.shape()), back);
}

}  // namespace plimsoll
