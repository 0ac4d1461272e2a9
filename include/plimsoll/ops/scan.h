// Running sums, products and extremes along an axis (of the flattened array for nullopt). reverse
// runs from the end; an exclusive scan leaves out the element itself.
#pragma once

#include <optional>

#include "plimsoll/array.h"

namespace plimsoll {

/// In `dtype` where given; bool gives int32 (cumsum).
array cumsum(const array& a, std::optional<int64_t> axis = std::nullopt, bool reverse = false,
             bool inclusive = true, std::optional<Dtype> dtype = std::nullopt);
array cumprod(const array& a, std::optional<int64_t> axis = std::nullopt, bool reverse = false,
              bool inclusive = true, std::optional<Dtype> dtype = std::nullopt);
array cummax(const array& a, std::optional<int64_t> axis = std::nullopt, bool reverse = false,
             bool inclusive = true);
array cummin(const array& a, std::optional<int64_t> axis = std::nullopt, bool reverse = false,
             bool inclusive = true);
/// log(cumsum(exp(a))) without overflow; integers are computed in float32.
array logcumsumexp(const array& a, std::optional<int64_t> axis = std::nullopt, bool reverse = false,
                   bool inclusive = true);
array diff(const array& a, int64_t n = 1, int64_t axis = -1);

}  // namespace plimsoll
