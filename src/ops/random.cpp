// Random numbers from explicit keys. random_bits is recorded; the distributions are made of it by
// the formulas that give MLX's numbers for the same key, found by comparing results.
#include "plimsoll/ops/random.h"

#include <cmath>

#include "ops/common.h"
#include "ops/lists.h"
#include "opset/tile_attrs.h"
#include "plimsoll/ops/arg_reduce.h"
#include "plimsoll/ops/binary.h"
#include "plimsoll/ops/cast.h"
#include "plimsoll/ops/compare.h"
#include "plimsoll/ops/creation.h"
#include "plimsoll/ops/gather.h"
#include "plimsoll/ops/linalg.h"
#include "plimsoll/ops/matmul.h"
#include "plimsoll/ops/select.h"
#include "plimsoll/ops/sort.h"
#include "plimsoll/ops/unary.h"
#include "plimsoll/ops/view.h"

namespace plimsoll {
namespace ops {
namespace {

const OpDef& bits_def();

array record_bits(const array& keys, Shape shape, int64_t count_per_key) {
  return record(bits_def(), {keys},
                make_attrs(TileAttrs(Dtype::kUint32, std::move(shape), 0, 0, count_per_key)));
}

// A batch of keys: one stream each.
VmapResult bits_vmap(const VmapArgs& v) {
  const auto& attrs = attrs_as<TileAttrs>(v.attrs);
  Shape shape = attrs.shape;
  shape.insert(shape.begin(), v.batch);
  array keys = batch_first(v.inputs[0], v.axes[0]);
  return {{record_bits(keys, std::move(shape), attrs.count_per_key)}, {0}};
}

constinit const OpDef kBits{
    .name = "random_bits",
    .kind = Kind::kRandom,
    .tile_op = TileOp::kRandomBits,
    .tile_setup =
        [](const AttrBase* attrs, const TensorSpec&, TileProgram& program, TileInstr& instr) {
          instr.aux = static_cast<int16_t>(program.random.size());
          program.random.push_back({4, attrs_as<TileAttrs>(attrs).count_per_key});
        },
    .attrs = &kAttrsOf<TileAttrs>,
    .check = contract::random_bits,
    .infer =
        [](const OpInstance& op, std::vector<TensorSpec>& out) {
          const auto& attrs = attrs_as<TileAttrs>(op.attrs);
          out.push_back({attrs.dtype, attrs.shape});
        },
    .vmap = bits_vmap,
    .differentiable = false,
    .doc =
        "32 random bits an element from one key or a batch of keys (Threefry-2x32, Salmon et al., "
        "2011); what all random numbers are made of."};

const OpDef& bits_def() { return kBits; }

array key_entry(int64_t seed) { return random::key(static_cast<uint64_t>(seed)); }

constinit const OpDef kKey =
    composite("key", boxed<&key_entry>::call,
              "random.key(seed: int, *, stream: None | Stream | Device = None) -> array",
              R"(The key of a seed: an array of two uint32.

Example:
    >>> mx.random.key(3)
    array([0, 3], dtype=uint32)
)");

constinit const OpDef kSplitKey = composite(
    "random.split", boxed<&random::split>::call,
    "random.split(key: array, num: int = 2, stream: None | Stream | Device = None) -> array",
    R"(``num`` keys that are independent of ``key`` and of each other.

Raises ValueError for something that is no key and for a negative number.

Example:
    >>> mx.random.split(mx.random.key(0)).shape
    (2, 2)
)");

constinit const OpDef kUniform = composite(
    "uniform", boxed<&random::uniform>::call,
    "random.uniform(low: scalar | array = 0, high: scalar | array = 1, shape: Sequence[int] = [], "
    "dtype: Dtype | None = float32, key: array | None = None, stream: None | Stream | Device = "
    "None) -> array",
    R"(Uniform random numbers in [low, high).

float16, bfloat16 or float32. The bounds broadcast to ``shape``. Raises ValueError for other dtypes
and bounds that do not fit.

Example:
    >>> mx.random.uniform(shape=(4,), key=mx.random.key(0))
    array([0.965321, 0.225159, 0.63303, 0.296382], dtype=float32)
)");

constinit const OpDef kRandint = composite(
    "randint", boxed<&random::randint>::call,
    "random.randint(low: scalar | array, high: scalar | array, shape: Sequence[int] = [], dtype: "
    "Dtype | None = int32, key: array | None = None, stream: None | Stream | Device = None) -> "
    "array",
    R"(Uniform random integers in [low, high).

Made from float32, so that ranges beyond 2**24 skip numbers, as in MLX. Raises ValueError for a float
dtype and bounds that do not fit ``shape``.

Example:
    >>> mx.random.randint(0, 1000, (5,), key=mx.random.key(0))
    array([574, 99, 393, 894, 596], dtype=int32)
)");

constinit const OpDef kNormal = composite(
    "normal", boxed<&random::normal>::call,
    "random.normal(shape: Sequence[int] = [], dtype: Dtype | None = float32, loc: scalar | array | "
    "None = None, scale: scalar | array | None = None, key: array | None = None, stream: None | "
    "Stream | Device = None) -> array",
    R"(Normal random numbers with mean ``loc`` (0 for None) and standard deviation ``scale`` (1 for None).

sqrt(2) erfinv(u) for uniform u in (-1, 1). float dtypes and complex64 (whose parts have half the
variance each). Raises ValueError for other dtypes.

Example:
    >>> mx.random.normal((2, 3), key=mx.random.key(0)).shape
    (2, 3)
)");

constinit const OpDef kTruncatedNormal = composite(
    "truncated_normal", boxed<&random::truncated_normal>::call,
    "random.truncated_normal(lower: scalar | array, upper: scalar | array, shape: Sequence[int] | "
    "None = None, dtype: Dtype | None = float32, key: array | None = None, stream: None | Stream | "
    "Device = None) -> array",
    R"(Normal random numbers (mean 0, deviation 1) within [lower, upper].

The shape is that of the broadcast bounds for None. Raises ValueError for dtypes that are no floats.

Example:
    >>> mx.random.truncated_normal(-1.0, 1.0, (2,), key=mx.random.key(0)).shape
    (2,)
)");

constinit const OpDef kGumbel = composite(
    "gumbel", boxed<&random::gumbel>::call,
    "random.gumbel(shape: Sequence[int] = [], dtype: Dtype | None = float32, key: array | None = "
    "None, stream: None | Stream | Device = None) -> array",
    R"(Gumbel random numbers (location 0, scale 1): -log(-log(u)) for uniform u.

Example:
    >>> mx.random.gumbel((2,), key=mx.random.key(0)).shape
    (2,)
)");

constinit const OpDef kLaplace = composite(
    "laplace", boxed<&random::laplace>::call,
    "random.laplace(shape: Sequence[int] = [], dtype: Dtype | None = float32, loc: float = 0.0, "
    "scale: float = 1.0, key: array | None = None, stream: None | Stream | Device = None) -> array",
    R"(Laplace random numbers with mean ``loc`` and scale ``scale``.

sign(u) log1p(-abs(u)) for uniform u in (-1, 1).

Example:
    >>> mx.random.laplace((2,), key=mx.random.key(0)).shape
    (2,)
)");

constinit const OpDef kBernoulli =
    composite("bernoulli", boxed<&random::bernoulli>::call,
              "random.bernoulli(p: scalar | array = 0.5, shape: Sequence[int] | None = None, key: "
              "array | None "
              "= None, stream: None | Stream | Device = None) -> array",
              R"(True with probability ``p``.

The shape is that of ``p`` for None. Raises ValueError where p is no float.

Example:
    >>> mx.random.bernoulli(0.5, (5,), key=mx.random.key(0))
    array([False, True, True, False, False], dtype=bool)
)");

constinit const OpDef kPermutation = composite(
    "permutation", boxed<&random::permutation>::call,
    "random.permutation(x: int | array, axis: int = 0, key: array | None = None, stream: None | "
    "Stream | Device = None) -> array",
    R"(The slices of an array along ``axis`` in random order; for a number n, those of arange(n) (uint32).

Raises IndexError for an axis that is not there.

Example:
    >>> mx.random.permutation(5, key=mx.random.key(0))
    array([1, 2, 0, 4, 3], dtype=uint32)
)");

constinit const OpDef kCategorical = composite(
    "categorical", boxed<&random::categorical>::call,
    "random.categorical(logits: array, axis: int = -1, shape: Sequence[int] | None = None, "
    "num_samples: int | None = None, key: array | None = None, stream: None | Stream | Device = "
    "None) -> array",
    R"(Positions (uint32) drawn with the probabilities softmax(logits) along ``axis``.

``shape`` is that of the result, to which the other axes of ``logits`` broadcast; ``num_samples``
draws so many for each row, along a new last axis. Raises ValueError where both are given, IndexError
for an axis that is not there. Drawn as the argmax of logits plus Gumbel noise.

Example:
    >>> mx.random.categorical(mx.array([0.0, 100.0]), key=mx.random.key(0))
    array(1, dtype=uint32)
)");

// The greatest number below 1.
double below_one(Dtype t) {
  if (t == Dtype::kFloat16) return 1 - 0x1p-11;
  if (t == Dtype::kBfloat16) return 1 - 0x1p-8;
  return 1 - 0x1p-24;
}

// [0, 1): the bits over 2^32 in float32, rounded to `t`, kept below 1.
array unit_uniform(const Shape& shape, Dtype t, const array& key) {
  array fraction = cast(random::bits(shape, key), Dtype::kFloat32) * scalar(0x1p-32);
  return minimum(cast(fraction, t), scalar(below_one(t)));
}

void check_bounds(const array& low, const array& high, const Shape& shape, const char* op) {
  Shape bounds = broadcast_shapes(low.shape(), high.shape(), op);
  PLIMSOLL_CHECK(broadcast_shapes(bounds, shape, op) == shape, ShapeError,
                 "[{}] expected bounds that broadcast to {}, got {}", op, to_string(shape),
                 to_string(bounds));
}

array in_range(const array& low, const array& high, const Shape& shape, Dtype t, const array& key) {
  array from = cast(low, t), to = cast(high, t);
  auto is = [](const array& a, double v) { return is_foldable(a) && a.node()->constant.real == v; };
  array unit = unit_uniform(shape, t, key);
  if (is(from, 0) && is(to, 1)) return unit;
  return unit * (to - from) + from;
}

// Uniform in (-1, 1), for inverses that are infinite at the ends.
array symmetric_uniform(const Shape& shape, Dtype t, const array& key) {
  return in_range(scalar(-below_one(t)), scalar(1.0), shape, t, key);
}

Dtype checked_float(std::optional<Dtype> dtype, const char* op) {
  Dtype t = dtype.value_or(Dtype::kFloat32);
  PLIMSOLL_CHECK(is_floating(t), ValueError, "[{}] expected a float dtype, got {}", op, name_of(t));
  return t;
}

// As in MLX: drawn in float32, and scaled in the dtype of 16 bits. float64 numbers have the bits of
// float32 ones.
array standard_normal(const Shape& shape, Dtype t, double scale, const array& key) {
  array z = erfinv(symmetric_uniform(shape, Dtype::kFloat32, key));
  if (size_of(t) == 2) z = cast(z, t);
  return cast(z * scalar(M_SQRT2 * scale), t);
}

array complex_normal(const Shape& shape, const array& key) {
  Shape parts = shape;
  parts.push_back(2);
  array z = standard_normal(parts, Dtype::kFloat32, M_SQRT1_2, key);
  return take(z, array(0), -1) + take(z, array(1), -1) * scalar(std::complex<float>(0, 1));
}

constinit const OpDef kMultivariateNormal = composite(
    "multivariate_normal", boxed<&random::multivariate_normal>::call,
    "random.multivariate_normal(mean: array, cov: array, shape: Sequence[int] = [], dtype: Dtype | "
    "None = float32, key: array | None = None, stream: None | Stream | Device = None) -> array",
    R"(Normal vectors with a mean [..., n] and a covariance [..., n, n], float32.

Independent normal numbers times the symmetric square root of ``cov``, which must have no negative
eigenvalue. The result is ``shape`` + (n,); for an empty shape that of the leading axes of ``mean``
and ``cov``, which broadcast. Raises ValueError for shapes and dtypes that do not fit.

Example:
    >>> mx.random.multivariate_normal(mx.zeros(2), mx.eye(2), (3,)).shape
    (3, 2)
)");

}  // namespace

OpList random_ops() {
  static constexpr const OpDef* kOps[] = {&kBits,
                                          &kKey,
                                          &kSplitKey,
                                          &kUniform,
                                          &kRandint,
                                          &kNormal,
                                          &kTruncatedNormal,
                                          &kGumbel,
                                          &kLaplace,
                                          &kBernoulli,
                                          &kPermutation,
                                          &kCategorical,
                                          &kMultivariateNormal};
  return kOps;
}

}  // namespace ops

namespace random {

using ops::cast;

array key(uint64_t seed) {
  uint32_t words[2] = {static_cast<uint32_t>(seed >> 32), static_cast<uint32_t>(seed)};
  return array(words, Shape{2}, Dtype::kUint32);
}

array bits(const Shape& shape, const array& key) {
  ops::check_shape(shape, "random");
  PLIMSOLL_CHECK(key.dtype() == Dtype::kUint32 && key.shape() == Shape{2}, ValueError,
                 "[random] expected a key, uint32 of shape (2,), got {} of shape {}",
                 name_of(key.dtype()), to_string(key.shape()));
  return ops::record_bits(key, shape, num_elements(shape));
}

array split(const array& key, int64_t num) { return bits({num, 2}, key); }

array uniform(const array& low, const array& high, const Shape& shape, std::optional<Dtype> dtype,
              const array& key) {
  Dtype t = ops::checked_float(dtype, "random.uniform");
  PLIMSOLL_CHECK(t != Dtype::kFloat64, ValueError,
                 "[random.uniform] expected float16, bfloat16 or float32, got float64");
  ops::check_bounds(low, high, shape, "random.uniform");
  return ops::in_range(low, high, shape, t, key);
}

array randint(const array& low, const array& high, const Shape& shape, std::optional<Dtype> dtype,
              const array& key) {
  Dtype t = dtype.value_or(Dtype::kInt32);
  PLIMSOLL_CHECK(is_integral(t), ValueError, "[random.randint] expected an integer dtype, got {}",
                 name_of(t));
  ops::check_bounds(low, high, shape, "random.randint");
  array from = cast(low, Dtype::kFloat32), to = cast(high, Dtype::kFloat32);
  return cast(floor(ops::in_range(from, maximum(from, to), shape, Dtype::kFloat32, key)), t);
}

array normal(const Shape& shape, std::optional<Dtype> dtype, const std::optional<array>& loc,
             const std::optional<array>& scale, const array& key) {
  Dtype t = dtype.value_or(Dtype::kFloat32);
  PLIMSOLL_CHECK(is_inexact(t), ValueError,
                 "[random.normal] expected a float dtype or complex64, got {}", name_of(t));
  array z = t == Dtype::kComplex64 ? ops::complex_normal(shape, key)
                                   : ops::standard_normal(shape, t, 1, key);
  if (scale) z = z * cast(*scale, t);
  return loc ? z + cast(*loc, t) : z;
}

array truncated_normal(const array& lower, const array& upper, const std::optional<Dims>& shape,
                       std::optional<Dtype> dtype, const array& key) {
  Dtype t = ops::checked_float(dtype, "random.truncated_normal");
  Shape out =
      shape ? *shape : broadcast_shapes(lower.shape(), upper.shape(), "random.truncated_normal");
  ops::check_bounds(lower, upper, out, "random.truncated_normal");
  array lo = cast(lower, t), hi = cast(upper, t), half = ops::cast(scalar(M_SQRT1_2), t);
  array u = ops::in_range(erf(lo * half), erf(hi * half), out, t, key);
  return clip(erfinv(u) * scalar(M_SQRT2), lo, hi);
}

array gumbel(const Shape& shape, std::optional<Dtype> dtype, const array& key) {
  Dtype t = ops::checked_float(dtype, "random.gumbel");
  return -log(-log(ops::in_range(scalar(0.0), scalar(1.0), shape, t, key)));
}

array laplace(const Shape& shape, std::optional<Dtype> dtype, double loc, double scale,
              const array& key) {
  Dtype t = ops::checked_float(dtype, "random.laplace");
  array u = ops::symmetric_uniform(shape, Dtype::kFloat32, key);
  array z = cast(sign(u) * log1p(-abs(u)), t);
  if (scale != 1) z = z * scalar(scale);
  return loc == 0 ? z : z + scalar(loc);
}

array bernoulli(const array& p, const std::optional<Dims>& shape, const array& key) {
  PLIMSOLL_CHECK(is_floating(p.dtype()), ValueError,
                 "[random.bernoulli] expected a probability of a float dtype, got {}",
                 name_of(p.dtype()));
  Shape out = shape ? *shape : p.shape();
  ops::check_bounds(p, p, out, "random.bernoulli");
  return less(ops::unit_uniform(out, Dtype::kFloat32, key), p);
}

array permutation(const std::variant<int64_t, array>& x, int64_t axis, const array& key) {
  if (const auto* n = std::get_if<int64_t>(&x)) return argsort(bits({*n}, key), 0);
  const array& a = std::get<array>(x);
  int at = ops::checked_axis(axis, a.ndim(), "random.permutation");
  return take(a, argsort(bits({a.shape()[at]}, key), 0), at);
}

array categorical(const array& logits, int64_t axis, const std::optional<Dims>& shape,
                  std::optional<int64_t> num_samples, const array& key) {
  int at = ops::checked_axis(axis, logits.ndim(), "random.categorical");
  PLIMSOLL_CHECK(!shape || !num_samples, ValueError,
                 "[random.categorical] expected shape or num_samples, got both");
  if (num_samples) {
    // Samples lie along a new last axis, as in MLX, whose streams these are.
    Shape drawn = logits.shape();
    drawn.push_back(*num_samples);
    return argmax(expand_dims(logits, {-1}) + gumbel(drawn, Dtype::kFloat32, key), at);
  }
  if (shape) {
    array rows = moveaxis(logits, at, -1);
    Shape kept(rows.shape().begin(), rows.shape().end() - 1), drawn = *shape;
    PLIMSOLL_CHECK(broadcast_shapes(kept, drawn, "random.categorical") == drawn, ShapeError,
                   "[random.categorical] expected a shape that {} broadcasts to, got {}",
                   to_string(kept), to_string(drawn));
    drawn.push_back(logits.shape()[at]);
    return argmax(rows + gumbel(drawn, Dtype::kFloat32, key), -1);
  }
  return argmax(logits + gumbel(logits.shape(), Dtype::kFloat32, key), at);
}

array multivariate_normal(const array& mean, const array& cov, const Shape& shape,
                          std::optional<Dtype> dtype, const array& key) {
  PLIMSOLL_CHECK(dtype.value_or(Dtype::kFloat32) == Dtype::kFloat32, ValueError,
                 "[multivariate_normal] expected float32, got {}", name_of(*dtype));
  PLIMSOLL_CHECK(mean.ndim() >= 1 && cov.ndim() >= 2 && cov.shape(-1) == cov.shape(-2) &&
                     cov.shape(-1) == mean.shape(-1),
                 ShapeError,
                 "[multivariate_normal] expected a mean of (..., n) and a covariance of (..., n, "
                 "n), got shapes {} and {}",
                 to_string(mean.shape()), to_string(cov.shape()));
  Shape batch =
      broadcast_shapes(Shape(mean.shape().begin(), mean.shape().end() - 1),
                       Shape(cov.shape().begin(), cov.shape().end() - 2), "multivariate_normal");
  Shape out = shape.empty() ? batch : shape;
  PLIMSOLL_CHECK(broadcast_shapes(batch, out, "multivariate_normal") == out, ShapeError,
                 "[multivariate_normal] expected a shape that {} broadcasts to, got {}",
                 to_string(batch), to_string(out));
  out.push_back(mean.shape(-1));
  std::vector<array> parts = linalg::eigh(ops::cast(cov, Dtype::kFloat32));
  array size = sqrt(maximum(parts[0], scalar(0.0)));
  // The root, applied as V (sqrt(w) (Vᵀ z)): z are rows.
  array z = expand_dims(normal(out, Dtype::kFloat32, std::nullopt, std::nullopt, key), {-2});
  array along = matmul(z, parts[1]) * expand_dims(size, {-2});
  array moved = squeeze(matmul(along, swapaxes(parts[1], -1, -2)), Dims{-2});
  return moved + ops::cast(mean, Dtype::kFloat32);
}

}  // namespace random
}  // namespace plimsoll
