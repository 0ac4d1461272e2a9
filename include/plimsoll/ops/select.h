// Choosing between elements.
#pragma once

#include <optional>

#include "plimsoll/ops/scalar.h"

namespace plimsoll {

/// x where `condition` is not 0, else y. The three shapes broadcast; the result has the dtype of x
/// and y, promoted.
array where(const array& condition, const array& x, const array& y);
/// min(max(a, a_min), a_max); one bound may be missing.
array clip(const array& a, const std::optional<array>& a_min, const std::optional<array>& a_max);

}  // namespace plimsoll
