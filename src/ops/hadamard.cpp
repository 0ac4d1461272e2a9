// The Walsh–Hadamard transform: products with small Hadamard matrices, one for each factor of the
// length.
#include "plimsoll/ops/hadamard.h"

#include <bit>
#include <cmath>

#include "ops/common.h"
#include "ops/lists.h"
#include "plimsoll/ops/binary.h"
#include "plimsoll/ops/cast.h"
#include "plimsoll/ops/matmul.h"
#include "plimsoll/ops/view.h"

namespace plimsoll {
namespace ops {
namespace {

constinit const OpDef kHadamard = composite(
    "hadamard_transform", boxed<&hadamard_transform>::call,
    "hadamard_transform(a: array, scale: float | None = None, stream: None | Stream | Device = "
    "None) -> array",
    R"(The last axis multiplied by a Hadamard matrix and by ``scale``.

The matrix is the Kronecker product of one of order 1, 12, 20 or 28 and of 2 by 2 matrices (Sylvester),
as the length is that number times a power of two. ``scale`` is 1 / sqrt(length) for None, so that
the transform keeps lengths. Computed in float32 at least and rounded once; integers give float32.
Raises ValueError for other lengths and for an empty array.

Example:
    >>> mx.hadamard_transform(mx.array([1.0, 2.0]), scale=1.0)
    array([3, -1], dtype=float32)
)");

// Rows of Hadamard matrices of orders that are no powers of two: bit j of row i is set where
// element (i, j) is -1. Those of MLX, found by transforming unit vectors.
constexpr uint32_t k12[] = {0x2,   0xaab, 0x3c8, 0x96e, 0xf20, 0x5ba,
                            0xc8c, 0x6e6, 0x23c, 0xb96, 0x8f0, 0xe5a};
constexpr uint32_t k20[] = {0x933de, 0x2e3bd, 0x5477b, 0xa0ef7, 0x499ef, 0x637c1, 0xc6ba2,
                            0x8d764, 0x1aee8, 0x359f0, 0xfa53,  0x174a7, 0x26d4e, 0x45e9c,
                            0x83d39, 0xf7a6d, 0xef4fa, 0xdedd5, 0xbdf8b, 0x7bf36};
constexpr uint32_t k28[] = {0xcd69e7e, 0x9ad7c7d, 0x37ab8fb, 0x6d571f7, 0xd8ae3ef, 0xb3587df,
                            0x66b4f3f, 0xb467f43, 0x6acbe87, 0xd593d8e, 0xab27b9c, 0x564f7b8,
                            0xac9aff0, 0x5b31fe1, 0x87fb325, 0xff66ca,  0x1decd95, 0x39ddb2a,
                            0x71bf654, 0xe17eca9, 0xc2fd9d2, 0xfcf1299, 0xfbe2532, 0xf7c4ae4,
                            0xef8d549, 0xdf1ea13, 0xbe3d4a6, 0x7e7a94c};

// Orders of the factors that powers of two are cut into: one product does log2 of it at once.
constexpr int64_t kLargest = 64;

array matrix_of(int64_t n, const uint32_t* rows, Dtype t) {
  std::vector<float> values(static_cast<size_t>(n * n));
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j) {
      bool negative = rows ? rows[i] >> j & 1 : std::popcount(static_cast<uint64_t>(i & j)) & 1;
      values[static_cast<size_t>(i * n + j)] = negative ? -1.0F : 1.0F;
    }
  return cast(array(values.data(), {n, n}, Dtype::kFloat32), t);
}

// The rows of the matrix that the odd part of a length asks for; null for 1.
const uint32_t* odd_rows(int64_t order) {
  return order == 12 ? k12 : order == 20 ? k20 : order == 28 ? k28 : nullptr;
}

}  // namespace

OpList hadamard_ops() {
  static constexpr const OpDef* kOps[] = {&kHadamard};
  return kOps;
}

}  // namespace ops

array hadamard_transform(const array& a, std::optional<double> scale) {
  using namespace ops;
  if (a.ndim() == 0) return reshape(hadamard_transform(reshape(a, {1}), scale), {});
  int64_t n = a.shape(-1);
  PLIMSOLL_CHECK(a.size() > 0, ValueError,
                 "[hadamard_transform] expected elements, got an array of shape {}",
                 to_string(a.shape()));
  int64_t odd = n >> std::countr_zero(static_cast<uint64_t>(n));
  int64_t order = odd == 1 ? 1 : 4 * odd;
  PLIMSOLL_CHECK((odd == 1 || odd_rows(order)) && n % order == 0, ValueError,
                 "[hadamard_transform] expected a length of 1, 12, 20 or 28 times a power of two, "
                 "got {}",
                 n);
  Dtype to = inexact(a.dtype());
  Dtype t = to == Dtype::kFloat64 || to == Dtype::kComplex64 ? to : Dtype::kFloat32;
  array x = cast(a, t);
  // [before, factor, behind]: the factor's axis is multiplied by its matrix.
  int64_t before = a.size() / n, behind = n;
  auto multiply = [&](int64_t factor, const uint32_t* rows) {
    if (factor == 1) return;
    behind /= factor;
    array h = matrix_of(factor, rows, t);
    x = behind == 1 ? matmul(reshape(x, {before, factor}), swapaxes(h, 0, 1))
                    : matmul(h, reshape(x, {before, factor, behind}));
    before *= factor;
  };
  multiply(order, odd_rows(order));
  while (behind > 1) multiply(std::min(behind, kLargest), nullptr);
  x = x * scale.value_or(1 / std::sqrt(static_cast<double>(n)));
  return cast(reshape(x, a.shape()), to);
}

}  // namespace plimsoll
