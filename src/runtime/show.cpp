#include "runtime/show.h"

#include <fmt/format.h>

#include <algorithm>

#include "plan/evict.h"
#include "plan/schedule.h"

namespace plimsoll::runtime {
namespace {

using plan::ActionKind;

const char* name_of(ActionKind kind) {
  switch (kind) {
    case ActionKind::kRun:
      return "run";
    case ActionKind::kLoad:
      return "load";
    case ActionKind::kWrite:
      return "write";
    case ActionKind::kDrop:
      return "drop";
    case ActionKind::kForget:
      return "forget";
    case ActionKind::kFree:
      return "free";
    case ActionKind::kRecompute:
      return "again";
  }
  return "";
}

std::string value_name(const plan::Plan& p, plan::ValueId id) {
  const plan::Value& v = p.values[id];
  if (v.producer != plan::kNone) return plan::describe(p, p.steps[v.producer]);
  if (!v.node) return "an array outside the graph";
  const Shape& s = v.node->shape;
  return fmt::format("array {}[{}]", plimsoll::name_of(v.node->dtype),
                     fmt::join(s.begin(), s.end(), ", "));
}

std::string tiles_of(const plan::Unit& unit) {
  if (!unit.nest) return "";
  std::string text;
  for (const plan::Loop& loop : unit.nest->loops)
    text += fmt::format("{}{} tiles of {}", text.empty() ? "" : ", ", loop.trips(), loop.tile);
  if (unit.nest->body.size() > 1) text += fmt::format(", {} steps", unit.nest->body.size());
  return text;
}

class Shown {
 public:
  Shown(const plan::Plan& plan, const plan::Costs& costs)
      : plan_(plan), costs_(costs), live_(plan.values.size(), 0) {}

  void run(MemoryPlan& out) {
    for (plan::ValueId v = 0; v < plan_.values.size(); ++v)
      if (const plan::Value& value = plan_.values[v]; value.buffer && !value.small)
        set(v, value.buffer->resident_bytes());
    for (const plan::Action& a : plan_.actions) out.actions.push_back(show(a));
  }

 private:
  void set(plan::ValueId v, Bytes bytes) {
    used_ = used_ - live_[v] + bytes;
    live_[v] = bytes;
  }
  Bytes charge(plan::ValueId v) const { return plan_.values[v].small ? 0 : plan_.values[v].bytes; }

  PlanAction show(const plan::Action& a) {
    PlanAction out;
    out.kind = name_of(a.kind);
    if (a.kind == ActionKind::kRun || a.kind == ActionKind::kRecompute) {
      run_unit(plan_.units[a.id], a.kind == ActionKind::kRecompute, out);
      return out;
    }
    out.operation = value_name(plan_, a.id);
    out.bytes = charge(a.id);
    auto bytes = static_cast<double>(out.bytes);
    if (a.kind == ActionKind::kLoad) {
      out.seconds = bytes / costs_.read_bandwidth;
      set(a.id, charge(a.id));
    } else if (a.kind == ActionKind::kWrite) {
      out.seconds = bytes / costs_.write_bandwidth;
    } else {
      set(a.id, 0);
    }
    out.resident = plan_.fixed + used_;
    return out;
  }

  void run_unit(const plan::Unit& unit, bool again, PlanAction& out) {
    std::vector<plan::ValueId> read, made;
    plan::whole_values(plan_, unit, read, made);
    const plan::Step& step = plan_.steps[unit.step];
    plan::ValueId donor = unit.nest || again ? plan::kNone : step.donor;
    Bytes fresh = unit.nest ? unit.nest->tile_bytes + unit.nest->scratch : step.scratch;
    for (size_t k = 0; k < made.size(); ++k)
      if (k > 0 || donor == plan::kNone) fresh += charge(made[k]);
    out.operation = plan::describe(plan_, step);
    out.detail = tiles_of(unit);
    out.bytes = fresh;
    out.resident = plan_.fixed + used_ + fresh;
    out.seconds = plan::unit_seconds(plan_, unit, costs_);
    if (donor != plan::kNone) set(donor, 0);
    for (plan::ValueId v : made) set(v, charge(v));
    if (unit.nest)
      for (plan::ValueId v : unit.nest->streamed) set(v, 0);
  }

