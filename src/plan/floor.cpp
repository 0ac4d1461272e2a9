#include "plan/floor.h"

#include <algorithm>
#include <unordered_map>

#include "plan/like_steps.h"
#include "plan/tile.h"

namespace plimsoll::plan {
namespace {

// Least working sets; a step that is like one before is not shaped again.
class LeastSets {
 public:
  LeastSets(Plan& plan, const device::Backend& backend, const memory::Pool& pool)
      : shaper_(plan, backend, pool), like_(plan) {}

  Bytes of(StepId s) {
    auto [it, fresh] = known_.try_emplace(like_.first_like(s));
    if (fresh) it->second = shaper_.least(s);
    return it->second;
  }

 private:
  NestShaper shaper_;
  LikeSteps like_;
  std::unordered_map<StepId, Bytes> known_;
};

}  // namespace

Bytes pinned_operands(const Plan& plan, const Step& step) {
  Bytes bytes = 0;
  plan.each_input(step, [&](ValueId id) {
    const Value& v = plan.values[id];
    if (v.pinned && !v.small) bytes += v.bytes;
  });
  return bytes;
}

void find_floor(Plan& plan, const device::Backend& backend, const memory::Pool& pool) {
  LeastSets least(plan, backend, pool);
  plan.pinned = 0;
  for (const Value& v : plan.values)
    if (v.pinned && !v.small) plan.pinned += v.bytes;
  Bytes most = 0;
  plan.floor_step = kNone;
  for (StepId s = 0; s < plan.steps.size(); ++s) {
    const Step& step = plan.steps[s];
    Bytes whole = step.scratch;
    for (uint32_t k = step.first_input; k < step.end; ++k) {
      const Value& v = plan.values[plan.operands[k].value];
      if (!v.small) whole += v.bytes;
    }
    if (whole <= most && plan.floor_step != kNone) continue;
    Bytes need = least.of(s);
    need -= std::min(need, pinned_operands(plan, step));  // counted once for all steps
    if (need < most && plan.floor_step != kNone) continue;
    most = need;
    plan.floor_step = s;
  }
  if (plan.floor_step != kNone) tiling_of(plan, plan.floor_step);  // for who explains it
  // The bound counts all slabs at every step; a plan that is there already may do with less.
  plan.floor =
      std::min({plan.fixed + plan.slabs + plan.pinned + most, plan.peak, plan.unlimited_peak});
}

}  // namespace plimsoll::plan
