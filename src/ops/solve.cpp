// Inverses, systems of equations, determinants.
#include "plimsoll/ops/solve.h"

#include <algorithm>
#include <limits>

#include "ops/common.h"
#include "ops/lists.h"
#include "ops/matrix.h"
#include "opset/solve.h"
#include "plimsoll/ops/binary.h"
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

void infer_first(const OpInstance& op, std::vector<TensorSpec>& out) {
  out.push_back(op.inputs[0]);
}
void infer_second(const OpInstance& op, std::vector<TensorSpec>& out) {
  out.push_back(op.inputs[1]);
}

double inverse_flops(const OpInstance& op) {
  const Shape& a = op.inputs[0].shape;
  return 2.0 * static_cast<double>(num_elements(a)) * static_cast<double>(a.back());
}
double solve_flops(const OpInstance& op) {
  return inverse_flops(op) + 2.0 * static_cast<double>(num_elements(op.inputs[1].shape)) *
                                 static_cast<double>(op.inputs[0].shape.back());
}

template <const OpDef& (*Def)()>
VmapResult inverse_vmap(const VmapArgs& v) {
  return {{record(Def(), {batch_first(v.inputs[0], v.axes[0])}, same_attrs(v.attrs))}, {0}};
}
template <const OpDef& (*Def)()>
VmapResult solve_vmap(const VmapArgs& v) {
  return {{record(Def(),
                  {batch_or_repeat(v.inputs[0], v.axes[0], v.batch),
                   batch_or_repeat(v.inputs[1], v.axes[1], v.batch)},
                  same_attrs(v.attrs))},
          {0}};
}

array triangle(const array& a, bool upper) { return upper ? triu(a) : tril(a); }

const OpDef& inv_def();
const OpDef& tri_inv_def();
const OpDef& solve_def();
const OpDef& solve_triangular_def();

array inverse_gradient(const array& x, const array& g) {
  return negative(matmul(matmul(adjoint(x), g), adjoint(x)));
}

constinit const OpDef kInv{
    .name = "inv",
    .kind = Kind::kStructured,
    .check = contract::square,
    .infer = infer_first,
    .vjp = [](const VjpArgs& v) -> std::vector<array> {
      if (!v.needed[0]) return {array()};
      return {inverse_gradient(v.outputs[0], v.cotangents[0])};
    },
    .vmap = inverse_vmap<inv_def>,
    .tiling = matrix_tiling,
    .flops = inverse_flops,
    .entry = boxed<&linalg::inv>::call,
    .signature = "linalg.inv(a: array, *, stream: None | Stream | Device = None) -> array",
    .doc = R"(Inverses of square matrices (LAPACK getrf, getri).

``a`` is [..., N, N] in float32 or float64. Raises ValueError for other dtypes and shapes, and
RuntimeError when the result is evaluated and a matrix is singular.

Example:
    >>> mx.linalg.inv(mx.array([[1.0, 0.0], [2.0, 4.0]]))
    array([[1, 0],
           [-0.5, 0.25]], dtype=float32)
)"};
const OpDef& inv_def() { return kInv; }

constinit const OpDef kTriInv{
    .name = "tri_inv",
    .kind = Kind::kStructured,
    .attrs = &kAttrsOf<TriangleAttrs>,
    .check = contract::square,
    .infer = infer_first,
    .vjp = [](const VjpArgs& v) -> std::vector<array> {
      if (!v.needed[0]) return {array()};
      const bool upper = attrs_as<TriangleAttrs>(v.attrs).upper;
      return {triangle(inverse_gradient(v.outputs[0], triangle(v.cotangents[0], upper)), upper)};
    },
    .vmap = inverse_vmap<tri_inv_def>,
    .tiling = matrix_tiling,
    .flops = inverse_flops,
    .entry = boxed<&linalg::tri_inv>::call,
    .signature =
        "linalg.tri_inv(a: array, upper: bool = False, *, stream: None | Stream | Device = "
        "None) -> array",
    .doc = R"(Inverses of triangular matrices (LAPACK trtri).

``a`` is [..., N, N] in float32 or float64, of which only the lower (``upper``: the upper) triangle
is read. Raises ValueError for other dtypes and shapes, and RuntimeError when the result is evaluated
and a matrix has a 0 on its diagonal.

Example:
    >>> mx.linalg.tri_inv(mx.array([[1.0, 0.0], [2.0, 1.0]]))
    array([[1, 0],
           [-2, 1]], dtype=float32)
)"};
const OpDef& tri_inv_def() { return kTriInv; }

