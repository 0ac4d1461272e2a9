// Products of vectors and matrices that need no matrix product.
#include "plimsoll/ops/product.h"

#include <algorithm>
#include <array>

#include "ops/common.h"
#include "ops/lists.h"
#include "plimsoll/ops/binary.h"
#include "plimsoll/ops/conv.h"
#include "plimsoll/ops/creation.h"
#include "plimsoll/ops/join.h"
#include "plimsoll/ops/reduce.h"
#include "plimsoll/ops/unary.h"
#include "plimsoll/ops/view.h"

namespace plimsoll {
namespace ops {
namespace {

constinit const OpDef kKron =
    composite("kron", boxed<&kron>::call,
              "kron(a: array, b: array, *, stream: None | Stream | Device = None) -> array",
              R"(The Kronecker product: every element of ``a`` times the whole of ``b``, as blocks.

The array with fewer axes gets axes of length 1 in front. The dtypes are promoted. Raises ValueError
for arrays without elements.

Example:
    >>> mx.kron(mx.array([1, 10]), mx.array([1, 2]))
    array([1, 2, 10, 20], dtype=int32)
)");

constinit const OpDef kVecdot = composite(
    "vecdot", boxed<&vecdot>::call,
    "vecdot(a: array, b: array, /, *, axis: int = -1, stream: None | Stream | Device = None) -> "
    "array",
    R"(Sum of conj(a) * b along one axis.

The dtypes are promoted; the other axes broadcast. Raises ValueError where the axis differs in
length and for 0-d arrays, IndexError for an axis that is not there.

Example:
    >>> mx.vecdot(mx.array([1, 2]), mx.array([3, 4]))
    array(11, dtype=int32)
)");

constinit const OpDef kCross = composite(
    "cross", boxed<&linalg::cross>::call,
    "linalg.cross(a: array, b: array, axis: int = -1, *, stream: None | Stream | Device = None) -> "
    "array",
    R"(The cross product of the vectors that lie along ``axis``.

Their length is 3, or 2, which stands for a third component of 0; that of the result is 3. The other
axes broadcast, the dtypes are promoted. Raises ValueError for other lengths, IndexError for an axis
that is not there.

Example:
    >>> mx.linalg.cross(mx.array([1, 0, 0]), mx.array([0, 1, 0]))
    array([0, 0, 1], dtype=int32)
)");

constinit const OpDef kConvolve = composite(
    "convolve", boxed<&convolve>::call,
    "convolve(a: array, v: array, /, mode: str = 'full', *, stream: None | Stream | Device = None) "
    "-> array",
    R"(The discrete convolution of two 1-d arrays: sums of a[i] * v[k - i].

``mode`` "full" gives all places where they overlap, "same" as many as the longer has, from the
middle, "valid" those where the shorter lies inside the longer. The dtypes are promoted and must come
to a float dtype. Raises ValueError for other dtypes, modes and dimensions and for empty arrays.

Example:
    >>> mx.convolve(mx.array([1.0, 2.0, 3.0]), mx.array([0.0, 1.0, 0.5]))
    array([0, 1, 2.5, 4, 1.5], dtype=float32)
)");

// Components x, y, z; z is an empty handle where there are two.
std::array<array, 3> components(const array& a, int axis) {
  std::array<array, 3> out;
  Dims start(a.shape().size(), 0), stop = a.shape();
  for (int i = 0; i < a.shape()[axis]; ++i) {
    start[axis] = i;
    stop[axis] = i + 1;
    out[i] = slice(a, start, stop);
  }
  return out;
}

// a*b - c*d, without the products that have a component of 0.
array difference(const array& a, const array& b, const array& c, const array& d) {
  bool first = a && b, second = c && d;
  if (first && second) return a * b - c * d;
  if (first) return a * b;
  return second ? zeros_like(c * d) - c * d : array();
}

}  // namespace

OpList product_ops() {
  static constexpr const OpDef* kOps[] = {&kKron, &kVecdot, &kCross, &kConvolve};
  return kOps;
}

}  // namespace ops

array kron(const array& a, const array& b) {
  PLIMSOLL_CHECK(a.size() > 0 && b.size() > 0, ValueError,
                 "[kron] expected arrays with elements, got shapes {} and {}", to_string(a.shape()),
                 to_string(b.shape()));
  size_t n = static_cast<size_t>(std::max(a.ndim(), b.ndim()));
  Shape outer(2 * n, 1), inner(2 * n, 1), out(n, 1);
  for (size_t i = 0; i < a.shape().size(); ++i)
    outer[2 * (n - a.shape().size() + i)] = a.shape()[i];
  for (size_t i = 0; i < b.shape().size(); ++i)
    inner[2 * (n - b.shape().size() + i) + 1] = b.shape()[i];
  for (size_t i = 0; i < n; ++i) out[i] = outer[2 * i] * inner[2 * i + 1];
  return reshape(reshape(a, outer) * reshape(b, inner), out);
}

array vecdot(const array& a, const array& b, int64_t axis) {
  PLIMSOLL_CHECK(a.ndim() > 0 && b.ndim() > 0, ValueError,
                 "[vecdot] expected at least 1 dimension, got shapes {} and {}",
                 to_string(a.shape()), to_string(b.shape()));
  // From the end, where broadcasting aligns the axes.
  int64_t at = axis < 0 ? axis : axis - std::max(a.ndim(), b.ndim());
  int i = ops::checked_axis(at < 0 ? at : a.ndim(), a.ndim(), "vecdot");
  int j = ops::checked_axis(at, b.ndim(), "vecdot");
  PLIMSOLL_CHECK(a.shape()[i] == b.shape()[j], ShapeError,
                 "[vecdot] expected axes of equal length, got shapes {} and {}",
                 to_string(a.shape()), to_string(b.shape()));
  return sum(ops::conj_if_complex(a) * b, Dims{at});
}

array convolve(const array& a, const array& v, const std::string& mode) {
  PLIMSOLL_CHECK(a.ndim() == 1 && v.ndim() == 1 && a.size() > 0 && v.size() > 0, ValueError,
                 "[convolve] expected arrays of 1 dimension with elements, got shapes {} and {}",
                 to_string(a.shape()), to_string(v.shape()));
  PLIMSOLL_CHECK(mode == "full" || mode == "same" || mode == "valid", ValueError,
                 "[convolve] expected mode 'full', 'same' or 'valid', got '{}'", mode);
  Dtype t = ops::result_dtype(a, v);
  PLIMSOLL_CHECK(is_floating(t), ValueError,
                 "[convolve] expected dtypes that promote to a float, got {} and {}",
                 name_of(a.dtype()), name_of(v.dtype()));
  const array& signal = a.size() < v.size() ? v : a;
  const array& taps = a.size() < v.size() ? a : v;
  int64_t reach = taps.size() - 1;
  Dims padding{0, 0};
  if (mode == "full") padding = {reach, reach};
  if (mode == "same") padding = {reach - reach / 2, reach / 2};
  array x = reshape(ops::cast(signal, t), {1, signal.size(), 1});
  array w = reshape(ops::cast(taps, t), {1, taps.size(), 1});
  return flatten(conv_general(x, w, {1}, padding, {1}, {1}, 1, true));
}

namespace linalg {

array cross(const array& a, const array& b, int64_t axis) {
  int i = ops::checked_axis(axis, a.ndim(), "linalg.cross");
  int j = ops::checked_axis(axis, b.ndim(), "linalg.cross");
  auto fits = [](int64_t n) { return n == 2 || n == 3; };
  PLIMSOLL_CHECK(fits(a.shape()[i]) && fits(b.shape()[j]), ValueError,
                 "[linalg.cross] expected an axis of length 2 or 3, got shapes {} and {}",
                 to_string(a.shape()), to_string(b.shape()));
  PLIMSOLL_CHECK(a.ndim() - i == b.ndim() - j, ShapeError,
                 "[linalg.cross] expected the axis at one place from the end, got shapes {} and {}",
                 to_string(a.shape()), to_string(b.shape()));
  Dtype t = ops::result_dtype(a, b);
  auto [ax, ay, az] = ops::components(ops::cast(a, t), i);
  auto [bx, by, bz] = ops::components(ops::cast(b, t), j);
  array z = ops::difference(ax, by, ay, bx);
  array x = ops::difference(ay, bz, az, by), y = ops::difference(az, bx, ax, bz);
  array zero = zeros_like(z);
  return concatenate({x ? x : zero, y ? y : zero, z}, i - a.ndim());
}

}  // namespace linalg
}  // namespace plimsoll
