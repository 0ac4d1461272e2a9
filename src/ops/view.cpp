// Other shapes of the same elements: reshape, transpose, broadcast_to, slice and contiguous are
// recorded; the others are made of them.
#include "plimsoll/ops/view.h"

#include <algorithm>
#include <numeric>

#include "ops/common.h"
#include "ops/lists.h"
#include "ops/matrix.h"
#include "opset/view.h"
#include "plimsoll/ops/creation.h"
#include "plimsoll/ops/join.h"
#include "plimsoll/ops/reduce.h"

namespace plimsoll {
namespace ops {
namespace {

void infer_shape_attrs(const OpInstance& op, std::vector<TensorSpec>& out) {
  out.push_back({op.inputs[0].dtype, attrs_as<ShapeAttrs>(op.attrs).shape});
}

// Strides that read a strided array in row-major order as another shape; false where an axis of the
// result would run over input axes that do not follow each other.
bool reshape_strides(const Shape& in, const Strides& strides, const Shape& out, Strides& result) {
  result = row_major(out);
  if (num_elements(out) == 0) return true;
  SmallVector<int64_t, 6> extents, steps;  // input axes, neighbours merged where they are one run
  for (size_t i = 0; i < in.size(); ++i) {
    if (in[i] == 1) continue;
    if (!extents.empty() && steps.back() == strides[i] * in[i]) {
      extents.back() *= in[i];
      steps.back() = strides[i];
    } else {
      extents.push_back(in[i]);
      steps.push_back(strides[i]);
    }
  }
  size_t block = 0;
  int64_t left = 1, step = 1;
  for (size_t i = 0; i < out.size(); ++i) {
    if (out[i] == 1) continue;
    if (left == 1) {
      left = extents[block];
      step = steps[block++];
    }
    if (left % out[i] != 0) return false;
    left /= out[i];
    result[i] = step * left;
  }
  return true;
}

constinit const OpDef kReshape{
    .name = "reshape",
    .kind = Kind::kView,
    .attrs = &kAttrsOf<ShapeAttrs>,
    .check = contract::reshape,
    .infer = infer_shape_attrs,
    .vjp = vjp_of_one<[](const array& g, const array& x, const array&) {
      return reshape(g, x.shape());
    }>,
    .vmap = [](const VmapArgs& v) -> VmapResult {
      Shape shape = attrs_as<ShapeAttrs>(v.attrs).shape;
      shape.insert(shape.begin(), v.batch);
      return {{reshape(batch_first(v.inputs[0], v.axes[0]), shape)}, {0}};
    },
    .view =
        [](const graph::ViewArgs& v, Layout& out) {
          out.offset = v.in_layout.offset;
          return reshape_strides(v.in_shape, v.in_layout.strides, v.out_shape, out.strides);
        },
    .entry = boxed<&reshape>::call,
    .signature =
        "reshape(a: array, /, shape: Sequence[int], *, stream: None | Stream | Device = None) -> "
        "array",
    .doc = R"(The elements in row-major order as another shape.

One dimension may be -1 and is inferred from the others. A view where the layout allows it. Raises
ValueError where the number of elements differs.

Example:
    >>> mx.reshape(mx.array([1, 2, 3, 4]), (2, -1))
    array([[1, 2],
           [3, 4]], dtype=int32)
)"};

VmapResult transpose_vmap(const VmapArgs& v) {
  Dims axes{0};
  for (int64_t axis : attrs_as<TransposeAttrs>(v.attrs).axes) axes.push_back(axis + 1);
  return {{transpose(batch_first(v.inputs[0], v.axes[0]), axes)}, {0}};
}

constinit const OpDef kTranspose{
    .name = "transpose",
    .kind = Kind::kView,
    .attrs = &kAttrsOf<TransposeAttrs>,
    .check = contract::transpose,
    .infer =
        [](const OpInstance& op, std::vector<TensorSpec>& out) {
          Shape shape;
          for (int64_t axis : attrs_as<TransposeAttrs>(op.attrs).axes)
            shape.push_back(op.inputs[0].shape[axis]);
          out.push_back({op.inputs[0].dtype, std::move(shape)});
        },
    .vjp = [](const VjpArgs& v) -> std::vector<array> {
      if (!v.needed[0]) return {array()};
      const Dims& axes = attrs_as<TransposeAttrs>(v.attrs).axes;
      Dims inverse(axes.size());
      for (size_t i = 0; i < axes.size(); ++i) inverse[axes[i]] = static_cast<int64_t>(i);
      return {transpose(v.cotangents[0], inverse)};
    },
    .vmap = transpose_vmap,
    .view =
        [](const graph::ViewArgs& v, Layout& out) {
          out.offset = v.in_layout.offset;
          out.strides.clear();
          for (int64_t axis : attrs_as<TransposeAttrs>(v.attrs).axes)
            out.strides.push_back(v.in_layout.strides[axis]);
          return true;
        },
    .entry = boxed<&transpose>::call,
    .signature =
        "transpose(a: array, /, axes: Sequence[int] | None = None, *, stream: None | Stream | "
        "Device = None) -> array",
    .doc = R"(The axes permuted: axis i of the result is axis ``axes[i]`` of ``a``.

The axes are reversed for None. Always a view. Raises ValueError where ``axes`` is not a permutation,
IndexError for an axis that is not there.

Example:
    >>> mx.transpose(mx.array([[1, 2], [3, 4]]))
    array([[1, 3],
           [2, 4]], dtype=int32)
)"};

VmapResult broadcast_vmap(const VmapArgs& v) {
  Shape shape = attrs_as<ShapeAttrs>(v.attrs).shape;
  array a = batch_first_padded(v.inputs[0], v.axes[0], static_cast<int>(shape.size()) + 1);
  shape.insert(shape.begin(), v.batch);
  return {{broadcast_to(a, shape)}, {0}};
}

constinit const OpDef kBroadcastTo{
    .name = "broadcast_to",
    .kind = Kind::kView,
    .attrs = &kAttrsOf<ShapeAttrs>,
    .check = contract::broadcast_to,
    .infer = infer_shape_attrs,
    .vjp = vjp_of_one<[](const array& g, const array& x, const array&) {
      return sum_to_shape(g, x.shape());
    }>,
    .vmap = broadcast_vmap,
    .view =
        [](const graph::ViewArgs& v, Layout& out) {
          out.offset = v.in_layout.offset;
          out.strides = broadcast_strides(v.in_shape, v.in_layout.strides, v.out_shape);
          return true;
        },
    .entry = boxed<&broadcast_to>::call,
    .signature =
        "broadcast_to(a: scalar | array, /, shape: Sequence[int], *, stream: None | Stream | "
        "Device = None) -> array",
    .doc = R"(The array repeated along axes of length 1 and new leading axes.

A view. Raises ValueError where the shapes do not fit.

Example:
    >>> mx.broadcast_to(mx.array([1, 2]), (2, 2))
    array([[1, 2],
           [1, 2]], dtype=int32)
)"};

std::vector<array> slice_vjp(const VjpArgs& v) {
  if (!v.needed[0]) return {array()};
  const auto& s = attrs_as<SliceAttrs>(v.attrs);
  array base = zeros(v.inputs[0].shape(), v.cotangents[0].dtype());
  return {update_range(base, v.cotangents[0], s.start, s.step)};
}

array record_slice(const array& a, Dims start, Dims stop, Dims step, Shape shape);

VmapResult slice_vmap(const VmapArgs& v) {
  SliceAttrs s = attrs_as<SliceAttrs>(v.attrs);
  s.start.insert(s.start.begin(), 0);
  s.stop.insert(s.stop.begin(), v.batch);
  s.step.insert(s.step.begin(), 1);
  s.shape.insert(s.shape.begin(), v.batch);
  array a = batch_first(v.inputs[0], v.axes[0]);
  return {{record_slice(a, s.start, s.stop, s.step, s.shape)}, {0}};
}

constinit const OpDef kSlice{
    .name = "slice",
    .kind = Kind::kView,
    .attrs = &kAttrsOf<SliceAttrs>,
    .check = contract::slice,
    .infer =
        [](const OpInstance& op, std::vector<TensorSpec>& out) {
          out.push_back({op.inputs[0].dtype, attrs_as<SliceAttrs>(op.attrs).shape});
        },
    .vjp = slice_vjp,
    .vmap = slice_vmap,
    .view =
        [](const graph::ViewArgs& v, Layout& out) {
          const auto& s = attrs_as<SliceAttrs>(v.attrs);
          out = v.in_layout;
          for (size_t i = 0; i < s.start.size(); ++i) {
            out.offset += s.start[i] * v.in_layout.strides[i];
            out.strides[i] *= s.step[i];
          }
          return true;
        },
    .doc = "a[start : stop : step] on every axis; what indexing with slices records."};

array record_slice(const array& a, Dims start, Dims stop, Dims step, Shape shape) {
  return record(
      kSlice, {a},
      make_attrs(SliceAttrs(std::move(start), std::move(stop), std::move(step), std::move(shape))));
}

constinit const OpDef kContiguous{
    .name = "contiguous",
    .kind = Kind::kView,
    .check = contract::one_input,
    .infer = [](const OpInstance& op,
                std::vector<TensorSpec>& out) { out.push_back(op.inputs[0]); },
    .vjp = vjp_of_one<[](const array& g, const array&, const array&) { return g; }>,
    .vmap = [](const VmapArgs& v) -> VmapResult {
      return {{contiguous(batch_first(v.inputs[0], v.axes[0]))}, {0}};
    },
    .view =
        [](const graph::ViewArgs& v, Layout& out) {
          out = v.in_layout;
          return is_row_contiguous(v.in_shape, v.in_layout.strides);
        },
    .entry = boxed<&contiguous>::call,
    .signature =
        "contiguous(a: array, /, allow_col_major: bool = False, *, stream: None | Stream | Device "
        "= None) -> array",
    .doc = R"(The same array with its elements in row-major order in memory.

A copy is made only where they are not. ``allow_col_major`` is accepted and makes no difference.

Example:
    >>> mx.contiguous(mx.array([[1, 2], [3, 4]]).T)
    array([[1, 3],
           [2, 4]], dtype=int32)
)"};

constinit const OpDef kFlatten =
    composite("flatten", boxed<&flatten>::call,
              "flatten(a: array, /, start_axis: int = 0, end_axis: int = -1, *, stream: None | "
              "Stream | Device = None) -> array",
              R"(Axes ``start_axis`` to ``end_axis`` (included) merged into one.

A 0-d array becomes one of one element. Raises ValueError where start_axis is behind end_axis.

Example:
    >>> mx.flatten(mx.array([[1, 2], [3, 4]]))
    array([1, 2, 3, 4], dtype=int32)
)");

constinit const OpDef kUnflatten =
    composite("unflatten", boxed<&unflatten>::call,
              "unflatten(a: array, /, axis: int, shape: Sequence[int], *, stream: None | Stream | "
              "Device = None) -> array",
              R"(One axis split into several; one of them may be -1.

Raises ValueError where their product is not the length of the axis.

Example:
    >>> mx.unflatten(mx.array([1, 2, 3, 4]), 0, (2, -1))
    array([[1, 2],
           [3, 4]], dtype=int32)
)");

constinit const OpDef kSwapaxes =
    composite("swapaxes", boxed<&swapaxes>::call,
              "swapaxes(a: array, /, axis1: int, axis2: int, *, stream: None | Stream | Device = "
              "None) -> array",
              R"(Two axes exchanged. A view. Raises IndexError for an axis that is not there.

Example:
    >>> mx.swapaxes(mx.zeros((2, 3)), 0, 1).shape
    (3, 2)
)");

constinit const OpDef kMoveaxis =
    composite("moveaxis", boxed<&moveaxis>::call,
              "moveaxis(a: array, /, source: int, destination: int, *, stream: None | Stream | "
              "Device = None) -> array",
              R"(One axis moved to another position, the others keeping their order. A view.

Raises IndexError for an axis that is not there.

Example:
    >>> mx.moveaxis(mx.zeros((2, 3, 4)), 0, 2).shape
    (3, 4, 2)
)");

constinit const OpDef kExpandDims =
    composite("expand_dims", boxed<&expand_dims>::call,
              "expand_dims(a: array, /, axis: int | Sequence[int], *, stream: None | Stream | "
              "Device = None) -> array",
              R"(Axes of length 1 put in at the given positions of the result. A view.

Raises IndexError for a position that is not there, ValueError for one given twice.

Example:
    >>> mx.expand_dims(mx.array([1, 2]), 0).shape
    (1, 2)
)");

constinit const OpDef kSqueeze =
    composite("squeeze", boxed<&squeeze>::call,
              "squeeze(a: array, /, axis: None | int | Sequence[int] = None, *, stream: None | "
              "Stream | Device = None) -> array",
              R"(Axes of length 1 taken out: the given ones, or all of them. A view.

Raises ValueError for an axis of another length or given twice, IndexError for one that is not there.

Example:
    >>> mx.squeeze(mx.zeros((1, 2, 1))).shape
    (2,)
)");

constinit const OpDef kBroadcastArrays = composite(
    "broadcast_arrays", boxed<&broadcast_arrays>::call,
    "broadcast_arrays(*arrays: array, stream: None | Stream | Device = None) -> tuple[array, ...]",
    R"(The arrays as views of their common broadcast shape.

Raises ValueError where the shapes do not fit together.

Example:
    >>> [a.shape for a in mx.broadcast_arrays(mx.zeros((2, 1)), mx.zeros((3,)))]
    [(2, 3), (2, 3)]
)");

// A 0-d constant has no bytes to view; its other shapes are filled arrays.
bool is_constant(const array& a) { return a.node()->is(graph::Node::kConstant); }

Shape inferred(Shape shape, int64_t size, const char* op) {
  int64_t known = 1;
  int unknown = -1;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == -1) {
      PLIMSOLL_CHECK(unknown < 0, ValueError, "[{}] expected at most one -1, got {}", op,
                     to_string(shape));
      unknown = static_cast<int>(i);
    } else {
      PLIMSOLL_CHECK(shape[i] >= 0, ValueError,
                     "[{}] expected dimensions of at least 0 or -1, got "
                     "{}",
                     op, to_string(shape));
      known *= shape[i];
    }
  }
  if (unknown >= 0) {
    PLIMSOLL_CHECK(known > 0, ValueError, "[{}] expected no dimension of 0 next to a -1, got {}",
                   op, to_string(shape));
    shape[unknown] = size / known;
  }
  return shape;
}

}  // namespace

