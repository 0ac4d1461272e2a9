// Scans along one axis: cumsum, cumprod, cummax, cummin, logcumsumexp. One input, one output of
// the same shape and dtype (the op casts bool to int32 before cumsum, as MLX does; cumprod of bool
// is bool).
//
// An exclusive scan starts with the identity: 0, 1, -inf or the least value, +inf or the greatest
// value, -inf.
#pragma once

#include "opset/tiling.h"

namespace plimsoll {

struct ScanAttrs : Attrs<ScanAttrs> {
  ScanAttrs(int a, bool r, bool i) : axis(a), reverse(r), inclusive(i) {}
  int axis = 0;  // in [0, ndim)
  bool reverse = false;
  bool inclusive = true;
  static constexpr const char* kName = "scan";
  auto fields() const { return std::tie(axis, reverse, inclusive); }
};

/// Elements (last axis) or rows (other axes) that are scanned on their own before the carry is
/// added; also the grain of ordered cuts.
inline constexpr int64_t kScanBlock = 4096;
inline constexpr int64_t kScanRowBlock = 64;

/// Kept axes in order (any cut), then the scanned axis, ordered; a reverse scan cannot be cut along
/// its axis (turns only ascend).
Tiling scan_tiling(const OpInstance& op);

}  // namespace plimsoll
