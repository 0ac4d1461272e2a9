// Sorting along an axis.
//
//   sort    (a)  values in ascending order, dtype of a
//   argsort (a)  uint32 positions that sort a, equal elements in ascending position (stable)
//
// The order is total: −inf < … < −0 < +0 < … < +inf < NaN. argsort takes all NaNs as equal; sort
// keeps each NaN's bits (positive ones first). complex64 orders by real, then by imaginary part;
// one with a NaN part comes last. false < true.
#pragma once

#include <tuple>

#include "opset/attrs.h"
#include "opset/tiling.h"

namespace plimsoll {

struct SortAttrs : Attrs<SortAttrs> {
  int axis = -1;  // in [0, ndim); the op normalises it
  SortAttrs() = default;
  explicit SortAttrs(int axis_) : axis(axis_) {}
  static constexpr const char* kName = "sort";
  auto fields() const { return std::tie(axis); }
};

/// Cuts along the sorted axis are at multiples of this.
inline constexpr int64_t kSortGrain = 1024;

/// Every axis but the sorted one, unordered; then the sorted one twice: of the output, each tile of
/// which is selected in a pass over the input, and of the input. For sort and argsort.
Tiling sort_tiling(const OpInstance& op);

}  // namespace plimsoll