OpList view_ops() {
  static constexpr const OpDef* kOps[] = {
      &kReshape,   &kTranspose, &kBroadcastTo, &kSlice,      &kContiguous, &kFlatten,
      &kUnflatten, &kSwapaxes,  &kMoveaxis,    &kExpandDims, &kSqueeze,    &kBroadcastArrays};
  return kOps;
}

bool is_transposed_matrix(const array& a) {
  if (a.node()->def != &kTranspose) return false;
  const Dims& axes = attrs_as<TransposeAttrs>(a.node()->attrs.get()).axes;
  const size_t n = axes.size();
  if (n < 2) return false;
  const auto last = static_cast<int64_t>(n - 1);
  return axes[n - 1] == last - 1 && axes[n - 2] == last &&
         std::is_sorted(axes.begin(), axes.end() - 2);
}

SliceRange slice_range(int64_t start, int64_t stop, int64_t step, int64_t extent) {
  PLIMSOLL_CHECK(step != 0, ValueError, "[slice] expected a step that is not 0");
  auto clip_to = [&](int64_t v, int64_t lo, int64_t hi) {
    return std::clamp(v < 0 ? v + extent : v, lo, hi);
  };
  if (step > 0) {
    int64_t first = clip_to(start, 0, extent), end = clip_to(stop, 0, extent);
    int64_t length = end > first ? 1 + (end - first - 1) / step : 0;
    return {length ? first : 0, length, length > 1 ? step : 1};
  }
  int64_t first = clip_to(start, -1, extent - 1), end = clip_to(stop, -1, extent - 1);
  int64_t length = first > end ? 1 - (first - end - 1) / step : 0;
  return {length ? first : 0, length, length > 1 ? step : 1};
}

