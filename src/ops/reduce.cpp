// Reductions over axes. mean, var and std are made of sums.
#include "plimsoll/ops/reduce.h"

#include <algorithm>
#include <limits>

#include "ops/common.h"
#include "ops/lists.h"
#include "opset/reduce.h"
#include "plimsoll/ops/binary.h"
#include "plimsoll/ops/cast.h"
#include "plimsoll/ops/compare.h"
#include "plimsoll/ops/complex.h"
#include "plimsoll/ops/creation.h"
#include "plimsoll/ops/scan.h"
#include "plimsoll/ops/select.h"
#include "plimsoll/ops/unary.h"
#include "plimsoll/ops/view.h"

namespace plimsoll {
namespace ops {
namespace {

void infer_same_dtype(const OpInstance& op, std::vector<TensorSpec>& out) {
  out.push_back(
      {op.inputs[0].dtype, reduce_shape(op.inputs[0].shape, attrs_as<ReduceAttrs>(op.attrs))});
}

void infer_sum(const OpInstance& op, std::vector<TensorSpec>& out) {
  infer_same_dtype(op, out);
  out[0].dtype = sum_dtype(out[0].dtype);
}

void infer_bool(const OpInstance& op, std::vector<TensorSpec>& out) {
  infer_same_dtype(op, out);
  out[0].dtype = Dtype::kBool;
}

// A result, or its cotangent, with the reduced axes put back as axes of length 1.
array with_axes(const array& reduced, const VjpArgs& v) {
  Shape shape = v.inputs[0].shape();
  for (int64_t axis : attrs_as<ReduceAttrs>(v.attrs).axes) shape[axis] = 1;
  return reshape(reduced, shape);
}

std::vector<array> sum_vjp(const VjpArgs& v) {
  if (!v.needed[0]) return {array()};
  return {broadcast_to(with_axes(v.cotangents[0], v), v.inputs[0].shape())};
}

// Equal extremes share the gradient.
std::vector<array> extreme_vjp(const VjpArgs& v) {
  if (!v.needed[0]) return {array()};
  const Dims& axes = attrs_as<ReduceAttrs>(v.attrs).axes;
  const array& x = v.inputs[0];
  array mask = astype(equal(x, with_axes(v.outputs[0], v)), v.cotangents[0].dtype());
  return {mask * (with_axes(v.cotangents[0], v) / sum(mask, axes, true))};
}

std::vector<array> logsumexp_vjp(const VjpArgs& v) {
  if (!v.needed[0]) return {array()};
  return {with_axes(v.cotangents[0], v) * exp(v.inputs[0] - with_axes(v.outputs[0], v))};
}

// The product of the other elements, without a division: what comes before times what comes after.
std::vector<array> prod_vjp(const VjpArgs& v) {
  if (!v.needed[0]) return {array()};
  const Dims& axes = attrs_as<ReduceAttrs>(v.attrs).axes;
  const array& x = v.inputs[0];
  Dims order;  // kept axes, then reduced ones
  for (int i = 0; i < x.ndim(); ++i)
    if (std::find(axes.begin(), axes.end(), i) == axes.end()) order.push_back(i);
  size_t kept = order.size();
  for (int64_t axis : axes) order.push_back(axis);
  array moved = transpose(x, order);
  Shape rows(moved.shape().begin(), moved.shape().begin() + kept);
  rows.push_back(1);
  for (size_t i = kept; i < order.size(); ++i) rows.back() *= moved.shape()[i];
  array flat = reshape(moved, rows);
  int last = static_cast<int>(kept);
  array others = cumprod(flat, last, false, false) * cumprod(flat, last, true, false);
  Dims back(order.size());
  for (size_t i = 0; i < order.size(); ++i) back[order[i]] = static_cast<int64_t>(i);
  array unmoved = transpose(reshape(others, moved.shape()), back);
  return {with_axes(v.cotangents[0], v) * conj_if_complex(unmoved)};
}

ReduceAttrs batched(const VmapArgs& v) {
  ReduceAttrs attrs = attrs_as<ReduceAttrs>(v.attrs);
  for (int64_t& axis : attrs.axes) ++axis;
  return attrs;
}

double one_an_input(const OpInstance& op) {
  return static_cast<double>(num_elements(op.inputs[0].shape));
}

// Records the op again over the array with its batch axis in front.
template <const OpDef& (*Def)()>
VmapResult reduce_vmap(const VmapArgs& v) {
  return {{record(Def(), {batch_first(v.inputs[0], v.axes[0])}, make_attrs(batched(v)))}, {0}};
}

const OpDef& sum_def();
const OpDef& prod_def();
const OpDef& max_def();
const OpDef& min_def();
const OpDef& all_def();
const OpDef& any_def();
const OpDef& logsumexp_def();

constinit const OpDef kSum{
    .name = "sum",
    .kind = Kind::kReduction,
    .attrs = &kAttrsOf<ReduceAttrs>,
    .check = contract::reduction,
    .infer = infer_sum,
    .vjp = sum_vjp,
    .vmap = reduce_vmap<sum_def>,
    .tiling = reduce_tiling,
    .flops = one_an_input,
    .entry = boxed<&plimsoll::sum>::call,
    .signature =
        "sum(a: array, /, axis: None | int | Sequence[int] = None, keepdims: bool = False, *, "
        "stream: None | Stream | Device = None) -> array",
    .doc = R"(Sum of the elements over the axes.

``axis`` None takes all axes; ``keepdims`` leaves them with length 1. Adds in a fixed order that the whole shape decides; float16 and bfloat16 are added in float32 and
rounded once. bool, int8 and int16 give int32, uint8 and uint16 give uint32; other dtypes, and all dtypes
over no axes, are kept. An empty sum is 0.
Raises IndexError for an axis that is not there, ValueError for one given twice.

Example:
    >>> mx.sum(mx.array([1, 2, 3]))
    array(6, dtype=int32)
)"};

constinit const OpDef kProd{
    .name = "prod",
    .kind = Kind::kReduction,
    .attrs = &kAttrsOf<ReduceAttrs>,
    .check = contract::reduction,
    .infer = infer_sum,
    .vjp = prod_vjp,
    .vmap = reduce_vmap<prod_def>,
    .tiling = reduce_tiling,
    .flops = one_an_input,
    .entry = boxed<&plimsoll::prod>::call,
    .signature =
        "prod(a: array, /, axis: None | int | Sequence[int] = None, keepdims: bool = False, *, "
        "stream: None | Stream | Device = None) -> array",
    .doc = R"(Product of the elements over the axes.

``axis`` None takes all axes; ``keepdims`` leaves them with length 1. bool, int8 and int16 give int32, uint8 and uint16 give uint32; other dtypes, and
all dtypes over no axes, are kept. An empty product is 1.
Raises IndexError for an axis that is not there, ValueError for one given twice.

Example:
    >>> mx.prod(mx.array([2, 3]))
    array(6, dtype=int32)
)"};

constinit const OpDef kMax{
    .name = "max",
    .kind = Kind::kReduction,
    .attrs = &kAttrsOf<ReduceAttrs>,
    .check = contract::extreme,
    .infer = infer_same_dtype,
    .vjp = extreme_vjp,
    .vmap = reduce_vmap<max_def>,
    .tiling = reduce_tiling,
    .flops = one_an_input,
    .entry = boxed<&plimsoll::max>::call,
    .signature =
        "max(a: array, /, axis: None | int | Sequence[int] = None, keepdims: bool = False, *, "
        "stream: None | Stream | Device = None) -> array",
    .doc = R"(Greatest element over the axes; NaN where one is NaN.

``axis`` None takes all axes; ``keepdims`` leaves them with length 1. Any dtype, which is kept. Equal greatest elements share the gradient. Raises ValueError for an empty
axis.
Raises IndexError for an axis that is not there, ValueError for one given twice.

Example:
    >>> mx.max(mx.array([1, 3, 2]))
    array(3, dtype=int32)
)"};

constinit const OpDef kMin{
    .name = "min",
    .kind = Kind::kReduction,
    .attrs = &kAttrsOf<ReduceAttrs>,
    .check = contract::extreme,
    .infer = infer_same_dtype,
    .vjp = extreme_vjp,
    .vmap = reduce_vmap<min_def>,
    .tiling = reduce_tiling,
    .flops = one_an_input,
    .entry = boxed<&plimsoll::min>::call,
    .signature =
        "min(a: array, /, axis: None | int | Sequence[int] = None, keepdims: bool = False, *, "
        "stream: None | Stream | Device = None) -> array",
    .doc = R"(Least element over the axes; NaN where one is NaN.

``axis`` None takes all axes; ``keepdims`` leaves them with length 1. Any dtype, which is kept. Equal least elements share the gradient. Raises ValueError for an empty
axis.
Raises IndexError for an axis that is not there, ValueError for one given twice.

Example:
    >>> mx.min(mx.array([1, 3, 2]))
    array(1, dtype=int32)
)"};

constinit const OpDef kAll{
    .name = "all",
    .kind = Kind::kReduction,
    .attrs = &kAttrsOf<ReduceAttrs>,
    .check = contract::reduction,
    .infer = infer_bool,
    .vmap = reduce_vmap<all_def>,
    .differentiable = false,
    .tiling = reduce_tiling,
    .flops = one_an_input,
    .entry = boxed<&plimsoll::all>::call,
    .signature =
        "all(a: array, /, axis: None | int | Sequence[int] = None, keepdims: bool = False, *, "
        "stream: None | Stream | Device = None) -> array",
    .doc = R"(Whether every element over the axes is not 0.

``axis`` None takes all axes; ``keepdims`` leaves them with length 1. Any dtype; the result is bool. True over no elements.
Raises IndexError for an axis that is not there, ValueError for one given twice.

Example:
    >>> mx.all(mx.array([True, False]))
    array(False, dtype=bool)
)"};

constinit const OpDef kAny{
    .name = "any",
    .kind = Kind::kReduction,
    .attrs = &kAttrsOf<ReduceAttrs>,
    .check = contract::reduction,
    .infer = infer_bool,
    .vmap = reduce_vmap<any_def>,
    .differentiable = false,
    .tiling = reduce_tiling,
    .flops = one_an_input,
    .entry = boxed<&plimsoll::any>::call,
    .signature =
        "any(a: array, /, axis: None | int | Sequence[int] = None, keepdims: bool = False, *, "
        "stream: None | Stream | Device = None) -> array",
    .doc = R"(Whether an element over the axes is not 0.

``axis`` None takes all axes; ``keepdims`` leaves them with length 1. Any dtype; the result is bool. False over no elements.
Raises IndexError for an axis that is not there, ValueError for one given twice.

Example:
    >>> mx.any(mx.array([True, False]))
    array(True, dtype=bool)
)"};

constinit const OpDef kLogsumexp{
    .name = "logsumexp",
    .kind = Kind::kReduction,
    .attrs = &kAttrsOf<ReduceAttrs>,
    .check = contract::extreme,
    .infer = infer_same_dtype,
    .vjp = logsumexp_vjp,
    .vmap = reduce_vmap<logsumexp_def>,
    .tiling = reduce_tiling,
    .flops = one_an_input,
    .entry = boxed<&plimsoll::logsumexp>::call,
    .signature =
        "logsumexp(a: array, /, axis: None | int | Sequence[int] = None, keepdims: bool = False, "
        "*, stream: None | Stream | Device = None) -> array",
    .doc = R"(log(sum(exp(a))) over the axes, without overflow.

``axis`` None takes all axes; ``keepdims`` leaves them with length 1. float dtypes are kept; integers are computed in float32. Raises ValueError for complex64 and for an
empty axis.
Raises IndexError for an axis that is not there, ValueError for one given twice.

Example:
    >>> mx.logsumexp(mx.array([0.0, 0.0]))
    array(0.693147, dtype=float32)
)"};

const OpDef& sum_def() { return kSum; }
const OpDef& prod_def() { return kProd; }
const OpDef& max_def() { return kMax; }
const OpDef& min_def() { return kMin; }
const OpDef& all_def() { return kAll; }
const OpDef& any_def() { return kAny; }
const OpDef& logsumexp_def() { return kLogsumexp; }

constinit const OpDef kMean{
    .name = "mean",
    .kind = Kind::kComposite,
    .entry = boxed<&plimsoll::mean>::call,
    .signature =
        "mean(a: array, /, axis: None | int | Sequence[int] = None, keepdims: bool = False, *, "
        "stream: None | Stream | Device = None) -> array",
    .doc = R"(Mean of the elements over the axes.

float dtypes and complex64 are kept (float16 and bfloat16 are computed in float32); integers are
computed in float32. NaN over no elements. Raises IndexError for an axis that is not there.

Example:
    >>> mx.mean(mx.array([1, 2]))
    array(1.5, dtype=float32)
)"};

// The Python array API's name for ddof.
template <array (*F)(const array&, const Axes&, bool, int)>
array corrected(const array& a, const Axes& axes, bool keepdims, int ddof,
                std::optional<int64_t> correction) {
  return F(a, axes, keepdims, static_cast<int>(correction.value_or(ddof)));
}

constinit const OpDef kVar{
    .name = "var",
    .kind = Kind::kComposite,
    .entry = boxed<&corrected<plimsoll::var>>::call,
    .signature =
        "var(a: array, /, axis: None | int | Sequence[int] = None, keepdims: bool = False, ddof: "
        "int = 0, *, correction: int | None = None, stream: None | Stream | Device = None) -> "
        "array",
    .doc = R"(Variance over the axes: the sum of squared distances from the mean over n - ``ddof``.

``correction``, where given, is another name for ``ddof``.

float dtypes are kept (float16 and bfloat16 are computed in float32); integers are computed in
float32; complex64 gives float32. The mean is taken first (two passes), so nothing is lost to
cancellation. Raises IndexError for an axis that is not there.

Example:
    >>> mx.var(mx.array([1.0, 3.0]))
    array(1, dtype=float32)
)"};

constinit const OpDef kStd{
    .name = "std",
    .kind = Kind::kComposite,
    .entry = boxed<&corrected<plimsoll::std>>::call,
    .signature =
        "std(a: array, /, axis: None | int | Sequence[int] = None, keepdims: bool = False, ddof: "
        "int = 0, *, correction: int | None = None, stream: None | Stream | Device = None) -> "
        "array",
    .doc = R"(Standard deviation over the axes: the square root of the variance.

Dtypes as var. Raises IndexError for an axis that is not there.

Example:
    >>> mx.std(mx.array([1.0, 3.0]))
    array(1, dtype=float32)
)"};

constinit const OpDef kCountNonzero = composite(
    "count_nonzero", boxed<&plimsoll::count_nonzero>::call,
    "count_nonzero(a: array, /, *, axis: None | int | Sequence[int] = None, keepdims: bool = "
    "False, stream: None | Stream | Device = None) -> array",
    R"(How many elements over the axes are not 0, as int32. NaN counts.

``axis`` None takes all axes; ``keepdims`` leaves them with length 1. Raises IndexError for an axis
that is not there.

Example:
    >>> mx.count_nonzero(mx.array([0, 3, 4]))
    array(2, dtype=int32)
)");

constinit const OpDef kMinmax = composite(
    "minmax", boxed<&plimsoll::minmax>::call,
    "minmax(a: array, /, axis: None | int | Sequence[int] = None, keepdims: bool = False, *, "
    "stream: None | Stream | Device = None) -> tuple[array, array]",
    R"(The least and the greatest element over the axes, as min and max give them.

Example:
    >>> mx.minmax(mx.array([2, 1, 3]))
    (array(1, dtype=int32), array(3, dtype=int32))
)");

array reduce(const OpDef& def, const array& a, const Axes& axes, bool keepdims) {
  return record(def, {a},
                make_attrs(ReduceAttrs(checked_axes(axes, a.ndim(), def.name), keepdims)));
}

void refuse_empty(const OpDef& def, const array& a, const Axes& axes) {
  for (int64_t axis : checked_axes(axes, a.ndim(), def.name))
    PLIMSOLL_CHECK(a.shape()[axis] != 0, ValueError,
                   "[{}] expected at least one element on axis {}, got shape {}", def.name, axis,
                   to_string(a.shape()));
}

array extreme(const OpDef& def, const array& a, const Axes& axes, bool keepdims) {
  array x = cast(a, a.dtype());
  if (checked_axes(axes, a.ndim(), def.name).empty()) return x;
  refuse_empty(def, a, axes);
  return reduce(def, x, axes, keepdims);
}

array total(const OpDef& def, const array& a, const Axes& axes, bool keepdims) {
  // Over no axes nothing is added, and the dtype is kept, as in MLX.
  if (checked_axes(axes, a.ndim(), def.name).empty()) return cast(a, a.dtype());
  return reduce(def, cast(a, a.dtype()), axes, keepdims);
}

array truth(const OpDef& def, const array& a, const Axes& axes, bool keepdims) {
  if (checked_axes(axes, a.ndim(), def.name).empty()) return cast(a, Dtype::kBool);
  return reduce(def, cast(a, a.dtype()), axes, keepdims);
}

// float32 for what would overflow or lose digits in a sum of its own dtype.
array for_sums(const array& a) {
  Dtype t = inexact(a.dtype());
  return cast(a, size_of(t) == 2 ? Dtype::kFloat32 : t);
}

int64_t reduced_count(const array& a, const Axes& axes, const char* op) {
  int64_t n = 1;
  for (int64_t axis : checked_axes(axes, a.ndim(), op)) n *= a.shape()[axis];
  return n;
}

double reciprocal_of(int64_t n) {
  return n > 0 ? 1.0 / static_cast<double>(n) : std::numeric_limits<double>::infinity();
}

}  // namespace

OpList reduce_ops() {
  static constexpr const OpDef* kOps[] = {&kSum, &kProd, &kMax,          &kMin,
                                          &kAll, &kAny,  &kLogsumexp,    &kMean,
                                          &kVar, &kStd,  &kCountNonzero, &kMinmax};
  return kOps;
}

}  // namespace ops

array sum(const array& a, const Axes& axes, bool keepdims) {
  return ops::total(ops::kSum, a, axes, keepdims);
}
array prod(const array& a, const Axes& axes, bool keepdims) {
  return ops::total(ops::kProd, a, axes, keepdims);
}
array max(const array& a, const Axes& axes, bool keepdims) {
  return ops::extreme(ops::kMax, a, axes, keepdims);
}
array min(const array& a, const Axes& axes, bool keepdims) {
  return ops::extreme(ops::kMin, a, axes, keepdims);
}
array all(const array& a, const Axes& axes, bool keepdims) {
  return ops::truth(ops::kAll, a, axes, keepdims);
}
array any(const array& a, const Axes& axes, bool keepdims) {
  return ops::truth(ops::kAny, a, axes, keepdims);
}

array logsumexp(const array& a, const Axes& axes, bool keepdims) {
  PLIMSOLL_CHECK(a.dtype() != Dtype::kComplex64, ValueError,
                 "[logsumexp] expected a real dtype, got complex64");
  return ops::extreme(ops::kLogsumexp, ops::cast(a, ops::inexact(a.dtype())), axes, keepdims);
}

array mean(const array& a, const Axes& axes, bool keepdims) {
  using namespace ops;
  double factor = reciprocal_of(reduced_count(a, axes, "mean"));
  return cast(sum(for_sums(a), axes, keepdims) * scalar(factor), inexact(a.dtype()));
}

array var(const array& a, const Axes& axes, bool keepdims, int ddof) {
  using namespace ops;
  array x = for_sums(a);
  array distance = x - mean(x, axes, true);
  array squares = distance.dtype() == Dtype::kComplex64
                      ? square(real(distance)) + square(imag(distance))
                      : square(distance);
  double factor = reciprocal_of(reduced_count(a, axes, "var") - ddof);
  return cast(sum(squares, axes, keepdims) * scalar(factor), real_of(inexact(a.dtype())));
}

array std(const array& a, const Axes& axes, bool keepdims, int ddof) {
  using namespace ops;
  Dtype t = real_of(inexact(a.dtype()));
  array x = for_sums(a);
  return cast(sqrt(var(x, axes, keepdims, ddof)), t);
}

array count_nonzero(const array& a, const Axes& axes, bool keepdims) {
  return sum(not_equal(a, ops::constant_like(0, a)), axes, keepdims);
}

std::vector<array> minmax(const array& a, const Axes& axes, bool keepdims) {
  return {min(a, axes, keepdims), max(a, axes, keepdims)};
}

}  // namespace plimsoll
