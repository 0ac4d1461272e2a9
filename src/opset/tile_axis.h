// A TileAxis with every operand whole, for a tiling function to fill in.
#pragma once

#include "opset/tiling.h"

namespace plimsoll {

inline TileAxis whole_axis(const OpInstance& op, int64_t extent) {
  TileAxis axis;
  axis.extent = extent;
  axis.input_axis.resize(op.inputs.size(), kWhole);
  axis.output_axis.resize(op.outputs.size(), kWhole);
  return axis;
}

/// An unordered axis along which every operand is cut alike.
inline TileAxis common_axis(const OpInstance& op, int axis) {
  TileAxis t = whole_axis(op, op.outputs[0].shape[axis]);
  for (auto& a : t.input_axis) a = static_cast<int8_t>(axis);
  for (auto& a : t.output_axis) a = static_cast<int8_t>(axis);
  return t;
}

/// The attributes as the type that the op's contract names.
template <typename A>
const A& attrs_as(const OpInstance& op) {
  return static_cast<const A&>(*op.attrs);
}

/// First axis whose extent is not 1, or ndim: cutting it keeps the row-major order of what follows.
inline int first_long_axis(const Shape& shape) {
  size_t j = 0;
  while (j < shape.size() && shape[j] == 1) ++j;
  return static_cast<int>(j);
}

}  // namespace plimsoll
