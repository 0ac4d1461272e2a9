#include "opset/softmax.h"

namespace plimsoll {

Tiling softmax_tiling(const OpInstance& op) {
  const Shape& shape = op.inputs[0].shape;
  Tiling tiling;
  for (int8_t i = 0; i + 1 < static_cast<int8_t>(shape.size()); ++i) {
    TileAxis axis{shape[i], 1, false, {}, {i}};
    for (size_t k = 0; k < op.inputs.size(); ++k) axis.input_axis.push_back(i);
    tiling.push_back(axis);
  }
  return tiling;
}

}  // namespace plimsoll
