// Reading elements that integer arrays name.
#include "plimsoll/ops/gather.h"

#include <algorithm>

#include "ops/common.h"
#include "ops/lists.h"
#include "opset/gather.h"
#include "plimsoll/ops/creation.h"
#include "plimsoll/ops/scatter.h"
#include "plimsoll/ops/view.h"

namespace plimsoll {
namespace ops {
namespace {

void infer_take(const OpInstance& op, std::vector<TensorSpec>& out) {
  int axis = attrs_as<TakeAttrs>(op.attrs).axis;
  const Shape &a = op.inputs[0].shape, &indices = op.inputs[1].shape;
  Shape shape(a.begin(), a.begin() + axis);
  for (int64_t d : indices) shape.push_back(d);
  for (size_t i = axis + 1; i < a.size(); ++i) shape.push_back(a[i]);
  out.push_back({op.inputs[0].dtype, std::move(shape)});
}

std::vector<array> take_vjp(const VjpArgs& v) {
  if (!v.needed[0]) return {array(), array()};
  const array& g = v.cotangents[0];
  return {scatter(zeros(v.inputs[0].shape(), g.dtype()), v.inputs[1], g,
                  attrs_as<TakeAttrs>(v.attrs).axis, "add"),
          array()};
}

// A batch of both: the batch position is one more index.
array take_pairs(const array& a, const array& indices, int axis) {
  int ni = indices.ndim() - 1, na = a.ndim();
  Shape along(indices.shape().size(), 1);
  along[0] = a.shape()[0];
  array out = gather(a, {reshape(arange(a.shape()[0]), along), indices}, {0, axis + 1});
  Dims order{0};  // batch, axes before, index axes, axes behind
  for (int i = 0; i < axis; ++i) order.push_back(1 + ni + i);
  for (int i = 0; i < ni; ++i) order.push_back(1 + i);
  for (int i = axis; i < na - 2; ++i) order.push_back(1 + ni + i);
  return transpose(out, order);
}

VmapResult take_vmap(const VmapArgs& v) {
  int axis = attrs_as<TakeAttrs>(v.attrs).axis;
  array a = batch_first(v.inputs[0], v.axes[0]), indices = batch_first(v.inputs[1], v.axes[1]);
  if (v.axes[1] < 0) return {{take(a, indices, axis + 1)}, {0}};
  if (v.axes[0] < 0) return {{take(a, indices, axis)}, {axis}};
  return {{take_pairs(a, indices, axis)}, {0}};
}

constinit const OpDef kTake{
    .name = "take",
    .kind = Kind::kGather,
    .attrs = &kAttrsOf<TakeAttrs>,
    .check = contract::take,
    .infer = infer_take,
    .vjp = take_vjp,
    .vmap = take_vmap,
    .tiling = take_tiling,
    .entry = boxed<&take>::call,
    .signature =
        "take(a: array, /, indices: int | array, axis: int | None = None, *, stream: None | Stream "
        "| Device = None) -> array",
    .doc =
        R"(The slices along ``axis`` that ``indices`` names; elements of the flattened array for None.

The result has the shape a.shape[:axis] + indices.shape + a.shape[axis+1:]. Negative indices count
from the end. Raises ValueError for indices that are no integers and for an empty axis, IndexError
for an axis that is not there and, on evaluation, for an index outside.

Example:
    >>> mx.take(mx.array([10, 20, 30]), mx.array([2, 0]))
    array([30, 10], dtype=int32)
)"};

std::vector<array> take_along_axis_vjp(const VjpArgs& v) {
  if (!v.needed[0]) return {array(), array()};
  const array& g = v.cotangents[0];
  return {scatter_along_axis(zeros(v.inputs[0].shape(), g.dtype()), v.inputs[1], g,
                             attrs_as<TakeAlongAxisAttrs>(v.attrs).axis, "add"),
          array()};
}

VmapResult take_along_axis_vmap(const VmapArgs& v) {
  return {{take_along_axis(batch_or_repeat(v.inputs[0], v.axes[0], v.batch),
                           batch_or_repeat(v.inputs[1], v.axes[1], v.batch),
                           attrs_as<TakeAlongAxisAttrs>(v.attrs).axis + 1)},
          {0}};
}

constinit const OpDef kTakeAlongAxis{
    .name = "take_along_axis",
    .kind = Kind::kGather,
    .attrs = &kAttrsOf<TakeAlongAxisAttrs>,
    .check = contract::take_along_axis,
    .infer =
        [](const OpInstance& op, std::vector<TensorSpec>& out) {
          out.push_back({op.inputs[0].dtype, op.inputs[1].shape});
        },
    .vjp = take_along_axis_vjp,
    .vmap = take_along_axis_vmap,
    .tiling = take_along_axis_tiling,
    .entry = boxed<&take_along_axis>::call,
    .signature =
        "take_along_axis(a: array, /, indices: array, axis: int | None = -1, *, stream: None | "
        "Stream | Device = None) -> array",
    .doc =
        R"(Along ``axis``, the elements that ``indices`` names at each position of the other axes.

``indices`` has as many axes as ``a``; the axes other than ``axis`` broadcast. None flattens both.
Negative indices count from the end. Raises ValueError for indices that are no integers or of another
rank, IndexError for an axis that is not there and, on evaluation, for an index outside.

Example:
    >>> mx.take_along_axis(mx.array([[1, 2], [3, 4]]), mx.array([[1], [0]]), axis=1)
    array([[2],
           [3]], dtype=int32)
)"};

void infer_gather(const OpInstance& op, std::vector<TensorSpec>& out) {
  const Dims& axes = attrs_as<GatherAttrs>(op.attrs).axes;
  const Shape& a = op.inputs[0].shape;
  Shape shape = op.inputs[1].shape;
  for (int i = 0; i < static_cast<int>(a.size()); ++i)
    if (std::find(axes.begin(), axes.end(), i) == axes.end()) shape.push_back(a[i]);
  out.push_back({op.inputs[0].dtype, std::move(shape)});
}

std::vector<array> gather_vjp(const VjpArgs& v) {
  std::vector<array> out(v.inputs.size());
  if (!v.needed[0]) return out;
  const array& g = v.cotangents[0];
  std::vector<array> indices(v.inputs.begin() + 1, v.inputs.end());
  out[0] = scatter_nd(zeros(v.inputs[0].shape(), g.dtype()), indices, g,
                      attrs_as<GatherAttrs>(v.attrs).axes, "add");
  return out;
}

VmapResult gather_vmap(const VmapArgs& v) {
  Dims axes = attrs_as<GatherAttrs>(v.attrs).axes;
  bool pairs = v.axes[0] >= 0;
  if (pairs) {
    for (int64_t& axis : axes) ++axis;
    axes.insert(axes.begin(), 0);
  }
  array a = batch_first(v.inputs[0], v.axes[0]);
  return {
      {gather(a, batched_indices(v.inputs.subspan(1), v.axes.subspan(1), v.batch, pairs), axes)},
      {0}};
}

constinit const OpDef kGather{
    .name = "gather",
    .kind = Kind::kGather,
    .attrs = &kAttrsOf<GatherAttrs>,
    .check = contract::gather,
    .infer = infer_gather,
    .vjp = gather_vjp,
    .vmap = gather_vmap,
    .tiling = gather_tiling,
    .doc = "a[i, j, ...] for several index arrays; what indexing with arrays records."};

// A known index is a view.
array take_known(const array& a, const array& index, int axis) {
  int64_t n = a.shape()[axis], i = index.node()->constant.integer;
  PLIMSOLL_CHECK(i >= -n && i < n, IndexError,
                 "[take] expected an index of axis {} of shape {}, got {}", axis,
                 to_string(a.shape()), i);
  Dims start(a.shape().size(), 0), stop = a.shape();
  start[axis] = i < 0 ? i + n : i;
  stop[axis] = start[axis] + 1;
  return squeeze(slice(a, start, stop), Dims{axis});
}

}  // namespace

OpList gather_ops() {
  static constexpr const OpDef* kOps[] = {&kTake, &kTakeAlongAxis, &kGather};
  return kOps;
}

array checked_indices(const array& indices, const char* op) {
  PLIMSOLL_CHECK(is_integral(indices.dtype()) && indices.dtype() != Dtype::kBool, ValueError,
                 "[{}] expected integer indices, got {}", op, name_of(indices.dtype()));
  return cast(indices, indices.dtype());
}

std::vector<array> batched_indices(std::span<const array> indices, std::span<const int> axes,
                                   int64_t batch, bool with_positions) {
  std::vector<array> out;
  int ndim = 0;
  for (size_t i = 0; i < indices.size(); ++i)
    ndim = std::max(ndim, indices[i].ndim() + (axes[i] < 0 ? 1 : 0));
  if (with_positions) {
    Shape along(ndim, 1);
    along[0] = batch;
    out.push_back(reshape(arange(batch), along));
  }
  for (size_t i = 0; i < indices.size(); ++i)
    out.push_back(batch_first_padded(indices[i], axes[i], ndim));
  return out;
}

}  // namespace ops

array take(const array& a, const array& indices, std::optional<int64_t> axis) {
  using namespace ops;
  array at = checked_indices(indices, "take");
  if (!axis) return take(flatten(a), at, 0);
  int k = checked_axis(*axis, a.ndim(), "take");
  PLIMSOLL_CHECK(a.shape()[k] > 0 || at.size() == 0, ValueError,
                 "[take] expected a non-empty axis, got axis {} of shape {}", k,
                 to_string(a.shape()));
  if (is_foldable(at)) return take_known(a, at, k);
  return record(kTake, {a, at}, make_attrs(TakeAttrs(k)));
}

array take_along_axis(const array& a, const array& indices, std::optional<int64_t> axis) {
  using namespace ops;
  array at = checked_indices(indices, "take_along_axis");
  if (!axis) return take_along_axis(flatten(a), flatten(at), 0);
  PLIMSOLL_CHECK(a.ndim() == at.ndim(), ShapeError,
                 "[take_along_axis] expected indices of {} dimensions, got shape {}", a.ndim(),
                 to_string(at.shape()));
  int k = checked_axis(*axis, a.ndim(), "take_along_axis");
  Shape from = a.shape(), to = at.shape();
  from[k] = to[k] = 1;
  from = to = broadcast_shapes(from, to, "take_along_axis");
  from[k] = a.shape()[k];
  to[k] = at.shape()[k];
  return record(kTakeAlongAxis, {broadcast_to(a, from), broadcast_to(at, to)},
                make_attrs(TakeAlongAxisAttrs(k)));
}

array gather(const array& a, const std::vector<array>& indices, const Dims& axes) {
  using namespace ops;
  PLIMSOLL_CHECK(!indices.empty() && indices.size() == axes.size(), ValueError,
                 "[gather] expected one index array an axis, got {} for {} axes", indices.size(),
                 axes.size());
  Dims sorted = checked_axes(axes, a.ndim(), "gather");
  PLIMSOLL_CHECK(sorted == axes, ValueError, "[gather] expected ascending axes, got {}",
                 to_string(axes));
  std::vector<array> in{a};
  for (const array& i : indices) in.push_back(checked_indices(i, "gather"));
  Shape shape;
  for (size_t i = 1; i < in.size(); ++i) shape = broadcast_shapes(shape, in[i].shape(), "gather");
  for (size_t i = 1; i < in.size(); ++i) in[i] = broadcast_to(in[i], shape);
  return record(kGather, in, make_attrs(GatherAttrs(axes)));
}

}  // namespace plimsoll
