#include "ops/matrix.h"

#include <algorithm>

#include "ops/common.h"
#include "plimsoll/ops/creation.h"
#include "plimsoll/ops/gather.h"
#include "plimsoll/ops/reduce.h"
#include "plimsoll/ops/select.h"
#include "plimsoll/ops/view.h"

namespace plimsoll::ops {

array adjoint(const array& a) { return conj_if_complex(swapaxes(a, -1, -2)); }

// One row of each column is left by the mask, so that the sum is exact.
array main_diagonal(const array& a) {
  const int64_t k = std::min(a.shape(-1), a.shape(-2));
  Dims start(static_cast<size_t>(a.ndim()), 0), stop(a.shape().begin(), a.shape().end());
  stop[a.ndim() - 1] = stop[a.ndim() - 2] = k;
  array square = slice(a, start, stop);
  return sum(where(eye(k, std::nullopt, 0, Dtype::kBool), square, constant_like(0, a)), Dims{-1});
}

array diagonal_matrix(const array& d) {
  return where(eye(d.shape(-1), std::nullopt, 0, Dtype::kBool), expand_dims(d, {-1}),
               constant_like(0, d));
}

array rows_at(const array& a, const array& indices) {
  return take_along_axis(a, expand_dims(indices, {-1}), -2);
}

void check_matrix(const array& a, const char* op, bool square, bool complex_too) {
  const bool real = a.dtype() == Dtype::kFloat32 || a.dtype() == Dtype::kFloat64;
  PLIMSOLL_CHECK(real || (complex_too && a.dtype() == Dtype::kComplex64), ValueError,
                 "[linalg.{}] expected {}, got {}; cast it with astype", op,
                 complex_too ? "float32, float64 or complex64" : "float32 or float64",
                 name_of(a.dtype()));
  PLIMSOLL_CHECK(a.ndim() >= 2, ValueError, "[linalg.{}] expected at least 2 axes, got shape {}",
                 op, to_string(a.shape()));
  PLIMSOLL_CHECK(!square || a.shape(-1) == a.shape(-2), ShapeError,
                 "[linalg.{}] expected square matrices, got shape {}", op, to_string(a.shape()));
}

}  // namespace plimsoll::ops
