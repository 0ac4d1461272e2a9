// Factorisations of matrices.
#include "plimsoll/ops/factor.h"

#include <algorithm>

#include "ops/common.h"
#include "ops/lists.h"
#include "ops/matrix.h"
#include "opset/factor.h"
#include "plimsoll/ops/binary.h"
#include "plimsoll/ops/compare.h"
#include "plimsoll/ops/creation.h"
#include "plimsoll/ops/join.h"
#include "plimsoll/ops/matmul.h"
#include "plimsoll/ops/reduce.h"
#include "plimsoll/ops/select.h"
#include "plimsoll/ops/solve.h"
#include "plimsoll/ops/view.h"

namespace plimsoll {
namespace ops {
namespace {

Shape batch_of(const Shape& a) { return Shape(a.begin(), a.end() - 2); }

TensorSpec spec(Dtype dtype, Shape shape, std::initializer_list<int64_t> tail) {
  for (int64_t n : tail) shape.push_back(n);
  return {dtype, std::move(shape)};
}

double cubic_flops(const OpInstance& op) {
  const Shape& a = op.inputs[0].shape;
  return 4.0 * static_cast<double>(num_elements(a)) *
         static_cast<double>(std::min(a.back(), a[a.size() - 2]));
}

template <const OpDef& (*Def)()>
VmapResult factor_vmap(const VmapArgs& v) {
  array a = batch_first(v.inputs[0], v.axes[0]);
  if (Def().num_outputs == 1) return {{record(Def(), {a}, same_attrs(v.attrs))}, {0}};
  std::vector<array> out = record_many(Def(), {&a, 1}, same_attrs(v.attrs));
  return {out, std::vector<int>(out.size(), 0)};
}

array first_columns(const array& a, int64_t n) {
  Dims start(static_cast<size_t>(a.ndim()), 0), stop(a.shape().begin(), a.shape().end());
  stop[a.ndim() - 1] = n;
  return slice(a, start, stop);
}
array last_columns(const array& a, int64_t from) {
  Dims start(static_cast<size_t>(a.ndim()), 0), stop(a.shape().begin(), a.shape().end());
  start[a.ndim() - 1] = from;
  return slice(a, start, stop);
}
array first_rows(const array& a, int64_t n) {
  Dims start(static_cast<size_t>(a.ndim()), 0), stop(a.shape().begin(), a.shape().end());
  stop[a.ndim() - 2] = n;
  return slice(a, start, stop);
}

// --- cholesky ---

void infer_same(const OpInstance& op, std::vector<TensorSpec>& out) { out.push_back(op.inputs[0]); }

const OpDef& cholesky_def();

// L⁻ᵀ Φ(Lᵀ G) L⁻¹ made symmetric, Φ the lower triangle with half the diagonal (Murray,
// "Differentiation of the Cholesky decomposition", 2016).
std::vector<array> cholesky_vjp(const VjpArgs& v) {
  if (!v.needed[0]) return {array()};
  const bool upper = attrs_as<TriangleAttrs>(v.attrs).upper;
  array l = upper ? adjoint(v.outputs[0]) : v.outputs[0];
  array g = tril(upper ? adjoint(v.cotangents[0]) : v.cotangents[0]);
  array product = tril(matmul(adjoint(l), g));
  array phi = product - diagonal_matrix(main_diagonal(product)) * scalar(0.5);
  array left = linalg::solve_triangular(adjoint(l), phi, true);
  array s = adjoint(linalg::solve_triangular(adjoint(l), adjoint(left), true));
  return {(s + adjoint(s)) * scalar(0.5)};
}

constinit const OpDef kCholesky{
    .name = "cholesky",
    .kind = Kind::kStructured,
    .attrs = &kAttrsOf<TriangleAttrs>,
    .check = contract::square,
    .infer = infer_same,
    .vjp = cholesky_vjp,
    .vmap = factor_vmap<cholesky_def>,
    .tiling = matrix_tiling,
    .flops = cubic_flops,
    .entry = boxed<&linalg::cholesky>::call,
    .signature =
        "linalg.cholesky(a: array, upper: bool = False, *, stream: None | Stream | Device "
        "= None) -> array",
    .doc = R"(Cholesky factors of symmetric positive definite matrices (LAPACK potrf).

``a`` is [..., N, N] in float32 or float64, of which the lower triangle is read (the upper one for
``upper``). Returns the lower triangular l with l lᵀ = a, or the upper triangular u with uᵀ u = a;
NaN for matrices that are not positive definite. Raises ValueError for other dtypes and shapes.

Example:
    >>> mx.linalg.cholesky(mx.array([[4.0, 2.0], [2.0, 2.0]]))
    array([[2, 0],
           [1, 1]], dtype=float32)
)"};
const OpDef& cholesky_def() { return kCholesky; }

// --- qr ---

void infer_qr(const OpInstance& op, std::vector<TensorSpec>& out) {
  const TensorSpec& a = op.inputs[0];
  const int64_t m = a.shape[a.shape.size() - 2], n = a.shape.back(), k = std::min(m, n);
  out.push_back(spec(a.dtype, batch_of(a.shape), {m, k}));
  out.push_back(spec(a.dtype, batch_of(a.shape), {k, n}));
}

const OpDef& qr_def();

// (G_Q + Q copyltu(M)) R⁻ᵀ with M = R G_Rᵀ - G_Qᵀ Q, copyltu the lower triangle copied to the upper
// (Seeger et al., "Auto-differentiating linear algebra", 2017). Of wide matrices [X Y] it is X's, Y
// being Q times the rest of R.
std::vector<array> qr_vjp(const VjpArgs& v) {
  if (!v.needed[0]) return {array()};
  const array &a = v.inputs[0], &q = v.outputs[0];
  array r = v.outputs[1], gq = v.cotangents[0], gr = v.cotangents[1];
  const int64_t m = a.shape(-2), n = a.shape(-1);
  array rest = last_columns(gr, std::min(m, n));
  if (m < n) {
    gq = gq + matmul(last_columns(a, m), adjoint(rest));
    r = first_columns(r, m);
    gr = first_columns(gr, m);
  }
  array inner = matmul(r, adjoint(gr)) - matmul(adjoint(gq), q);
  array both = tril(inner) + adjoint(tril(inner, -1));
  array left = gq + matmul(q, both);
  array gx = adjoint(linalg::solve_triangular(r, adjoint(left), true));
  if (m >= n) return {gx};
  return {concatenate({gx, matmul(q, rest)}, -1)};
}

constinit const OpDef kQr{
    .name = "qr",
    .kind = Kind::kStructured,
    .check = contract::matrix,
    .infer = infer_qr,
    .vjp = qr_vjp,
    .vmap = factor_vmap<qr_def>,
    .tiling = matrix_tiling,
    .flops = cubic_flops,
    .num_outputs = 2,
    .entry = boxed<&linalg::qr>::call,
    .signature =
        "linalg.qr(a: array, *, stream: None | Stream | Device = None) -> tuple[array, "
        "array]",
    .doc = R"(QR factorisation of matrices (LAPACK geqrf, orgqr).

``a`` is [..., M, N] in float32 or float64. Returns q [..., M, K] with orthonormal columns and the
upper triangular r [..., K, N], K = min(M, N), with q r = a. Raises ValueError for other dtypes.

Example:
    >>> q, r = mx.linalg.qr(mx.array([[0.0, 2.0], [-1.0, 0.0]]))
    >>> mx.abs(r)
    array([[1, 0],
           [0, 2]], dtype=float32)
)"};
const OpDef& qr_def() { return kQr; }

// --- svd ---

void infer_svd(const OpInstance& op, std::vector<TensorSpec>& out) {
  const TensorSpec& a = op.inputs[0];
  const int64_t m = a.shape[a.shape.size() - 2], n = a.shape.back();
  out.push_back(spec(a.dtype, batch_of(a.shape), {m, m}));
  out.push_back(spec(real_of(a.dtype), batch_of(a.shape), {std::min(m, n)}));
  out.push_back(spec(a.dtype, batch_of(a.shape), {n, n}));
}
void infer_singular_values(const OpInstance& op, std::vector<TensorSpec>& out) {
  const TensorSpec& a = op.inputs[0];
  out.push_back(spec(real_of(a.dtype), batch_of(a.shape),
                     {std::min(a.shape[a.shape.size() - 2], a.shape.back())}));
}

const OpDef& svd_def();
const OpDef& singular_values_def();

/// 1 / x, and 0 where x is 0.
array reciprocal_or_zero(const array& x) {
  array none = equal(x, constant_like(0, x));
  return where(none, constant_like(0, x), scalar(1) / where(none, constant_like(1, x), x));
}

// U [(F ∘ (Uᵀ G_U - G_Uᵀ U)) S + S (F ∘ (Vᵀ G_V - G_Vᵀ V)) + G_S] Vᵀ and the parts outside of U's
// and V's columns, F_ij = 1 / (s_j² - s_i²) (Townsend, "Differentiating the singular value
// decomposition", 2016). The columns of the squares past K are any basis: no gradient.
std::vector<array> svd_vjp(const VjpArgs& v) {
  if (!v.needed[0]) return {array()};
  const array &a = v.inputs[0], &s = v.outputs[1];
  PLIMSOLL_CHECK(a.dtype() != Dtype::kComplex64, ValueError,
                 "[linalg.svd] expected real matrices for a gradient through u and vh, got "
                 "complex64; svd(a, compute_uv=False) has one");
  const int64_t k = s.shape(-1);
  array u = first_columns(v.outputs[0], k), vt = first_rows(v.outputs[2], k);
  array gu = first_columns(v.cotangents[0], k), gvt = first_rows(v.cotangents[2], k);
  array squares = s * s;
  array f = reciprocal_or_zero(expand_dims(squares, {-2}) - expand_dims(squares, {-1}));
  array over_s = reciprocal_or_zero(s);
  array rows = expand_dims(s, {-1}), columns = expand_dims(s, {-2});
  array by_u = matmul(adjoint(u), gu), by_v = matmul(vt, adjoint(gvt));
  array inner = f * (by_u - adjoint(by_u)) * columns + rows * (f * (by_v - adjoint(by_v))) +
                diagonal_matrix(v.cotangents[1]);
  array out = matmul(matmul(u, inner), vt);
  if (a.shape(-2) > k) out = out + matmul((gu - matmul(u, by_u)) * expand_dims(over_s, {-2}), vt);
  if (a.shape(-1) > k)
    out = out + matmul(u * expand_dims(over_s, {-2}), gvt - matmul(adjoint(by_v), vt));
  return {out};
}

std::vector<array> singular_values_vjp(const VjpArgs& v) {
  if (!v.needed[0]) return {array()};
  std::vector<array> parts = linalg::svd(v.inputs[0]);
  const int64_t k = v.outputs[0].shape(-1);
  return {matmul(first_columns(parts[0], k) * expand_dims(v.cotangents[0], {-2}),
                 first_rows(parts[2], k))};
}

graph::Box svd_entry(std::span<graph::Box> args) {
  const array a = std::get<array>(std::move(args[0]));
  if (std::get<bool>(args[1])) return linalg::svd(a);
  return linalg::singular_values(a);
}

constinit const OpDef kSvd{
    .name = "svd",
    .kind = Kind::kStructured,
    .check = contract::matrix,
    .infer = infer_svd,
    .vjp = svd_vjp,
    .vmap = factor_vmap<svd_def>,
    .tiling = matrix_tiling,
    .flops = cubic_flops,
    .num_outputs = 3,
    .entry = svd_entry,
    .signature =
        "linalg.svd(a: array, compute_uv: bool = True, *, stream: None | Stream | Device = "
        "None) -> tuple[array, array, array] | array",
    .doc = R"(Singular value decomposition of matrices (LAPACK gesdd).

``a`` is [..., M, N] in float32, float64 or complex64. Returns u [..., M, M], the singular values
s [..., min(M, N)] in descending order (real) and vh [..., N, N] with a = u diag(s) vh, or s alone
without ``compute_uv``. A matrix with a NaN or an infinity gives NaN. The gradient through u and vh
is that of the first min(M, N) vectors, for real matrices with different singular values. Raises
ValueError for other dtypes.

Example:
    >>> mx.linalg.svd(mx.array([[0.0, 3.0], [2.0, 0.0]]))[1]
    array([3, 2], dtype=float32)
)"};
const OpDef& svd_def() { return kSvd; }

constinit const OpDef kSingularValues{
    .name = "singular_values",
    .kind = Kind::kStructured,
    .check = contract::matrix,
    .infer = infer_singular_values,
    .vjp = singular_values_vjp,
    .vmap = factor_vmap<singular_values_def>,
    .tiling = matrix_tiling,
    .flops = cubic_flops,
    .doc = "Singular values without vectors: linalg.svd(a, compute_uv=False)."};
const OpDef& singular_values_def() { return kSingularValues; }

// --- lu ---

void infer_lu(const OpInstance& op, std::vector<TensorSpec>& out) {
  const TensorSpec& a = op.inputs[0];
  const int64_t m = a.shape[a.shape.size() - 2], n = a.shape.back();
  out.push_back(a);
  out.push_back(spec(Dtype::kUint32, batch_of(a.shape), {std::min(m, n)}));
  out.push_back(spec(Dtype::kUint32, batch_of(a.shape), {m}));
}

const OpDef& lu_def();

// Pᵀ L⁻ᵀ (tril(Lᵀ G_L, -1) + triu(G_U Uᵀ)) U⁻ᵀ, for square matrices.
std::vector<array> lu_vjp(const VjpArgs& v) {
  if (!v.needed[0]) return {array()};
  const array& a = v.inputs[0];
  PLIMSOLL_CHECK(a.shape(-1) == a.shape(-2), ValueError,
                 "[linalg.lu] expected square matrices for a gradient, got shape {}",
                 to_string(a.shape()));
  const array &both = v.outputs[0], &g = v.cotangents[0];
  array l = tril(both, -1) + eye(a.shape(-1), std::nullopt, 0, a.dtype());
  array u = triu(both);
  array inner = tril(matmul(adjoint(l), tril(g, -1)), -1) + triu(matmul(triu(g), adjoint(u)));
  array left = linalg::solve_triangular(adjoint(l), inner, true);
  array rows = adjoint(linalg::solve_triangular(u, adjoint(left), true));
  return {rows_at(rows, v.outputs[2])};
}

constinit const OpDef kLuFactor{
    .name = "lu_factor",
    .kind = Kind::kStructured,
    .check = contract::matrix,
    .infer = infer_lu,
    .vjp = lu_vjp,
    .vmap = factor_vmap<lu_def>,
    .tiling = matrix_tiling,
    .flops = cubic_flops,
    .num_outputs = 3,
    .entry = boxed<&linalg::lu_factor>::call,
    .signature =
        "linalg.lu_factor(a: array, *, stream: None | Stream | Device = None) -> "
        "tuple[array, array]",
    .doc = R"(LU factorisation with exchanges of rows, in one matrix (LAPACK getrf).

``a`` is [..., M, N] in float32 or float64. Returns a matrix with l below its diagonal (of ones) and
u on and above it, and for each of the first min(M, N) rows the row that it was exchanged with, in
this order (uint32). Gradients are those of square matrices. Raises ValueError for other dtypes.

Example:
    >>> mx.linalg.lu_factor(mx.array([[0.0, 1.0], [2.0, 3.0]]))[1]
    array([1, 1], dtype=uint32)
)"};
const OpDef& lu_def() { return kLuFactor; }

constinit const OpDef kLu = composite(
    "lu", boxed<&linalg::lu>::call,
    "linalg.lu(a: array, *, stream: None | Stream | Device = None) -> tuple[array, array, array]",
    R"(LU factorisation as row indices p and triangular l and u: a = l[p] u.

``a`` is [..., M, N] in float32 or float64; p [..., M] (uint32), l [..., M, K] with ones on its
diagonal, u [..., K, N], K = min(M, N). Gradients are those of square matrices.

Example:
    >>> p, l, u = mx.linalg.lu(mx.array([[0.0, 1.0], [2.0, 3.0]]))
    >>> l[p] @ u
    array([[0, 1],
           [2, 3]], dtype=float32)
)");

// --- eig ---

void infer_eig(const OpInstance& op, std::vector<TensorSpec>& out) {
  const Shape& a = op.inputs[0].shape;
  out.push_back(spec(Dtype::kComplex64, batch_of(a), {a.back()}));
  out.push_back({Dtype::kComplex64, a});
}
void infer_eigvals(const OpInstance& op, std::vector<TensorSpec>& out) {
  const Shape& a = op.inputs[0].shape;
  out.push_back(spec(Dtype::kComplex64, batch_of(a), {a.back()}));
}

const OpDef& eig_def();
const OpDef& eigvals_def();

constinit const OpDef kEig{
    .name = "eig",
    .kind = Kind::kStructured,
    .check = contract::square,
    .infer = infer_eig,
    .vmap = factor_vmap<eig_def>,
    .differentiable = false,
    .tiling = matrix_tiling,
    .flops = cubic_flops,
    .num_outputs = 2,
    .entry = boxed<&linalg::eig>::call,
    .signature =
        "linalg.eig(a: array, *, stream: None | Stream | Device = None) -> tuple[array, "
        "array]",
    .doc = R"(Eigenvalues and eigenvectors of square matrices (LAPACK geev).

``a`` is [..., N, N] in float32, float64 or complex64. Returns the eigenvalues [..., N] in no
particular order and the eigenvectors [..., N, N] of length 1 in columns, both complex64 whatever the
input. A matrix with a NaN or an infinity gives NaN. There is no gradient. Raises ValueError for
other dtypes and shapes.

Example:
    >>> mx.linalg.eig(mx.array([[0.0, 1.0], [-1.0, 0.0]]))[0]
    array([0+1j, 0-1j], dtype=complex64)
)"};
const OpDef& eig_def() { return kEig; }

constinit const OpDef kEigvals{
    .name = "eigvals",
    .kind = Kind::kStructured,
    .check = contract::square,
    .infer = infer_eigvals,
    .vmap = factor_vmap<eigvals_def>,
    .differentiable = false,
    .tiling = matrix_tiling,
    .flops = cubic_flops,
    .entry = boxed<&linalg::eigvals>::call,
    .signature = "linalg.eigvals(a: array, *, stream: None | Stream | Device = None) -> array",
    .doc = R"(Eigenvalues of square matrices, as eig gives them.

Example:
    >>> mx.linalg.eigvals(mx.array([[0.0, 1.0], [-1.0, 0.0]]))
    array([0+1j, 0-1j], dtype=complex64)
)"};
const OpDef& eigvals_def() { return kEigvals; }

}  // namespace

OpList factor_ops() {
  static constexpr const OpDef* kOps[] = {&kCholesky, &kQr, &kSvd, &kSingularValues,
                                          &kLuFactor, &kLu, &kEig, &kEigvals};
  return kOps;
}

}  // namespace ops

namespace linalg {

array cholesky(const array& a, bool upper) {
  ops::check_matrix(a, "cholesky", true, false);
  return ops::record(ops::kCholesky, {a}, ops::make_attrs(TriangleAttrs(upper)));
}

std::vector<array> qr(const array& a) {
  ops::check_matrix(a, "qr", false, false);
  return ops::record_many(ops::kQr, {&a, 1}, nullptr);
}

std::vector<array> svd(const array& a) {
  ops::check_matrix(a, "svd", false, true);
  return ops::record_many(ops::kSvd, {&a, 1}, nullptr);
}

array singular_values(const array& a) {
  ops::check_matrix(a, "svd", false, true);
  return ops::record(ops::kSingularValues, {a});
}

std::vector<array> lu_factor(const array& a) {
  ops::check_matrix(a, "lu_factor", false, false);
  std::vector<array> out = ops::record_many(ops::kLuFactor, {&a, 1}, nullptr);
  out.pop_back();
  return out;
}

std::vector<array> lu(const array& a) {
  ops::check_matrix(a, "lu", false, false);
  std::vector<array> out = ops::record_many(ops::kLuFactor, {&a, 1}, nullptr);
  const int64_t m = a.shape(-2), n = a.shape(-1), k = std::min(m, n);
  array l = tril(ops::first_columns(out[0], k), -1) + eye(m, k, 0, a.dtype());
  return {out[2], l, triu(ops::first_rows(out[0], k))};
}

std::vector<array> eig(const array& a) {
  ops::check_matrix(a, "eig", true, true);
  return ops::record_many(ops::kEig, {&a, 1}, nullptr);
}

array eigvals(const array& a) {
  ops::check_matrix(a, "eigvals", true, true);
  return ops::record(ops::kEigvals, {a});
}

}  // namespace linalg
}  // namespace plimsoll