array sum_to_shape(const array& a, const Shape& shape) {
  if (a.shape() == shape) return a;
  size_t shift = a.shape().size() - shape.size();
  Dims axes;
  for (size_t i = 0; i < a.shape().size(); ++i)
    if (i < shift || (shape[i - shift] == 1 && a.shape()[i] != 1))
      axes.push_back(static_cast<int64_t>(i));
  return reshape(axes.empty() ? a : sum(a, axes, true), shape);
}

}  // namespace ops

array reshape(const array& a, const Shape& shape) {
  using namespace ops;
  Shape to = inferred(shape, a.size(), "reshape");
  PLIMSOLL_CHECK(num_elements(to) == a.size(), ShapeError,
                 "[reshape] expected a shape of {} elements, got {} for {}", a.size(),
                 to_string(shape), to_string(a.shape()));
  if (to == a.shape()) return cast(a, a.dtype());
  if (is_constant(a)) return full(to, a);
  return record(kReshape, {a}, make_attrs(ShapeAttrs(std::move(to))));
}

array flatten(const array& a, int64_t start_axis, int64_t end_axis) {
  int n = a.ndim();
  if (n == 0) return reshape(a, {1});
  // As MLX: positions outside are moved to the nearest axis.
  int64_t first = std::max<int64_t>(start_axis < 0 ? start_axis + n : start_axis, 0);
  int64_t last = std::min<int64_t>(end_axis < 0 ? end_axis + n : end_axis, n - 1);
  PLIMSOLL_CHECK(first < n && last >= 0, IndexError,
                 "[flatten] expected axes of an array with {} dimensions, got {} and {}", n,
                 start_axis, end_axis);
  PLIMSOLL_CHECK(first <= last, ValueError,
                 "[flatten] expected start_axis before end_axis, got {} and {}", start_axis,
                 end_axis);
  Shape shape;
  for (int64_t i = 0; i < n; ++i) {
    if (i > first && i <= last)
      shape.back() *= a.shape()[i];
    else
      shape.push_back(a.shape()[i]);
  }
  return reshape(a, shape);
}

