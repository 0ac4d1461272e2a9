// Values looked up in sorted order.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "plimsoll/array.h"

namespace plimsoll {

array searchsorted(const array& sorted_sequence, const array& values,
                   const std::string& side = "left");

/// values [size], index of the first occurrence [size], inverse (the shape of a), counts [size].
struct Unique {
  array values, index, inverse, counts;
};
Unique unique(const array& a, int64_t size, const std::optional<array>& fill_value = std::nullopt);

}  // namespace plimsoll
