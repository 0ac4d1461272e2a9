#include "opset/scatter.h"

#include <algorithm>

#include "opset/tile_axis.h"

namespace plimsoll {
namespace {

constexpr const char* kNames[3][5] = {
    {"scatter_set", "scatter_add", "scatter_max", "scatter_min", "scatter_prod"},
    {"scatter_along_set", "scatter_along_add", "scatter_along_max", "scatter_along_min",
     "scatter_along_prod"},
    {"scatter_nd_set", "scatter_nd_add", "scatter_nd_max", "scatter_nd_min", "scatter_nd_prod"}};

// An axis of base and of the output; the updates are cut along `update_axis`.
TileAxis base_axis(const OpInstance& op, int axis, int update_axis) {
  TileAxis t = whole_axis(op, op.outputs[0].shape[axis]);
  t.input_axis[0] = t.output_axis[0] = static_cast<int8_t>(axis);
  t.input_axis.back() = static_cast<int8_t>(update_axis);
  return t;
}

// The loop over updates, in ascending order: only their outermost index axis keeps that order.
void add_update_axis(const OpInstance& op, int updates_axis_of_first_index, Tiling& tiling) {
  const Shape& index = op.inputs[1].shape;
  const int d = first_long_axis(index);
  if (d == static_cast<int>(index.size())) return;
  TileAxis t = whole_axis(op, index[d]);
  t.ordered = true;
  for (size_t k = 1; k + 1 < op.inputs.size(); ++k) t.input_axis[k] = static_cast<int8_t>(d);
  t.input_axis.back() = static_cast<int8_t>(updates_axis_of_first_index + d);
  tiling.push_back(t);
}

}  // namespace

const char* scatter_name(ScatterMode mode) { return kNames[0][static_cast<int>(mode)]; }
const char* scatter_along_name(ScatterMode mode) { return kNames[1][static_cast<int>(mode)]; }
const char* scatter_nd_name(ScatterMode mode) { return kNames[2][static_cast<int>(mode)]; }

Tiling scatter_tiling(const OpInstance& op) {
  const int axis = attrs_as<ScatterAttrs>(op).axis;
  const int index_ndim = static_cast<int>(op.inputs[1].shape.size());
  Tiling tiling;
  for (int d = 0; d < static_cast<int>(op.outputs[0].shape.size()); ++d)
    tiling.push_back(base_axis(op, d, d == axis ? kWhole : d < axis ? d : d + index_ndim - 1));
  add_update_axis(op, axis, tiling);
  return tiling;
}

Tiling scatter_along_tiling(const OpInstance& op) {
  const int axis = attrs_as<ScatterAttrs>(op).axis;
  Tiling tiling;
  for (int d = 0; d < static_cast<int>(op.outputs[0].shape.size()); ++d) {
    TileAxis t = base_axis(op, d, d == axis ? kWhole : d);
    if (d != axis) t.input_axis[1] = static_cast<int8_t>(d);
    tiling.push_back(t);
  }
  TileAxis t = whole_axis(op, op.inputs[1].shape[axis]);
  t.ordered = true;
  t.input_axis[1] = t.input_axis[2] = static_cast<int8_t>(axis);
  tiling.push_back(t);
  return tiling;
}

Tiling scatter_nd_tiling(const OpInstance& op) {
  const Dims& axes = attrs_as<ScatterNdAttrs>(op).axes;
  const int index_ndim = static_cast<int>(op.inputs[1].shape.size());
  Tiling tiling;
  for (int d = 0, u = index_ndim; d < static_cast<int>(op.outputs[0].shape.size()); ++d) {
    const bool indexed = std::find(axes.begin(), axes.end(), d) != axes.end();
    tiling.push_back(base_axis(op, d, indexed ? kWhole : u++));
  }
  add_update_axis(op, 0, tiling);
  return tiling;
}

}  // namespace plimsoll
