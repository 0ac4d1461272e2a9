// Attention.
#pragma once

#include <optional>
#include <string>
#include <variant>

#include "plimsoll/array.h"

namespace plimsoll::fast {

/// None, "causal", or an array: bool (false hides a key) or numbers that are added to the scores.
using AttentionMask = std::variant<std::monostate, std::string, array>;
/// softmax(scale * q kᵀ + mask) v for q [B, Hq, Lq, D], k [B, Hkv, Lk, D], v [B, Hkv, Lk, Dv],
/// where Hkv divides Hq. `sinks` [Hq] are scores of one more key for each head, whose value is 0.
array scaled_dot_product_attention(const array& q, const array& k, const array& v, float scale,
                                   const AttentionMask& mask = {},
                                   const std::optional<array>& sinks = std::nullopt,
                                   bool force_fused = false);

}  // namespace plimsoll::fast