constinit const OpDef kSolve{
    .name = "solve",
    .kind = Kind::kStructured,
    .check = contract::system,
    .infer = infer_second,
    .vjp = [](const VjpArgs& v) -> std::vector<array> {
      array gb = record(solve_def(), {adjoint(v.inputs[0]), v.cotangents[0]});
      std::vector<array> out(2);
      if (v.needed[0]) out[0] = negative(matmul(gb, adjoint(v.outputs[0])));
      if (v.needed[1]) out[1] = gb;
      return out;
    },
    .vmap = solve_vmap<solve_def>,
    .tiling = matrix_tiling,
    .flops = solve_flops,
    .entry = boxed<&linalg::solve>::call,
    .signature =
        "linalg.solve(a: array, b: array, *, stream: None | Stream | Device = None) -> "
        "array",
    .doc = R"(The x with a x = b (LAPACK getrf, getrs).

``a`` is [..., N, N]; ``b`` is a vector [N] or matrices [..., N, K]; leading axes broadcast. The dtypes
must promote to float32 or float64. Raises ValueError for other dtypes and for shapes that do not fit,
and RuntimeError when the result is evaluated and a matrix is singular.

Example:
    >>> mx.linalg.solve(mx.array([[2.0, 0.0], [0.0, 4.0]]), mx.array([2.0, 2.0]))
    array([1, 0.5], dtype=float32)
)"};
const OpDef& solve_def() { return kSolve; }

constinit const OpDef kSolveTriangular{
    .name = "solve_triangular",
    .kind = Kind::kStructured,
    .attrs = &kAttrsOf<TriangleAttrs>,
    .check = contract::system,
    .infer = infer_second,
    .vjp = [](const VjpArgs& v) -> std::vector<array> {
      const bool upper = attrs_as<TriangleAttrs>(v.attrs).upper;
      array gb = record(solve_triangular_def(), {adjoint(v.inputs[0]), v.cotangents[0]},
                        make_attrs(TriangleAttrs(!upper)));
      std::vector<array> out(2);
      if (v.needed[0]) out[0] = negative(triangle(matmul(gb, adjoint(v.outputs[0])), upper));
      if (v.needed[1]) out[1] = gb;
      return out;
    },
    .vmap = solve_vmap<solve_triangular_def>,
    .tiling = matrix_tiling,
    .flops = solve_flops,
    .entry = boxed<&linalg::solve_triangular>::call,
    .signature =
        "linalg.solve_triangular(a: array, b: array, *, upper: bool = False, stream: None | "
        "Stream | Device = None) -> array",
    .doc = R"(The x with a x = b for a triangular ``a`` (LAPACK trtrs).

Shapes and dtypes as linalg.solve takes them; only the lower (``upper``: the upper) triangle of ``a``
is read. Raises RuntimeError when the result is evaluated and a diagonal has a 0.

Example:
    >>> mx.linalg.solve_triangular(mx.array([[2.0, 0.0], [1.0, 1.0]]), mx.array([2.0, 3.0]))
    array([1, 2], dtype=float32)
)"};
const OpDef& solve_triangular_def() { return kSolveTriangular; }

constinit const OpDef kCholeskyInv = composite(
    "cholesky_inv", boxed<&linalg::cholesky_inv>::call,
    "linalg.cholesky_inv(a: array, upper: bool = False, *, stream: None | Stream | Device = None) "
    "-> "
    "array",
    R"(The inverse of a matrix of which ``a`` is the Cholesky factor: of a aᵀ, or aᵀ a for ``upper``.

``a`` is [..., N, N] in float32 or float64. Raises as tri_inv does.

Example:
    >>> mx.linalg.cholesky_inv(mx.array([[2.0, 0.0], [0.0, 1.0]]))
    array([[0.25, 0],
           [0, 1]], dtype=float32)
)");

