#include "plan/schedule.h"

#include <fmt/format.h>

#include <algorithm>

namespace plimsoll::plan {

Bytes fresh_bytes(const Plan& plan, const Step& step) {
  Bytes fresh = step.workspace + step.carry;
  auto outputs = plan.outputs(step);
  for (size_t k = 0; k < outputs.size(); ++k)
    if (k > 0 || step.donor == kNone) fresh += plan.values[outputs[k].value].bytes;
  return fresh;
}

double step_seconds(const Step& step, const Costs& costs) {
  double compute = step.elementwise ? 0 : step.flops / costs.flops;
  return costs.step_overhead +
         std::max(compute, static_cast<double>(step.traffic) / costs.memory_bandwidth);
}

std::string describe(const Plan& plan, const Step& step) {
  auto outputs = plan.outputs(step);
  std::string shape = "[]", dtype;
  if (!outputs.empty()) {
    const Shape& s = outputs[0].shape;
    shape = fmt::format("[{}]", fmt::join(s.begin(), s.end(), ", "));
    dtype = name_of(outputs[0].dtype);
  }
  std::string name = step.def ? step.def->name : "copy";
  if (step.members > 1) name += fmt::format(" (+{} fused)", step.members - 1);
  return fmt::format("{} {}{}", name, dtype, shape);
}

namespace {

class DefaultSchedule {
 public:
  explicit DefaultSchedule(Plan& plan) : plan_(plan), seen_(plan.values.size(), false) {}

  void run() {
    for (const Value& v : plan_.values)
      if (v.producer == kNone) live_ += resident_now(v);
    plan_.peak = live_;
    plan_.units.resize(plan_.steps.size());
    plan_.actions.reserve(plan_.steps.size() * 2);
    for (StepId s = 0; s < plan_.steps.size(); ++s) add_step(s);
    plan_.unlimited_peak = plan_.peak;
  }

 private:
  static Bytes resident_now(const Value& v) { return v.buffer ? v.buffer->resident_bytes() : 0; }

  void add_step(StepId s) {
    const Step& step = plan_.steps[s];
    plan_.units[s].body.push_back(s);
    load_sources(step);
    Bytes fresh = fresh_bytes(plan_, step);
    if (live_ + fresh > plan_.peak) {
      plan_.peak = live_ + fresh;
      plan_.peak_unit = s;
    }
    plan_.actions.push_back({ActionKind::kRun, s});
    live_ += fresh - step.workspace - step.carry;
    for (const Operand& in : plan_.inputs(step))
      if (in.value != step.donor) free_if_dead(in.value, s);
    for (const Operand& out : plan_.outputs(step)) {
      const Value& v = plan_.values[out.value];
      if (v.last_use == kNone && !v.kept) free(out.value);
    }
  }

  // Arrays that live in files come in whole before their first reader.
  void load_sources(const Step& step) {
    for (const Operand& in : plan_.inputs(step)) {
      const Value& v = plan_.values[in.value];
      if (!v.buffer || seen_[in.value]) continue;
      seen_[in.value] = true;
      Bytes missing = v.buffer->bytes_spilled(v.buffer->all());
      if (missing == 0) continue;
      plan_.actions.push_back({ActionKind::kLoad, in.value});
      plan_.loaded += missing;
      live_ += missing;
    }
  }

  void free_if_dead(ValueId id, StepId s) {
    const Value& v = plan_.values[id];
    if (v.last_use == s && !v.kept && !freed(id)) free(id);
  }

  bool freed(ValueId id) const {
    // Two operands of one step can be one value.
    return !plan_.actions.empty() && plan_.actions.back().kind == ActionKind::kFree &&
           recently_freed(id);
  }

  bool recently_freed(ValueId id) const {
    for (auto it = plan_.actions.rbegin();
         it != plan_.actions.rend() && it->kind == ActionKind::kFree; ++it)
      if (it->id == id) return true;
    return false;
  }

  void free(ValueId id) {
    plan_.actions.push_back({ActionKind::kFree, id});
    live_ -= plan_.values[id].bytes;
  }

  Plan& plan_;
  std::vector<bool> seen_;
  Bytes live_ = 0;
};

}  // namespace

void schedule_default(Plan& plan) { DefaultSchedule(plan).run(); }

}  // namespace plimsoll::plan
