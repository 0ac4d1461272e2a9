#include "plan/schedule.h"

#include <fmt/format.h>

#include <algorithm>

namespace plimsoll::plan {

Bytes fresh_bytes(const Plan& plan, const Step& step) {
  Bytes fresh = step.scratch;
  auto outputs = plan.outputs(step);
  for (size_t k = 0; k < outputs.size(); ++k) {
    const Value& v = plan.values[outputs[k].value];
    if (!v.small && (k > 0 || step.donor == kNone)) fresh += v.bytes;
  }
  return fresh;
}

Bytes working_set(const Plan& plan, const Step& step) {
  Bytes bytes = fresh_bytes(plan, step);
  plan.each_input(step,
                  [&](ValueId v) { bytes += plan.values[v].small ? 0 : plan.values[v].bytes; });
  return bytes;
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
    const Operand& largest =
        *std::max_element(outputs.begin(), outputs.end(), [&](const Operand& a, const Operand& b) {
          return num_elements(a.form->shape) < num_elements(b.form->shape);
        });
    shape = fmt::format("[{}]",
                        fmt::join(largest.form->shape.begin(), largest.form->shape.end(), ", "));
    dtype = name_of(largest.form->dtype);
  }
  std::string name = step.def ? step.def->name : "copy";
  if (step.members > 1) name += fmt::format(" (+{} fused)", step.members - 1);
  return fmt::format("{} {}{}", name, dtype, shape);
}

void SlabCount::add(const Value& v, const memory::Pool& pool) {
  auto c = std::find_if(classes_.begin(), classes_.end(),
                        [&](const Class& known) { return known.block == v.bytes; });
  if (c == classes_.end()) c = classes_.insert(c, {v.bytes, 0, 0});
  if (++c->live <= c->room) return;
  const memory::BlockShape shape = pool.shape_of(v.nbytes);
  c->room += shape.slab_blocks;
  bytes_ += shape.slab_bytes;
  ++count_;
}

void SlabCount::remove(const Value& v) {
  for (Class& c : classes_)
    if (c.block == v.bytes) --c.live;
}

namespace {

class DefaultSchedule {
 public:
  DefaultSchedule(Plan& plan, const memory::Pool& pool) : plan_(plan), pool_(pool) {}

  void run() {
    for (const Value& v : plan_.values)
      if (v.producer == kNone) live_ += resident_now(v);
    peak_ = live_;
    plan_.units.resize(plan_.steps.size());
    plan_.actions.reserve(plan_.steps.size() * 2);
    for (StepId s = 0; s < plan_.steps.size(); ++s) add_step(s);
    plan_.peak = peak_;
    plan_.slabs = slabs_.bytes();
  }

 private:
  static Bytes resident_now(const Value& v) {
    return v.buffer && !v.small ? v.buffer->resident_bytes() : 0;
  }

  void add_step(StepId s) {
    const Step& step = plan_.steps[s];
    plan_.units[s].step = s;
    plan_.each_input(step, [&](ValueId v) {
      if (plan_.values[v].buffer && plan_.values[v].first_use == s) load_source(v);
    });
    Bytes fresh = step.scratch;
    for (uint32_t k = step.first_output; k < step.end; ++k) {
      const Value& v = plan_.values[plan_.operands[k].value];
      if (v.small)
        slabs_.add(v, pool_);
      else if (k > step.first_output || step.donor == kNone)
        fresh += v.bytes;
    }
    if (Bytes used = live_ + fresh + slabs_.bytes(); used > peak_) {
      peak_ = used;
      plan_.peak_unit = s;
    }
    plan_.actions.push_back({ActionKind::kRun, s});
    live_ += fresh - step.scratch;
    plan_.each_input(step, [&](ValueId id) {
      const Value& v = plan_.values[id];
      if (v.last_use == s && !v.kept && id != step.donor) free(id, v);
    });
    for (uint32_t k = step.first_output; k < step.end; ++k) {
      const ValueId id = plan_.operands[k].value;
      const Value& v = plan_.values[id];
      if (v.last_use == kNone && !v.kept) free(id, v);
    }
  }

  // Arrays that live in files come in whole before their first reader.
  void load_source(ValueId id) {
    const Value& v = plan_.values[id];
    if (v.small || v.buffer->bytes_spilled(v.buffer->all()) == 0) return;
    const Bytes missing = v.bytes - v.buffer->resident_bytes();
    plan_.actions.push_back({ActionKind::kLoad, id});
    plan_.loaded += missing;
    live_ += missing;
  }

  void free(ValueId id, const Value& v) {
    plan_.actions.push_back({ActionKind::kFree, id});
    if (!v.small)
      live_ -= v.bytes;
    else if (!v.buffer)
      slabs_.remove(v);
  }

  Plan& plan_;
  const memory::Pool& pool_;
  SlabCount slabs_;
  Bytes live_ = 0, peak_ = 0;
};

}  // namespace

void schedule_default(Plan& plan, const memory::Pool& pool) { DefaultSchedule(plan, pool).run(); }

}  // namespace plimsoll::plan
