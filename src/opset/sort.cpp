#include "opset/sort.h"

#include "opset/tile_axis.h"

namespace plimsoll {

Tiling sort_tiling(const OpInstance& op) {
  const int axis = attrs_as<SortAttrs>(op).axis;
  Tiling tiling;
  for (int d = 0; d < static_cast<int>(op.outputs[0].shape.size()); ++d)
    if (d != axis) tiling.push_back(common_axis(op, d));
  return tiling;
}

}  // namespace plimsoll
