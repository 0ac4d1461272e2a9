#include "plan/like_steps.h"

namespace plimsoll::plan {

StepId LikeSteps::first_like(StepId step) {
  const uint64_t hash = hash_of(plan_.steps[step]);
  auto [begin, end] = known_.equal_range(hash);
  for (auto it = begin; it != end; ++it)
    if (alike(plan_.steps[it->second], plan_.steps[step])) return it->second;
  known_.emplace(hash, step);
  return step;
}

uint64_t LikeSteps::hash_of(const Step& step) const {
  uint64_t h = hash_mix(reinterpret_cast<uintptr_t>(step.row), step.workspace);
  for (uint32_t k = step.first_input; k < step.end; ++k) {
    const Operand& o = plan_.operands[k];
    h = hash_mix(h, reinterpret_cast<uintptr_t>(o.form));
    h = hash_mix(h, plan_.values[o.value].bytes);
  }
  return h;
}

bool LikeSteps::alike(const Step& a, const Step& b) const {
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

}  // namespace plimsoll::plan
