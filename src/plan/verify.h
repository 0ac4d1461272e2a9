// Replays a plan on a model ledger, by rules of its own: shares no code with what made the plan.
#pragma once

#include <string>

#include "memory/pool.h"
#include "plan/plan.h"

namespace plimsoll::plan {

/// The first violation, with the action at which it shows; empty where the plan is legal, never
/// passes its limit, and peaks where it says. Call it before anything of the plan runs.
std::string verify(const Plan& plan, const memory::Pool& pool);

}  // namespace plimsoll::plan
