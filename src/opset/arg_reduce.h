// argmax and argmin: one input, one uint32 output. The first occurrence wins; the first NaN wins
// over any number (as in MLX); complex numbers are ordered by real, then imaginary part.
#pragma once

#include "opset/tiling.h"

namespace plimsoll {

struct ArgReduceAttrs : Attrs<ArgReduceAttrs> {
  ArgReduceAttrs(int a, bool k) : axis(a), keepdims(k) {}
  int axis = 0;  // in [0, ndim); the whole array is reduced by flattening it first
  bool keepdims = false;
  static constexpr const char* kName = "arg_reduce";
  auto fields() const { return std::tie(axis, keepdims); }
};

/// Kept axes in order (any cut), then the reduced axis, ordered.
Tiling arg_reduce_tiling(const OpInstance& op);

}  // namespace plimsoll
