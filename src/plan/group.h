// Stage 3: chains of steps that run together over tiles of a shared axis, so that what they pass to
// each other never exists whole.
#pragma once

#include "plan/tile.h"

namespace plimsoll::plan {

/// Groups of the plan's steps, each a nest of one loop within `budget`; steps are renumbered so
/// that those of a group follow each other. Steps in no group have none.
std::vector<std::shared_ptr<Nest>> group_steps(Plan& plan, NestShaper& shaper, Bytes budget);

}  // namespace plimsoll::plan
