#include "opset/fft.h"

#include "opset/tile_axis.h"

namespace plimsoll {

Tiling fft_tiling(const OpInstance& op) {
  const int axis = attrs_as<FftAttrs>(op).axis;
  Tiling tiling;
  for (int d = 0; d < static_cast<int>(op.inputs[0].shape.size()); ++d)
    if (d != axis) tiling.push_back(common_axis(op, d));
  return tiling;
}

}  // namespace plimsoll
