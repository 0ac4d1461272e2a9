// Products with matrices packed in few bits.
//
//   quantized_matmul (x [M, K], w [N, K * bits / 32], scales [N, K / group], biases [N, K / group])
//                    → [M, N] of x's dtype, which is float16, bfloat16 or float32
//   gather_qmm       (x [A, M, K], w [B, N, …], scales [B, N, …], biases [B, N, …],
//                     lhs [S], rhs [S])
//                    → [S, M, N], the products of x[lhs[s]] and w[rhs[s]]; indices as in gather_mm
//
// w is uint32, scales and biases are of one float dtype of at most 32 bits. Elements are those of
// matmul(x, dᵀ) where d is code * scale + bias, computed in float32 and rounded to x's dtype.
#pragma once

#include "opset/tiling.h"

namespace plimsoll {

struct QuantizedMatmulAttrs : Attrs<QuantizedMatmulAttrs> {
  QuantizedMatmulAttrs(int64_t g, int64_t b) : group(g), bits(b) {}
  int64_t group = 0, bits = 0;
  static constexpr const char* kName = "quantized_matmul";
  auto fields() const { return std::tie(group, bits); }
};

/// M and N unordered.
Tiling quantized_matmul_tiling(const OpInstance& op);
/// S, M and N unordered; the packed matrices ordered: a turn makes the products of those present.
Tiling gather_qmm_tiling(const OpInstance& op);

}  // namespace plimsoll
