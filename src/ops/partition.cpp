// Selection by rank. A sorted array is partitioned at every place, and sorting is linear in the
// length (radix), so all of these sort.
#include "plimsoll/ops/partition.h"

#include <algorithm>

#include "ops/common.h"
#include "ops/lists.h"
#include "plimsoll/ops/classify.h"
#include "plimsoll/ops/creation.h"
#include "plimsoll/ops/select.h"
#include "plimsoll/ops/sort.h"
#include "plimsoll/ops/view.h"

namespace plimsoll {
namespace ops {
namespace {

constinit const OpDef kPartition = composite(
    "partition", boxed<&partition>::call,
    "partition(a: array, /, kth: int, axis: None | int = -1, *, stream: None | Stream | Device = "
    "None) -> array",
    R"(The elements along ``axis`` with the kth in its sorted place, none greater before it.

Of the flattened array for None; a negative ``kth`` counts from the end. The order is that of sort.
Raises ValueError for a place that is not there, IndexError for an axis that is not there.

Example:
    >>> mx.partition(mx.array([3, 1, 2]), 0)[0]
    array(1, dtype=int32)
)");

constinit const OpDef kArgpartition = composite(
    "argpartition", boxed<&argpartition>::call,
    "argpartition(a: array, /, kth: int, axis: None | int = -1, *, stream: None | Stream | Device "
    "= None) -> array",
    R"(Positions (uint32) that partition ``a`` along ``axis`` at the kth place, as partition does.

Example:
    >>> mx.argpartition(mx.array([3, 1, 2]), 0)[0]
    array(1, dtype=uint32)
)");

constinit const OpDef kTopk = composite(
    "topk", boxed<&topk>::call,
    "topk(a: array, /, k: int, axis: None | int = -1, *, stream: None | Stream | Device = None) -> "
    "array",
    R"(The ``k`` greatest elements along ``axis``, in no particular order; NaN counts as greatest.

Of the flattened array for None. Raises ValueError for a ``k`` that is negative or greater than the
axis, IndexError for an axis that is not there.

Example:
    >>> mx.topk(mx.array([3, 1, 2]), 1)
    array([3], dtype=int32)
)");

constinit const OpDef kMedian = composite(
    "median", boxed<&median>::call,
    "median(a: array, /, axis: None | int | Sequence[int] = None, keepdims: bool = False, *, "
    "stream: None | Stream | Device = None) -> array",
    R"(The middle of the elements over the axes when sorted, or the mean of the middle two.

``axis`` None takes all axes; ``keepdims`` leaves them with length 1. Integers are computed in
float32. NaN where an element is NaN. Raises ValueError for an empty axis, IndexError for an axis
that is not there.

Example:
    >>> mx.median(mx.array([3, 1, 2, 10]))
    array(2.5, dtype=float32)
)");

int64_t length_of(const array& a, std::optional<int64_t> axis, const char* op) {
  return axis ? a.shape()[checked_axis(*axis, a.ndim(), op)] : a.size();
}

void check_place(const array& a, int64_t kth, std::optional<int64_t> axis, const char* op) {
  int64_t n = length_of(a, axis, op);
  PLIMSOLL_CHECK(kth >= -n && kth < n, ValueError, "[{}] expected a place of an axis of {}, got {}",
                 op, n, kth);
}

array part_of(const array& a, int axis, int64_t begin, int64_t end) {
  Dims start(a.shape().size(), 0), stop = a.shape();
  start[axis] = begin;
  stop[axis] = end;
  return slice(a, start, stop);
}

}  // namespace

OpList partition_ops() {
  static constexpr const OpDef* kOps[] = {&kPartition, &kArgpartition, &kTopk, &kMedian};
  return kOps;
}

}  // namespace ops

array partition(const array& a, int64_t kth, std::optional<int64_t> axis) {
  ops::check_place(a, kth, axis, "partition");
  return sort(a, axis);
}

array argpartition(const array& a, int64_t kth, std::optional<int64_t> axis) {
  ops::check_place(a, kth, axis, "argpartition");
  return argsort(a, axis);
}

array topk(const array& a, int64_t k, std::optional<int64_t> axis) {
  if (!axis) return topk(flatten(a), k, 0);
  int at = ops::checked_axis(*axis, a.ndim(), "topk");
  int64_t n = a.shape()[at];
  PLIMSOLL_CHECK(k >= 0 && k <= n, ValueError, "[topk] expected k from 0 to {}, got {}", n, k);
  return k == n ? a : ops::part_of(sort(a, at), at, n - k, n);
}

array median(const array& a, const Axes& axes, bool keepdims) {
  using namespace ops;
  Dims over = checked_axes(axes, a.ndim(), "median");
  array x = cast(a, inexact(a.dtype()));
  // The axes that are taken, as one last axis.
  Dims order;
  Shape kept, shape = a.shape();
  for (int i = 0; i < a.ndim(); ++i)
    if (std::find(over.begin(), over.end(), i) == over.end()) {
      order.push_back(i);
      kept.push_back(a.shape()[i]);
    }
  for (int64_t i : over) order.push_back(i), shape[i] = 1;
  int64_t n = 1;
  for (int64_t i : over) n *= a.shape()[i];
  PLIMSOLL_CHECK(n > 0, ValueError, "[median] expected axes with elements, got shape {}",
                 to_string(a.shape()));
  Shape rows = kept;
  rows.push_back(n);
  array s = sort(reshape(transpose(x, order), rows), -1);
  int last = s.ndim() - 1;
  array middle = mean(part_of(s, last, (n - 1) / 2, n / 2 + 1), Dims{-1});
  array greatest = squeeze(part_of(s, last, n - 1, n), Dims{-1});
  array out = where(isnan(greatest), greatest, middle);
  return keepdims ? reshape(out, shape) : out;
}

}  // namespace plimsoll
