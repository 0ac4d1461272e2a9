#include "opset/matmul.h"

#include "opset/tile_axis.h"

namespace plimsoll {

Tiling matmul_tiling(const OpInstance& op) {
  const Shape& a = op.inputs[0].shape;
  const Shape& b = op.inputs[1].shape;
  const Shape& out = op.outputs[0].shape;
  const int ndim = static_cast<int>(out.size());
  Tiling tiling;
  for (int d = 0; d + 2 < ndim; ++d) {
    TileAxis t = common_axis(op, d);
    if (a[d] != out[d]) t.input_axis[0] = kWhole;
    if (b[d] != out[d]) t.input_axis[1] = kWhole;
    tiling.push_back(t);
  }
  for (int side = 0; side < 2; ++side) {  // M of a, then N of b
    TileAxis t = whole_axis(op, out[ndim - 2 + side]);
    t.input_axis[side] = t.output_axis[0] = static_cast<int8_t>(ndim - 2 + side);
    tiling.push_back(t);
  }
  TileAxis k = whole_axis(op, a[ndim - 1]);
  k.ordered = true;
  k.grain = matmul_panel_k(op.outputs[0].dtype);
  k.input_axis[0] = static_cast<int8_t>(ndim - 1);
  k.input_axis[1] = static_cast<int8_t>(ndim - 2);
  tiling.push_back(k);
  return tiling;
}

double product_flops(const OpInstance& op) {
  return 2.0 * static_cast<double>(num_elements(op.outputs[0].shape)) *
         static_cast<double>(op.inputs[0].shape.back());
}

}  // namespace plimsoll
