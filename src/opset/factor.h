// Factorisations of dense matrices (the last two axes) through LAPACK.
//
//   cholesky (a)        [..., N, N] → the lower (upper) factor [..., N, N], zeros elsewhere; NaN
//   where
//                       the matrix is not positive definite. One triangle is read.
//   qr (a)              [..., M, N] → q [..., M, K], r [..., K, N], K = min(M, N)
//   svd (a)             [..., M, N] → u [..., M, M], s [..., K] descending (real), vh [..., N, N]
//   singular_values (a) [..., M, N] → s [..., K]
//   lu_factor (a)       [..., M, N] → l below and u on and above the diagonal [..., M, N], the row
//                       that each row was exchanged with [..., K], and for each row of a its row
//                       in l u [..., M] (uint32, from 0)
//   eig (a)             [..., N, N] → w [..., N], v [..., N, N], both complex64
//   eigvals (a)         [..., N, N] → w [..., N], complex64
//
// A matrix with a NaN or an infinity gives NaN in svd and eig.
#pragma once

#include <tuple>

#include "opset/attrs.h"
#include "opset/linalg.h"

namespace plimsoll {

/// Which triangle a matrix has.
struct TriangleAttrs : Attrs<TriangleAttrs> {
  bool upper = false;
  TriangleAttrs() = default;
  explicit TriangleAttrs(bool upper_) : upper(upper_) {}
  static constexpr const char* kName = "triangle";
  auto fields() const { return std::tie(upper); }
};

}  // namespace plimsoll
