// The floor: the least limit under which the steps of a plan can run.
#pragma once

#include "memory/pool.h"
#include "plan/plan.h"

namespace plimsoll::plan {

/// Charge of the exported values that a step reads: they are resident whatever runs.
Bytes pinned_operands(const Plan& plan, const Step& step);
/// Fills `pinned`, `floor` and `floor_step`.
void find_floor(Plan& plan, const device::Backend& backend, const memory::Pool& pool);

}  // namespace plimsoll::plan
