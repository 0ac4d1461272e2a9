// Stage 2: other orders of the same steps.
#pragma once

#include <vector>

#include "plan/plan.h"

namespace plimsoll::plan {

/// Peak of values and scratch, everything resident, if the steps ran in this order (without
/// donation).
Bytes peak_of(const Plan& plan, const std::vector<StepId>& order);
/// Runs, among the steps that are ready, the one that lets memory grow least.
std::vector<StepId> greedy_order(const Plan& plan);
/// Each step as late as its first user allows: long-lived results are made just in time.
std::vector<StepId> late_order(const Plan& plan);
/// Renumbers the steps.
void apply_order(Plan& plan, const std::vector<StepId>& order);

}  // namespace plimsoll::plan
