// How to make a value of a fused program again: alone, from the program's inputs and from its other
// results.
#pragma once

#include "memory/pool.h"
#include "plan/plan.h"

namespace plimsoll::plan {

/// Appends the steps to plan.steps; per value its step, or kNone where none is of use. Call it when
/// the plan's own steps are in their final order.
std::vector<StepId> add_remakes(Plan& plan, const device::Backend& backend,
                                const memory::Pool& pool);

}  // namespace plimsoll::plan
