// Rotary positional encoding, written in terms of other ops.
#include "plimsoll/ops/rope.h"

#include <cmath>

#include "ops/common.h"
#include "ops/lists.h"
#include "plimsoll/ops/binary.h"
#include "plimsoll/ops/creation.h"
#include "plimsoll/ops/join.h"
#include "plimsoll/ops/unary.h"
#include "plimsoll/ops/view.h"

namespace plimsoll {
namespace ops {
namespace {

void check(const array& x, int64_t dims, const std::optional<double>& base, const array& offset,
           const std::optional<array>& freqs) {
  PLIMSOLL_CHECK(x.ndim() >= 3, ValueError,
                 "[rope] Input must have at least 3 dimensions but got input with {} dimensions.",
                 x.ndim());
  PLIMSOLL_CHECK(is_floating(x.dtype()), ValueError,
                 "[rope] Input must be a floating type but got {}.", name_of(x.dtype()));
  PLIMSOLL_CHECK(dims > 0, ValueError, "[rope] dims must be positive but got {}.", dims);
  PLIMSOLL_CHECK(dims % 2 == 0, ValueError, "[rope] dims must be even but got {}.", dims);
  PLIMSOLL_CHECK(dims <= x.shape().back(), ValueError,
                 "[rope] dims must not exceed the input's last dimension ({}) but got {}.",
                 x.shape().back(), dims);
  PLIMSOLL_CHECK(base || freqs, ValueError, "[rope] Neither base nor freqs has a value.");
  PLIMSOLL_CHECK(!base || !freqs, ValueError, "[rope] Only one of base or freqs can have a value.");
  PLIMSOLL_CHECK(is_integral(offset.dtype()), ValueError,
                 "[rope] offset must be an integer but got type {}.", name_of(offset.dtype()));
  PLIMSOLL_CHECK(offset.ndim() <= 1, ValueError,
                 "[rope] offset must have at most one dimension but has shape {}.",
                 to_string(offset.shape()));
  PLIMSOLL_CHECK(offset.size() == 1 || offset.shape()[0] == x.shape()[0], ValueError,
                 "[rope] offset must be a scalar or vector with {} elements but has shape {}.",
                 x.shape()[0], to_string(offset.shape()));
  PLIMSOLL_CHECK(!freqs || freqs->shape() == Shape{dims / 2}, ValueError,
                 "[rope] freqs must be one dimensional with size {} but got shape {}.", dims / 2,
                 to_string(freqs->shape()));
}

/// Angles of [1 or B, 1, …, T, dims / 2].
array angles(const array& x, int64_t half, const std::optional<double>& base, double scale,
             const array& offset, const std::optional<array>& freqs, Dtype t) {
  Shape starts(static_cast<size_t>(x.ndim()), 1);
  starts[0] = offset.size();
  Shape times(2, 1);
  times[0] = x.shape()[x.ndim() - 2];
  array position = cast(reshape(offset, starts), t) +
                   reshape(arange(int64_t{0}, times[0], std::nullopt, t), times);
  if (scale != 1) position = position * scalar(scale);
  if (freqs) return position / cast(*freqs, t);
  array step = scalar(-std::log(*base) / static_cast<double>(half));
  return position * exp(arange(int64_t{0}, half, std::nullopt, t) * step);
}

constinit const OpDef kRope = composite(
    "rope", boxed<&fast::rope>::call,
    "fast.rope(a: array, dims: int, *, traditional: bool, base: float | None, scale: float, "
    "offset: int | array, freqs: array | None = None, stream: None | Stream | Device = None) -> "
    "array",
    R"(Rotary positional encoding (Su et al., RoFormer, 2021).

The first ``dims`` features of ``a``, of shape (B, *, T, D), are turned in pairs by the position
times a frequency; the others are kept. The position of step t is (t + offset) * scale. Pair i has the
frequency base ** (-2 * i / dims), or 1 / freqs[i]: one of the two is None. Pairs are neighbours where
``traditional``, else features i and i + dims / 2. ``offset`` is an int or an array of integers: one,
or one for each example of the batch. Angles and products are in float32 or better; the result has a's
shape and float dtype. Raises ValueError for other shapes and dtypes.

Example:
    >>> x = mx.ones((1, 1, 2))
    >>> mx.fast.rope(x, 2, traditional=False, base=10000.0, scale=1.0, offset=0)
    array([[[1, 1]]], dtype=float32)
)");

}  // namespace

OpList rope_ops() {
  static constexpr const OpDef* kOps[] = {&kRope};
  return kOps;
}

}  // namespace ops

namespace fast {

array rope(const array& x, int64_t dims, bool traditional, std::optional<double> base, double scale,
           const array& offset, const std::optional<array>& freqs) {
  using namespace ops;
  check(x, dims, base, offset, freqs);
  Dtype t = promote_types(x.dtype(), Dtype::kFloat32);
  array turn = angles(x, dims / 2, base, scale, offset, freqs, t);
  array c = cos(turn), s = sin(turn), wide = cast(x, t);
  auto part = [&](int64_t start, int64_t stop, int64_t step) {
    Dims from(static_cast<size_t>(x.ndim()), 0), to(x.shape().begin(), x.shape().end());
    Dims by(static_cast<size_t>(x.ndim()), 1);
    from.back() = start;
    to.back() = stop;
    by.back() = step;
    return slice(wide, from, to, by);
  };
  array a = traditional ? part(0, dims, 2) : part(0, dims / 2, 1);
  array b = traditional ? part(1, dims, 2) : part(dims / 2, dims, 1);
  array first = cast(a * c - b * s, x.dtype()), second = cast(a * s + b * c, x.dtype());
  array out =
      traditional ? flatten(stack({first, second}, -1), -2, -1) : concatenate({first, second}, -1);
  if (dims == x.shape().back()) return out;
  return concatenate({out, cast(part(dims, x.shape().back(), 1), x.dtype())}, -1);
}

}  // namespace fast
}  // namespace plimsoll
