#include "opset/sort.h"

#include "opset/tile_axis.h"

namespace plimsoll {

Tiling sort_tiling(const OpInstance& op) {
  const int axis = attrs_as<SortAttrs>(op).axis;
  Tiling tiling;
  for (int d = 0; d < static_cast<int>(op.outputs[0].shape.size()); ++d)
    if (d != axis) tiling.push_back(common_axis(op, d));
  TileAxis along = whole_axis(op, op.outputs[0].shape[axis]);
  along.ordered = true;
  along.grain = kSortGrain;
  tiling.resize(tiling.size() + 2, along);
  tiling.end()[-2].output_axis[0] = static_cast<int8_t>(axis);
  tiling.end()[-1].input_axis[0] = static_cast<int8_t>(axis);
  return tiling;
}

}  // namespace plimsoll
