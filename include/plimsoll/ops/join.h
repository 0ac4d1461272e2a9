// Arrays put together, taken apart, repeated and padded.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "plimsoll/array.h"

namespace plimsoll {

/// The arrays one behind the other along `axis`; flattened first for nullopt.
array concatenate(const std::vector<array>& arrays, std::optional<int64_t> axis = 0);
/// Arrays of one shape along a new axis.
array stack(const std::vector<array>& arrays, std::optional<int64_t> axis = 0);
using SplitAt = std::variant<int64_t, Dims>;
/// Equal parts of an axis (a number), or parts that begin at the given positions.
std::vector<array> split(const array& a, const SplitAt& indices_or_sections, int64_t axis = 0);
/// Elements put around the array: pad_width has one number for all sides, (before, after) for all
/// axes, or before and after of each axis in turn. mode: constant, edge, reflect or symmetric.
array pad(const array& a, const Dims& pad_width, const std::string& mode = "constant",
          const array& constant_values = array(0));
/// Each element `repeats` times in a row along `axis`; of the flattened array for nullopt.
array repeat(const array& a, int64_t repeats, std::optional<int64_t> axis = std::nullopt);
/// The whole array repeated reps[i] times along axis i.
array tile(const array& a, const Dims& reps);
/// `a` with a[start : stop : step] (as slice) replaced by `update`, broadcast and cast to fit.
array slice_update(const array& a, const array& update, const Dims& start, const Dims& stop,
                   const Dims& step);
array slice_update(const array& a, const array& update, const Dims& start, const Dims& stop);

namespace ops {
/// As slice_update for a start in range and an update of exactly the slice's shape.
array update_range(const array& base, const array& update, const Dims& start, const Dims& step);
}  // namespace ops

}  // namespace plimsoll
