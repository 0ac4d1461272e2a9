// Diagonals of matrices: diagonal is a view, the others are made of it and of strided updates.
#include "plimsoll/ops/diagonal.h"

#include <algorithm>

#include "ops/common.h"
#include "ops/lists.h"
#include "opset/diagonal.h"
#include "plimsoll/ops/cast.h"
#include "plimsoll/ops/creation.h"
#include "plimsoll/ops/join.h"
#include "plimsoll/ops/reduce.h"
#include "plimsoll/ops/view.h"

namespace plimsoll {
namespace ops {
namespace {

int64_t first_row(int64_t offset) { return std::max<int64_t>(-offset, 0); }
int64_t first_column(int64_t offset) { return std::max<int64_t>(offset, 0); }
int64_t length_of(int64_t rows, int64_t columns, int64_t offset) {
  return std::max<int64_t>(0, std::min(rows - first_row(offset), columns - first_column(offset)));
}

void infer_diagonal(const OpInstance& op, std::vector<TensorSpec>& out) {
  const auto& d = attrs_as<DiagonalAttrs>(op.attrs);
  const Shape& in = op.inputs[0].shape;
  Shape shape;
  for (int i = 0; i < static_cast<int>(in.size()); ++i)
    if (i != d.axis1 && i != d.axis2) shape.push_back(in[i]);
  shape.push_back(length_of(in[d.axis1], in[d.axis2], d.offset));
  out.push_back({op.inputs[0].dtype, std::move(shape)});
}

// Matrices [..., rows, columns] of zeros with `g` [..., d] on a diagonal.
array on_diagonal(const array& g, int64_t rows, int64_t columns, int64_t offset) {
  Shape flat(g.shape().begin(), g.shape().end() - 1);
  flat.push_back(rows * columns);
  Dims start(flat.size(), 0), step(flat.size(), 1);
  start.back() = first_row(offset) * columns + first_column(offset);
  step.back() = columns + 1;
  array out = update_range(zeros(flat, g.dtype()), g, start, step);
  flat.back() = rows;
  flat.push_back(columns);
  return reshape(out, flat);
}

std::vector<array> diagonal_vjp(const VjpArgs& v) {
  if (!v.needed[0]) return {array()};
  const auto& d = attrs_as<DiagonalAttrs>(v.attrs);
  const Shape& in = v.inputs[0].shape();
  array m = on_diagonal(v.cotangents[0], in[d.axis1], in[d.axis2], d.offset);
  int n = m.ndim();
  Dims order;
  for (int i = 0, rest = 0; i < n; ++i)
    order.push_back(i == d.axis1 ? n - 2 : i == d.axis2 ? n - 1 : rest++);
  return {transpose(m, order)};
}

constinit const OpDef kDiagonal{
    .name = "diagonal",
    .kind = Kind::kView,
    .attrs = &kAttrsOf<DiagonalAttrs>,
    .check = contract::diagonal,
    .infer = infer_diagonal,
    .vjp = diagonal_vjp,
    .vmap = [](const VmapArgs& v) -> VmapResult {
      const auto& d = attrs_as<DiagonalAttrs>(v.attrs);
      return {{diagonal(batch_first(v.inputs[0], v.axes[0]), d.offset, d.axis1 + 1, d.axis2 + 1)},
              {0}};
    },
    .view =
        [](const graph::ViewArgs& v, Layout& out) {
          const auto& d = attrs_as<DiagonalAttrs>(v.attrs);
          const Strides& in = v.in_layout.strides;
          out.offset = v.in_layout.offset;
          out.strides.clear();
          for (int i = 0; i < static_cast<int>(in.size()); ++i)
            if (i != d.axis1 && i != d.axis2) out.strides.push_back(in[i]);
          out.strides.push_back(in[d.axis1] + in[d.axis2]);
          if (v.out_shape.back() > 0)
            out.offset += first_row(d.offset) * in[d.axis1] + first_column(d.offset) * in[d.axis2];
          return true;
        },
    .entry = boxed<&diagonal>::call,
    .signature =
        "diagonal(a: array, offset: int = 0, axis1: int = 0, axis2: int = 1, stream: None | Stream "
        "| Device = None) -> array",
    .doc = R"(The diagonal of the matrices that two axes hold. Always a view.

``offset`` counts from the main diagonal, upwards (to greater indices of ``axis2``) where positive.
The two axes are taken out and the diagonal is the last axis. Raises ValueError for fewer than two
axes and where both are one, IndexError for an axis that is not there.

Example:
    >>> mx.diagonal(mx.array([[1, 2], [3, 4]]))
    array([1, 4], dtype=int32)
)"};

constinit const OpDef kDiag = composite(
    "diag", boxed<&diag>::call,
    "diag(a: array, /, k: int = 0, *, stream: None | Stream | Device = None) -> array",
    R"(A square matrix with the 1-d array ``a`` on its k-th diagonal, or that diagonal of a matrix.

Raises ValueError for arrays of other dimensions.

Example:
    >>> mx.diag(mx.array([1, 2]))
    array([[1, 0],
           [0, 2]], dtype=int32)
)");

constinit const OpDef kTrace = composite(
    "trace", boxed<&trace>::call,
    "trace(a: array, /, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Dtype | None = "
    "None, *, stream: None | Stream | Device = None) -> array",
    R"(Sum of a diagonal of the matrices that two axes hold.

``offset``, ``axis1`` and ``axis2`` are those of diagonal; the elements are converted to ``dtype``
first. Narrow integers are summed in 32 bits, as by sum. Raises what diagonal raises.

Example:
    >>> mx.trace(mx.array([[1, 2], [3, 4]]))
    array(5, dtype=int32)
)");

}  // namespace

OpList diagonal_ops() {
  static constexpr const OpDef* kOps[] = {&kDiagonal, &kDiag, &kTrace};
  return kOps;
}

}  // namespace ops

array diagonal(const array& a, int64_t offset, int64_t axis1, int64_t axis2) {
  using namespace ops;
  PLIMSOLL_CHECK(a.ndim() >= 2, ValueError,
                 "[diagonal] expected at least 2 dimensions, got shape {}", to_string(a.shape()));
  int i = checked_axis(axis1, a.ndim(), "diagonal"), j = checked_axis(axis2, a.ndim(), "diagonal");
  PLIMSOLL_CHECK(i != j, ValueError, "[diagonal] expected two axes, got {} twice", i);
  return record(kDiagonal, {a}, make_attrs(DiagonalAttrs(offset, i, j)));
}

array diag(const array& a, int64_t k) {
  if (a.ndim() == 2) return diagonal(a, k);
  PLIMSOLL_CHECK(a.ndim() == 1, ValueError, "[diag] expected 1 or 2 dimensions, got shape {}",
                 to_string(a.shape()));
  int64_t n = a.size() + std::abs(k);
  return ops::on_diagonal(a, n, n, k);
}

array trace(const array& a, int64_t offset, int64_t axis1, int64_t axis2,
            std::optional<Dtype> dtype) {
  array d = diagonal(a, offset, axis1, axis2);
  return sum(dtype ? astype(d, *dtype) : d, Dims{-1});
}

}  // namespace plimsoll
