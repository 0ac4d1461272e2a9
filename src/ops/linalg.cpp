// Dense linear algebra: eigh is recorded, norms are made of reductions.
#include "plimsoll/ops/linalg.h"

#include <cmath>

#include "ops/common.h"
#include "ops/lists.h"
#include "ops/matrix.h"
#include "opset/linalg.h"
#include "plimsoll/ops/binary.h"
#include "plimsoll/ops/cast.h"
#include "plimsoll/ops/compare.h"
#include "plimsoll/ops/creation.h"
#include "plimsoll/ops/factor.h"
#include "plimsoll/ops/matmul.h"
#include "plimsoll/ops/reduce.h"
#include "plimsoll/ops/select.h"
#include "plimsoll/ops/unary.h"
#include "plimsoll/ops/view.h"

namespace plimsoll {
namespace ops {
namespace {

void infer_eigh(const OpInstance& op, std::vector<TensorSpec>& out) {
  const TensorSpec& a = op.inputs[0];
  Shape values = a.shape;
  values.pop_back();
  out.push_back({real_of(a.dtype), std::move(values)});
  out.push_back(a);
}

// V (diag(gw) + F * (Vh gV)) Vh with F_ij = 1 / (w_j - w_i), 0 where eigenvalues are equal (Giles,
// "Collected matrix derivative results for forward and reverse mode AD", 2008).
std::vector<array> eigh_vjp(const VjpArgs& v) {
  if (!v.needed[0]) return {array()};
  const array &w = v.outputs[0], &vectors = v.outputs[1];
  array gaps = expand_dims(w, {-2}) - expand_dims(w, {-1});
  array same = equal(gaps, constant_like(0, gaps));
  array f =
      where(same, constant_like(0, gaps), scalar(1) / where(same, constant_like(1, gaps), gaps));
  array vh = adjoint(vectors);
  array inner = f * matmul(vh, v.cotangents[1]);
  array diagonal = where(eye(w.shape(-1), std::nullopt, 0, Dtype::kBool),
                         expand_dims(v.cotangents[0], {-1}), constant_like(0, w));
  return {matmul(vectors, matmul(inner + diagonal, vh))};
}

const OpDef& eigh_def();

double eigh_flops(const OpInstance& op) {
  return 9.0 * static_cast<double>(num_elements(op.inputs[0].shape)) *
         static_cast<double>(op.inputs[0].shape.back());
}

constinit const OpDef kEigh{
    .name = "eigh",
    .kind = Kind::kStructured,
    .attrs = &kAttrsOf<EighAttrs>,
    .check = contract::square,
    .infer = infer_eigh,
    .vjp = eigh_vjp,
    .vmap = [](const VmapArgs& v) -> VmapResult {
      array a = batch_first(v.inputs[0], v.axes[0]);
      return {record_many(eigh_def(), {&a, 1}, same_attrs(v.attrs)), {0, 0}};
    },
    .tiling = matrix_tiling,
    .flops = eigh_flops,
    .num_outputs = 2,
    .entry = boxed<&linalg::eigh>::call,
    .signature =
        "linalg.eigh(a: array, UPLO: str = 'L', *, stream: None | Stream | Device = None) -> "
        "tuple[array, array]",
    .doc = R"(Eigenvalues and eigenvectors of symmetric or Hermitian matrices (LAPACK syevd, heevd).

``a`` is [..., N, N] in float32, float64 or complex64; the lower triangle is read, or the upper one
for UPLO "U". Returns the eigenvalues [..., N] in ascending order (real) and the eigenvectors
[..., N, N] in columns. Raises ValueError for other dtypes and shapes.

Example:
    >>> mx.linalg.eigh(mx.array([[2.0, 0.0], [0.0, 1.0]]))[0]
    array([1, 2], dtype=float32)
)"};

const OpDef& eigh_def() { return kEigh; }

constinit const OpDef kEigvalsh{
    .name = "eigvalsh",
    .kind = Kind::kComposite,
    .entry = boxed<&linalg::eigvalsh>::call,
    .signature =
        "linalg.eigvalsh(a: array, UPLO: str = 'L', *, stream: None | Stream | Device = None) -> "
        "array",
    .doc = R"(Eigenvalues of symmetric or Hermitian matrices, as eigh gives them.

Example:
    >>> mx.linalg.eigvalsh(mx.array([[2.0, 0.0], [0.0, 1.0]]))
    array([1, 2], dtype=float32)
)"};

constinit const OpDef kNorm{
    .name = "norm",
    .kind = Kind::kComposite,
    .entry = boxed<&linalg::norm>::call,
    .signature =
        "linalg.norm(a: array, /, ord: None | int | float | str = None, axis: None | int | "
        "Sequence[int] = None, keepdims: bool = False, *, stream: None | Stream | Device = None) "
        "-> array",
    .doc = R"(Norm of vectors (one axis) or matrices (two axes).

Without ``ord``: the square root of the sum of squares over ``axis``, or over all elements. Vectors:
any number p gives sum(abs(a) ** p) ** (1 / p), 0 the count of elements that are not 0, inf and -inf
the greatest and least magnitude. Matrices: "fro", 1 and -1 (greatest and least sum of a column's
magnitudes), inf and -inf (of a row's), 2 and -2 (greatest and least singular value), "nuc" (their
sum). Integers are computed in float32; complex64 gives float32.
Raises ValueError for other orders and numbers of axes.

Example:
    >>> mx.linalg.norm(mx.array([3.0, 4.0]))
    array(5, dtype=float32)
)"};

array vector_norm(const array& a, double p, const Dims& axes, bool keepdims) {
  array size = abs(a);
  if (std::isinf(p)) return p > 0 ? max(size, axes, keepdims) : min(size, axes, keepdims);
  if (p == 0) return sum(astype(not_equal(a, constant_like(0, a)), size.dtype()), axes, keepdims);
  if (p == 1) return sum(size, axes, keepdims);
  if (p == 2) return sqrt(sum(square(size), axes, keepdims));
  return power(sum(power(size, scalar(p)), axes, keepdims), scalar(1 / p));
}

// A reduction of the singular values of the matrices on two axes.
array spectral_norm(const array& a, array (*reduce)(const array&, const Axes&, bool),
                    const Dims& axes, bool keepdims) {
  Dims taken = checked_axes(axes, a.ndim(), "linalg.norm"), order;
  for (int i = 0; i < a.ndim(); ++i)
    if (i != taken[0] && i != taken[1]) order.push_back(i);
  for (int64_t axis : taken) order.push_back(axis);
  array out = reduce(linalg::singular_values(transpose(a, order)), Dims{-1}, false);
  return keepdims ? expand_dims(out, taken) : out;
}

array matrix_norm(const array& a, double p, const Dims& axes, bool keepdims) {
  if (p == 2) return spectral_norm(a, max, axes, keepdims);
  if (p == -2) return spectral_norm(a, min, axes, keepdims);
  PLIMSOLL_CHECK(p == 1 || p == -1 || std::isinf(p), ValueError,
                 "[linalg.norm] expected order 1, -1, 2, -2, inf, -inf, 'fro' or 'nuc' for "
                 "matrices, got {}",
                 p);
  bool columns = std::fabs(p) == 1;
  int64_t summed = checked_axis(axes[columns ? 0 : 1], a.ndim(), "linalg.norm");
  int64_t kept = checked_axis(axes[columns ? 1 : 0], a.ndim(), "linalg.norm");
  array sums = sum(abs(a), Dims{summed}, true);
  array out = p > 0 ? max(sums, Dims{kept}, true) : min(sums, Dims{kept}, true);
  return keepdims ? out : squeeze(out, axes);
}

void check_square(const array& a) {
  PLIMSOLL_CHECK(a.dtype() == Dtype::kFloat32 || a.dtype() == Dtype::kFloat64 ||
                     a.dtype() == Dtype::kComplex64,
                 ValueError, "[linalg.eigh] expected float32, float64 or complex64, got {}",
                 name_of(a.dtype()));
  PLIMSOLL_CHECK(a.ndim() >= 2 && a.shape(-1) == a.shape(-2), ShapeError,
                 "[linalg.eigh] expected square matrices, got shape {}", to_string(a.shape()));
}

}  // namespace

OpList linalg_ops() {
  static constexpr const OpDef* kOps[] = {&kEigh, &kEigvalsh, &kNorm};
  return kOps;
}

}  // namespace ops

namespace linalg {

std::vector<array> eigh(const array& a, const std::string& uplo) {
  ops::check_square(a);
  PLIMSOLL_CHECK(uplo == "L" || uplo == "U", ValueError,
                 "[linalg.eigh] expected UPLO \"L\" or \"U\", got \"{}\"", uplo);
  return ops::record_many(ops::kEigh, {&a, 1}, ops::make_attrs(EighAttrs(uplo == "U")));
}

array eigvalsh(const array& a, const std::string& uplo) { return eigh(a, uplo)[0]; }

array norm(const array& a, const NormOrder& ord, const std::optional<Dims>& axes, bool keepdims) {
  using namespace ops;
  array x = cast(a, inexact(a.dtype()));
  Dims over = axes ? *axes : Dims{};
  if (!axes)
    for (int i = 0; i < x.ndim(); ++i) over.push_back(i);
  bool plain = std::holds_alternative<std::monostate>(ord);
  PLIMSOLL_CHECK((plain && !axes) || over.size() == 1 || over.size() == 2, ValueError,
                 "[linalg.norm] expected one or two axes, got {}", over.size());
  if (plain) return vector_norm(x, 2, over, keepdims);
  if (const auto* name = std::get_if<std::string>(&ord)) {
    PLIMSOLL_CHECK((*name == "fro" || *name == "nuc") && over.size() == 2, ValueError,
                   "[linalg.norm] expected order 'fro' or 'nuc' and two axes, got '{}' and {}",
                   *name, over.size());
    if (*name == "nuc") return spectral_norm(x, sum, over, keepdims);
    return vector_norm(x, 2, over, keepdims);
  }
  double p = std::holds_alternative<int64_t>(ord) ? static_cast<double>(std::get<int64_t>(ord))
                                                  : std::get<double>(ord);
  return over.size() == 1 ? vector_norm(x, p, over, keepdims) : matrix_norm(x, p, over, keepdims);
}

}  // namespace linalg
}  // namespace plimsoll
