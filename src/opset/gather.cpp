#include "opset/gather.h"

#include <algorithm>

#include "opset/tile_axis.h"

namespace plimsoll {

Tiling take_tiling(const OpInstance& op) {
  const int axis = attrs_as<TakeAttrs>(op).axis;
  const Shape& a = op.inputs[0].shape;
  const Shape& out = op.outputs[0].shape;
  const int index_ndim = static_cast<int>(op.inputs[1].shape.size());
  Tiling tiling;
  for (int d = 0; d < static_cast<int>(out.size()); ++d) {
    TileAxis t = whole_axis(op, out[d]);
    t.output_axis[0] = static_cast<int8_t>(d);
    if (d >= axis && d < axis + index_ndim)
      t.input_axis[1] = static_cast<int8_t>(d - axis);
    else
      t.input_axis[0] = static_cast<int8_t>(d < axis ? d : d - index_ndim + 1);
    tiling.push_back(t);
  }
  TileAxis source = whole_axis(op, a[axis]);
  source.ordered = true;
  source.input_axis[0] = static_cast<int8_t>(axis);
  tiling.push_back(source);
  return tiling;
}

Tiling take_along_axis_tiling(const OpInstance& op) {
  const int axis = attrs_as<TakeAlongAxisAttrs>(op).axis;
  Tiling tiling;
  for (int d = 0; d < static_cast<int>(op.outputs[0].shape.size()); ++d) {
    TileAxis t = common_axis(op, d);
    if (d == axis) t.input_axis[0] = kWhole;
    tiling.push_back(t);
  }
  TileAxis source = whole_axis(op, op.inputs[0].shape[axis]);
  source.ordered = true;
  source.input_axis[0] = static_cast<int8_t>(axis);
  tiling.push_back(source);
  return tiling;
}

Tiling gather_tiling(const OpInstance& op) {
  const Dims& axes = attrs_as<GatherAttrs>(op).axes;
  const Shape& a = op.inputs[0].shape;
  const int index_ndim = static_cast<int>(op.inputs[1].shape.size());
  Tiling tiling;
  for (int d = 0; d < index_ndim; ++d) {
    TileAxis t = whole_axis(op, op.outputs[0].shape[d]);
    t.output_axis[0] = static_cast<int8_t>(d);
    for (size_t k = 1; k < op.inputs.size(); ++k) t.input_axis[k] = static_cast<int8_t>(d);
    tiling.push_back(t);
  }
  for (int d = 0, o = index_ndim; d < static_cast<int>(a.size()); ++d) {
    if (std::find(axes.begin(), axes.end(), d) != axes.end()) continue;
    TileAxis t = whole_axis(op, a[d]);
    t.input_axis[0] = static_cast<int8_t>(d);
    t.output_axis[0] = static_cast<int8_t>(o++);
    tiling.push_back(t);
  }
  for (int64_t d : axes) {
    TileAxis t = whole_axis(op, a[d]);
    t.ordered = true;
    t.input_axis[0] = static_cast<int8_t>(d);
    tiling.push_back(t);
  }
  return tiling;
}

}  // namespace plimsoll
