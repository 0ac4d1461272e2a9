// The same bytes read in another way.
#pragma once

#include <optional>

#include "plimsoll/array.h"

namespace plimsoll {

array view(const array& a, Dtype dtype);
array as_strided(const array& a, const std::optional<Dims>& shape = std::nullopt,
                 const std::optional<Dims>& strides = std::nullopt, int64_t offset = 0);

}  // namespace plimsoll
