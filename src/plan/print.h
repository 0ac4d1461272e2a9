// A plan as stable text: every action, with what is in use. Sizes are bytes beside what is fixed,
// so that the text does not depend on what else the process holds.
#pragma once

#include <string>

#include "plan/plan.h"

namespace plimsoll::plan {

std::string print(const Plan& plan);

}  // namespace plimsoll::plan
