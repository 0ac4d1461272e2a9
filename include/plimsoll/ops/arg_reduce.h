// Positions of extremes.
#pragma once

#include <optional>

#include "plimsoll/array.h"

namespace plimsoll {

/// uint32 position along `axis` (in the flattened array for nullopt) of the first greatest or least
/// element; that of the first NaN where there is one.
array argmax(const array& a, std::optional<int64_t> axis = std::nullopt, bool keepdims = false);
array argmin(const array& a, std::optional<int64_t> axis = std::nullopt, bool keepdims = false);

}  // namespace plimsoll
