// Rotary positional encoding.
#pragma once

#include <optional>

#include "plimsoll/array.h"

namespace plimsoll::fast {

/// Pairs of the first `dims` features of x [B, *, T, D] turned by (t + offset) * scale times a
/// frequency: base^(-2 i / dims), or one over freqs[i]; exactly one of the two is given. A pair is
/// (2 i, 2 i + 1) where `traditional`, else (i, i + dims / 2). `offset` has integers: one, or one
/// an example of the batch.
array rope(const array& x, int64_t dims, bool traditional, std::optional<double> base, double scale,
           const array& offset, const std::optional<array>& freqs = std::nullopt);

}  // namespace plimsoll::fast
