// layer_norm and rms_norm over the last axis and their backward kernels. All operands have the
// dtype of x: float16, bfloat16, float32 or float64; weight and bias have shape (n,).
//
//   op              inputs                    outputs
//   layer_norm      x, [weight], [bias]       y = (x - mean) / sqrt(var + eps) * weight + bias
//   rms_norm        x, [weight]               y = x / sqrt(mean(x²) + eps) * weight
//   layer_norm_vjp  x, [weight], g            dx, [dweight], [dbias]
//   rms_norm_vjp    x, [weight], g            dx, [dweight]
// Bracketed operands exist where has_weight or has_bias says so.
#pragma once

#include "opset/tiling.h"

namespace plimsoll {

struct NormAttrs : Attrs<NormAttrs> {
  NormAttrs(float e, bool w, bool b) : eps(e), has_weight(w), has_bias(b) {}
  float eps = 1e-5f;
  bool has_weight = false;
  bool has_bias = false;  // always false for rms_norm
  static constexpr const char* kName = "norm";
  auto fields() const { return std::tie(eps, has_weight, has_bias); }
};

/// Rows that the sums of dweight and dbias take together; blocks never span indices of axis 0
/// unless several of them fit whole.
inline constexpr int64_t kNormRowBlock = 32;

/// All axes but the last, any cut.
Tiling norm_tiling(const OpInstance& op);
/// With dweight or dbias: axis 0 only, ordered, and not where x is 1-D. Without: as norm_tiling.
Tiling norm_vjp_tiling(const OpInstance& op);

}  // namespace plimsoll
