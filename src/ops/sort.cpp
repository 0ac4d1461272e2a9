// Sorting along an axis.
#include "plimsoll/ops/sort.h"

#include <cmath>

#include "ops/common.h"
#include "ops/lists.h"
#include "opset/sort.h"
#include "plimsoll/ops/creation.h"
#include "plimsoll/ops/scatter.h"
#include "plimsoll/ops/view.h"

namespace plimsoll {
namespace ops {
namespace {

const OpDef& sort_def();
const OpDef& argsort_def();

template <const OpDef& (*Def)()>
VmapResult sort_vmap(const VmapArgs& v) {
  int axis = attrs_as<SortAttrs>(v.attrs).axis;
  array a = batch_first(v.inputs[0], v.axes[0]);
  return {{record(Def(), {a}, make_attrs(SortAttrs(axis + 1)))}, {0}};
}

std::vector<array> sort_vjp(const VjpArgs& v) {
  if (!v.needed[0]) return {array()};
  int axis = attrs_as<SortAttrs>(v.attrs).axis;
  const array &g = v.cotangents[0], &x = v.inputs[0];
  return {scatter_along_axis(zeros(x.shape(), g.dtype()), argsort(x, axis), g, axis, "set")};
}

double flops(const OpInstance& op) {
  double n = static_cast<double>(op.inputs[0].shape[attrs_as<SortAttrs>(op.attrs).axis]);
  return static_cast<double>(num_elements(op.inputs[0].shape)) * std::log2(n + 2);
}

constinit const OpDef kSort{
    .name = "sort",
    .kind = Kind::kSort,
    .attrs = &kAttrsOf<SortAttrs>,
    .check = contract::sort,
    .infer = [](const OpInstance& op,
                std::vector<TensorSpec>& out) { out.push_back(op.inputs[0]); },
    .vjp = sort_vjp,
    .vmap = sort_vmap<sort_def>,
    .tiling = sort_tiling,
    .flops = flops,
    .entry = boxed<&sort>::call,
    .signature =
        "sort(a: array, /, axis: None | int = -1, *, stream: None | Stream | Device = None) -> "
        "array",
    .doc = R"(The elements along ``axis`` in ascending order; of the flattened array for None.

Any dtype. The order is total: -0 comes before 0 and NaN last; complex numbers are ordered by real,
then imaginary part. Raises IndexError for an axis that is not there.

Example:
    >>> mx.sort(mx.array([3, 1, 2]))
    array([1, 2, 3], dtype=int32)
)"};

constinit const OpDef kArgsort{
    .name = "argsort",
    .kind = Kind::kSort,
    .attrs = &kAttrsOf<SortAttrs>,
    .check = contract::sort,
    .infer =
        [](const OpInstance& op, std::vector<TensorSpec>& out) {
          out.push_back({Dtype::kUint32, op.inputs[0].shape});
        },
    .vmap = sort_vmap<argsort_def>,
    .differentiable = false,
    .tiling = sort_tiling,
    .flops = flops,
    .entry = boxed<&argsort>::call,
    .signature =
        "argsort(a: array, /, axis: None | int = -1, *, stream: None | Stream | Device = None) -> "
        "array",
    .doc = R"(Positions (uint32) of the elements along ``axis`` in ascending order.

Of the flattened array for None. Equal elements keep their order (stable). Raises IndexError for an
axis that is not there.

Example:
    >>> mx.argsort(mx.array([3, 1, 2]))
    array([1, 2, 0], dtype=uint32)
)"};

const OpDef& sort_def() { return kSort; }
const OpDef& argsort_def() { return kArgsort; }

array sorted(const OpDef& def, const array& a, std::optional<int64_t> axis) {
  if (!axis) return record(def, {flatten(a)}, make_attrs(SortAttrs(0)));
  int at = checked_axis(*axis, a.ndim(), def.name);
  return record(def, {a}, make_attrs(SortAttrs(at)));
}

}  // namespace

OpList sort_ops() {
  static constexpr const OpDef* kOps[] = {&kSort, &kArgsort};
  return kOps;
}

}  // namespace ops

array sort(const array& a, std::optional<int64_t> axis) { return ops::sorted(ops::kSort, a, axis); }
array argsort(const array& a, std::optional<int64_t> axis) {
  return ops::sorted(ops::kArgsort, a, axis);
}

}  // namespace plimsoll