  const plan::Plan& plan_;
  const plan::Costs& costs_;
  std::vector<Bytes> live_;
  Bytes used_ = 0;
};

}  // namespace

MemoryPlan show(const plan::Plan& p, const plan::Costs& costs) {
  MemoryPlan out;
  out.limit = p.limit;
  out.peak = p.peak;
  out.unlimited_peak = p.unlimited_peak;
  out.floor = p.floor;
  out.stage = p.stage;
  out.bytes_loaded = p.loaded;
  out.bytes_written = p.written;
  out.bytes_recomputed = p.recomputed;
  for (const plan::Action& a : p.actions)
    if (a.kind == ActionKind::kRun)
      for (plan::StepId s : p.units[a.id].body())
        out.unlimited_seconds += plan::step_seconds(p.steps[s], costs);
  out.seconds = p.seconds > 0 ? p.seconds : out.unlimited_seconds;
  if (p.peak_unit != plan::kNone && p.peak_unit < p.units.size())
    out.peak_operation = plan::describe(p, p.steps[p.units[p.peak_unit].step]);
  if (out.stage == "refused") out.refusal = explain_refusal(p);
  Shown(p, costs).run(out);
  return out;
}

namespace {

// 6,430,920,704
std::string in_groups(Bytes bytes) {
  std::string text = std::to_string(bytes);
  for (size_t at = text.size(); at > 3; at -= 3) text.insert(at - 3, ",");
  return text;
}

}  // namespace

std::string explain_refusal(const plan::Plan& p, const LimitCause& cause) {
  const plan::Step& step = p.steps[p.floor_step];
  Bytes fixed = p.fixed + p.slabs;
  Bytes inputs = 0, outputs = 0;
  for (const plan::Operand& o : p.inputs(step)) inputs += p.values[o.value].bytes;
  for (const plan::Operand& o : p.outputs(step)) outputs += p.values[o.value].bytes;
  Bytes least = p.floor - fixed - p.pinned;
  Bytes whole = inputs + outputs + step.scratch;
  const bool tiles = p.floor_step < p.tilings.size() && !p.tilings[p.floor_step].empty();
  std::string parts =
      least < whole - whole / 8
          ? fmt::format("its smallest tiles take {} of {}", format_bytes(least),
                        format_bytes(whole))
          : fmt::format(
                "input {} + output {} + workspace {}; {}", format_bytes(inputs),
                format_bytes(outputs), format_bytes(step.scratch),
                tiles ? "in tiles it would need hardly less" : "this operation cannot be tiled");
  const Bytes required = p.floor + cause.besides;
  std::string limit = fmt::format("the limit is {}", format_bytes(p.limit));
  std::string last = fmt::format("The smallest limit that works is {} ({} bytes).",
                                 format_bytes(required), in_groups(required));
  if (cause.machine > 0) {
    limit = fmt::format("the machine has room for {} now", format_bytes(cause.machine));
    last = fmt::format(
        "It works where that is {} ({} bytes): end other programs, let go of what this one holds "
        "besides, or give its container more.",
        format_bytes(required), in_groups(required));
  } else if (cause.besides > 0) {
    limit = fmt::format(
        "the process limit of {} leaves {} beside the {} that the process has in use",
        format_bytes(p.limit + cause.besides), format_bytes(p.limit), format_bytes(cause.besides));
  }
  return fmt::format(
      "this evaluation needs {} and {}.\n"
      "  largest step   {}\n"
      "                 {}\n"
      "  fixed {} · pinned by you {}\n"
      "  no help from   reordering, streaming, recomputation, spilling: they cannot lower one "
      "step\n"
      "  {}",
      format_bytes(p.floor), limit, plan::describe(p, step), parts, format_bytes(fixed),
      format_bytes(p.pinned), last);
}

}  // namespace plimsoll::runtime
