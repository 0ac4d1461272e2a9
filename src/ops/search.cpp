// Values looked up in sorted order, made of sorts, gathers and scatters.
#include "plimsoll/ops/search.h"

#include <limits>

#include "ops/common.h"
#include "ops/lists.h"
#include "plimsoll/ops/binary.h"
#include "plimsoll/ops/cast.h"
#include "plimsoll/ops/classify.h"
#include "plimsoll/ops/compare.h"
#include "plimsoll/ops/creation.h"
#include "plimsoll/ops/gather.h"
#include "plimsoll/ops/join.h"
#include "plimsoll/ops/scan.h"
#include "plimsoll/ops/scatter.h"
#include "plimsoll/ops/select.h"
#include "plimsoll/ops/sort.h"
#include "plimsoll/ops/unary.h"
#include "plimsoll/ops/view.h"

namespace plimsoll {
namespace ops {
namespace {

constinit const OpDef kSearchsorted = composite(
    "searchsorted", boxed<&searchsorted>::call,
    "searchsorted(sorted_sequence: array, values: array, /, side: str = 'left', *, stream: None | "
    "Stream | Device = None) -> array",
    R"(Where each value belongs in a sorted 1-d array, as uint32 in the shape of ``values``.

``side`` "left" counts the elements less than the value, "right" those that are not greater. NaN is
greater than any number and equal to NaN. A binary search: its time grows with the logarithm of the
array. Raises ValueError for another ``side`` and for an array of other dimensions.

Example:
    >>> mx.searchsorted(mx.array([1, 2, 2, 4]), mx.array([0, 2, 3]))
    array([0, 1, 3], dtype=uint32)
)");

std::vector<array> unique_entry(const array& a, int64_t size, bool index, bool inverse, bool counts,
                                const std::optional<array>& fill_value) {
  Unique u = unique(a, size, fill_value);
  std::vector<array> out{u.values};
  if (index) out.push_back(u.index);
  if (inverse) out.push_back(u.inverse);
  if (counts) out.push_back(u.counts);
  return out;
}

graph::Box unique_box(const array& a, int64_t size, bool index, bool inverse, bool counts,
                      const std::optional<array>& fill_value) {
  std::vector<array> out = unique_entry(a, size, index, inverse, counts, fill_value);
  if (out.size() == 1) return out[0];
  return out;
}

constinit const OpDef kUnique = composite(
    "unique", boxed<&unique_box>::call,
    "unique(a: array, /, size: int, return_index: bool = False, return_inverse: bool = False, "
    "return_counts: bool = False, fill_value: scalar | array | None = None, *, stream: None | "
    "Stream | Device = None) -> array | tuple[array, ...]",
    R"(The ``size`` least different elements of the flattened array, in ascending order.

``size`` is given, so that the result's shape does not depend on values. Places behind the last
different element hold ``fill_value`` (the least element for None). With the other flags a tuple of
values, index of the first occurrence (uint32), the positions in the result that rebuild ``a``
(uint32, at most size - 1) and counts (int32, 0 behind the last). Each NaN counts as different.
Raises ValueError for a negative size, for a fill value of several elements, and where there is none
for an empty array.

Example:
    >>> mx.unique(mx.array([2, 1, 2]), 2)
    array([1, 2], dtype=int32)
)");

// a < b where NaN is greater than any number.
array precedes(const array& a, const array& b) {
  array lower = less(a, b);
  if (!is_inexact(a.dtype())) return lower;
  return logical_or(lower, logical_and(isnan(b), logical_not(isnan(a))));
}

Unique unique_of_nothing(const array& flat, int64_t size, const std::optional<array>& fill) {
  PLIMSOLL_CHECK(fill || size == 0, ValueError,
                 "[unique] expected a fill value for an empty array, got size {}", size);
  return {fill ? broadcast_to(*fill, {size}) : flat, zeros({size}, Dtype::kUint32),
          zeros({0}, Dtype::kUint32), zeros({size}, Dtype::kInt32)};
}

array first_of(const array& a) { return slice(a, {0}, {1}); }

// Elements at positions 0 … n-1 reduced into `size` slots; what belongs to later slots is dropped.
array into_slots(const array& start, const array& slot, const array& updates, int64_t size,
                 const char* mode) {
  return slice(scatter(start, slot, updates, 0, mode), {0}, {size});
}

}  // namespace

OpList search_ops() {
  static constexpr const OpDef* kOps[] = {&kSearchsorted, &kUnique};
  return kOps;
}

}  // namespace ops

array searchsorted(const array& sorted_sequence, const array& values, const std::string& side) {
  using namespace ops;
  PLIMSOLL_CHECK(side == "left" || side == "right", ValueError,
                 "[searchsorted] expected side 'left' or 'right', got '{}'", side);
  PLIMSOLL_CHECK(sorted_sequence.ndim() == 1, ValueError,
                 "[searchsorted] expected a sorted array of 1 dimension, got shape {}",
                 to_string(sorted_sequence.shape()));
  Dtype t = result_dtype(sorted_sequence, values);
  array sequence = cast(sorted_sequence, t), v = cast(values, t);
  array base = zeros(v.shape(), Dtype::kUint32);
  // The first `base` elements come before v; so do none from `base + left` on.
  for (int64_t left = sequence.size(); left > 0;) {
    int64_t half = (left + 1) / 2;
    array probe = take(sequence, base + array(half - 1, Dtype::kUint32), 0);
    array before = side == "left" ? precedes(probe, v) : logical_not(precedes(v, probe));
    base = where(before, base + array(half, Dtype::kUint32), base);
    left -= half;
  }
  return base;
}

Unique unique(const array& a, int64_t size, const std::optional<array>& fill_value) {
  using namespace ops;
  PLIMSOLL_CHECK(size >= 0, ValueError, "[unique] expected a size of at least 0, got {}", size);
  std::optional<array> fill;
  if (fill_value) {
    PLIMSOLL_CHECK(fill_value->size() == 1, ValueError,
                   "[unique] expected a fill value of one element, got shape {}",
                   to_string(fill_value->shape()));
    fill = reshape(cast(*fill_value, a.dtype()), {1});
  }
  array flat = flatten(a);
  int64_t n = flat.size();
  if (n == 0) {
    Unique none = unique_of_nothing(flat, size, fill);
    none.inverse = reshape(none.inverse, a.shape());
    return none;
  }
  array order = argsort(flat, 0);
  array sorted = take(flat, order, 0);
  array changes = not_equal(slice(sorted, {1}, {n}), slice(sorted, {0}, {n - 1}));
  array number =
      cumsum(astype(concatenate({zeros({1}, Dtype::kBool), changes}, 0), Dtype::kInt32), 0);
  array slot = minimum(number, array(size));  // the last one is for what does not fit
  array none = array(int64_t{std::numeric_limits<uint32_t>::max()}, Dtype::kUint32);
  Unique out;
  array counts =
      into_slots(zeros({size + 1}, Dtype::kInt32), slot, ones({n}, Dtype::kInt32), size, "add");
  array index = into_slots(full({size + 1}, none), slot, order, size, "min");
  out.counts = counts;
  out.index = size > 0 ? where(equal(index, none), first_of(index), index) : index;
  out.values = take(flat, out.index, 0);
  if (fill) out.values = where(greater(counts, array(0)), out.values, *fill);
  array last = array(std::max<int64_t>(size - 1, 0), Dtype::kInt32);
  out.inverse = reshape(scatter(zeros({n}, Dtype::kUint32), order, minimum(number, last), 0, "set"),
                        a.shape());
  return out;
}

}  // namespace plimsoll
