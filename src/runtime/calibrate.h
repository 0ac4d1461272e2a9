// What this machine's memory, arithmetic and disk are good for. Costs decide which plan is taken,
// never a value.
#pragma once

#include <optional>
#include <string>

#include "device/backend.h"
#include "memory/pool.h"
#include "plan/plan.h"

namespace plimsoll::runtime {

/// Measures in about 100 ms, or reads what an earlier process on this machine measured for the same
/// spill folder (a file in the user's cache folder). Null where there is no room for its buffers
/// now. A disk that cannot be measured keeps the default.
std::optional<plan::Costs> calibrate(device::Backend& backend, memory::Pool& pool,
                                     const std::string& spill_directory);

}  // namespace plimsoll::runtime
