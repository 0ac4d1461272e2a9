#include "opset/gather_mm.h"

#include "opset/tile_axis.h"

namespace plimsoll {

Tiling gather_mm_tiling(const OpInstance& op) {
  const Shape& out = op.outputs[0].shape;
  TileAxis items = whole_axis(op, out[0]);
  items.input_axis[2] = items.input_axis[3] = items.output_axis[0] = 0;
  TileAxis rows = whole_axis(op, out[1]);
  rows.input_axis[0] = rows.output_axis[0] = 1;
  TileAxis columns = whole_axis(op, out[2]);
  columns.input_axis[1] = columns.output_axis[0] = 2;
  TileAxis source = whole_axis(op, op.inputs[1].shape[0]);
  source.ordered = true;
  source.input_axis[1] = 0;
  return {items, rows, columns, source};
}

Tiling segmented_mm_tiling(const OpInstance& op) {
  const Shape& out = op.outputs[0].shape;
  TileAxis items = whole_axis(op, out[0]);
  items.input_axis[2] = items.output_axis[0] = 0;
  TileAxis rows = whole_axis(op, out[1]);
  rows.input_axis[0] = 0;
  rows.output_axis[0] = 1;
  TileAxis columns = whole_axis(op, out[2]);
  columns.input_axis[1] = 1;
  columns.output_axis[0] = 2;
  return {items, rows, columns};
}

}  // namespace plimsoll
