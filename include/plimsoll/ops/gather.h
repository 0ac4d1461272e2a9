// Reading elements that integer arrays name. Negative indices count from the end; one outside the
// array raises IndexError when the result is evaluated.
#pragma once

#include <optional>
#include <vector>

#include "plimsoll/array.h"

namespace plimsoll {

/// The slices of `a` along `axis` (elements of the flattened array for nullopt) that `indices`
/// names, in the shape of `indices`: a.shape[:axis] + indices.shape + a.shape[axis+1:].
array take(const array& a, const array& indices, std::optional<int64_t> axis = std::nullopt);
/// out[…, i, …] = a[…, indices[…, i, …], …] along `axis`; the other axes broadcast. nullopt
/// flattens both.
array take_along_axis(const array& a, const array& indices, std::optional<int64_t> axis);
/// a[indices[0], indices[1], …] on the ascending `axes`: the index arrays broadcast to a shape I,
/// and the result has the shape I + the other axes of a.
array gather(const array& a, const std::vector<array>& indices, const Dims& axes);

namespace ops {
/// Throws ValueError unless `indices` holds integers; the array, no longer weak.
array checked_indices(const array& indices, const char* op);
/// Indices of one shape with a batch axis, for use next to `extra` positions of the batch.
std::vector<array> batched_indices(std::span<const array> indices, std::span<const int> axes,
                                   int64_t batch, bool with_positions);
}  // namespace ops

}  // namespace plimsoll