array unflatten(const array& a, int64_t axis, const Shape& shape) {
  using namespace ops;
  PLIMSOLL_CHECK(!shape.empty(), ValueError, "[unflatten] expected a shape, got an empty one");
  int at = checked_axis(axis, a.ndim(), "unflatten");
  Shape parts = inferred(shape, a.shape()[at], "unflatten");
  PLIMSOLL_CHECK(num_elements(parts) == a.shape()[at], ShapeError,
                 "[unflatten] expected a shape of {} elements for axis {}, got {}", a.shape()[at],
                 at, to_string(shape));
  Shape out;
  for (int i = 0; i < a.ndim(); ++i) {
    if (i != at) out.push_back(a.shape()[i]);
    if (i == at)
      for (int64_t d : parts) out.push_back(d);
  }
  return reshape(a, out);
}

array transpose(const array& a, const std::optional<Dims>& axes) {
  using namespace ops;
  int n = a.ndim();
  Dims order;
  for (int i = 0; i < n; ++i) order.push_back(n - 1 - i);
  if (axes) {
    PLIMSOLL_CHECK(axes->size() == static_cast<size_t>(n), ValueError,
                   "[transpose] expected {} axes, got {}", n, to_string(*axes));
    checked_axes(axes, n, "transpose");
    for (int i = 0; i < n; ++i) order[i] = checked_axis((*axes)[i], n, "transpose");
  }
  if (std::is_sorted(order.begin(), order.end())) return cast(a, a.dtype());
  return record(kTranspose, {a}, make_attrs(TransposeAttrs(std::move(order))));
}

