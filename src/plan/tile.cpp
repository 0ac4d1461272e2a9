#include "plan/tile.h"

#include <cstdlib>

#include "base/check.h"

namespace plimsoll::plan {
namespace {

Tiling elementwise_tiling(const Plan& plan, const Step& step) {
  Tiling tiling;
  auto inputs = plan.inputs(step);
  auto outputs = plan.outputs(step);
  const Shape& shape = outputs[0].shape;
  for (size_t d = 0; d < shape.size(); ++d) {
    if (shape[d] <= 1) continue;
    TileAxis axis;
    axis.extent = shape[d];
    for (size_t k = 0; k < inputs.size(); ++k)
      axis.input_axis.push_back(step.key_inputs >> k & 1 ? kWhole : static_cast<int8_t>(d));
    axis.output_axis.resize(outputs.size(), static_cast<int8_t>(d));
    tiling.push_back(std::move(axis));
  }
  return tiling;
}

}  // namespace

OpInstance instance_of(const Plan& plan, const Step& step, std::vector<TensorSpec>& in,
                       std::vector<TensorSpec>& out) {
  in.clear();
  out.clear();
  for (const Operand& o : plan.inputs(step)) in.push_back({o.dtype, o.shape});
  for (const Operand& o : plan.outputs(step)) out.push_back({o.dtype, o.shape});
  return {in, out, step.attrs.get()};
}

const Tiling& tiling_of(Plan& plan, StepId s) {
  if (plan.tilings.size() < plan.steps.size()) plan.tilings.resize(plan.steps.size());
  Tiling& tiling = plan.tilings[s];
  const Step& step = plan.steps[s];
  if (!tiling.empty()) return tiling;
  if (step.elementwise) {
    tiling = elementwise_tiling(plan, step);
  } else if (step.def->tiling) {
    std::vector<TensorSpec> in, out;
    tiling = step.def->tiling(instance_of(plan, step, in, out));
  }
  return tiling;
}

int cut_axis(const Plan& plan, const Unit& unit, size_t loop, size_t body, size_t operand) {
  int16_t a = unit.loops[loop].axis[body];
  if (a < 0) return kWhole;
  StepId s = unit.body[body];
  const Step& step = plan.steps[s];
  const TileAxis& axis = plan.tilings[s][a];
  size_t inputs = step.first_output - step.first_input;
  return operand < inputs ? axis.input_axis[operand] : axis.output_axis[operand - inputs];
}

Operand cut(const Plan& plan, const Unit& unit, size_t body, size_t operand,
            std::span<const Window> windows) {
  const Step& step = plan.steps[unit.body[body]];
  Operand part = plan.operands[step.first_input + operand];
  for (size_t l = 0; l < windows.size(); ++l) {
    int axis = cut_axis(plan, unit, l, body, operand);
    if (axis < 0) continue;
    part.layout.offset += windows[l].begin * part.layout.strides[axis];
    part.shape[axis] = windows[l].end - windows[l].begin;
  }
  return part;
}

bool narrows(const Operand& operand, int axis) {
  int64_t stride = std::abs(operand.layout.strides[axis]);
  if (stride == 0) return false;
  for (size_t d = 0; d < operand.shape.size(); ++d)
    if (static_cast<int>(d) != axis && operand.shape[d] > 1 &&
        std::abs(operand.layout.strides[d]) > stride)
      return false;
  return true;
}

ByteRange held_range(const Plan& plan, const Unit& unit, size_t body, size_t operand,
                     std::span<const Window> windows) {
  const Step& step = plan.steps[unit.body[body]];
  const Operand& whole = plan.operands[step.first_input + operand];
  Operand part = whole;
  for (size_t l = 0; l < windows.size(); ++l) {
    int axis = cut_axis(plan, unit, l, body, operand);
    if (axis < 0 || !narrows(whole, axis)) continue;
    part.layout.offset += windows[l].begin * part.layout.strides[axis];
    part.shape[axis] = windows[l].end - windows[l].begin;
  }
  if (num_elements(part.shape) == 0) return {};
  ElementSpan span = element_span(part.shape, part.layout);
  size_t item = size_of(part.dtype);
  return {static_cast<Bytes>(span.first) * item, static_cast<Bytes>(span.last + 1) * item};
}

}  // namespace plimsoll::plan
