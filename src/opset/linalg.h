// Dense linear algebra through LAPACK.
//
//   eigh (a)  a [batch…, N, N] symmetric or Hermitian, of which one triangle is read
//             → eigenvalues [batch…, N] ascending (float32 or float64), eigenvectors [batch…, N, N]
//             in columns. A matrix with a NaN or an infinity gives NaN.
#pragma once

#include <tuple>

#include "opset/attrs.h"
#include "opset/tiling.h"

namespace plimsoll {

struct EighAttrs : Attrs<EighAttrs> {
  bool upper = false;  // UPLO: false reads the lower triangle
  EighAttrs() = default;
  explicit EighAttrs(bool upper_) : upper(upper_) {}
  static constexpr const char* kName = "eigh";
  auto fields() const { return std::tie(upper); }
};

/// The batch axes, unordered; a matrix cannot be cut.
Tiling matrix_tiling(const OpInstance& op);

}  // namespace plimsoll
