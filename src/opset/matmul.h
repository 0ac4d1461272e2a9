// Matrix products over the last two axes.
//
//   matmul (a, b)  [batch…, M, K] × [batch…, K, N] → [batch…, M, N]; the op gives both inputs the
//                  same rank (at least 2) and batch axes that are equal or 1. No attributes.
//                  Inexact dtypes, both alike; the op raises for integers (MLX: ValueError).
//
// float16 and bfloat16 are summed in float32 and rounded once.
#pragma once

#include "opset/attrs.h"
#include "opset/tiling.h"

namespace plimsoll {

/// K is cut at multiples of this only: the panel of the product (backends keep to it).
constexpr int64_t matmul_panel_k(Dtype dtype) { return dtype == Dtype::kBfloat16 ? 1024 : 384; }

/// M, N and the batch axes unordered; K ordered.
Tiling matmul_tiling(const OpInstance& op);

/// Of a product that sums over the last axis of its first input.
double product_flops(const OpInstance& op);

}  // namespace plimsoll
