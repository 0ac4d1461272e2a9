// Scaled dot-product attention without materialised scores.
//
//   sdpa     (q, k, v[, mask][, sinks])                  → out, lse
//   sdpa_vjp (q, k, v, out, lse, g[, mask][, sinks])     → dq, dk, dv
//
// q [B, Hq, Lq, D], k [B, Hkv, Lk, D], v [B, Hkv, Lk, Dv], Hkv divides Hq (head h reads key head
// h / (Hq / Hkv)). out [B, Hq, Lq, Dv] in q's dtype = softmax(scale q kᵀ + mask) v; lse [B, Hq, Lq]
// float32 is the log of each row's softmax denominator (with its maximum), for the gradient. The
// mask has rank 4, each axis full or 1: bool (false: hidden) or the dtype of q or float32 (added).
// causal: query i sees keys j ≤ i + Lk − Lq. A hidden score is the lowest finite number, so a row
// that sees nothing averages all values, as in MLX. float32, float16, bfloat16; sums in float32.
//
// sinks [B or 1, Hq, 1, 1], float32, are scores of one more key for each row, whose value is 0:
// they are part of the denominator, hence of lse. sdpa_vjp takes them for its own gradient only.
//
// Mask and sinks get no gradient here; the op uses plain ops where one is asked for.
#pragma once

#include <tuple>

#include "opset/attrs.h"
#include "opset/tiling.h"

namespace plimsoll {

struct SdpaAttrs : Attrs<SdpaAttrs> {
  float scale = 1;
  bool causal = false;
  bool has_mask = false;
  bool has_sinks = false;
  SdpaAttrs() = default;
  SdpaAttrs(float scale_, bool causal_, bool has_mask_, bool has_sinks_ = false)
      : scale(scale_), causal(causal_), has_mask(has_mask_), has_sinks(has_sinks_) {}
  static constexpr const char* kName = "sdpa";
  auto fields() const { return std::tie(scale, causal, has_mask, has_sinks); }
};

/// Inputs before the optional ones.
inline constexpr int kSdpaInputs = 3;
inline constexpr int kSdpaVjpInputs = 6;

/// Rows of queries that are computed together, and the grain of the query axis.
inline constexpr int64_t kSdpaQueryBlock = 64;
/// Keys that are computed together.
inline constexpr int64_t kSdpaKeyBlock = 64;

/// Place of the query axis in sdpa_tiling.
inline constexpr int kSdpaQueryAxis = 1;

/// Batch, query and (where Hq = Hkv) head axes, unordered.
Tiling sdpa_tiling(const OpInstance& op);
/// Batch, and head where Hq = Hkv, unordered.
Tiling sdpa_vjp_tiling(const OpInstance& op);

}  // namespace plimsoll
