// Matrix products whose operands are picked or cut by arrays. No attributes.
//
//   gather_mm    (a [A, M, K], b [B, K, N], lhs [S], rhs [S])  out[s] = a[lhs[s]] × b[rhs[s]]
//   segmented_mm (a [M, K], b [K, N], segments [S, 2])         out[s] = a[:, i:j] × b[i:j, :] with
//                                                              i, j = segments[s]; 0 where j <= i
//
// Indices are int64; one outside raises IndexError before anything is written, a negative one
// counts from the end in gather_mm and is an error in segmented_mm. Elements are those of matmul.
#pragma once

#include "opset/tiling.h"

namespace plimsoll {

/// S, M and N unordered; the matrices of b ordered: a turn makes the products whose b is present.
Tiling gather_mm_tiling(const OpInstance& op);
/// S, M and N unordered.
Tiling segmented_mm_tiling(const OpInstance& op);

}  // namespace plimsoll
