// Normalisation of the last axis.
#pragma once

#include <optional>

#include "plimsoll/array.h"

namespace plimsoll::fast {

/// (x - mean) / sqrt(var + eps) * weight + bias. weight and bias have the length of the last axis.
array layer_norm(const array& x, const std::optional<array>& weight,
                 const std::optional<array>& bias, float eps);
/// x / sqrt(mean(x * x) + eps) * weight.
array rms_norm(const array& x, const std::optional<array>& weight, float eps);

}  // namespace plimsoll::fast
