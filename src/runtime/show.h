// Plans as people read them.
#pragma once

#include <string>

#include "plan/plan.h"
#include "plimsoll/memory.h"

namespace plimsoll::runtime {

MemoryPlan show(const plan::Plan& plan, const plan::Costs& costs);
/// The text of a MemoryLimitError.
std::string explain_refusal(const plan::Plan& plan, Bytes besides = 0);

}  // namespace plimsoll::runtime
