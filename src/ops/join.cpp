// Arrays put together, taken apart, repeated and padded. concatenate and slice_update are recorded.
#include "plimsoll/ops/join.h"

#include <algorithm>

#include "ops/common.h"
#include "ops/lists.h"
#include "opset/concat.h"
#include "plimsoll/ops/creation.h"
#include "plimsoll/ops/view.h"

namespace plimsoll {
namespace ops {
namespace {

// a[begin : end] along one axis.
array part(const array& a, int axis, int64_t begin, int64_t end) {
  Dims start(a.shape().size(), 0), stop = a.shape();
  start[axis] = begin;
  stop[axis] = end;
  return slice(a, start, stop);
}

// The same, backwards: element `begin` down to and including `last`.
array part_reversed(const array& a, int axis, int64_t begin, int64_t last) {
  Dims start(a.shape().size(), 0), stop = a.shape(), step(a.shape().size(), 1);
  start[axis] = begin;
  stop[axis] = last == 0 ? -a.shape()[axis] - 1 : last - 1;
  step[axis] = -1;
  return slice(a, start, stop, step);
}

void infer_concatenate(const OpInstance& op, std::vector<TensorSpec>& out) {
  int axis = attrs_as<ConcatAttrs>(op.attrs).axis;
  TensorSpec spec = op.inputs[0];
  for (const TensorSpec& in : op.inputs.subspan(1)) {
    PLIMSOLL_CHECK(in.shape.size() == spec.shape.size(), ShapeError,
                   "[concatenate] expected arrays of one rank, got shapes {} and {}",
                   to_string(op.inputs[0].shape), to_string(in.shape));
    for (int i = 0; i < static_cast<int>(in.shape.size()); ++i)
      PLIMSOLL_CHECK(i == axis || in.shape[i] == spec.shape[i], ShapeError,
                     "[concatenate] expected shapes that are equal but for axis {}, got {} and {}",
                     axis, to_string(op.inputs[0].shape), to_string(in.shape));
    PLIMSOLL_CHECK(!__builtin_add_overflow(spec.shape[axis], in.shape[axis], &spec.shape[axis]),
                   ValueError, "[concatenate] expected an axis of at most 2^63 elements, got more");
  }
  out.push_back(std::move(spec));
}

std::vector<array> concatenate_vjp(const VjpArgs& v) {
  int axis = attrs_as<ConcatAttrs>(v.attrs).axis;
  std::vector<array> out(v.inputs.size());
  int64_t begin = 0;
  for (size_t i = 0; i < v.inputs.size(); ++i) {
    int64_t end = begin + v.inputs[i].shape()[axis];
    if (v.needed[i]) out[i] = part(v.cotangents[0], axis, begin, end);
    begin = end;
  }
  return out;
}

VmapResult concatenate_vmap(const VmapArgs& v) {
  std::vector<array> parts;
  for (size_t i = 0; i < v.inputs.size(); ++i)
    parts.push_back(batch_or_repeat(v.inputs[i], v.axes[i], v.batch));
  return {{concatenate(parts, attrs_as<ConcatAttrs>(v.attrs).axis + 1)}, {0}};
}

constinit const OpDef kConcatenate{
    .name = "concatenate",
    .kind = Kind::kStructured,
    .attrs = &kAttrsOf<ConcatAttrs>,
    .check = contract::concatenate,
    .infer = infer_concatenate,
    .vjp = concatenate_vjp,
    .vmap = concatenate_vmap,
    .tiling = concatenate_tiling,
    .entry = boxed<&concatenate>::call,
    .signature =
        "concatenate(arrays: list[array], axis: int | None = 0, *, stream: None | Stream | Device "
        "= None) -> array",
    .doc = R"(The arrays one behind the other along ``axis``; flattened first for None.

Their shapes are equal but for ``axis``; the dtypes are promoted. Raises ValueError for an empty list
and for shapes that do not fit, IndexError for an axis that is not there.

Example:
    >>> mx.concatenate([mx.array([1, 2]), mx.array([3])])
    array([1, 2, 3], dtype=int32)
)"};

std::vector<array> slice_update_vjp(const VjpArgs& v) {
  const auto& s = attrs_as<SliceUpdateAttrs>(v.attrs);
  const array& g = v.cotangents[0];
  const Shape& shape = v.inputs[1].shape();
  std::vector<array> out(2);
  if (v.needed[0]) out[0] = update_range(g, zeros(shape, g.dtype()), s.start, s.step);
  if (v.needed[1]) {
    Dims stop(shape.size());
    for (size_t i = 0; i < shape.size(); ++i) {
      int64_t end = s.start[i] + shape[i] * s.step[i];
      stop[i] = end < 0 ? -g.shape()[i] - 1 : end;
    }
    out[1] = slice(g, s.start, stop, s.step);
  }
  return out;
}

VmapResult slice_update_vmap(const VmapArgs& v) {
  const auto& s = attrs_as<SliceUpdateAttrs>(v.attrs);
  Dims start = s.start, step = s.step;
  start.insert(start.begin(), 0);
  step.insert(step.begin(), 1);
  array base = batch_or_repeat(v.inputs[0], v.axes[0], v.batch);
  array update = batch_or_repeat(v.inputs[1], v.axes[1], v.batch);
  return {{update_range(base, update, start, step)}, {0}};
}

constinit const OpDef kSliceUpdate{
    .name = "slice_update",
    .kind = Kind::kStructured,
    .attrs = &kAttrsOf<SliceUpdateAttrs>,
    .check = contract::slice_update,
    .infer = [](const OpInstance& op,
                std::vector<TensorSpec>& out) { out.push_back(op.inputs[0]); },
    .vjp = slice_update_vjp,
    .vmap = slice_update_vmap,
    .tiling = slice_update_tiling,
    .doc =
        "A copy of input 0 with a slice replaced by input 1; what assignment to a slice and pad "
        "record."};

constinit const OpDef kStack = composite("stack", boxed<&stack>::call,
                                         "stack(arrays: list[array], axis: int | None = 0, *, "
                                         "stream: None | Stream | Device = None) -> array",
                                         R"(Arrays of one shape along a new axis.

The dtypes are promoted. Raises ValueError for an empty list and for shapes that differ.

Example:
    >>> mx.stack([mx.array([1, 2]), mx.array([3, 4])])
    array([[1, 2],
           [3, 4]], dtype=int32)
)");

constinit const OpDef kSplit = composite(
    "split", boxed<&split>::call,
    "split(a: array, /, indices_or_sections: int | Sequence[int], axis: int = 0, *, stream: None | "
    "Stream | Device = None) -> "
    "list[array]",
    R"(An axis cut into equal parts (a number), or at the given positions (a sequence). Views.

Raises ValueError where a number does not divide the axis.

Example:
    >>> mx.split(mx.array([1, 2, 3, 4]), 2)
    [array([1, 2], dtype=int32), array([3, 4], dtype=int32)]
)");

constinit const OpDef kPad =
    composite("pad", boxed<&pad>::call,
              "pad(a: array, pad_width: int | Sequence[int] | Sequence[Sequence[int]], mode: str = "
              "'constant', constant_values: scalar | array = 0, *, stream: None | Stream | Device "
              "= None) -> array",
              R"(Elements put around the array.

``pad_width`` is one number for all sides, (before, after) for all axes, or such a pair for each
axis. ``mode`` says what is put there: "constant" (``constant_values``, cast to the array's dtype),
"edge" (the outermost element), "reflect" (the elements mirrored, the outermost not repeated) or
"symmetric" (mirrored, the outermost repeated). Raises ValueError for negative widths, another mode,
and mirrors wider than the axis.

Example:
    >>> mx.pad(mx.array([1, 2]), 1)
    array([0, 1, 2, 0], dtype=int32)
)");

constinit const OpDef kRepeat = composite(
    "repeat", boxed<&repeat>::call,
    "repeat(array: array, repeats: int, axis: int | None = None, *, stream: None | Stream | Device "
    "= None) -> array",
    R"(Each element ``repeats`` times in a row along ``axis``; of the flattened array for None.

Raises ValueError for a negative number.

Example:
    >>> mx.repeat(mx.array([1, 2]), 2)
    array([1, 1, 2, 2], dtype=int32)
)");

constinit const OpDef kTile = composite("tile", boxed<&tile>::call,
                                        "tile(a: array, reps: int | Sequence[int], /, *, stream: "
                                        "None | Stream | Device = None) -> array",
                                        R"(The whole array ``reps[i]`` times along axis i.

Axes are added in front of the array, or ones in front of ``reps``, until there are as many.

Example:
    >>> mx.tile(mx.array([1, 2]), 2)
    array([1, 2, 1, 2], dtype=int32)
)");

Dtype common_dtype(const std::vector<array>& arrays) {
  Dtype t = arrays[0].dtype();
  for (const array& a : arrays) t = promote_types(t, a.dtype());
  return t;
}

// What one side of an axis gets, or nothing where `width` is 0.
void add_side(std::vector<array>& parts, const array& a, int axis, int64_t width, bool before,
              const std::string& mode) {
  if (width == 0) return;
  int64_t n = a.shape()[axis];
  if (mode == "edge") {
    PLIMSOLL_CHECK(n > 0, ValueError, "[pad] expected a non-empty axis, got axis {} of shape {}",
                   axis, to_string(a.shape()));
    int64_t at = before ? 0 : n - 1;
    Shape shape = a.shape();
    shape[axis] = width;
    parts.push_back(broadcast_to(part(a, axis, at, at + 1), shape));
    return;
  }
  int64_t skip = mode == "reflect" ? 1 : 0;
  PLIMSOLL_CHECK(width + skip <= n, ValueError,
                 "[pad] expected at most {} elements to mirror on axis {}, got {}", n - skip, axis,
                 width);
  parts.push_back(before ? part_reversed(a, axis, width - 1 + skip, skip)
                         : part_reversed(a, axis, n - 1 - skip, n - skip - width));
}

array pad_axes(array a, const Dims& widths, const std::string& mode) {
  for (int axis = 0; axis < a.ndim(); ++axis) {
    std::vector<array> parts;
    add_side(parts, a, axis, widths[2 * axis], true, mode);
    parts.push_back(a);
    add_side(parts, a, axis, widths[2 * axis + 1], false, mode);
    if (parts.size() > 1) a = concatenate(parts, axis);
  }
  return a;
}

Dims pad_widths(const Dims& given, int ndim) {
  size_t sides = 2 * static_cast<size_t>(ndim);
  PLIMSOLL_CHECK(given.size() == 1 || given.size() == 2 || given.size() == sides, ValueError,
                 "[pad] expected 1, 2 or {} widths, got {}", sides, given.size());
  Dims out(sides);
  for (size_t i = 0; i < sides; ++i) {
    out[i] = given.size() == 1 ? given[0] : given.size() == 2 ? given[i % 2] : given[i];
    PLIMSOLL_CHECK(out[i] >= 0, ValueError, "[pad] expected widths of at least 0, got {}", out[i]);
  }
  return out;
}

}  // namespace

OpList join_ops() {
  static constexpr const OpDef* kOps[] = {&kConcatenate, &kStack, &kSplit,      &kPad,
                                          &kRepeat,      &kTile,  &kSliceUpdate};
  return kOps;
}

array update_range(const array& base, const array& update, const Dims& start, const Dims& step) {
  if (update.size() == 0) return base;
  Dims stop = start;
  for (size_t i = 0; i < stop.size(); ++i) stop[i] += update.shape()[i] * step[i];
  return record(kSliceUpdate, {base, update}, make_attrs(SliceUpdateAttrs(start, stop, step)));
}

}  // namespace ops

array concatenate(const std::vector<array>& arrays, std::optional<int64_t> axis) {
  using namespace ops;
  PLIMSOLL_CHECK(!arrays.empty(), ValueError, "[concatenate] expected arrays, got none");
  Dtype t = common_dtype(arrays);
  std::vector<array> parts;
  parts.reserve(arrays.size());
  for (const array& a : arrays) parts.push_back(cast(axis ? a : flatten(a), t));
  int at = checked_axis(axis.value_or(0), parts[0].ndim(), "concatenate");
  if (parts.size() == 1) return parts[0];
  return record(kConcatenate, parts, make_attrs(ConcatAttrs(at)));
}

array stack(const std::vector<array>& arrays, std::optional<int64_t> axis) {
  using namespace ops;
  PLIMSOLL_CHECK(!arrays.empty(), ValueError, "[stack] expected arrays, got none");
  if (!axis) return stack({concatenate(arrays, std::nullopt)}, 0);
  int at = checked_axis(*axis, arrays[0].ndim() + 1, "stack");
  std::vector<array> parts;
  for (const array& a : arrays) {
    PLIMSOLL_CHECK(a.shape() == arrays[0].shape(), ShapeError,
                   "[stack] expected arrays of one shape, got {} and {}",
                   to_string(arrays[0].shape()), to_string(a.shape()));
    parts.push_back(expand_dims(a, {at}));
  }
  return concatenate(parts, at);
}

std::vector<array> split(const array& a, const SplitAt& indices_or_sections, int64_t axis) {
  using namespace ops;
  int at = checked_axis(axis, a.ndim(), "split");
  int64_t extent = a.shape()[at];
  std::vector<array> out;
  if (const auto* count = std::get_if<int64_t>(&indices_or_sections)) {
    PLIMSOLL_CHECK(*count > 0, ValueError, "[split] expected at least 1 part, got {}", *count);
    PLIMSOLL_CHECK(extent % *count == 0, ValueError,
                   "[split] expected a number of parts that divides axis {} of shape {}, got {}; "
                   "pass positions for unequal parts",
                   at, to_string(a.shape()), *count);
    int64_t size = extent / *count;
    for (int64_t i = 0; i < *count; ++i) out.push_back(part(a, at, i * size, (i + 1) * size));
    return out;
  }
  int64_t begin = 0;
  for (int64_t position : std::get<Dims>(indices_or_sections)) {
    out.push_back(part(a, at, begin, position));
    begin = position;
  }
  out.push_back(part(a, at, begin, extent));
  return out;
}

array pad(const array& a, const Dims& pad_width, const std::string& mode,
          const array& constant_values) {
  using namespace ops;
  Dims widths = pad_widths(pad_width, a.ndim());
  if (mode == "edge" || mode == "reflect" || mode == "symmetric") return pad_axes(a, widths, mode);
  PLIMSOLL_CHECK(mode == "constant", ValueError,
                 "[pad] expected mode constant, edge, reflect or symmetric, got \"{}\"", mode);
  PLIMSOLL_CHECK(constant_values.ndim() == 0, ValueError,
                 "[pad] expected one constant value, got shape {}",
                 to_string(constant_values.shape()));
  Shape shape = a.shape();
  Dims start(shape.size());
  for (size_t i = 0; i < shape.size(); ++i) {
    start[i] = widths[2 * i];
    bool fits = !__builtin_add_overflow(shape[i], widths[2 * i], &shape[i]) &&
                !__builtin_add_overflow(shape[i], widths[2 * i + 1], &shape[i]);
    PLIMSOLL_CHECK(fits, ValueError, "[pad] expected widths that memory can hold, got {} and {}",
                   widths[2 * i], widths[2 * i + 1]);
  }
  if (shape == a.shape()) return a;
  return update_range(full(shape, constant_values, a.dtype()), a, start, Dims(shape.size(), 1));
}

array repeat(const array& a, int64_t repeats, std::optional<int64_t> axis) {
  using namespace ops;
  PLIMSOLL_CHECK(repeats >= 0, ValueError, "[repeat] expected at least 0 repeats, got {}", repeats);
  if (!axis) return repeat(flatten(a), repeats, 0);
  int at = checked_axis(*axis, a.ndim(), "repeat");
  Shape wide = a.shape(), out = a.shape();
  wide.insert(wide.begin() + at + 1, repeats);
  array repeated = broadcast_to(expand_dims(a, {at + 1}), wide);
  out[at] *= repeats;
  return reshape(repeated, out);
}

array tile(const array& a, const Dims& reps) {
  Shape shape = a.shape();
  Dims counts = reps;
  while (shape.size() < counts.size()) shape.insert(shape.begin(), 1);
  while (counts.size() < shape.size()) counts.insert(counts.begin(), 1);
  Shape single, wide, out;
  for (size_t i = 0; i < shape.size(); ++i) {
    PLIMSOLL_CHECK(counts[i] >= 0, ValueError, "[tile] expected at least 0 repeats, got {}",
                   to_string(reps));
    single.push_back(1);
    single.push_back(shape[i]);
    wide.push_back(counts[i]);
    wide.push_back(shape[i]);
  }
  array repeated = broadcast_to(reshape(a, single), wide);
  for (size_t i = 0; i < shape.size(); ++i) out.push_back(counts[i] * shape[i]);
  return out == a.shape() ? a : reshape(repeated, out);
}

array slice_update(const array& a, const array& update, const Dims& start, const Dims& stop,
                   const Dims& step) {
  using namespace ops;
  size_t n = a.shape().size();
  PLIMSOLL_CHECK(start.size() == n && stop.size() == n && step.size() == n, ValueError,
                 "[slice_update] expected {} numbers in start, stop and step, got {}, {} and {}", n,
                 start.size(), stop.size(), step.size());
  Dims first(n), by(n);
  Shape shape(n);
  for (size_t i = 0; i < n; ++i) {
    SliceRange r = slice_range(start[i], stop[i], step[i], a.shape()[i]);
    first[i] = r.start;
    by[i] = r.step;
    shape[i] = r.length;
  }
  array u = cast(update, a.dtype());
  // Leading axes of length 1 may be more than the slice has, as in NumPy's assignment.
  while (u.ndim() > static_cast<int>(n) && u.shape()[0] == 1) u = squeeze(u, Dims{0});
  u = broadcast_to(u, shape);
  if (shape == a.shape() && by == Dims(n, 1)) return u;
  return update_range(a, u, first, by);
}

array slice_update(const array& a, const array& update, const Dims& start, const Dims& stop) {
  return slice_update(a, update, start, stop, Dims(start.size(), 1));
}

}  // namespace plimsoll
