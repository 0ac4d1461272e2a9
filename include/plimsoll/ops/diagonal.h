// Diagonals of matrices.
#pragma once

#include <optional>

#include "plimsoll/array.h"

namespace plimsoll {

array diagonal(const array& a, int64_t offset = 0, int64_t axis1 = 0, int64_t axis2 = 1);
array diag(const array& a, int64_t k = 0);
array trace(const array& a, int64_t offset = 0, int64_t axis1 = 0, int64_t axis2 = 1,
            std::optional<Dtype> dtype = std::nullopt);

}  // namespace plimsoll
