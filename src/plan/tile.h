// How steps are cut: tilings of steps, parts of operands, and the byte ranges that a tile holds.
#pragma once

#include "plan/plan.h"

namespace plimsoll::plan {

/// The step's loops: the op's own, or every axis of an elementwise program.
const Tiling& tiling_of(Plan& plan, StepId step);
OpInstance instance_of(const Plan& plan, const Step& step, std::vector<TensorSpec>& in,
                       std::vector<TensorSpec>& out);

/// [begin, end) of one loop of a unit.
struct Window {
  int64_t begin = 0;
  int64_t end = 0;
};

/// Axis of the operand that loop `l` of the unit cuts, or kWhole. Operands count inputs first.
int cut_axis(const Plan& plan, const Unit& unit, size_t loop, size_t body, size_t operand);

/// The part of an operand that the windows leave.
Operand cut(const Plan& plan, const Unit& unit, size_t body, size_t operand,
            std::span<const Window> windows);

/// Bytes of its value that must be resident while the windows hold: only cuts along the axis that
/// is outermost in memory narrow it, so that ranges of consecutive tiles follow each other.
ByteRange held_range(const Plan& plan, const Unit& unit, size_t body, size_t operand,
                     std::span<const Window> windows);

/// True where a cut along `axis` narrows the held range of an operand.
bool narrows(const Operand& operand, int axis);

}  // namespace plimsoll::plan
