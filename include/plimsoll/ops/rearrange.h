// Elements moved along axes, and arrays brought to a common form. All are made of views and joins.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "plimsoll/array.h"

namespace plimsoll {

array roll(const array& a, const Dims& shift, const std::optional<Dims>& axes = std::nullopt);
array flip(const array& a, const std::optional<Dims>& axes = std::nullopt);
array matrix_transpose(const array& a);
std::vector<array> unstack(const array& x, int64_t axis = 0);
array atleast_1d(const array& a);
array atleast_2d(const array& a);
array atleast_3d(const array& a);
std::vector<array> meshgrid(const std::vector<array>& arrays, bool sparse = false,
                            const std::string& indexing = "xy");

}  // namespace plimsoll
