#include "opset/concat.h"

#include "opset/tile_axis.h"

namespace plimsoll {

Tiling concatenate_tiling(const OpInstance& op) {
  const int axis = attrs_as<ConcatAttrs>(op).axis;
  Tiling tiling;
  for (int d = 0; d < static_cast<int>(op.outputs[0].shape.size()); ++d)
    if (d != axis) tiling.push_back(common_axis(op, d));
  return tiling;
}

Tiling slice_update_tiling(const OpInstance& op) {
  const auto& slice = attrs_as<SliceUpdateAttrs>(op);
  const Shape& base = op.inputs[0].shape;
  Tiling tiling;
  for (int d = 0; d < static_cast<int>(base.size()); ++d) {
    TileAxis t = common_axis(op, d);
    const bool covered = slice.start[d] == 0 && slice.step[d] == 1 && slice.stop[d] == base[d];
    if (!covered) t.input_axis[1] = kWhole;
    tiling.push_back(t);
  }
  return tiling;
}

}  // namespace plimsoll
