// Other shapes of the same elements. Each is a view of its argument's bytes where a layout exists,
// else a copy made when the array is evaluated.
#pragma once

#include <optional>
#include <vector>

#include "plimsoll/array.h"

namespace plimsoll {

/// Same elements in row-major order; one dimension may be -1 and is inferred.
array reshape(const array& a, const Shape& shape);
/// Axes start_axis … end_axis merged into one; a 0-d array gets one axis.
array flatten(const array& a, int64_t start_axis = 0, int64_t end_axis = -1);
/// `axis` split into `shape`, of which one may be -1.
array unflatten(const array& a, int64_t axis, const Shape& shape);
/// Axes permuted; reversed for nullopt.
array transpose(const array& a, const std::optional<Dims>& axes = std::nullopt);
array swapaxes(const array& a, int64_t axis1, int64_t axis2);
array moveaxis(const array& a, int64_t source, int64_t destination);
/// Axes of length 1 put in (positions in the result) or taken out (all of them for nullopt).
array expand_dims(const array& a, const Dims& axes);
array squeeze(const array& a, const std::optional<Dims>& axes = std::nullopt);
/// Repeated along axes of length 1 and new leading axes.
array broadcast_to(const array& a, const Shape& shape);
std::vector<array> broadcast_arrays(const std::vector<array>& arrays);
/// Row-major bytes; a copy only where the array has none.
array contiguous(const array& a, bool allow_col_major = false);

/// a[start : stop : step] on every axis. Negative start and stop count from the end, as in NumPy;
/// for a negative step that runs to the beginning pass stop < -extent.
array slice(const array& a, const Dims& start, const Dims& stop, const Dims& step);
array slice(const array& a, const Dims& start, const Dims& stop);

namespace ops {
/// `a` summed over the axes along which `shape` was broadcast to a's shape.
array sum_to_shape(const array& a, const Shape& shape);
/// Start, length and step of a[start : stop : step] on an axis of `extent`, by NumPy's rules.
struct SliceRange {
  int64_t start, length, step;
};
SliceRange slice_range(int64_t start, int64_t stop, int64_t step, int64_t extent);
}  // namespace ops

}  // namespace plimsoll
