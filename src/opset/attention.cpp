#include "opset/attention.h"

#include "opset/tile_axis.h"

namespace plimsoll {
namespace {

// Mask and sinks of extent 1 along the axis are broadcast, hence not cut.
void cut_optional(const OpInstance& op, int first, int axis, TileAxis& t) {
  for (int i = first; i < static_cast<int>(op.inputs.size()); ++i) {
    const bool full = op.inputs[i].shape[axis] == t.extent && t.extent != 1;
    t.input_axis[i] = static_cast<int8_t>(full ? axis : kWhole);
  }
}

}  // namespace

Tiling sdpa_tiling(const OpInstance& op) {
  Tiling tiling;
  for (int d : {0, 2, 1}) {
    TileAxis t = common_axis(op, d);
    if (d == 2) {
      t.grain = kSdpaQueryBlock;
      t.input_axis[1] = t.input_axis[2] = kWhole;
    }
    cut_optional(op, kSdpaInputs, d, t);
    // Part of the heads of a group could not be told from whole groups.
    if (d != 1 || op.inputs[0].shape[1] == op.inputs[1].shape[1]) tiling.push_back(t);
  }
  return tiling;
}

Tiling sdpa_vjp_tiling(const OpInstance& op) {
  Tiling tiling;
  const bool grouped = op.inputs[0].shape[1] != op.inputs[1].shape[1];
  for (int d = 0; d < (grouped ? 1 : 2); ++d) {
    TileAxis t = common_axis(op, d);
    cut_optional(op, kSdpaVjpInputs, d, t);
    tiling.push_back(t);
  }
  return tiling;
}

}  // namespace plimsoll
