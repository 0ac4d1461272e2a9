#include "plan/remake.h"

#include <algorithm>

namespace plimsoll::plan {
namespace {

// The instructions that lead to one result of a program, as a program of their own.
class Slice {
 public:
  Slice(const Plan& plan, const Step& step) : plan_(plan), step_(step), whole_(*step.program) {
    first_result_ = static_cast<uint16_t>(whole_.inputs.size() + whole_.constants.size());
    stored_.assign(first_result_ + whole_.instrs.size(), kNone);
    auto outputs = plan.outputs(step);
    for (size_t k = 0; k < outputs.size(); ++k)
      if (stored_[whole_.outputs[k]] == kNone) stored_[whole_.outputs[k]] = outputs[k].value;
  }

  /// False where the program has to run as a whole.
  bool cut(size_t output) {
    const uint16_t target = whole_.outputs[output];
    const Operand& out = plan_.outputs(step_)[output];
    if (target < first_result_) return false;
    needed_.assign(stored_.size(), false);
    sources_.clear();
    std::vector<uint16_t> pending{target};
    needed_[target] = true;
    bool shortened = false;
    while (!pending.empty()) {
      const TileInstr& instr = whole_.instrs[pending.back() - first_result_];
      pending.pop_back();
      if (instr.aux >= 0 || instr.op == TileOp::kIota) return false;
      for (uint16_t src : instr.src) {
        if (src == kNoTile || needed_[src]) continue;
        needed_[src] = true;
        if (src < first_result_) continue;
        if (outlives(stored_[src], out.value)) {
          sources_.push_back(src);
          shortened = true;
        } else {
          pending.push_back(src);
        }
      }
    }
    return shortened || plan_.outputs(step_).size() > 1;
  }

  TileProgram program(size_t output, std::vector<Operand>& inputs) const {
    TileProgram program;
    std::vector<uint16_t> number(stored_.size(), kNoTile);
    auto given = plan_.inputs(step_);
    for (uint16_t t = 0; t < whole_.inputs.size(); ++t) {
      if (!needed_[t]) continue;
      number[t] = static_cast<uint16_t>(inputs.size());
      inputs.push_back(given[t]);
      program.inputs.push_back(given[t].form->dtype);
    }
    for (uint16_t t : sources_) {
      number[t] = static_cast<uint16_t>(inputs.size());
      inputs.push_back(operand_of(stored_[t]));
      program.inputs.push_back(inputs.back().form->dtype);
    }
    for (uint16_t c = 0; c < whole_.constants.size(); ++c) {
      auto t = static_cast<uint16_t>(whole_.inputs.size() + c);
      if (!needed_[t]) continue;
      number[t] = static_cast<uint16_t>(inputs.size() + program.constants.size());
      program.constants.push_back(whole_.constants[c]);
    }
    auto next = static_cast<uint16_t>(inputs.size() + program.constants.size());
    for (size_t i = 0; i < whole_.instrs.size(); ++i) {
      auto t = static_cast<uint16_t>(first_result_ + i);
      if (!needed_[t] || number[t] != kNoTile) continue;
      TileInstr instr = whole_.instrs[i];
      for (uint16_t& src : instr.src)
        if (src != kNoTile) src = number[src];
      instr.dst = number[t] = next++;
      program.instrs.push_back(instr);
    }
    program.outputs.push_back(number[whole_.outputs[output]]);
    return program;
  }

 private:
  bool outlives(ValueId source, ValueId value) const {
    if (source == kNone || source == value) return false;
    const Value& s = plan_.values[source];
    return s.kept || (s.last_use != kNone && plan_.values[value].last_use != kNone &&
                      s.last_use >= plan_.values[value].last_use);
  }
  Operand operand_of(ValueId id) const {
    for (const Operand& o : plan_.outputs(step_))
      if (o.value == id) return o;
    return {};
  }

  const Plan& plan_;
  const Step& step_;
  const TileProgram& whole_;
  uint16_t first_result_ = 0;
  std::vector<ValueId> stored_;  // per tile: the value that holds it
  std::vector<bool> needed_;
  std::vector<uint16_t> sources_;  // results that are read instead of computed
};

}  // namespace

std::vector<StepId> add_remakes(Plan& plan, const device::Backend& backend,
                                const memory::Pool& pool) {
  std::vector<StepId> remakes(plan.values.size(), kNone);
  const size_t steps = plan.steps.size();
  for (StepId s = 0; s < steps; ++s) {
    if (!plan.steps[s].program || plan.steps[s].key_inputs) continue;
    const size_t outputs = plan.steps[s].end - plan.steps[s].first_output;
    if (outputs < 2) continue;
    for (size_t k = 0; k < outputs; ++k) {
      const Operand out = plan.outputs(plan.steps[s])[k];
      const Value& v = plan.values[out.value];
      if (v.kept || v.small || v.last_use == kNone) continue;
      Slice slice(plan, plan.steps[s]);
      if (!slice.cut(k)) continue;
      std::vector<Operand> inputs;
      Step step;
      const SharedProgram& known = plan.catalog->program(slice.program(k, inputs), backend);
      step.program = &known.program;
      step.workspace = known.workspace;
      step.def = plan.steps[s].def;
      step.first_input = static_cast<uint32_t>(plan.operands.size());
      plan.operands.insert(plan.operands.end(), inputs.begin(), inputs.end());
      step.first_output = static_cast<uint32_t>(plan.operands.size());
      plan.operands.push_back(out);
      step.end = static_cast<uint32_t>(plan.operands.size());
      step.members = static_cast<uint32_t>(known.program.instrs.size());
      step.elementwise = true;
      step.flops = static_cast<double>(num_elements(out.form->shape)) * step.members;
      for (uint32_t o = step.first_input; o < step.end; ++o)
        step.traffic += plan.operands[o].form->nbytes;
      if (step.workspace > 0) {
        memory::BlockShape block =
            pool.shape_of(pool.scratch_size(round_up(step.workspace, 64) + 64));
        step.scratch = block.small ? block.slab_bytes : block.bytes;
      }
      remakes[out.value] = static_cast<StepId>(plan.steps.size());
      plan.steps.push_back(std::move(step));
    }
  }
  return remakes;
}

}  // namespace plimsoll::plan
