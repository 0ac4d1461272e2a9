// The Walsh–Hadamard transform.
#pragma once

#include <optional>

#include "plimsoll/array.h"

namespace plimsoll {

array hadamard_transform(const array& a, std::optional<double> scale = std::nullopt);

}  // namespace plimsoll