constinit const OpDef kPinv =
    composite("pinv", boxed<&linalg::pinv>::call,
              "linalg.pinv(a: array, *, stream: None | Stream | Device = None) -> array",
              R"(Pseudo-inverses of matrices (Moore, Penrose), through svd.

``a`` is [..., M, N] in float32 or float64, the result [..., N, M]. Singular values of at most
10 max(M, N) eps times the greatest count as 0.

Example:
    >>> mx.linalg.pinv(mx.array([[2.0, 0.0], [0.0, 0.0]]))
    array([[0.5, 0],
           [0, 0]], dtype=float32)
)");

constinit const OpDef kDet =
    composite("det", boxed<&linalg::det>::call,
              "linalg.det(a: array, *, stream: None | Stream | Device = None) -> array",
              R"(Determinants of square matrices [..., N, N], through lu_factor.

Integers and 16-bit floats are computed in float32. Raises ValueError for complex64 and other shapes;
the gradient of a singular matrix raises RuntimeError when it is evaluated.

Example:
    >>> mx.linalg.det(mx.array([[2.0, 0.0], [0.0, 3.0]]))
    array(6, dtype=float32)
)");

constinit const OpDef kSlogdet = composite(
    "slogdet", boxed<&linalg::slogdet>::call,
    "linalg.slogdet(a: array, *, stream: None | Stream | Device = None) -> tuple[array, array]",
    R"(Sign (-1, 0 or 1) and log of the magnitude of determinants, as det takes and computes them.

A singular matrix gives 0 and -inf.

Example:
    >>> mx.linalg.slogdet(mx.array([[2.0, 0.0], [0.0, -3.0]]))[0]
    array(-1, dtype=float32)
)");

struct Equations {
  array a, b;
  bool vector;  // b was one
};

// Both with the same batch axes.
Equations equations(const array& a, const array& b, const char* op) {
  const Dtype t = result_dtype(a, b);
  PLIMSOLL_CHECK(t == Dtype::kFloat32 || t == Dtype::kFloat64, ValueError,
                 "[linalg.{}] expected dtypes that promote to float32 or float64, got {} and {}; "
                 "cast one with astype",
                 op, name_of(a.dtype()), name_of(b.dtype()));
  PLIMSOLL_CHECK(a.ndim() >= 2 && a.shape(-1) == a.shape(-2), ShapeError,
                 "[linalg.{}] expected square matrices as a, got shape {}", op,
                 to_string(a.shape()));
  const bool vector = b.ndim() == 1;
  PLIMSOLL_CHECK(b.ndim() >= 1 && b.shape(vector ? -1 : -2) == a.shape(-1), ShapeError,
                 "[linalg.{}] expected as many rows in b as a has, got shapes {} and {}", op,
                 to_string(a.shape()), to_string(b.shape()));
  array x = cast(a, t), y = cast(vector ? expand_dims(b, {-1}) : b, t);
  Shape batch = broadcast_shapes(Shape(x.shape().begin(), x.shape().end() - 2),
                                 Shape(y.shape().begin(), y.shape().end() - 2), op);
  const auto spread = [&](const array& m) {
    Shape shape = batch;
    shape.push_back(m.shape(-2));
    shape.push_back(m.shape(-1));
    return shape == m.shape() ? m : broadcast_to(m, shape);
  };
  return {spread(x), spread(y), vector};
}

/// u's diagonal, and -1 where the exchanges of rows turn the sign.
struct Triangular {
  array diagonal, sign;
};

