// Elements moved along axes, and arrays brought to a common form. All are made of views and joins.
#include "plimsoll/ops/rearrange.h"

#include "ops/common.h"
#include "ops/lists.h"
#include "plimsoll/ops/join.h"
#include "plimsoll/ops/view.h"

namespace plimsoll {
namespace ops {
namespace {

constinit const OpDef kRoll = composite(
    "roll", boxed<&roll>::call,
    "roll(a: array, shift: int | tuple[int], axis: None | int | tuple[int] = None, *, stream: None "
    "| Stream | Device = None) -> array",
    R"(The elements moved ``shift`` places along ``axis``; what leaves at the end enters at the start.

For None the flattened array is rolled by the sum of the shifts and takes its shape again. One shift
serves several axes; an axis may be named twice. Raises ValueError for fewer shifts than axes,
IndexError for an axis that is not there.

Example:
    >>> mx.roll(mx.array([1, 2, 3]), 1)
    array([3, 1, 2], dtype=int32)
)");

constinit const OpDef kFlip = composite(
    "flip", boxed<&flip>::call,
    "flip(a: array, /, axis: None | int | Sequence[int] = None, *, stream: None | Stream | Device "
    "= None) -> array",
    R"(The elements in reverse order along ``axis``, or along all axes for None. A view.

An axis named twice is reversed twice. Raises IndexError for an axis that is not there.

Example:
    >>> mx.flip(mx.array([[1, 2], [3, 4]]), 1)
    array([[2, 1],
           [4, 3]], dtype=int32)
)");

constinit const OpDef kMatrixTranspose =
    composite("matrix_transpose", boxed<&matrix_transpose>::call,
              "matrix_transpose(a: array, /, *, stream: None | Stream | Device = None) -> array",
              R"(The last two axes exchanged. A view. Raises ValueError for fewer than two axes.

Example:
    >>> mx.matrix_transpose(mx.zeros((2, 3, 4))).shape
    (2, 4, 3)
)");

constinit const OpDef kUnstack =
    composite("unstack", boxed<&unstack>::call,
              "unstack(x: array, /, *, axis: int = 0, stream: None | Stream | Device = None) -> "
              "tuple[array, ...]",
              R"(One view for each index of ``axis``, without that axis: the inverse of stack.

Raises IndexError for an axis that is not there.

Example:
    >>> mx.unstack(mx.array([[1, 2], [3, 4]]))
    (array([1, 2], dtype=int32), array([3, 4], dtype=int32))
)");

// One array as it is, several as a list.
template <array (*F)(const array&)>
graph::Box each(const std::vector<array>& arrays) {
  std::vector<array> out;
  for (const array& a : arrays) out.push_back(F(a));
  if (out.size() == 1) return out[0];
  return out;
}

constinit const OpDef kAtleast1d = composite(
    "atleast_1d", boxed<&each<atleast_1d>>::call,
    "atleast_1d(*arys: array, stream: None | Stream | Device = None) -> array | list[array]",
    R"(Arrays with at least one axis: a 0-d array becomes (1,). Views; a list for several arrays.

Example:
    >>> mx.atleast_1d(mx.array(3))
    array([3], dtype=int32)
)");

constinit const OpDef kAtleast2d = composite(
    "atleast_2d", boxed<&each<atleast_2d>>::call,
    "atleast_2d(*arys: array, stream: None | Stream | Device = None) -> array | list[array]",
    R"(Arrays with at least two axes: (n,) becomes (1, n). Views; a list for several arrays.

Example:
    >>> mx.atleast_2d(mx.array([1, 2])).shape
    (1, 2)
)");

constinit const OpDef kAtleast3d = composite(
    "atleast_3d", boxed<&each<atleast_3d>>::call,
    "atleast_3d(*arys: array, stream: None | Stream | Device = None) -> array | list[array]",
    R"(Arrays with at least three axes: (n,) becomes (1, n, 1), (m, n) becomes (m, n, 1).

Views; a list for several arrays.

Example:
    >>> mx.atleast_3d(mx.array([1, 2])).shape
    (1, 2, 1)
)");

std::vector<array> meshgrid_entry(const std::vector<array>& arrays, std::optional<bool> sparse,
                                  const std::optional<std::string>& indexing) {
  return meshgrid(arrays, sparse.value_or(false), indexing.value_or("xy"));
}

constinit const OpDef kMeshgrid = composite(
    "meshgrid", boxed<&meshgrid_entry>::call,
    "meshgrid(*arrays: array, sparse: bool | None = False, indexing: str | None = 'xy', stream: "
    "None | Stream | Device = None) -> tuple[array, ...]",
    R"(The coordinates of a grid: output i varies along one axis only, as the i-th array does.

Arrays are flattened. ``indexing`` "ij" puts array i on axis i; "xy" exchanges the first two axes.
``sparse`` leaves the other axes at length 1. Views. Raises ValueError for another indexing.

Example:
    >>> mx.meshgrid(mx.array([1, 2]), mx.array([3, 4]))[1]
    array([[3, 3],
           [4, 4]], dtype=int32)
)");

// The last `n` elements of an axis, then the others.
array roll_axis(const array& a, int64_t shift, int axis) {
  int64_t length = a.shape()[axis];
  if (length == 0) return a;
  int64_t n = (shift % length + length) % length;
  if (n == 0) return a;
  Dims start(a.shape().size(), 0), stop = a.shape();
  start[axis] = length - n;
  array last = slice(a, start, stop);
  start[axis] = 0;
  stop[axis] = length - n;
  return concatenate({last, slice(a, start, stop)}, axis);
}

}  // namespace

OpList rearrange_ops() {
  static constexpr const OpDef* kOps[] = {&kRoll,      &kFlip,      &kMatrixTranspose, &kUnstack,
                                          &kAtleast1d, &kAtleast2d, &kAtleast3d,       &kMeshgrid};
  return kOps;
}

}  // namespace ops

array roll(const array& a, const Dims& shift, const std::optional<Dims>& axes) {
  if (!axes) {
    int64_t total = 0;
    for (int64_t s : shift) total += s;
    return reshape(ops::roll_axis(flatten(a), total, 0), a.shape());
  }
  bool one = shift.size() == 1;
  PLIMSOLL_CHECK(one || shift.size() >= axes->size(), ValueError,
                 "[roll] expected one shift or one for each axis, got {} for {} axes", shift.size(),
                 axes->size());
  array out = a;
  for (size_t i = 0; i < axes->size(); ++i)
    out = ops::roll_axis(out, shift[one ? 0 : i], ops::checked_axis((*axes)[i], a.ndim(), "roll"));
  return out;
}

array flip(const array& a, const std::optional<Dims>& axes) {
  SmallVector<bool, 6> reversed(a.shape().size(), !axes);
  if (axes)
    for (int64_t axis : *axes) {
      int at = ops::checked_axis(axis, a.ndim(), "flip");
      reversed[at] = !reversed[at];
    }
  Dims start(a.shape().size(), 0), stop = a.shape(), step(a.shape().size(), 1);
  for (size_t i = 0; i < reversed.size(); ++i) {
    if (!reversed[i]) continue;
    start[i] = a.shape()[i] - 1;
    stop[i] = -a.shape()[i] - 1;
    step[i] = -1;
  }
  return a.size() == 0 ? a : slice(a, start, stop, step);
}

array matrix_transpose(const array& a) {
  PLIMSOLL_CHECK(a.ndim() >= 2, ValueError,
                 "[matrix_transpose] expected at least 2 dimensions, got shape {}",
                 to_string(a.shape()));
  return swapaxes(a, -1, -2);
}

std::vector<array> unstack(const array& x, int64_t axis) {
  int at = ops::checked_axis(axis, x.ndim(), "unstack");
  std::vector<array> out;
  Dims start(x.shape().size(), 0), stop = x.shape();
  for (int64_t i = 0; i < x.shape()[at]; ++i) {
    start[at] = i;
    stop[at] = i + 1;
    out.push_back(squeeze(slice(x, start, stop), Dims{at}));
  }
  return out;
}

array atleast_1d(const array& a) { return a.ndim() == 0 ? reshape(a, {1}) : a; }

array atleast_2d(const array& a) { return a.ndim() < 2 ? reshape(a, {1, a.size()}) : a; }

array atleast_3d(const array& a) {
  if (a.ndim() < 2) return reshape(a, {1, a.size(), 1});
  return a.ndim() == 2 ? expand_dims(a, {2}) : a;
}

std::vector<array> meshgrid(const std::vector<array>& arrays, bool sparse,
                            const std::string& indexing) {
  PLIMSOLL_CHECK(indexing == "xy" || indexing == "ij", ValueError,
                 "[meshgrid] expected indexing 'xy' or 'ij', got '{}'", indexing);
  size_t n = arrays.size();
  std::vector<array> out;
  Shape grid(n, 1);
  for (size_t i = 0; i < n; ++i) {
    size_t axis = indexing == "xy" && n > 1 && i < 2 ? 1 - i : i;
    Shape shape(n, 1);
    grid[axis] = shape[axis] = arrays[i].size();
    out.push_back(reshape(arrays[i], shape));
  }
  if (!sparse)
    for (array& a : out) a = broadcast_to(a, grid);
  return out;
}

}  // namespace plimsoll
