// Arrays made from a description. full and arange are recorded; the others are made of them.
#include "plimsoll/ops/creation.h"

#include <cmath>

#include "ops/common.h"
#include "ops/lists.h"
#include "opset/tile_attrs.h"
#include "plimsoll/ops/binary.h"
#include "plimsoll/ops/cast.h"
#include "plimsoll/ops/compare.h"
#include "plimsoll/ops/select.h"
#include "plimsoll/ops/view.h"

namespace plimsoll {
namespace ops {
namespace {

void infer_from_attrs(const OpInstance& op, std::vector<TensorSpec>& out) {
  const auto& attrs = attrs_as<TileAttrs>(op.attrs);
  out.push_back({attrs.dtype, attrs.shape});
}

VmapResult full_vmap(const VmapArgs& v) {
  const auto& attrs = attrs_as<TileAttrs>(v.attrs);
  Shape shape = attrs.shape;
  array a = batch_first_padded(v.inputs[0], v.axes[0], static_cast<int>(shape.size()) + 1);
  shape.insert(shape.begin(), v.batch);
  return {{full(shape, a)}, {0}};
}

constinit const OpDef kFull{
    .name = "full",
    .kind = Kind::kElementwise,
    .tile_op = TileOp::kCopy,
    .attrs = &kAttrsOf<TileAttrs>,
    .check = contract::full,
    .infer = infer_from_attrs,
    .vjp = vjp_of_one<[](const array& g, const array&, const array&) { return g; }>,
    .vmap = full_vmap,
    .entry = boxed<&full>::call,
    .signature =
        "full(shape: int | Sequence[int], vals: scalar | array, dtype: Dtype | None = "
        "None, *, stream: None | Stream | Device = None) -> array",
    .doc = R"(An array of the shape, filled with ``vals`` (broadcast).

The dtype is that of ``vals`` unless ``dtype`` is given. Raises ValueError for negative dimensions
and for values that do not broadcast to the shape.

Example:
    >>> mx.full((2,), 3)
    array([3, 3], dtype=int32)
)"};

constinit const OpDef kArange{
    .name = "arange",
    .kind = Kind::kElementwise,
    .tile_op = TileOp::kIota,
    .tile_setup =
        [](const AttrBase* attrs, const TensorSpec&, TileProgram&, TileInstr& instr) {
          instr.imm[0] = attrs_as<TileAttrs>(attrs).start;
          instr.imm[1] = attrs_as<TileAttrs>(attrs).step;
        },
    .attrs = &kAttrsOf<TileAttrs>,
    .check = contract::arange,
    .infer = infer_from_attrs,
    .differentiable = false,
    .entry = boxed<&arange>::call,
    .signature =
        "arange(start: int | float, stop: None | int | float = None, step: None | int | "
        "float = None, dtype: Dtype | None = None, *, stream: None | Stream | Device = None) -> "
        "array",
    .doc = R"(Numbers from ``start`` (included) to ``stop`` (not included) in steps of ``step``.

With one number: from 0 up to it. The dtype is int32, int64 where a number does not fit into that,
or float32 where one is a float, unless ``dtype`` is given; an integer ``dtype`` drops the fractions
of start and step first. Raises ValueError for a step of 0, for NaN, for infinities and for bool.

Example:
    >>> mx.arange(0, 10, 4)
    array([0, 4, 8], dtype=int32)
)"};

constinit const OpDef kZeros =
    composite("zeros", boxed<&zeros>::call,
              "zeros(shape: int | Sequence[int], dtype: Dtype | None = float32, *, stream: None | "
              "Stream | Device = None) -> array",
              R"(An array of zeros.

Example:
    >>> mx.zeros((2,))
    array([0, 0], dtype=float32)
)");

constinit const OpDef kOnes =
    composite("ones", boxed<&ones>::call,
              "ones(shape: int | Sequence[int], dtype: Dtype | None = float32, *, stream: None | "
              "Stream | Device = None) -> array",
              R"(An array of ones.

Example:
    >>> mx.ones((2,))
    array([1, 1], dtype=float32)
)");

constinit const OpDef kFullLike =
    composite("full_like", boxed<&full_like>::call,
              "full_like(a: array, vals: scalar | array, dtype: Dtype | None = None, *, stream: "
              "None | Stream | Device = None) -> array",
              R"(An array of the shape and dtype of ``a`` (or ``dtype``), filled with ``vals``.

Example:
    >>> mx.full_like(mx.array([1, 2]), 7)
    array([7, 7], dtype=int32)
)");

constinit const OpDef kZerosLike =
    composite("zeros_like", boxed<&zeros_like>::call,
              "zeros_like(a: array, /, dtype: Dtype | None = None, *, stream: None | Stream | "
              "Device = None) -> array",
              R"(Zeros of the shape and dtype of ``a`` (or ``dtype``).

Example:
    >>> mx.zeros_like(mx.array([1, 2]))
    array([0, 0], dtype=int32)
)");

constinit const OpDef kOnesLike = composite("ones_like", boxed<&ones_like>::call,
                                            "ones_like(a: array, /, dtype: Dtype | None = None, *, "
                                            "stream: None | Stream | Device = None) -> array",
                                            R"(Ones of the shape and dtype of ``a`` (or ``dtype``).

Example:
    >>> mx.ones_like(mx.array([1, 2]))
    array([1, 1], dtype=int32)
)");

array linspace_entry(double start, double stop, const std::optional<int64_t>& num, bool endpoint,
                     const std::optional<Dtype>& dtype) {
  return linspace(start, stop, num.value_or(50), endpoint, dtype);
}

constinit const OpDef kLinspace = composite(
    "linspace", boxed<&linspace_entry>::call,
    "linspace(start: scalar, stop: scalar, num: int | None = 50, endpoint: bool = True, dtype: "
    "Dtype | None = float32, stream: None | Stream | Device = None) -> array",
    R"(``num`` numbers at equal distances from ``start`` to ``stop``.

``stop`` is the last number where ``endpoint``, else the one after the last. Raises ValueError for a
negative ``num``.

Example:
    >>> mx.linspace(0, 1, 3)
    array([0, 0.5, 1], dtype=float32)
)");

constinit const OpDef kEye = composite(
    "eye", boxed<&eye>::call,
    "eye(n: int, m: int | None = None, k: int = 0, dtype: Dtype | None = float32, *, stream: None "
    "| Stream | Device = None) -> array",
    R"(An n by m matrix (n by n for None) with ones on the k-th diagonal and zeros elsewhere.

Raises ValueError for negative sizes.

Example:
    >>> mx.eye(2)
    array([[1, 0],
           [0, 1]], dtype=float32)
)");

constinit const OpDef kIdentity = composite("identity", boxed<&identity>::call,
                                            "identity(n: int, dtype: Dtype | None = float32, *, "
                                            "stream: None | Stream | Device = None) -> array",
                                            R"(The n by n identity matrix.

Example:
    >>> mx.identity(2)
    array([[1, 0],
           [0, 1]], dtype=float32)
)");

constinit const OpDef kTri =
    composite("tri", boxed<&tri>::call,
              "tri(n: int, m: int | None = None, k: int = 0, dtype: Dtype | None = None, *, "
              "stream: None | Stream | Device = None) -> array",
              R"(An n by m matrix (n by n for None) with ones on and below the k-th diagonal.

Example:
    >>> mx.tri(2)
    array([[1, 0],
           [1, 1]], dtype=float32)
)");

constinit const OpDef kTril =
    composite("tril", boxed<&tril>::call,
              "tril(x: array, k: int = 0, *, stream: None | Stream | Device = None) -> array",
              R"(The matrices with zeros above the k-th diagonal.

The matrices are the last two axes; raises ValueError for fewer.

Example:
    >>> mx.tril(mx.array([[1, 2], [3, 4]]))
    array([[1, 0],
           [3, 4]], dtype=int32)
)");

constinit const OpDef kTriu =
    composite("triu", boxed<&triu>::call,
              "triu(x: array, k: int = 0, *, stream: None | Stream | Device = None) -> array",
              R"(The matrices with zeros below the k-th diagonal.

The matrices are the last two axes; raises ValueError for fewer.

Example:
    >>> mx.triu(mx.array([[1, 2], [3, 4]]))
    array([[1, 2],
           [0, 4]], dtype=int32)
)");

double number(const IntOrFloat& v) {
  return std::visit([](auto x) { return static_cast<double>(x); }, v);
}

// stop - start; of integers without rounding them first.
double distance(const IntOrFloat& start, const IntOrFloat& stop) {
  const auto *a = std::get_if<int64_t>(&start), *b = std::get_if<int64_t>(&stop);
  int64_t exact;
  if (a && b && !__builtin_sub_overflow(*b, *a, &exact)) return static_cast<double>(exact);
  return number(stop) - number(start);
}

Dtype natural_dtype(const IntOrFloat& start, const IntOrFloat& stop, const IntOrFloat& step) {
  bool wide = false;
  for (const IntOrFloat* v : {&start, &stop, &step}) {
    const auto* i = std::get_if<int64_t>(v);
    if (!i) return Dtype::kFloat32;
    wide |= *i != static_cast<int32_t>(*i);
  }
  return wide ? Dtype::kInt64 : Dtype::kInt32;
}

array iota(int64_t count, double start, double step, Dtype t) {
  return record(kArange, std::span<const array>{}, make_attrs(TileAttrs(t, {count}, start, step)));
}

// column - row of each element of an n × m matrix, compared with k.
array diagonals(array (*compare)(const array&, const array&), int64_t n, int64_t m, int64_t k) {
  array rows = reshape(iota(n, static_cast<double>(k), 1, Dtype::kInt64), {n, 1});
  return compare(rows, iota(m, 0, 1, Dtype::kInt64));
}

void check_matrix(const array& x, const char* op) {
  PLIMSOLL_CHECK(x.ndim() >= 2, ValueError, "[{}] expected at least 2 dimensions, got shape {}", op,
                 to_string(x.shape()));
}

}  // namespace

OpList creation_ops() {
  static constexpr const OpDef* kOps[] = {&kFull,      &kArange,   &kZeros, &kOnes,     &kFullLike,
                                          &kZerosLike, &kOnesLike, &kEye,   &kIdentity, &kTri,
                                          &kLinspace,  &kTril,     &kTriu};
  return kOps;
}

}  // namespace ops

array full(const Shape& shape, const array& vals, std::optional<Dtype> dtype) {
  using namespace ops;
  check_shape(shape, "full");
  array v = cast(vals, dtype.value_or(vals.dtype()));
  if (v.ndim() > 0 && !(v.shape() == shape))
    PLIMSOLL_CHECK(broadcast_shapes(v.shape(), shape, "full") == shape, ShapeError,
                   "[full] expected values that broadcast to {}, got shape {}", to_string(shape),
                   to_string(v.shape()));
  if (v.shape() == shape) return v;
  return record(kFull, {v}, make_attrs(TileAttrs(v.dtype(), shape)));
}

array zeros(const Shape& shape, std::optional<Dtype> dtype) {
  ops::check_shape(shape, "zeros");
  return full(shape, array(int64_t{0}, dtype.value_or(Dtype::kFloat32)));
}

array ones(const Shape& shape, std::optional<Dtype> dtype) {
  ops::check_shape(shape, "ones");
  return full(shape, array(int64_t{1}, dtype.value_or(Dtype::kFloat32)));
}

array full_like(const array& a, const array& vals, std::optional<Dtype> dtype) {
  return full(a.shape(), vals, dtype.value_or(a.dtype()));
}
array zeros_like(const array& a, std::optional<Dtype> dtype) {
  return zeros(a.shape(), dtype.value_or(a.dtype()));
}
array ones_like(const array& a, std::optional<Dtype> dtype) {
  return ones(a.shape(), dtype.value_or(a.dtype()));
}

array arange(IntOrFloat start, std::optional<IntOrFloat> stop, std::optional<IntOrFloat> step,
             std::optional<Dtype> dtype) {
  if (!stop) {
    stop = start;
    start = int64_t{0};
  }
  if (!step) step = int64_t{1};
  Dtype t = dtype.value_or(ops::natural_dtype(start, *stop, *step));
  PLIMSOLL_CHECK(t != Dtype::kBool, ValueError, "[arange] expected a number dtype, got bool");
  double first = ops::number(start), last = ops::number(*stop), by = ops::number(*step);
  PLIMSOLL_CHECK(by != 0, ValueError, "[arange] expected a step that is not 0");
  double length = std::max(std::ceil(ops::distance(start, *stop) / by), 0.0);
  PLIMSOLL_CHECK(std::isfinite(length) && length < 0x1p62, ValueError,
                 "[arange] expected finite bounds and fewer than 2^62 numbers, got start {}, stop "
                 "{} and step {}",
                 first, last, by);
  auto count = static_cast<int64_t>(length);
  if (!is_integral(t)) return ops::iota(count, first, by, t);
  first = std::trunc(first);
  by = std::trunc(by);
  const auto* exact = std::get_if<int64_t>(&start);
  if (!exact || std::abs(first) <= 0x1p53) return ops::iota(count, first, by, t);
  return add(ops::iota(count, 0, by, t), array(*exact, t));  // a double would round the start
}

array linspace(double start, double stop, int64_t num, bool endpoint, std::optional<Dtype> dtype) {
  PLIMSOLL_CHECK(num >= 0, ValueError, "[linspace] expected num of at least 0, got {}", num);
  Dtype t = dtype.value_or(Dtype::kFloat32);
  int64_t parts = endpoint ? num - 1 : num;
  double step = parts > 0 ? (stop - start) / static_cast<double>(parts) : 0;
  return ops::cast(ops::iota(num, start, step, ops::inexact(t)), t);
}

array eye(int64_t n, std::optional<int64_t> m, int64_t k, std::optional<Dtype> dtype) {
  PLIMSOLL_CHECK(n >= 0 && m.value_or(0) >= 0, ValueError,
                 "[eye] expected sizes of at least 0, got {} and {}", n, m.value_or(n));
  return astype(ops::diagonals(equal, n, m.value_or(n), k), dtype.value_or(Dtype::kFloat32));
}

array identity(int64_t n, std::optional<Dtype> dtype) { return eye(n, n, 0, dtype); }

array tri(int64_t n, std::optional<int64_t> m, int64_t k, std::optional<Dtype> dtype) {
  PLIMSOLL_CHECK(n >= 0 && m.value_or(0) >= 0, ValueError,
                 "[tri] expected sizes of at least 0, got {} and {}", n, m.value_or(n));
  return astype(ops::diagonals(greater_equal, n, m.value_or(n), k),
                dtype.value_or(Dtype::kFloat32));
}

array tril(const array& x, int64_t k) {
  ops::check_matrix(x, "tril");
  return where(ops::diagonals(greater_equal, x.shape(-2), x.shape(-1), k), x,
               ops::constant_like(0, x));
}

array triu(const array& x, int64_t k) {
  ops::check_matrix(x, "triu");
  return where(ops::diagonals(greater_equal, x.shape(-2), x.shape(-1), k - 1),
               ops::constant_like(0, x), x);
}

}  // namespace plimsoll
