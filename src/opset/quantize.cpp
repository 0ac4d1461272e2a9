#include "opset/quantize.h"

#include "opset/tile_axis.h"

namespace plimsoll {

Tiling quantized_matmul_tiling(const OpInstance& op) {
  const Shape& out = op.outputs[0].shape;
  TileAxis rows = whole_axis(op, out[0]);
  rows.input_axis[0] = rows.output_axis[0] = 0;
  TileAxis columns = whole_axis(op, out[1]);
  columns.input_axis[1] = columns.input_axis[2] = columns.input_axis[3] = 0;
  columns.output_axis[0] = 1;
  return {rows, columns};
}

Tiling gather_qmm_tiling(const OpInstance& op) {
  const Shape& out = op.outputs[0].shape;
  TileAxis items = whole_axis(op, out[0]);
  items.input_axis[4] = items.input_axis[5] = items.output_axis[0] = 0;
  TileAxis rows = whole_axis(op, out[1]);
  rows.input_axis[0] = rows.output_axis[0] = 1;
  TileAxis columns = whole_axis(op, out[2]);
  TileAxis source = whole_axis(op, op.inputs[1].shape[0]);
  source.ordered = true;
  for (int i = 1; i <= 3; ++i) {
    columns.input_axis[i] = 1;
    source.input_axis[i] = 0;
  }
  columns.output_axis[0] = 2;
  return {items, rows, columns, source};
}

}  // namespace plimsoll
