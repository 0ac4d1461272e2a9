// Sorting along an axis (of the flattened array for nullopt).
#pragma once

#include <optional>

#include "plimsoll/array.h"

namespace plimsoll {

/// The elements in ascending order, NaN last.
array sort(const array& a, std::optional<int64_t> axis = -1);
/// uint32 positions of the elements in ascending order; equal elements keep theirs.
array argsort(const array& a, std::optional<int64_t> axis = -1);

}  // namespace plimsoll
