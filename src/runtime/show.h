// Plans as people read them.
#pragma once

#include <string>

#include "plan/plan.h"
#include "plimsoll/memory.h"

namespace plimsoll::runtime {

MemoryPlan show(const plan::Plan& plan, const plan::Costs& costs);
/// What decided on a limit besides its number.
struct LimitCause {
  Bytes besides = 0;  // of a process limit: what it must hold beside the engine's bytes
  Bytes machine = 0;  // what the machine has left for the engine's bytes, where that decided
};
/// The text of a MemoryLimitError.
std::string explain_refusal(const plan::Plan& plan, const LimitCause& cause = {});

}  // namespace plimsoll::runtime