array swapaxes(const array& a, int64_t axis1, int64_t axis2) {
  int i = ops::checked_axis(axis1, a.ndim(), "swapaxes");
  int j = ops::checked_axis(axis2, a.ndim(), "swapaxes");
  Dims order(a.ndim());
  std::iota(order.begin(), order.end(), 0);
  std::swap(order[i], order[j]);
  return transpose(a, order);
}

array moveaxis(const array& a, int64_t source, int64_t destination) {
  int from = ops::checked_axis(source, a.ndim(), "moveaxis");
  int to = ops::checked_axis(destination, a.ndim(), "moveaxis");
  Dims order;
  for (int i = 0; i < a.ndim(); ++i)
    if (i != from) order.push_back(i);
  order.insert(order.begin() + to, from);
  return transpose(a, order);
}

array expand_dims(const array& a, const Dims& axes) {
  int n = a.ndim() + static_cast<int>(axes.size());
  Dims at = ops::checked_axes(axes, n, "expand_dims");
  Shape shape = a.shape();
  for (int64_t axis : at) shape.insert(shape.begin() + axis, 1);
  return reshape(a, shape);
}

array squeeze(const array& a, const std::optional<Dims>& axes) {
  Shape shape;
  Dims at = axes ? ops::checked_axes(axes, a.ndim(), "squeeze") : Dims{};
  for (int i = 0; i < a.ndim(); ++i) {
    bool named = std::find(at.begin(), at.end(), i) != at.end();
    PLIMSOLL_CHECK(!named || a.shape()[i] == 1, ValueError,
                   "[squeeze] expected an axis of length 1, got axis {} of shape {}", i,
                   to_string(a.shape()));
    if (!named && (axes || a.shape()[i] != 1)) shape.push_back(a.shape()[i]);
  }
  return reshape(a, shape);
}

