// Matrix products whose operands are picked, masked or cut by arrays.
#include "plimsoll/ops/gather_mm.h"

#include <algorithm>

#include "ops/common.h"
#include "ops/lists.h"
#include "opset/gather_mm.h"
#include "opset/matmul.h"
#include "plimsoll/ops/binary.h"
#include "plimsoll/ops/cast.h"
#include "plimsoll/ops/compare.h"
#include "plimsoll/ops/creation.h"
#include "plimsoll/ops/gather.h"
#include "plimsoll/ops/matmul.h"
#include "plimsoll/ops/reduce.h"
#include "plimsoll/ops/scatter.h"
#include "plimsoll/ops/select.h"
#include "plimsoll/ops/view.h"

namespace plimsoll {
namespace ops {
namespace {

array transposed(const array& a) { return swapaxes(a, -1, -2); }

void infer_gather_mm(const OpInstance& op, std::vector<TensorSpec>& out) {
  const Shape &a = op.inputs[0].shape, &b = op.inputs[1].shape;
  out.push_back({op.inputs[0].dtype, {op.inputs[2].shape[0], a[1], b[2]}});
}

array record_gather_mm(const array& a, const array& b, const array& lhs, const array& rhs);

// a[lhs[s]] += g[s] × b[rhs[s]]ᵀ and b[rhs[s]] += a[lhs[s]]ᵀ × g[s].
std::vector<array> gather_mm_vjp(const VjpArgs& v) {
  const array &a = v.inputs[0], &b = v.inputs[1], &lhs = v.inputs[2], &rhs = v.inputs[3];
  const array& g = v.cotangents[0];
  array own = arange(int64_t{0}, g.shape()[0], int64_t{1}, Dtype::kInt64);
  std::vector<array> out(4);
  if (v.needed[0])
    out[0] = scatter(zeros(a.shape(), a.dtype()), lhs, record_gather_mm(g, transposed(b), own, rhs),
                     0, "add");
  if (v.needed[1])
    out[1] = scatter(zeros(b.shape(), b.dtype()), rhs, record_gather_mm(transposed(a), g, lhs, own),
                     0, "add");
  return out;
}

// The matrices of a batch follow each other, and indices skip those of the elements before.
VmapResult gather_mm_vmap(const VmapArgs& v) {
  array in[4];
  int64_t each = 0;
  for (int k = 0; k < 2; ++k) {
    array x = batch_first(v.inputs[k], v.axes[k]);
    array at = batch_or_repeat(v.inputs[2 + k], v.axes[2 + k], v.batch);
    each = at.shape(1);
    in[k] = v.axes[k] < 0 ? x : flatten(x, 0, 1);
    in[2 + k] = flatten(v.axes[k] < 0 ? at : batched_indices(at, x.shape(1)));
  }
  return {{unflatten(record_gather_mm(in[0], in[1], in[2], in[3]), 0, {v.batch, each})}, {0}};
}

constinit const OpDef kGatherMm{
    .name = "gather_mm",
    .kind = Kind::kContraction,
    .check = contract::gather_mm,
    .infer = infer_gather_mm,
    .vjp = gather_mm_vjp,
    .vmap = gather_mm_vmap,
    .tiling = gather_mm_tiling,
    .flops = product_flops,
    .entry = boxed<&gather_mm>::call,
    .signature =
        "gather_mm(a: array, b: array, /, lhs_indices: array | None = None, rhs_indices: array | "
        "None = None, *, sorted_indices: bool = False, stream: None | Stream | Device = None) -> "
        "array",
    .doc = R"(Products of matrices that indices pick: a[lhs_indices] @ b[rhs_indices].

Indices are flat positions among the leading axes of ``a`` [..., M, K] and ``b`` [..., K, N] and
broadcast; for None all matrices in their order. No picked matrix is copied. The dtypes are promoted
and must come to a float dtype. ``sorted_indices`` makes no difference. Raises ValueError for shapes
and dtypes that do not fit and, on evaluation, IndexError for an index outside.

Example:
    >>> b = mx.array([[[1.0]], [[2.0]], [[3.0]]])
    >>> mx.gather_mm(mx.array([[10.0]]), b, rhs_indices=mx.array([2, 0])).flatten()
    array([30, 10], dtype=float32)
)"};

array record_gather_mm(const array& a, const array& b, const array& lhs, const array& rhs) {
  return record(kGatherMm, {a, b, lhs, rhs});
}

// Whether k lies in segment s: [S, K].
array membership(const array& segments, int64_t depth) {
  array k = arange(int64_t{0}, depth, int64_t{1}, Dtype::kInt64);
  auto bound = [&](int64_t i) { return slice(segments, {0, i}, {segments.shape()[0], i + 1}); };
  return logical_and(greater_equal(k, bound(0)), less(k, bound(1)));
}

std::vector<array> segmented_mm_vjp(const VjpArgs& v) {
  const array &a = v.inputs[0], &b = v.inputs[1], &g = v.cotangents[0];
  array inside = membership(v.inputs[2], a.shape()[1]);
  auto picked = [&](const array& products, int axis) {
    return sum(where(expand_dims(inside, {axis}), products, constant_like(0, products)), Dims{0});
  };
  std::vector<array> out(3);
  if (v.needed[0]) out[0] = picked(matmul(g, transposed(b)), 1);
  if (v.needed[1]) out[1] = picked(matmul(transposed(a), g), 2);
  return out;
}

const OpDef& segmented_mm_def();

constinit const OpDef kSegmentedMm{
    .name = "segmented_mm",
    .kind = Kind::kContraction,
    .check = contract::segmented_mm,
    .infer =
        [](const OpInstance& op, std::vector<TensorSpec>& out) {
          out.push_back({op.inputs[0].dtype,
                         {op.inputs[2].shape[0], op.inputs[0].shape[0], op.inputs[1].shape[1]}});
        },
    .vjp = segmented_mm_vjp,
    .vmap = [](const VmapArgs& v) -> VmapResult {
      return per_element(v, [](std::span<const array> in) {
        return std::vector<array>{record(segmented_mm_def(), in)};
      });
    },
    .tiling = segmented_mm_tiling,
    .flops =
        [](const OpInstance& op) {
          return 2.0 * static_cast<double>(op.outputs[0].shape[1] * op.outputs[0].shape[2]) *
                 static_cast<double>(op.inputs[0].shape.back());
        },
    .entry = boxed<&segmented_mm>::call,
    .signature =
        "segmented_mm(a: array, b: array, /, segments: array, *, stream: None | Stream | "
        "Device = None) -> array",
    .doc = R"(A product for each segment of the inner axis: a[:, i:j] @ b[i:j, :].

``a`` is [M, K], ``b`` [K, N], ``segments`` [..., 2] integers (i, j); the result is [..., M, N], zeros
where j is not greater than i. The dtypes are promoted and must come to a float dtype. Raises
ValueError for shapes and dtypes that do not fit and, on evaluation, IndexError for a segment
outside.

Example:
    >>> mx.segmented_mm(mx.ones((1, 3)), mx.ones((3, 1)), mx.array([[0, 1], [1, 3]])).flatten()
    array([1, 2], dtype=float32)
)"};

const OpDef& segmented_mm_def() { return kSegmentedMm; }

constinit const OpDef kBlockMaskedMm = composite(
    "block_masked_mm", boxed<&block_masked_mm>::call,
    "block_masked_mm(a: array, b: array, /, block_size: int = 64, mask_out: array | None = None, "
    "mask_lhs: array | None = None, mask_rhs: array | None = None, *, stream: None | Stream | "
    "Device = None) -> array",
    R"(A matrix product whose operands and result are multiplied by masks, one number a block.

The masks have an element for each ``block_size`` by ``block_size`` block (32 or 64) of ``a``, ``b``
and the result; a bool keeps the block or makes it zeros. Raises ValueError for another block size
and for shapes that do not fit.

Example:
    >>> keep = mx.array([[True, False]])
    >>> mx.block_masked_mm(mx.ones((1, 2)), mx.ones((2, 64)), 32, keep)[0, 31:33]
    array([2, 0], dtype=float32)
)");

int64_t blocks(int64_t n, int64_t size) { return (n + size - 1) / size; }

// The matrices with every block multiplied by its number of the mask.
array masked(const array& x, const std::optional<array>& mask, int64_t size) {
  if (!mask) return x;
  int64_t rows = blocks(x.shape(-2), size), columns = blocks(x.shape(-1), size);
  Shape small(x.shape().begin(), x.shape().end() - 2), wide = small, full = small;
  small.push_back(rows);
  small.push_back(columns);
  for (int64_t d : {rows, size, columns, size}) wide.push_back(d);
  for (int64_t d : {rows * size, columns * size}) full.push_back(d);
  int n = static_cast<int>(small.size());
  array m =
      reshape(broadcast_to(expand_dims(broadcast_to(*mask, small), {n - 1, n + 1}), wide), full);
  m = slice(m, Dims(full.size(), 0), x.shape());
  if (m.dtype() == Dtype::kBool) return where(m, x, constant_like(0, x));
  return x * cast(m, x.dtype());
}

Dtype float_product(const array& a, const array& b, const char* op) {
  Dtype t = result_dtype(a, b);
  PLIMSOLL_CHECK(
      is_floating(t), ValueError,
      "[{}] expected dtypes that promote to a float, got {} and {}; cast one with astype", op,
      name_of(a.dtype()), name_of(b.dtype()));
  return t;
}

}  // namespace

OpList gather_mm_ops() {
  static constexpr const OpDef* kOps[] = {&kGatherMm, &kSegmentedMm, &kBlockMaskedMm};
  return kOps;
}

array matrix_positions(const array& a) {
  Shape batch(a.shape().begin(), a.shape().end() - 2);
  return reshape(arange(int64_t{0}, num_elements(batch), int64_t{1}, Dtype::kInt64), batch);
}

std::pair<array, array> matrix_indices(const array& a, const array& b,
                                       const std::optional<array>& lhs,
                                       const std::optional<array>& rhs, const char* op) {
  auto positions = [&](const array& x, const std::optional<array>& given) {
    if (!given) return matrix_positions(x);
    return astype(checked_indices(*given, op), Dtype::kInt64);
  };
  array i = positions(a, lhs), j = positions(b, rhs);
  Shape shape = broadcast_shapes(i.shape(), j.shape(), op);
  return {broadcast_to(i, shape), broadcast_to(j, shape)};
}

}  // namespace ops

array gather_mm(const array& a, const array& b, const std::optional<array>& lhs_indices,
                const std::optional<array>& rhs_indices, bool) {
  using namespace ops;
  if (!lhs_indices && !rhs_indices) {
    float_product(a, b, "gather_mm");
    return matmul(a, b);
  }
  PLIMSOLL_CHECK(a.ndim() > 0 && b.ndim() > 0, ValueError,
                 "[gather_mm] expected at least 1 dimension, got shapes {} and {}",
                 to_string(a.shape()), to_string(b.shape()));
  Dtype t = float_product(a, b, "gather_mm");
  array x = cast(a.ndim() == 1 ? reshape(a, {1, a.size()}) : a, t);
  array y = cast(b.ndim() == 1 ? reshape(b, {b.size(), 1}) : b, t);
  PLIMSOLL_CHECK(x.shape(-1) == y.shape(-2), ShapeError,
                 "[gather_mm] expected the last axis of a as long as the last but one of b, got "
                 "shapes {} and {}",
                 to_string(a.shape()), to_string(b.shape()));
  const auto picked = matrix_indices(x, y, lhs_indices, rhs_indices, "gather_mm");
  const array &i = picked.first, &j = picked.second;
  auto stacked = [](const array& m) {
    return reshape(
        m, {num_elements(Shape(m.shape().begin(), m.shape().end() - 2)), m.shape(-2), m.shape(-1)});
  };
  Shape shape = i.shape();
  if (a.ndim() > 1) shape.push_back(x.shape(-2));
  if (b.ndim() > 1) shape.push_back(y.shape(-1));
  return reshape(record_gather_mm(stacked(x), stacked(y), flatten(i), flatten(j)), shape);
}

array segmented_mm(const array& a, const array& b, const array& segments) {
  using namespace ops;
  PLIMSOLL_CHECK(a.ndim() == 2 && b.ndim() == 2 && a.shape(1) == b.shape(0), ShapeError,
                 "[segmented_mm] expected a of (M, K) and b of (K, N), got shapes {} and {}",
                 to_string(a.shape()), to_string(b.shape()));
  PLIMSOLL_CHECK(segments.ndim() > 0 && segments.shape(-1) == 2, ShapeError,
                 "[segmented_mm] expected segments of (..., 2), got shape {}",
                 to_string(segments.shape()));
  array at = astype(checked_indices(segments, "segmented_mm"), Dtype::kInt64);
  Dtype t = float_product(a, b, "segmented_mm");
  Shape shape(segments.shape().begin(), segments.shape().end() - 1);
  shape.push_back(a.shape(0));
  shape.push_back(b.shape(1));
  array pairs = reshape(at, {at.size() / 2, 2});
  return reshape(record(kSegmentedMm, {cast(a, t), cast(b, t), pairs}), shape);
}

array block_masked_mm(const array& a, const array& b, int64_t block_size,
                      const std::optional<array>& mask_out, const std::optional<array>& mask_lhs,
                      const std::optional<array>& mask_rhs) {
  using namespace ops;
  PLIMSOLL_CHECK(block_size == 32 || block_size == 64, ValueError,
                 "[block_masked_mm] expected a block size of 32 or 64, got {}", block_size);
  PLIMSOLL_CHECK(a.ndim() > 0 && b.ndim() > 0, ValueError,
                 "[block_masked_mm] expected at least 1 dimension, got shapes {} and {}",
                 to_string(a.shape()), to_string(b.shape()));
  array x = a.ndim() == 1 ? reshape(a, {1, a.size()}) : a;
  array y = b.ndim() == 1 ? reshape(b, {b.size(), 1}) : b;
  array out = masked(matmul(masked(x, mask_lhs, block_size), masked(y, mask_rhs, block_size)),
                     mask_out, block_size);
  Dims units;
  if (a.ndim() == 1) units.push_back(-2);
  if (b.ndim() == 1) units.push_back(-1);
  return units.empty() ? out : squeeze(out, units);
}

}  // namespace plimsoll
