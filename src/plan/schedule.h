// Stage 0: every step whole, in the default order, everything resident. If its peak fits, no other
// pass runs.
#pragma once

#include "plan/plan.h"

namespace plimsoll::plan {

/// Fills units (one a step), actions (run and free) and the peak.
void schedule_default(Plan& plan);
/// Bytes that a run of the step has in use besides live values: outputs that are not donated and
/// workspace.
Bytes fresh_bytes(const Plan& plan, const Step& step);
/// Predicted seconds of one step in core.
double step_seconds(const Step& step, const Costs& costs);
/// "matmul float32[2048, 256]", for tables and errors.
std::string describe(const Plan& plan, const Step& step);

}  // namespace plimsoll::plan
