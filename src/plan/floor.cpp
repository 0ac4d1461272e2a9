#include "plan/floor.h"

#include <algorithm>
#include <unordered_map>

#include "plan/tile.h"

namespace plimsoll::plan {
namespace {

// Least working sets; a step that is like one before is not shaped again.
class LeastSets {
 public:
  LeastSets(Plan& plan, const device::Backend& backend, const memory::Pool& pool)
      : plan_(plan), shaper_(plan, backend, pool) {}

  Bytes of(StepId s) {
    auto [begin, end] = known_.equal_range(hash_of(plan_.steps[s]));
    for (auto it = begin; it != end; ++it)
      if (alike(plan_.steps[it->second.step], plan_.steps[s])) return it->second.bytes;
    const Bytes bytes = shaper_.least(s);
    known_.emplace(hash_of(plan_.steps[s]), Known{s, bytes});
    return bytes;
  }

 private:
  struct Known {
    StepId step;
    Bytes bytes;
  };

  uint64_t hash_of(const Step& step) const {
    uint64_t h = hash_mix(reinterpret_cast<uintptr_t>(step.row), step.workspace);
    for (uint32_t k = step.first_input; k < step.end; ++k) {
      const Operand& o = plan_.operands[k];
      h = hash_mix(h, reinterpret_cast<uintptr_t>(o.form));
      h = hash_mix(h, plan_.values[o.value].bytes);
    }
    return h;
  }

  // Whatever the least working set depends on is equal.
  bool alike(const Step& a, const Step& b) const {
    if (a.def != b.def || a.row != b.row || a.workspace != b.workspace || a.carry != b.carry ||
        a.key_inputs != b.key_inputs || (a.donor == kNone) != (b.donor == kNone) ||
        a.first_output - a.first_input != b.first_output - b.first_input ||
        a.end - a.first_input != b.end - b.first_input)
      return false;
    if (a.attrs != b.attrs && !(a.attrs && b.attrs && a.attrs->equals(*b.attrs))) return false;
    for (uint32_t k = 0; k < a.end - a.first_input; ++k) {
      const Operand &x = plan_.operands[a.first_input + k], &y = plan_.operands[b.first_input + k];
      const Value &v = plan_.values[x.value], &w = plan_.values[y.value];
      if (x.form != y.form || v.nbytes != w.nbytes || v.bytes != w.bytes || v.small != w.small ||
          v.pinned != w.pinned)
        return false;
      for (uint32_t j = 0; j < k; ++j)
        if ((plan_.operands[a.first_input + j].value == x.value) !=
            (plan_.operands[b.first_input + j].value == y.value))
          return false;
    }
    return true;
  }

  const Plan& plan_;
  NestShaper shaper_;
  std::unordered_multimap<uint64_t, Known> known_;
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
