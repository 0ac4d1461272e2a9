// Gated delta networks.
#pragma once

#include <optional>
#include <vector>

#include "plimsoll/array.h"

namespace plimsoll::fast {

/// The outputs [B, T, Hv, Dv] and the last state [B, Hv, Dv, Dk] of a gated delta network: for each
/// step, S is gamma S + beta (v - gamma S k) kᵀ and the output S q. q and k [B, T, Hk, Dk],
/// v [B, T, Hv, Dv], Hk divides Hv; gamma [B, T, Hv] or [B, T, Hv, Dk], beta [B, T, Hv]; a step
/// whose mask [B, T] is false leaves the state as it is and gives zeros.
std::vector<array> gated_delta_update(const array& q, const array& k, const array& v,
                                      const array& gamma, const array& beta,
                                      const std::optional<array>& initial_state = std::nullopt,
                                      const std::optional<array>& mask = std::nullopt);

}  // namespace plimsoll::fast
