// Reductions over axes. nullopt reduces all axes; keepdims leaves axes of length 1 in their place.
#pragma once

#include <optional>

#include "plimsoll/array.h"

namespace plimsoll {

using Axes = std::optional<Dims>;

/// Sum. bool, int8 and int16 give int32, uint8 and uint16 give uint32.
array sum(const array& a, const Axes& axes = std::nullopt, bool keepdims = false);
/// Product; dtypes as sum.
array prod(const array& a, const Axes& axes = std::nullopt, bool keepdims = false);
/// Greatest element; NaN where one is NaN.
array max(const array& a, const Axes& axes = std::nullopt, bool keepdims = false);
/// Least element; NaN where one is NaN.
array min(const array& a, const Axes& axes = std::nullopt, bool keepdims = false);
/// Whether every element is not 0.
array all(const array& a, const Axes& axes = std::nullopt, bool keepdims = false);
/// Whether an element is not 0.
array any(const array& a, const Axes& axes = std::nullopt, bool keepdims = false);
/// log(sum(exp(a))) without overflow; integers are computed in float32.
array logsumexp(const array& a, const Axes& axes = std::nullopt, bool keepdims = false);
/// Mean; integers are computed in float32.
array mean(const array& a, const Axes& axes = std::nullopt, bool keepdims = false);
/// Mean squared distance from the mean, with n - ddof in the place of n; integers as float32.
array var(const array& a, const Axes& axes = std::nullopt, bool keepdims = false, int ddof = 0);
/// Square root of var.
array std(const array& a, const Axes& axes = std::nullopt, bool keepdims = false, int ddof = 0);
array count_nonzero(const array& a, const Axes& axes = std::nullopt, bool keepdims = false);
std::vector<array> minmax(const array& a, const Axes& axes = std::nullopt, bool keepdims = false);

}  // namespace plimsoll