array broadcast_to(const array& a, const Shape& shape) {
  using namespace ops;
  check_shape(shape, "broadcast_to");
  if (a.shape() == shape) return cast(a, a.dtype());
  PLIMSOLL_CHECK(a.shape().size() <= shape.size() &&
                     broadcast_shapes(a.shape(), shape, "broadcast_to") == shape,
                 ShapeError, "[broadcast_to] expected a shape that {} broadcasts to, got {}",
                 to_string(a.shape()), to_string(shape));
  if (is_constant(a)) return full(shape, a);
  return record(kBroadcastTo, {a}, make_attrs(ShapeAttrs(shape)));
}

std::vector<array> broadcast_arrays(const std::vector<array>& arrays) {
  Shape shape;
  for (const array& a : arrays) shape = broadcast_shapes(shape, a.shape(), "broadcast_arrays");
  std::vector<array> out;
  for (const array& a : arrays) out.push_back(broadcast_to(a, shape));
  return out;
}

array contiguous(const array& a, bool) {
  if (ops::is_constant(a)) return ops::cast(a, a.dtype());
  return ops::record(ops::kContiguous, {a});
}

array slice(const array& a, const Dims& start, const Dims& stop, const Dims& step) {
  using namespace ops;
  size_t n = a.shape().size();
  PLIMSOLL_CHECK(start.size() == n && stop.size() == n && step.size() == n, ValueError,
                 "[slice] expected {} numbers in start, stop and step, got {}, {} and {}", n,
                 start.size(), stop.size(), step.size());
  Dims first(n), by(n);
  Shape shape(n);
  bool whole = true;
  for (size_t i = 0; i < n; ++i) {
    SliceRange r = slice_range(start[i], stop[i], step[i], a.shape()[i]);
    first[i] = r.start;
    by[i] = r.step;
    shape[i] = r.length;
    whole = whole && r.step == 1 && r.length == a.shape()[i];
  }
  if (whole) return cast(a, a.dtype());
  return record_slice(a, std::move(first), stop, std::move(by), std::move(shape));
}

array slice(const array& a, const Dims& start, const Dims& stop) {
  return slice(a, start, stop, Dims(start.size(), 1));
}

}  // namespace plimsoll
