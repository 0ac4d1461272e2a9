#include "opset/linalg.h"

#include "opset/tile_axis.h"

namespace plimsoll {

Tiling matrix_tiling(const OpInstance& op) {
  Tiling tiling;
  for (int d = 0; d + 2 < static_cast<int>(op.inputs[0].shape.size()); ++d)
    tiling.push_back(common_axis(op, d));
  return tiling;
}

}  // namespace plimsoll
