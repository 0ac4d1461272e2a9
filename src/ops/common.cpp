#include "ops/common.h"

#include <algorithm>

#include "plimsoll/ops/binary.h"
#include "plimsoll/ops/compare.h"
#include "plimsoll/ops/complex.h"
#include "plimsoll/ops/creation.h"
#include "plimsoll/ops/join.h"
#include "plimsoll/ops/select.h"
#include "plimsoll/ops/unary.h"
#include "plimsoll/ops/view.h"

namespace plimsoll::ops {

int checked_axis(int64_t axis, int ndim, const char* op) {
  PLIMSOLL_CHECK(axis >= -ndim && axis < ndim, IndexError,
                 "[{}] expected an axis of an array with {} dimensions, got {}", op, ndim, axis);
  return static_cast<int>(axis < 0 ? axis + ndim : axis);
}

Dims checked_axes(const std::optional<Dims>& axes, int ndim, const char* op) {
  Dims out;
  if (!axes) {
    for (int i = 0; i < ndim; ++i) out.push_back(i);
    return out;
  }
  for (int64_t axis : *axes) out.push_back(checked_axis(axis, ndim, op));
  std::sort(out.begin(), out.end());
  PLIMSOLL_CHECK(std::adjacent_find(out.begin(), out.end()) == out.end(), ValueError,
                 "[{}] expected distinct axes, got {}", op, to_string(*axes));
  return out;
}

void check_shape(const Shape& shape, const char* op) {
  for (int64_t d : shape)
    PLIMSOLL_CHECK(d >= 0, ValueError, "[{}] expected dimensions of at least 0, got {}", op,
                   to_string(shape));
}

array batch_first(const array& a, int axis) { return axis <= 0 ? a : moveaxis(a, axis, 0); }

array batch_or_repeat(const array& a, int axis, int64_t batch) {
  if (axis >= 0) return batch_first(a, axis);
  Shape shape = a.shape();
  shape.insert(shape.begin(), batch);
  return broadcast_to(a, shape);
}

array batch_first_padded(const array& a, int axis, int ndim) {
  array moved = batch_first(a, axis);
  if (axis < 0 || moved.ndim() >= ndim) return moved;
  Shape shape = moved.shape();
  while (static_cast<int>(shape.size()) < ndim) shape.insert(shape.begin() + 1, 1);
  return reshape(moved, shape);
}

array batched_indices(const array& at, int64_t n) {
  const int64_t batch = at.shape(0);
  auto number = [](int64_t v) { return array(v, Dtype::kInt64); };
  array first =
      reshape(arange(int64_t{0}, batch, int64_t{1}, Dtype::kInt64), {batch, 1}) * number(n);
  array own = where(less(at, number(0)), at + number(n), at);
  array inside = logical_and(greater_equal(own, number(0)), less(own, number(n)));
  return where(inside, own + first, number(batch * n));
}

VmapResult per_element(const VmapArgs& v,
                       const std::function<std::vector<array>(std::span<const array>)>& op) {
  std::vector<std::vector<array>> results;  // by output
  for (int64_t i = 0; i < v.batch; ++i) {
    std::vector<array> one;
    for (size_t k = 0; k < v.inputs.size(); ++k) {
      const array& a = v.inputs[k];
      if (v.axes[k] < 0) {
        one.push_back(a);
        continue;
      }
      Dims start(a.shape().size(), 0), stop = a.shape();
      start[v.axes[k]] = i;
      stop[v.axes[k]] = i + 1;
      one.push_back(squeeze(slice(a, start, stop), Dims{v.axes[k]}));
    }
    std::vector<array> out = op(one);
    results.resize(out.size());
    for (size_t k = 0; k < out.size(); ++k) results[k].push_back(std::move(out[k]));
  }
  PLIMSOLL_CHECK(!results.empty(), ValueError, "[vmap] expected a batch of at least 1, got 0");
  VmapResult stacked;
  for (auto& parts : results) {
    stacked.outputs.push_back(stack(parts, 0));
    stacked.axes.push_back(0);
  }
  return stacked;
}

array conj_if_complex(const array& a) { return a.dtype() == Dtype::kComplex64 ? conjugate(a) : a; }

}  // namespace plimsoll::ops
