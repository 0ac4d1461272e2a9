// softmax over the last axis. One input, one output of the same shape and dtype: float16, bfloat16,
// float32 or float64 (the op casts integers to float32). Always computed in float32 or better and
// rounded once, so `precise` changes nothing here.
//
// "softmax_vjp": inputs y (the softmax), g; output y * (g - sum(y * g)).
#pragma once

#include "opset/tiling.h"

namespace plimsoll {

struct SoftmaxAttrs : Attrs<SoftmaxAttrs> {
  explicit SoftmaxAttrs(bool p) : precise(p) {}
  bool precise = false;
  static constexpr const char* kName = "softmax";
  auto fields() const { return std::tie(precise); }
};

/// All axes but the last, any cut; for softmax and softmax_vjp.
Tiling softmax_tiling(const OpInstance& op);

}  // namespace plimsoll
