#include "opset/scan.h"

namespace plimsoll {

Tiling scan_tiling(const OpInstance& op) {
  const auto& attrs = static_cast<const ScanAttrs&>(*op.attrs);
  const Shape& shape = op.inputs[0].shape;
  Tiling tiling;
  for (int8_t i = 0; i < static_cast<int8_t>(shape.size()); ++i)
    if (i != attrs.axis) tiling.push_back({shape[i], 1, false, {i}, {i}});
  if (!attrs.reverse && !shape.empty()) {
    const int8_t axis = static_cast<int8_t>(attrs.axis);
    int64_t inner = 1;
    for (size_t i = axis + 1; i < shape.size(); ++i) inner *= shape[i];
    const int64_t grain = inner == 1 ? kScanBlock : kScanRowBlock;
    tiling.push_back({shape[axis], grain, true, {axis}, {axis}});
  }
  return tiling;
}

}  // namespace plimsoll
