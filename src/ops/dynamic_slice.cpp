// Slices whose start is an array: gathered and scattered by counting indices.
#include "plimsoll/ops/dynamic_slice.h"

#include <algorithm>
#include <numeric>

#include "ops/common.h"
#include "ops/lists.h"
#include "plimsoll/ops/binary.h"
#include "plimsoll/ops/cast.h"
#include "plimsoll/ops/compare.h"
#include "plimsoll/ops/creation.h"
#include "plimsoll/ops/gather.h"
#include "plimsoll/ops/join.h"
#include "plimsoll/ops/scatter.h"
#include "plimsoll/ops/select.h"
#include "plimsoll/ops/view.h"

namespace plimsoll {
namespace ops {
namespace {

constinit const OpDef kDynamicSlice = composite(
    "dynamic_slice",
    boxed<static_cast<array (*)(const array&, const array&, const Dims&, const Shape&)>(
        &slice)>::call,
    "slice(a: array, start_indices: array, axes: Sequence[int], slice_size: Sequence[int], *, "
    "stream: None | Stream | Device = None) -> array",
    R"(The part of shape ``slice_size`` that starts at ``start_indices`` on ``axes`` and 0 elsewhere.

``start_indices`` (integers, 0-d or 1-d) has one number for each of ``axes``; a negative one counts
from the end. It need not be known before the slice is evaluated: then a part that is not inside of
``a`` raises IndexError. Raises ValueError for starts, axes and sizes that do not fit.

Example:
    >>> mx.slice(mx.array([[1, 2, 3], [4, 5, 6]]), mx.array([1]), (0,), (1, 2))
    array([[4, 5]], dtype=int32)
)");

constinit const OpDef kDynamicSliceUpdate = composite(
    "dynamic_slice_update",
    boxed<static_cast<array (*)(const array&, const array&, const array&, const Dims&)>(
        &slice_update)>::call,
    "slice_update(a: array, update: array, start_indices: array, axes: Sequence[int], *, stream: "
    "None | Stream | Device = None) -> array",
    R"(A copy of ``a`` with the part that starts at ``start_indices`` replaced by ``update``.

``start_indices`` is as for slice. Axes that ``update`` lacks in front have length 1 where they are
in ``axes``, and the length of ``a`` elsewhere. The result has the dtype of ``a``. Raises ValueError
for shapes that do not fit and, on evaluation, IndexError for a part that is not inside of ``a``.

Example:
    >>> mx.slice_update(mx.array([1, 2, 3]), mx.array([9]), mx.array([1]), (0,))
    array([1, 9, 3], dtype=int32)
)");

struct Start {
  array index;  // 0-d
  int axis;
};

// By ascending axis.
std::vector<Start> starts(const array& a, const array& indices, const Dims& axes, const char* op) {
  PLIMSOLL_CHECK(is_integral(indices.dtype()) && indices.dtype() != Dtype::kBool, ValueError,
                 "[{}] expected integer start indices, got {}", op, name_of(indices.dtype()));
  PLIMSOLL_CHECK(indices.ndim() <= 1, ValueError,
                 "[{}] expected start indices of 0 or 1 dimensions, got shape {}", op,
                 to_string(indices.shape()));
  PLIMSOLL_CHECK(indices.size() == static_cast<int64_t>(axes.size()), ValueError,
                 "[{}] expected one start index for each axis, got {} for {} axes", op,
                 indices.size(), axes.size());
  checked_axes(axes, a.ndim(), op);
  array flat = flatten(cast(indices, indices.dtype()));
  std::vector<Start> out;
  for (size_t i = 0; i < axes.size(); ++i)
    out.push_back(
        {take(flat, array(static_cast<int64_t>(i)), 0), checked_axis(axes[i], a.ndim(), op)});
  std::sort(out.begin(), out.end(), [](auto& x, auto& y) { return x.axis < y.axis; });
  return out;
}

// start, start + 1, ...; what is outside stays outside.
array counted(const Start& start, int64_t length, int64_t extent) {
  array first = astype(start.index, Dtype::kInt64);
  first = where(less(first, array(0)), first + array(extent), first);
  first = where(less(first, array(0)), array(extent), first);
  return first + arange(int64_t{0}, length, int64_t{1}, Dtype::kInt64);
}

}  // namespace

OpList dynamic_slice_ops() {
  static constexpr const OpDef* kOps[] = {&kDynamicSlice, &kDynamicSliceUpdate};
  return kOps;
}

}  // namespace ops

array slice(const array& a, const array& start_indices, const Dims& axes, const Shape& slice_size) {
  using namespace ops;
  std::vector<Start> at = starts(a, start_indices, axes, "slice");
  bool fits = slice_size.size() == a.shape().size();
  for (size_t i = 0; fits && i < slice_size.size(); ++i)
    fits = slice_size[i] >= 0 && slice_size[i] <= a.shape()[i];
  PLIMSOLL_CHECK(fits, ValueError, "[slice] expected a size that fits into {}, got {}",
                 to_string(a.shape()), to_string(slice_size));
  Shape stop = slice_size;
  for (const Start& s : at) stop[s.axis] = a.shape()[s.axis];
  array out = slice(a, Dims(stop.size(), 0), stop);
  for (const Start& s : at)
    out = take(out, counted(s, slice_size[s.axis], a.shape()[s.axis]), s.axis);
  return out;
}

array slice_update(const array& a, const array& update, const array& start_indices,
                   const Dims& axes) {
  using namespace ops;
  std::vector<Start> at = starts(a, start_indices, axes, "slice_update");
  PLIMSOLL_CHECK(update.ndim() <= a.ndim(), ShapeError,
                 "[slice_update] expected an update of at most {} dimensions, got shape {}",
                 a.ndim(), to_string(update.shape()));
  int missing = a.ndim() - update.ndim();
  Shape part = a.shape();
  for (const Start& s : at) part[s.axis] = 1;
  for (int i = missing; i < a.ndim(); ++i) {
    part[i] = update.shape()[i - missing];
    PLIMSOLL_CHECK(part[i] <= a.shape()[i], ShapeError,
                   "[slice_update] expected an update that fits into {}, got shape {}",
                   to_string(a.shape()), to_string(update.shape()));
  }
  array u = broadcast_to(cast(update, a.dtype()), part);
  if (at.empty()) return slice_update(a, u, Dims(part.size(), 0), part);
  // Every axis that is not whole is indexed; indexed axes come first in the update.
  std::vector<array> indices;
  Dims indexed, order;
  size_t next = 0;
  for (int i = 0; i < a.ndim(); ++i) {
    bool named = next < at.size() && at[next].axis == i;
    if (!named && part[i] == a.shape()[i]) continue;
    indices.push_back(named ? counted(at[next], part[i], a.shape()[i])
                            : arange(int64_t{0}, part[i], int64_t{1}, Dtype::kInt64));
    indexed.push_back(i);
    next += named;
  }
  for (size_t k = 0; k < indices.size(); ++k) {
    Shape shape(indices.size(), 1);
    shape[k] = indices[k].size();
    indices[k] = reshape(indices[k], shape);
  }
  order = indexed;
  for (int i = 0; i < a.ndim(); ++i)
    if (std::find(indexed.begin(), indexed.end(), i) == indexed.end()) order.push_back(i);
  return scatter_nd(a, indices, transpose(u, order), indexed, "set");
}

}  // namespace plimsoll