Triangular triangular(const array& a, const char* op) {
  PLIMSOLL_CHECK(a.dtype() != Dtype::kComplex64, ValueError,
                 "[linalg.{}] expected a real dtype, got complex64", op);
  PLIMSOLL_CHECK(a.ndim() >= 2 && a.shape(-1) == a.shape(-2), ShapeError,
                 "[linalg.{}] expected square matrices, got shape {}", op, to_string(a.shape()));
  array x = cast(a, a.dtype() == Dtype::kFloat64 ? Dtype::kFloat64 : Dtype::kFloat32);
  std::vector<array> lu = linalg::lu_factor(x);
  array stayed = equal(lu[1], arange(0, x.shape(-1), 1, Dtype::kUint32));
  array sign = prod(where(stayed, constant_like(1, x), constant_like(-1, x)), Dims{-1});
  return {main_diagonal(lu[0]), sign};
}

Dtype determinant_dtype(const array& a) { return inexact(a.dtype()); }

}  // namespace

OpList solve_ops() {
  static constexpr const OpDef* kOps[] = {&kInv,         &kTriInv, &kSolve, &kSolveTriangular,
                                          &kCholeskyInv, &kPinv,   &kDet,   &kSlogdet};
  return kOps;
}

}  // namespace ops

namespace linalg {

array inv(const array& a) {
  ops::check_matrix(a, "inv", true, false);
  return ops::record(ops::kInv, {a});
}

array tri_inv(const array& a, bool upper) {
  ops::check_matrix(a, "tri_inv", true, false);
  return ops::record(ops::kTriInv, {a}, ops::make_attrs(TriangleAttrs(upper)));
}

array cholesky_inv(const array& a, bool upper) {
  ops::check_matrix(a, "cholesky_inv", true, false);
  array x = tri_inv(a, upper);
  return upper ? matmul(x, swapaxes(x, -1, -2)) : matmul(swapaxes(x, -1, -2), x);
}

array solve(const array& a, const array& b) {
  ops::Equations e = ops::equations(a, b, "solve");
  array x = ops::record(ops::kSolve, {e.a, e.b});
  return e.vector ? squeeze(x, Dims{-1}) : x;
}

array solve_triangular(const array& a, const array& b, bool upper) {
  ops::Equations e = ops::equations(a, b, "solve_triangular");
  array x = ops::record(ops::kSolveTriangular, {e.a, e.b}, ops::make_attrs(TriangleAttrs(upper)));
  return e.vector ? squeeze(x, Dims{-1}) : x;
}

array pinv(const array& a) {
  using namespace ops;
  check_matrix(a, "pinv", false, false);
  const int64_t m = a.shape(-2), n = a.shape(-1), k = std::min(m, n);
  std::vector<array> parts = svd(a);
  const auto head = [&](const array& x, int axis) {
    Dims start(static_cast<size_t>(x.ndim()), 0), stop(x.shape().begin(), x.shape().end());
    stop[x.ndim() + axis] = k;
    return slice(x, start, stop);
  };
  if (k == 0) return swapaxes(a, -1, -2);
  const double eps = a.dtype() == Dtype::kFloat64 ? std::numeric_limits<double>::epsilon()
                                                  : std::numeric_limits<float>::epsilon();
  const array& s = parts[1];
  array least = max(s, Dims{-1}, true) * scalar(10 * static_cast<double>(std::max(m, n)) * eps);
  array kept = greater(s, least);
  array over = where(kept, scalar(1) / where(kept, s, constant_like(1, s)), constant_like(0, s));
  return matmul(adjoint(head(parts[2], -2)) * expand_dims(over, {-2}), adjoint(head(parts[0], -1)));
}

array det(const array& a) {
  using namespace ops;
  Triangular t = triangular(a, "det");
  return cast(prod(t.diagonal, Dims{-1}) * t.sign, determinant_dtype(a));
}

std::vector<array> slogdet(const array& a) {
  using namespace ops;
  Triangular t = triangular(a, "slogdet");
  return {cast(prod(sign(t.diagonal), Dims{-1}) * t.sign, determinant_dtype(a)),
          cast(sum(log(abs(t.diagonal)), Dims{-1}), determinant_dtype(a))};
}

}  // namespace linalg
}  // namespace plimsoll
