// Running sums, products and extremes along an axis.
#include "plimsoll/ops/scan.h"

#include <limits>

#include "ops/common.h"
#include "ops/lists.h"
#include "opset/scan.h"
#include "plimsoll/ops/binary.h"
#include "plimsoll/ops/cast.h"
#include "plimsoll/ops/compare.h"
#include "plimsoll/ops/creation.h"
#include "plimsoll/ops/reduce.h"
#include "plimsoll/ops/scatter.h"
#include "plimsoll/ops/select.h"
#include "plimsoll/ops/unary.h"
#include "plimsoll/ops/view.h"

namespace plimsoll {
namespace ops {
namespace {

void infer_same(const OpInstance& op, std::vector<TensorSpec>& out) { out.push_back(op.inputs[0]); }

const ScanAttrs& scan_attrs(const VjpArgs& v) { return attrs_as<ScanAttrs>(v.attrs); }

std::vector<array> cumsum_vjp(const VjpArgs& v) {
  if (!v.needed[0]) return {array()};
  const ScanAttrs& s = scan_attrs(v);
  return {cumsum(v.cotangents[0], s.axis, !s.reverse, s.inclusive)};
}

// Without zeros: dx_i = sum over outputs y_j that hold x_i of g_j y_j / x_i. An element that is 0
// is treated as 1 for the outputs behind it, which belong to the first zero alone.
std::vector<array> cumprod_vjp(const VjpArgs& v) {
  if (!v.needed[0]) return {array()};
  const ScanAttrs& s = scan_attrs(v);
  const array &g = v.cotangents[0], &x = v.inputs[0], &y = v.outputs[0];
  array is_zero = equal(x, constant_like(0, x));
  array zeros_so_far = cumsum(astype(is_zero, Dtype::kInt32), s.axis, s.reverse, true);
  array first_zero = logical_and(is_zero, equal(zeros_so_far, array(1)));
  array none = constant_like(0, g);
  array filled = where(is_zero, constant_like(1, x), x);
  array zeros_in_y = cumsum(astype(is_zero, Dtype::kInt32), s.axis, s.reverse, s.inclusive);
  array total = cumsum(g * conj_if_complex(y), s.axis, !s.reverse, s.inclusive);
  array others = cumprod(filled, s.axis, s.reverse, s.inclusive);
  array one_zero = where(equal(zeros_in_y, array(1)), g * conj_if_complex(others), none);
  array at_zero = cumsum(one_zero, s.axis, !s.reverse, s.inclusive);
  return {where(first_zero, at_zero, where(is_zero, none, total / conj_if_complex(filled)))};
}

// The gradient goes to the position that the running extreme was last taken from: each gradient is
// added at the running maximum of the positions where the extreme changed.
template <bool Greatest>
std::vector<array> extreme_vjp(const VjpArgs& v) {
  if (!v.needed[0]) return {array()};
  const ScanAttrs& s = scan_attrs(v);
  const array &g = v.cotangents[0], &x = v.inputs[0];
  int64_t n = x.shape()[s.axis];
  array running =
      Greatest ? cummax(x, s.axis, s.reverse, true) : cummin(x, s.axis, s.reverse, true);
  Shape along(x.shape().size(), 1);
  along[s.axis] = n;
  array position = reshape(arange(n), along);
  if (s.reverse) {
    array taken = where(equal(x, running), position, array(static_cast<int>(n)));
    array source = cummin(taken, s.axis, true, s.inclusive);
    array outside = equal(source, array(std::numeric_limits<int>::max()));
    return {scatter_along_axis(zeros_like(x), minimum(source, array(static_cast<int>(n - 1))),
                               where(outside, constant_like(0, g), g), s.axis, "add")};
  }
  array taken = where(equal(x, running), position, array(-1));
  array source = cummax(taken, s.axis, false, s.inclusive);
  array outside = less(source, array(0));
  return {scatter_along_axis(zeros_like(x), maximum(source, array(0)),
                             where(outside, constant_like(0, g), g), s.axis, "add")};
}

// dx_i = sum of g_j exp(x_i - y_j) over the outputs that hold x_i. The positive and the negative
// cotangents are summed apart, in logarithms, so that nothing overflows.
std::vector<array> logcumsumexp_vjp(const VjpArgs& v) {
  if (!v.needed[0]) return {array()};
  const ScanAttrs& s = scan_attrs(v);
  const array &g = v.cotangents[0], &x = v.inputs[0];
  array none = constant_like(0, g),
        low = constant_like(-std::numeric_limits<double>::infinity(), g);
  // An output of -inf holds nothing (the first, where it leaves itself out).
  array held = greater(v.outputs[0], low), y = where(held, v.outputs[0], none);
  auto log_part = [&](const array& part) {
    array has = logical_and(greater(part, none), held);
    array logs = where(has, log(where(has, part, constant_like(1, g))) - y, low);
    return logcumsumexp(logs, s.axis, !s.reverse, s.inclusive);
  };
  array up = log_part(g), down = log_part(-g);
  return {exp(up + x) - exp(down + x)};
}

double one_an_input(const OpInstance& op) {
  return static_cast<double>(num_elements(op.inputs[0].shape));
}

template <const OpDef& (*Def)()>
VmapResult scan_vmap(const VmapArgs& v) {
  const auto& s = attrs_as<ScanAttrs>(v.attrs);
  array a = batch_first(v.inputs[0], v.axes[0]);
  return {{record(Def(), {a}, make_attrs(ScanAttrs(s.axis + 1, s.reverse, s.inclusive)))}, {0}};
}

constinit const OpDef kDiff = composite(
    "diff", boxed<&diff>::call,
    "diff(a: array, /, n: int = 1, axis: int = -1, *, stream: None | Stream | Device = None) -> "
    "array",
    R"(Each element less the one before it along ``axis``, ``n`` times over.

The axis is ``n`` shorter, at least 0. The dtype is kept; of bools: whether the two differ. Raises
ValueError for a negative ``n``, IndexError for an axis that is not there.

Example:
    >>> mx.diff(mx.array([1, 4, 9]))
    array([3, 5], dtype=int32)
)");

const OpDef& cumsum_def();
const OpDef& cumprod_def();
const OpDef& cummax_def();
const OpDef& cummin_def();
const OpDef& logcumsumexp_def();

constinit const OpDef kCumsum{
    .name = "cumsum",
    .kind = Kind::kScan,
    .attrs = &kAttrsOf<ScanAttrs>,
    .check = contract::scan,
    .infer = infer_same,
    .vjp = cumsum_vjp,
    .vmap = scan_vmap<cumsum_def>,
    .tiling = scan_tiling,
    .flops = one_an_input,
    .entry = boxed<&cumsum>::call,
    .signature =
        "cumsum(a: array, /, axis: int | None = None, *, reverse: bool = False, inclusive: bool = "
        "True, dtype: Dtype | None = None, stream: None | Stream | Device = None) -> array",
    .doc = R"(Running sum along ``axis``; of the flattened array for None.

``reverse`` runs from the end; ``inclusive`` False leaves the element itself out. bool gives int32, other dtypes are kept unless ``dtype`` is given. Raises IndexError
for an axis that is not there.

Example:
    >>> mx.cumsum(mx.array([1, 2, 3]))
    array([1, 3, 6], dtype=int32)
)"};

constinit const OpDef kCumprod{
    .name = "cumprod",
    .kind = Kind::kScan,
    .attrs = &kAttrsOf<ScanAttrs>,
    .check = contract::scan,
    .infer = infer_same,
    .vjp = cumprod_vjp,
    .vmap = scan_vmap<cumprod_def>,
    .tiling = scan_tiling,
    .flops = one_an_input,
    .entry = boxed<&cumprod>::call,
    .signature =
        "cumprod(a: array, /, axis: int | None = None, *, reverse: bool = False, inclusive: bool = "
        "True, dtype: Dtype | None = None, stream: None | Stream | Device = None) -> array",
    .doc = R"(Running product along ``axis``; of the flattened array for None.

``reverse`` runs from the end; ``inclusive`` False leaves the element itself out. The dtype is kept unless ``dtype`` is given. Raises IndexError
for an axis that is not there.

Example:
    >>> mx.cumprod(mx.array([1, 2, 3]))
    array([1, 2, 6], dtype=int32)
)"};

constinit const OpDef kCummax{
    .name = "cummax",
    .kind = Kind::kScan,
    .attrs = &kAttrsOf<ScanAttrs>,
    .check = contract::scan,
    .infer = infer_same,
    .vjp = extreme_vjp<true>,
    .vmap = scan_vmap<cummax_def>,
    .tiling = scan_tiling,
    .flops = one_an_input,
    .entry = boxed<&cummax>::call,
    .signature =
        "cummax(a: array, /, axis: int | None = None, *, reverse: bool = False, inclusive: bool = "
        "True, stream: None | Stream | Device = None) -> array",
    .doc = R"(Running maximum along ``axis``; of the flattened array for None.

``reverse`` runs from the end; ``inclusive`` False leaves the element itself out. Any dtype, which is kept. NaN from the first NaN on. The gradient of equal elements goes to the last. Raises IndexError
for an axis that is not there.

Example:
    >>> mx.cummax(mx.array([1, 3, 2]))
    array([1, 3, 3], dtype=int32)
)"};

constinit const OpDef kCummin{
    .name = "cummin",
    .kind = Kind::kScan,
    .attrs = &kAttrsOf<ScanAttrs>,
    .check = contract::scan,
    .infer = infer_same,
    .vjp = extreme_vjp<false>,
    .vmap = scan_vmap<cummin_def>,
    .tiling = scan_tiling,
    .flops = one_an_input,
    .entry = boxed<&cummin>::call,
    .signature =
        "cummin(a: array, /, axis: int | None = None, *, reverse: bool = False, inclusive: bool = "
        "True, stream: None | Stream | Device = None) -> array",
    .doc = R"(Running minimum along ``axis``; of the flattened array for None.

``reverse`` runs from the end; ``inclusive`` False leaves the element itself out. Any dtype, which is kept. NaN from the first NaN on. The gradient of equal elements goes to the last. Raises IndexError
for an axis that is not there.

Example:
    >>> mx.cummin(mx.array([3, 1, 2]))
    array([3, 1, 1], dtype=int32)
)"};

constinit const OpDef kLogcumsumexp{
    .name = "logcumsumexp",
    .kind = Kind::kScan,
    .attrs = &kAttrsOf<ScanAttrs>,
    .check = contract::scan,
    .infer = infer_same,
    .vjp = logcumsumexp_vjp,
    .vmap = scan_vmap<logcumsumexp_def>,
    .tiling = scan_tiling,
    .flops = one_an_input,
    .entry = boxed<&logcumsumexp>::call,
    .signature =
        "logcumsumexp(a: array, /, axis: int | None = None, *, reverse: bool = False, inclusive: "
        "bool = True, stream: None | Stream | Device = None) -> array",
    .doc = R"(log(cumsum(exp(a))) along ``axis`` without overflow; of the flattened array for None.

``reverse`` runs from the end; ``inclusive`` False leaves the element itself out. float dtypes are kept; integers are computed in float32. Raises ValueError for complex64. Raises IndexError
for an axis that is not there.

Example:
    >>> mx.logcumsumexp(mx.array([0.0, 0.0]))
    array([0, 0.693147], dtype=float32)
)"};

const OpDef& cumsum_def() { return kCumsum; }
const OpDef& cumprod_def() { return kCumprod; }
const OpDef& cummax_def() { return kCummax; }
const OpDef& cummin_def() { return kCummin; }
const OpDef& logcumsumexp_def() { return kLogcumsumexp; }

array scan(const OpDef& def, const array& a, std::optional<int64_t> axis, bool reverse,
           bool inclusive) {
  array x = cast(a, a.dtype());
  if (!axis) return record(def, {flatten(x)}, make_attrs(ScanAttrs(0, reverse, inclusive)));
  int at = checked_axis(*axis, a.ndim(), def.name);
  return record(def, {x}, make_attrs(ScanAttrs(at, reverse, inclusive)));
}

}  // namespace

OpList scan_ops() {
  static constexpr const OpDef* kOps[] = {&kCumsum, &kCumprod,      &kCummax,
                                          &kCummin, &kLogcumsumexp, &kDiff};
  return kOps;
}

}  // namespace ops

array cumsum(const array& a, std::optional<int64_t> axis, bool reverse, bool inclusive,
             std::optional<Dtype> dtype) {
  Dtype t = dtype.value_or(a.dtype());
  // MLX counts bools.
  return ops::scan(ops::kCumsum, ops::cast(a, t == Dtype::kBool ? Dtype::kInt32 : t), axis, reverse,
                   inclusive);
}

array cumprod(const array& a, std::optional<int64_t> axis, bool reverse, bool inclusive,
              std::optional<Dtype> dtype) {
  return ops::scan(ops::kCumprod, ops::cast(a, dtype.value_or(a.dtype())), axis, reverse,
                   inclusive);
}

array cummax(const array& a, std::optional<int64_t> axis, bool reverse, bool inclusive) {
  return ops::scan(ops::kCummax, a, axis, reverse, inclusive);
}

array cummin(const array& a, std::optional<int64_t> axis, bool reverse, bool inclusive) {
  return ops::scan(ops::kCummin, a, axis, reverse, inclusive);
}

array logcumsumexp(const array& a, std::optional<int64_t> axis, bool reverse, bool inclusive) {
  PLIMSOLL_CHECK(a.dtype() != Dtype::kComplex64, ValueError,
                 "[logcumsumexp] expected a real dtype, got complex64");
  return ops::scan(ops::kLogcumsumexp, ops::cast(a, ops::inexact(a.dtype())), axis, reverse,
                   inclusive);
}

array diff(const array& a, int64_t n, int64_t axis) {
  PLIMSOLL_CHECK(n >= 0, ValueError, "[diff] expected n of at least 0, got {}", n);
  int at = ops::checked_axis(axis, a.ndim(), "diff");
  array out = a;
  for (; n > 0 && out.shape()[at] > 0; --n) {
    Dims start(out.shape().size(), 0), stop = out.shape();
    stop[at] -= 1;
    array before = slice(out, start, stop);
    start[at] = 1;
    stop[at] += 1;
    out = slice(out, start, stop) - before;
  }
  return out;
}

}  // namespace plimsoll
