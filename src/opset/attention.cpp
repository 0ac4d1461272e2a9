#include "opset/attention.h"

#include "opset/tile_axis.h"

namespace plimsoll {
namespace {

constexpr int kMaskInput = 3;
constexpr int kVjpMaskInput = 6;

// A mask of extent 1 along the axis is broadcast, hence not cut.
void cut_mask(const OpInstance& op, int mask_input, int axis, TileAxis& t) {
  if (static_cast<int>(op.inputs.size()) <= mask_input) return;
  const bool full = op.inputs[mask_input].shape[axis] == t.extent && t.extent != 1;
  t.input_axis[mask_input] = static_cast<int8_t>(full ? axis : kWhole);
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
    cut_mask(op, kMaskInput, d, t);
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
    cut_mask(op, kVjpMaskInput, d, t);
    tiling.push_back(t);
  }
  return tiling;
}

}  // namespace plimsoll
