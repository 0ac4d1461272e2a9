// Matrix products.
#include "plimsoll/ops/matmul.h"

#include <algorithm>

#include "ops/common.h"
#include "ops/lists.h"
#include "ops/matrix.h"
#include "opset/matmul.h"
#include "plimsoll/ops/binary.h"
#include "plimsoll/ops/creation.h"
#include "plimsoll/ops/reduce.h"
#include "plimsoll/ops/view.h"

namespace plimsoll {
namespace ops {
namespace {

Shape batch_shape(const Shape& s) { return Shape(s.begin(), s.end() - 2); }

void infer_matmul(const OpInstance& op, std::vector<TensorSpec>& out) {
  const Shape &a = op.inputs[0].shape, &b = op.inputs[1].shape;
  Shape shape = broadcast_shapes(batch_shape(a), batch_shape(b), "matmul");
  shape.push_back(a[a.size() - 2]);
  shape.push_back(b.back());
  out.push_back({op.inputs[0].dtype, std::move(shape)});
}

// x @ y. Where `like` is a transposed view, as a layer's weight.T, so is the product, of the same
// bits: what comes back through the view is then contiguous as the weight is.
array product_laid_as(const array& like, const array& x, const array& y) {
  if (!is_transposed_matrix(like)) return matmul(x, y);
  return swapaxes(matmul(swapaxes(y, -1, -2), swapaxes(x, -1, -2)), -1, -2);
}

std::vector<array> matmul_vjp(const VjpArgs& v) {
  const array &g = v.cotangents[0], &a = v.inputs[0], &b = v.inputs[1];
  std::vector<array> out(2);
  if (v.needed[0]) out[0] = sum_to_shape(product_laid_as(a, g, adjoint(b)), a.shape());
  if (v.needed[1]) out[1] = sum_to_shape(product_laid_as(b, adjoint(a), g), b.shape());
  return out;
}

VmapResult matmul_vmap(const VmapArgs& v) {
  int ndim = v.inputs[0].ndim() + (v.axes[0] < 0 ? 1 : 0);
  return {{matmul(batch_first_padded(v.inputs[0], v.axes[0], ndim),
                  batch_first_padded(v.inputs[1], v.axes[1], ndim))},
          {0}};
}

constinit const OpDef kMatmul{
    .name = "matmul",
    .kind = Kind::kContraction,
    .check = contract::matmul,
    .infer = infer_matmul,
    .vjp = matmul_vjp,
    .vmap = matmul_vmap,
    .tiling = matmul_tiling,
    .flops = product_flops,
    .entry = boxed<&matmul>::call,
    .signature = "matmul(a: array, b: array, /, *, stream: None | Stream | Device = None) -> array",
    .doc = R"(Matrix product over the last axis of ``a`` and the last but one of ``b``.

[..., M, K] times [..., K, N] gives [..., M, N]; leading axes broadcast. A 1-d operand is a row (a)
or a column (b) whose axis is taken out of the result. The dtypes are promoted and must come to a
float dtype or complex64; float16 and bfloat16 are summed in float32 and rounded once. Raises
ValueError for integers, 0-d operands and shapes that do not fit.

Example:
    >>> mx.matmul(mx.array([[1.0, 2.0]]), mx.array([[3.0], [4.0]]))
    array([[11]], dtype=float32)
)"};

constinit const OpDef kAddmm =
    composite("addmm", boxed<&addmm>::call,
              "addmm(c: array, a: array, b: array, /, alpha: float = 1.0, beta: float = 1.0, *, "
              "stream: None | Stream | Device = None) -> array",
              R"(alpha * (a @ b) + beta * c.

``c`` broadcasts to the shape of the product. Raises ValueError for integers and for shapes that do
not fit.

Example:
    >>> mx.addmm(mx.array([1.0]), mx.array([[2.0]]), mx.array([[3.0]]))
    array([[7]], dtype=float32)
)");

constinit const OpDef kOuter =
    composite("outer", boxed<&outer>::call,
              "outer(a: array, b: array, /, *, stream: None | Stream | Device = None) -> array",
              R"(The product of every element of ``a`` with every element of ``b``, both flattened.

Example:
    >>> mx.outer(mx.array([1, 2]), mx.array([3, 4]))
    array([[3, 4],
           [6, 8]], dtype=int32)
)");

constinit const OpDef kInner =
    composite("inner", boxed<&inner>::call,
              "inner(a: array, b: array, /, *, stream: None | Stream | Device = None) -> array",
              R"(Sum of products over the last axes; a plain product where an operand is 0-d.

The result has the other axes of ``a``, then those of ``b``. Raises ValueError where the last axes
differ and for integers.

Example:
    >>> mx.inner(mx.array([1.0, 2.0]), mx.array([3.0, 4.0]))
    array(11, dtype=float32)
)");

constinit const OpDef kTensordot =
    composite("tensordot", boxed<&tensordot>::call,
              "tensordot(a: array, b: array, /, axes: int | Sequence[Sequence[int]] = 2, *, "
              "stream: None | Stream | Device = None) -> array",
              R"(Sum of products over the given axes.

``axes`` is the number of last axes of ``a`` and first axes of ``b``, or a pair of lists of axes. The
result has the other axes of ``a``, then those of ``b``. Raises ValueError for axes that do not fit
and for integers.

Example:
    >>> mx.tensordot(mx.array([[1.0, 2.0]]), mx.array([[3.0], [4.0]]), 1)
    array([[11]], dtype=float32)
)");

Dtype product_dtype(const array& a, const array& b, const char* op) {
  Dtype t = result_dtype(a, b);
  PLIMSOLL_CHECK(
      is_inexact(t), ValueError,
      "[{}] expected dtypes that promote to a float, got {} and {}; cast one with astype", op,
      name_of(a.dtype()), name_of(b.dtype()));
  return t;
}

// Both with the same rank of at least 2.
array product(array a, array b) {
  // Rows of a batch against one matrix are one taller matrix.
  if (b.ndim() == 2 && a.ndim() > 2) {
    Shape out = a.shape();
    out.back() = b.shape()[1];
    return reshape(product(flatten(a, 0, -2), b), out);
  }
  int ndim = std::max(a.ndim(), b.ndim());
  auto pad = [&](const array& x) {
    Shape shape = x.shape();
    while (static_cast<int>(shape.size()) < ndim) shape.insert(shape.begin(), 1);
    return reshape(x, shape);
  };
  return record(kMatmul, {pad(a), pad(b)});
}

Dims named_axes(const Dims& axes, int ndim, size_t from, size_t count) {
  Dims out;
  for (size_t i = 0; i < count; ++i) out.push_back(checked_axis(axes[from + i], ndim, "tensordot"));
  return out;
}

array tensordot_over(const array& a, const array& b, const Dims& over_a, const Dims& over_b) {
  Dims order_a, order_b = over_b;
  Shape out;
  int64_t rows = 1, columns = 1, depth = 1;
  for (int i = 0; i < a.ndim(); ++i) {
    if (std::find(over_a.begin(), over_a.end(), i) != over_a.end()) continue;
    order_a.push_back(i);
    out.push_back(a.shape()[i]);
    rows *= a.shape()[i];
  }
  for (size_t i = 0; i < over_a.size(); ++i) {
    int64_t n = a.shape()[over_a[i]], m = b.shape()[over_b[i]];
    PLIMSOLL_CHECK(n == m, ShapeError, "[tensordot] expected axes of equal length, got {} and {}",
                   n, m);
    order_a.push_back(over_a[i]);
    depth *= n;
  }
  for (int i = 0; i < b.ndim(); ++i) {
    if (std::find(over_b.begin(), over_b.end(), i) != over_b.end()) continue;
    order_b.push_back(i);
    out.push_back(b.shape()[i]);
    columns *= b.shape()[i];
  }
  return reshape(matmul(reshape(transpose(a, order_a), {rows, depth}),
                        reshape(transpose(b, order_b), {depth, columns})),
                 out);
}

}  // namespace

OpList matmul_ops() {
  static constexpr const OpDef* kOps[] = {&kMatmul, &kAddmm, &kOuter, &kInner, &kTensordot};
  return kOps;
}

}  // namespace ops

array matmul(const array& a, const array& b) {
  using namespace ops;
  PLIMSOLL_CHECK(a.ndim() > 0 && b.ndim() > 0, ValueError,
                 "[matmul] expected at least 1 dimension, got shapes {} and {}",
                 to_string(a.shape()), to_string(b.shape()));
  Dtype t = product_dtype(a, b, "matmul");
  array x = cast(a.ndim() == 1 ? reshape(a, {1, a.shape()[0]}) : a, t);
  array y = cast(b.ndim() == 1 ? reshape(b, {b.shape()[0], 1}) : b, t);
  PLIMSOLL_CHECK(
      x.shape(-1) == y.shape(-2), ShapeError,
      "[matmul] expected the last axis of a as long as the last but one of b, got shapes "
      "{} and {}",
      to_string(a.shape()), to_string(b.shape()));
  array out = product(x, y);
  if (a.ndim() > 1 && b.ndim() > 1) return out;
  Dims units;
  if (a.ndim() == 1) units.push_back(-2);
  if (b.ndim() == 1) units.push_back(-1);
  return squeeze(out, units);
}

array addmm(const array& c, const array& a, const array& b, float alpha, float beta) {
  using namespace ops;
  Dtype t = result_dtype({&a, &b, &c});
  PLIMSOLL_CHECK(
      is_inexact(t), ValueError,
      "[addmm] expected dtypes that promote to a float, got {}, {} and {}; cast one with "
      "astype",
      name_of(a.dtype()), name_of(b.dtype()), name_of(c.dtype()));
  array product = matmul(cast(a, t), cast(b, t));
  PLIMSOLL_CHECK(broadcast_shapes(c.shape(), product.shape(), "addmm") == product.shape(),
                 ShapeError, "[addmm] expected c to broadcast to {}, got shape {}",
                 to_string(product.shape()), to_string(c.shape()));
  array scaled = alpha == 1 ? product : product * scalar(double{alpha});
  array addend = cast(c, t);
  return scaled + (beta == 1 ? addend : addend * scalar(double{beta}));
}

array outer(const array& a, const array& b) { return reshape(a, {a.size(), 1}) * flatten(b); }

array inner(const array& a, const array& b) {
  if (a.ndim() == 0 || b.ndim() == 0) return a * b;
  PLIMSOLL_CHECK(a.shape(-1) == b.shape(-1), ShapeError,
                 "[inner] expected last axes of equal length, got shapes {} and {}",
                 to_string(a.shape()), to_string(b.shape()));
  return tensordot(a, b, Dims{-1, -1});
}

array tensordot(const array& a, const array& b, const Dims& axes) {
  using namespace ops;
  product_dtype(a, b, "tensordot");
  if (axes.size() != 1) {
    PLIMSOLL_CHECK(axes.size() % 2 == 0, ValueError,
                   "[tensordot] expected as many axes of a as of b, got {} numbers", axes.size());
    size_t n = axes.size() / 2;
    return tensordot_over(a, b, named_axes(axes, a.ndim(), 0, n), named_axes(axes, b.ndim(), n, n));
  }
  int64_t n = axes[0];
  PLIMSOLL_CHECK(
      n >= 0 && n <= std::min(a.ndim(), b.ndim()), ValueError,
      "[tensordot] expected a number of axes that both arrays have, got {} for shapes {} "
      "and {}",
      n, to_string(a.shape()), to_string(b.shape()));
  Dims last, first;
  for (int64_t i = 0; i < n; ++i) {
    last.push_back(a.ndim() - n + i);
    first.push_back(i);
  }
  return tensordot_over(a, b, last, first);
}

}  // namespace plimsoll
