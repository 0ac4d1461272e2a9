#include "plan/print.h"

#include <fmt/format.h>

#include "plan/schedule.h"

namespace plimsoll::plan {
namespace {

const char* name_of(ActionKind kind) {
  constexpr const char* kNames[] = {"run", "load", "write", "drop", "forget", "free", "again"};
  return kNames[static_cast<int>(kind)];
}

std::string list(std::span<const ValueId> ids) {
  std::string text;
  for (ValueId id : ids) text += fmt::format("{}v{}", text.empty() ? "" : " ", id);
  return text;
}

std::string list(std::span<const Operand> operands) {
  std::vector<ValueId> ids;
  for (const Operand& o : operands) ids.push_back(o.value);
  return list(ids);
}

void print_values(const Plan& plan, std::string& out) {
  for (ValueId id = 0; id < plan.values.size(); ++id) {
    const Value& v = plan.values[id];
    out += fmt::format("  v{} {} bytes", id, v.nbytes);
    if (v.buffer) out += v.node ? ", there before" : ", outside the graph";
    if (v.kept) out += ", kept";
    if (v.small) out += ", small";
    if (v.pinned) out += ", pinned";
    out += '\n';
  }
}

void print_step(const Plan& plan, StepId s, std::string& out) {
  const Step& step = plan.steps[s];
  out += fmt::format("{}: {} -> {}", describe(plan, step), list(plan.inputs(step)),
                     list(plan.outputs(step)));
  if (step.donor != kNone) out += fmt::format(" in place of v{}", step.donor);
  if (step.scratch) out += fmt::format(", scratch {}", step.scratch);
  out += '\n';
}

void print_nest(const Plan& plan, const Nest& nest, std::string& out) {
  out += "nest of\n";
  for (StepId s : nest.body) {
    out += "           ";
    print_step(plan, s, out);
  }
  for (const Loop& loop : nest.loops)
    out += fmt::format("           {} tiles of {} over {}{}\n", loop.trips(), loop.tile,
                       loop.extent, loop.ordered ? ", in order" : "");
  const std::pair<const char*, const std::vector<ValueId>*> lists[] = {
      {"local", &nest.local}, {"streamed", &nest.streamed}};
  for (auto& [name, ids] : lists)
    if (!ids->empty()) out += fmt::format("           {} {}\n", name, list(*ids));
  if (!nest.apart.empty())
    out += fmt::format("           {} ranges of their own\n", nest.apart.size());
  out += fmt::format("           whole {}, tiles {}, scratch {}", nest.whole, nest.tile_bytes,
                     nest.scratch);
  if (nest.fine) out += ", fine extents";
  if (!nest.packed.empty())
    out += fmt::format(", {} operands packed into {}", nest.packed.size(), nest.packing);
  out += fmt::format("; reads {}, writes {}\n", nest.read, nest.written);
}

}  // namespace

std::string print(const Plan& plan) {
  auto beside = [&](Bytes bytes) { return bytes - std::min(bytes, plan.fixed); };
  std::string out =
      fmt::format("stage {}\npeak {}, limit {}", plan.stage, beside(plan.peak), beside(plan.limit));
  if (plan.floor) out += fmt::format(", floor {}", beside(plan.floor));
  out += fmt::format("\nloaded {}, written {}, recomputed {}\nvalues\n", plan.loaded, plan.written,
                     plan.recomputed);
  print_values(plan, out);
  out += "actions\n";
  for (const Action& a : plan.actions) {
    out += fmt::format("  {:6} ", name_of(a.kind));
    if (a.kind != ActionKind::kRun && a.kind != ActionKind::kRecompute)
      out += fmt::format("v{}\n", a.id);
    else if (const Unit& unit = plan.units[a.id]; unit.nest)
      print_nest(plan, *unit.nest, out);
    else
      print_step(plan, unit.step, out);
  }
  return out;
}

}  // namespace plimsoll::plan
