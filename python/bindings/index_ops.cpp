#include "bindings/index_ops.h"

#include "plimsoll/ops/join.h"
#include "plimsoll/ops/view.h"

namespace plimsoll::python {
namespace {

// The operations count a negative stop from the end; "before the first" is below -extent for them.
Dims stops(const array& a, const Range& range) {
  Dims stop = range.stop;
  for (size_t i = 0; i < stop.size(); ++i)
    if (stop[i] < 0) stop[i] = -a.shape()[i] - 1;
  return stop;
}

}  // namespace

array read_range(const array& a, const Range& range) {
  return slice(a, range.start, stops(a, range), range.step);
}

array write_range(const array& a, const array& update, const Range& range) {
  return slice_update(a, update, range.start, stops(a, range), range.step);
}

array reshaped(const array& a, const Shape& shape) {
  return a.shape() == shape ? a : reshape(a, shape);
}

array broadcasted(const array& a, const Shape& shape) {
  return a.shape() == shape ? a : broadcast_to(a, shape);
}

array move_axes(const array& a, int64_t from, int64_t count, int64_t to) {
  if (from == to || count == 0) return a;
  Dims others, order;
  for (int64_t axis = 0; axis < a.ndim(); ++axis)
    if (axis < from || axis >= from + count) others.push_back(axis);
  for (int64_t axis = 0; axis < a.ndim(); ++axis) {
    bool moved = axis >= to && axis < to + count;
    order.push_back(moved ? from + axis - to : others[axis < to ? axis : axis - count]);
  }
  return transpose(a, order);
}

}  // namespace plimsoll::python
