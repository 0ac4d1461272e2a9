// Selection by rank: what sorting would bring to a place.
#pragma once

#include <optional>

#include "plimsoll/array.h"
#include "plimsoll/ops/reduce.h"

namespace plimsoll {

array partition(const array& a, int64_t kth, std::optional<int64_t> axis = -1);
array argpartition(const array& a, int64_t kth, std::optional<int64_t> axis = -1);
array topk(const array& a, int64_t k, std::optional<int64_t> axis = -1);
array median(const array& a, const Axes& axes = std::nullopt, bool keepdims = false);

}  // namespace plimsoll
