// Fourier transforms: one complex op along one axis, and what is made of it.
#include "plimsoll/ops/fft.h"

#include <algorithm>
#include <cmath>

#include "ops/common.h"
#include "ops/lists.h"
#include "opset/fft.h"
#include "plimsoll/ops/binary.h"
#include "plimsoll/ops/compare.h"
#include "plimsoll/ops/complex.h"
#include "plimsoll/ops/creation.h"
#include "plimsoll/ops/join.h"
#include "plimsoll/ops/select.h"
#include "plimsoll/ops/view.h"

namespace plimsoll {
namespace ops {
namespace {

void infer_fft(const OpInstance& op, std::vector<TensorSpec>& out) { out.push_back(op.inputs[0]); }

const OpDef& fft_def();

array transform(const array& a, int64_t axis, bool inverse) {
  return record(fft_def(), {a}, make_attrs(FftAttrs(static_cast<int>(axis), inverse)));
}

double fft_flops(const OpInstance& op) {
  const Shape& shape = op.inputs[0].shape;
  const auto n = static_cast<double>(shape[static_cast<const FftAttrs&>(*op.attrs).axis]);
  return 5.0 * static_cast<double>(num_elements(shape)) * std::log2(std::max(n, 2.0));
}

// The adjoint of Σ exp(-iθ) is Σ exp(iθ).
std::vector<array> fft_vjp(const VjpArgs& v) {
  if (!v.needed[0]) return {array()};
  const auto& a = attrs_as<FftAttrs>(v.attrs);
  return {transform(v.cotangents[0], a.axis, !a.inverse)};
}

VmapResult fft_vmap(const VmapArgs& v) {
  const auto& a = attrs_as<FftAttrs>(v.attrs);
  return {{transform(batch_first(v.inputs[0], v.axes[0]), a.axis + 1, a.inverse)}, {0}};
}

constinit const OpDef kFftOp{
    .name = "dft",
    .kind = Kind::kStructured,
    .attrs = &kAttrsOf<FftAttrs>,
    .check = contract::dft,
    .infer = infer_fft,
    .vjp = fft_vjp,
    .vmap = fft_vmap,
    .tiling = fft_tiling,
    .flops = fft_flops,
    .doc = "Discrete Fourier transform of complex64 along one axis, not scaled; see opset/fft.h."};

const OpDef& fft_def() { return kFftOp; }

const OpDef& half_def(bool inverse);

/// Half of a transform: of real numbers, or back to them.
array half_transform(const array& a, int64_t axis, bool inverse) {
  return record(half_def(inverse), {a}, make_attrs(FftAttrs(static_cast<int>(axis), inverse)));
}

/// Times `ends` where a term is its own conjugate (the first and, of an even length, the last), and
/// `between` where a term stands for its conjugate, too.
array weighted(const array& x, int64_t axis, int64_t n, double ends, double between) {
  array term = arange(int64_t{0}, n / 2 + 1, int64_t{1}, Dtype::kInt32);
  array once = equal(term * scalar(int64_t{2}) % scalar(n), constant_like(0, term));
  array weights = where(once, array(ends, Dtype::kFloat32), array(between, Dtype::kFloat32));
  Shape shape(static_cast<size_t>(x.ndim()), 1);
  shape[axis] = n / 2 + 1;
  return x * reshape(weights, shape);
}

void infer_rdft(const OpInstance& op, std::vector<TensorSpec>& out) {
  TensorSpec spec{Dtype::kComplex64, op.inputs[0].shape};
  int64_t& n = spec.shape[attrs_as<FftAttrs>(op.attrs).axis];
  n = n / 2 + 1;
  out.push_back(spec);
}
void infer_irdft(const OpInstance& op, std::vector<TensorSpec>& out) {
  TensorSpec spec{Dtype::kFloat32, op.inputs[0].shape};
  int64_t& n = spec.shape[attrs_as<FftAttrs>(op.attrs).axis];
  n = 2 * (n - 1);
  out.push_back(spec);
}

// Each is the other's adjoint but for what the terms count.
std::vector<array> half_vjp(const VjpArgs& v) {
  if (!v.needed[0]) return {array()};
  const auto& a = attrs_as<FftAttrs>(v.attrs);
  const array& g = v.cotangents[0];
  if (a.inverse)
    return {weighted(half_transform(g, a.axis, false), a.axis, g.shape()[a.axis], 1, 2)};
  const int64_t n = v.inputs[0].shape()[a.axis];
  return {half_transform(weighted(g, a.axis, n, 1, 0.5), a.axis, true)};
}

VmapResult half_vmap(const VmapArgs& v) {
  const auto& a = attrs_as<FftAttrs>(v.attrs);
  return {{half_transform(batch_first(v.inputs[0], v.axes[0]), a.axis + 1, a.inverse)}, {0}};
}

constexpr OpDef half(const char* name, void (*check)(const OpInstance&),
                     void (*infer)(const OpInstance&, std::vector<TensorSpec>&), const char* doc) {
  return {.name = name,
          .kind = Kind::kStructured,
          .attrs = &kAttrsOf<FftAttrs>,
          .check = check,
          .infer = infer,
          .vjp = half_vjp,
          .vmap = half_vmap,
          .tiling = fft_tiling,
          .flops = fft_flops,
          .doc = doc};
}

constinit const OpDef kRdftOp =
    half("rdft", contract::rdft, infer_rdft,
         "The first half of the discrete Fourier transform of float32 along one axis of even "
         "length, not scaled; see opset/fft.h.");

constinit const OpDef kIrdftOp =
    half("irdft", contract::irdft, infer_irdft,
         "Real numbers of even count from the first half of their transform along one axis, not "
         "scaled; see opset/fft.h.");

const OpDef& half_def(bool inverse) { return inverse ? kIrdftOp : kRdftOp; }

constinit const OpDef kFft =
    composite("fft", boxed<&fft::fft>::call,
              "fft.fft(a: array, n: None | int = None, axis: int = -1, norm: str = 'backward', "
              "stream: None | "
              "Stream | Device = None) -> array",
              R"(Discrete Fourier transform along one axis: Σ_j a_j exp(-2πi jk / n), complex64.

The axis is cut or padded with zeros to ``n`` elements where it is given. ``norm`` is "backward" (not
scaled), "ortho" (times 1 / sqrt(n)) or "forward" (times 1 / n). Any length takes O(n log n) steps
(mixed radix; Bluestein's convolution for prime factors past 13). Raises ValueError for a length below
1 and another ``norm``, IndexError for an axis that is not there.

Example:
    >>> mx.fft.fft(mx.array([1.0, 0.0, 0.0]))
    array([1+0j, 1+0j, 1+0j], dtype=complex64)
)");

constinit const OpDef kIfft = composite(
    "ifft", boxed<&fft::ifft>::call,
    "fft.ifft(a: array, n: None | int = None, axis: int = -1, norm: str = 'backward', stream: None "
    "| "
    "Stream | Device = None) -> array",
    R"(The inverse of fft: Σ_k a_k exp(2πi jk / n), times 1 / n unless ``norm`` says otherwise.

Example:
    >>> mx.fft.ifft(mx.array([2.0, 0.0]))
    array([1+0j, 1+0j], dtype=complex64)
)");

constinit const OpDef kRfft = composite(
    "rfft", boxed<&fft::rfft>::call,
    "fft.rfft(a: array, n: None | int = None, axis: int = -1, norm: str = 'backward', stream: None "
    "| "
    "Stream | Device = None) -> array",
    R"(The first n // 2 + 1 terms of the transform of real numbers; the others are their conjugates.

Complex input is taken by its real part. Arguments as fft's.

Example:
    >>> mx.fft.rfft(mx.array([1.0, 2.0]))
    array([3+0j, -1+0j], dtype=complex64)
)");

constinit const OpDef kIrfft = composite(
    "irfft", boxed<&fft::irfft>::call,
    "fft.irfft(a: array, n: None | int = None, axis: int = -1, norm: str = 'backward', stream: "
    "None "
    "| Stream | Device = None) -> array",
    R"(The inverse of rfft: ``n`` real numbers (2 (m - 1) for m terms where it is not given), float32.

Example:
    >>> mx.fft.irfft(mx.array([3.0, -1.0]))
    array([1, 2], dtype=float32)
)");

constinit const OpDef kFftn =
    composite("fftn", boxed<&fft::fftn>::call,
              "fft.fftn(a: array, s: None | Sequence[int] = None, axes: None | Sequence[int] = "
              "None, norm: str "
              "= 'backward', stream: None | Stream | Device = None) -> array",
              R"(fft along several axes, all where ``axes`` is not given; ``s`` holds their lengths.

Raises ValueError for an axis that comes twice, and for ``s`` without as many ``axes``.

Example:
    >>> mx.fft.fftn(mx.ones((2, 2)))
    array([[4+0j, 0+0j],
           [0+0j, 0+0j]], dtype=complex64)
)");

constinit const OpDef kIfftn = composite(
    "ifftn", boxed<&fft::ifftn>::call,
    "fft.ifftn(a: array, s: None | Sequence[int] = None, axes: None | Sequence[int] = None, norm: "
    "str = 'backward', stream: None | Stream | Device = None) -> array",
    R"(ifft along several axes, as fftn takes them.

Example:
    >>> mx.fft.ifftn(mx.array([[4.0, 0.0], [0.0, 0.0]])).shape
    (2, 2)
)");

constinit const OpDef kRfftn = composite(
    "rfftn", boxed<&fft::rfftn>::call,
    "fft.rfftn(a: array, s: None | Sequence[int] = None, axes: None | Sequence[int] = None, norm: "
    "str = 'backward', stream: None | Stream | Device = None) -> array",
    R"(rfft along the last of several axes, then fft along the others, as fftn takes them.

Example:
    >>> mx.fft.rfftn(mx.ones((2, 4))).shape
    (2, 3)
)");

constinit const OpDef kIrfftn = composite(
    "irfftn", boxed<&fft::irfftn>::call,
    "fft.irfftn(a: array, s: None | Sequence[int] = None, axes: None | Sequence[int] = None, norm: "
    "str = 'backward', stream: None | Stream | Device = None) -> array",
    R"(The inverse of rfftn; ``s`` holds the lengths of the result's axes.

Example:
    >>> mx.fft.irfftn(mx.ones((2, 3))).shape
    (2, 4)
)");

constinit const OpDef kFft2 =
    composite("fft2", boxed<&fft::fftn>::call,
              "fft.fft2(a: array, s: None | Sequence[int] = None, axes: None | Sequence[int] = "
              "[-2, -1], norm: "
              "str = 'backward', stream: None | Stream | Device = None) -> array",
              R"(fftn over the last two axes.

Example:
    >>> mx.fft.fft2(mx.ones((2, 4))).shape
    (2, 4)
)");

constinit const OpDef kIfft2 =
    composite("ifft2", boxed<&fft::ifftn>::call,
              "fft.ifft2(a: array, s: None | Sequence[int] = None, axes: None | Sequence[int] = "
              "[-2, -1], norm: "
              "str = 'backward', stream: None | Stream | Device = None) -> array",
              R"(ifftn over the last two axes.

Example:
    >>> mx.fft.ifft2(mx.ones((2, 4))).shape
    (2, 4)
)");

constinit const OpDef kRfft2 =
    composite("rfft2", boxed<&fft::rfftn>::call,
              "fft.rfft2(a: array, s: None | Sequence[int] = None, axes: None | Sequence[int] = "
              "[-2, -1], norm: "
              "str = 'backward', stream: None | Stream | Device = None) -> array",
              R"(rfftn over the last two axes.

Example:
    >>> mx.fft.rfft2(mx.ones((2, 4))).shape
    (2, 3)
)");

constinit const OpDef kIrfft2 =
    composite("irfft2", boxed<&fft::irfftn>::call,
              "fft.irfft2(a: array, s: None | Sequence[int] = None, axes: None | Sequence[int] = "
              "[-2, -1], norm: "
              "str = 'backward', stream: None | Stream | Device = None) -> array",
              R"(irfftn over the last two axes.

Example:
    >>> mx.fft.irfft2(mx.ones((2, 4))).shape
    (2, 6)
)");

constinit const OpDef kFftshift = composite(
    "fftshift", boxed<&fft::fftshift>::call,
    "fft.fftshift(a: array, axes: None | int | Sequence[int] = None, stream: None | Stream | "
    "Device "
    "= None) -> array",
    R"(The axes (all where they are not given) turned so that frequency 0 is in the middle.

Example:
    >>> mx.fft.fftshift(mx.array([0, 1, 2, -2, -1]))
    array([-2, -1, 0, 1, 2], dtype=int32)
)");

constinit const OpDef kIfftshift = composite("ifftshift", boxed<&fft::ifftshift>::call,
                                             "fft.ifftshift(a: array, axes: None | int | "
                                             "Sequence[int] = None, stream: None | Stream | Device "
                                             "= None) -> array",
                                             R"(The inverse of fftshift.

Example:
    >>> mx.fft.ifftshift(mx.array([-2, -1, 0, 1, 2]))
    array([0, 1, 2, -2, -1], dtype=int32)
)");

constinit const OpDef kFftfreq = composite(
    "fftfreq", boxed<&fft::fftfreq>::call,
    "fft.fftfreq(n: int, d: float = 1.0, stream: None | Stream | Device = None) -> array",
    R"(Frequencies of the terms of fft, in cycles a unit of ``d``, the distance of samples.

Example:
    >>> mx.fft.fftfreq(4)
    array([0, 0.25, -0.5, -0.25], dtype=float32)
)");

constinit const OpDef kRfftfreq = composite(
    "rfftfreq", boxed<&fft::rfftfreq>::call,
    "fft.rfftfreq(n: int, d: float = 1.0, stream: None | Stream | Device = None) -> array",
    R"(Frequencies of the terms of rfft, as fftfreq gives them.

Example:
    >>> mx.fft.rfftfreq(4)
    array([0, 0.25, 0.5], dtype=float32)
)");

/// `a` with `n` elements along an axis.
array resized(const array& a, int64_t axis, int64_t n) {
  const int64_t have = a.shape()[axis];
  if (n == have) return a;
  if (n < have) {
    Dims start(static_cast<size_t>(a.ndim()), 0), stop(a.shape().begin(), a.shape().end());
    stop[axis] = n;
    return slice(a, start, stop);
  }
  Dims width(static_cast<size_t>(2 * a.ndim()), 0);
  width[2 * axis + 1] = n - have;
  return pad(a, width);
}

double factor(const std::string& norm, double n, bool inverse) {
  if (norm == "ortho") return 1 / std::sqrt(n);
  PLIMSOLL_CHECK(norm == "backward" || norm == "forward", ValueError,
                 "[fft] expected norm \"backward\", \"ortho\" or \"forward\", got \"{}\"", norm);
  return (norm == "backward") == inverse ? 1 / n : 1;
}

array scaled(const array& a, double by) { return by == 1 ? a : a * scalar(by); }

/// Axes with their lengths (of the result's axes).
struct Lengths {
  Dims axes, sizes;
  double total = 1;
};

Lengths lengths(const array& a, const std::optional<Dims>& s, const std::optional<Dims>& axes,
                bool halved) {
  PLIMSOLL_CHECK(a.ndim() > 0, ValueError, "[fft] expected at least 1 axis, got a 0-d array");
  PLIMSOLL_CHECK(!s || axes, ValueError, "[fft] expected axes where s is given");
  PLIMSOLL_CHECK(!s || s->size() == axes->size(), ValueError,
                 "[fft] expected as many lengths as axes, got {} and {}", s ? s->size() : 0,
                 axes ? axes->size() : 0);
  Lengths out;
  if (axes) {
    for (int64_t axis : *axes) {
      const int at = checked_axis(axis, a.ndim(), "fft");
      PLIMSOLL_CHECK(std::find(out.axes.begin(), out.axes.end(), at) == out.axes.end(), ValueError,
                     "[fft] expected different axes, got {}", to_string(*axes));
      out.axes.push_back(at);
    }
  } else {
    for (int d = 0; d < a.ndim(); ++d) out.axes.push_back(d);
  }
  for (size_t i = 0; i < out.axes.size(); ++i) {
    int64_t n = s ? (*s)[i] : a.shape()[out.axes[i]];
    if (!s && halved && i + 1 == out.axes.size()) n = 2 * (n - 1);
    PLIMSOLL_CHECK(n > 0, ValueError, "[fft] expected lengths of at least 1, got {}", n);
    out.sizes.push_back(n);
    out.total *= static_cast<double>(n);
  }
  return out;
}

array complex_transform(const array& a, const Lengths& l, const std::string& norm, bool inverse) {
  array x = cast(a, Dtype::kComplex64);
  for (size_t i = l.axes.size(); i-- > 0;)
    x = transform(resized(x, l.axes[i], l.sizes[i]), l.axes[i], inverse);
  return scaled(x, factor(norm, l.total, inverse));
}

array real_transform(const array& a, const Lengths& l, const std::string& norm) {
  if (l.axes.empty()) return a;
  array x = a.dtype() == Dtype::kComplex64 ? real(a) : cast(a, Dtype::kFloat32);
  x = resized(x, l.axes.back(), l.sizes.back());
  for (size_t i = 0; i + 1 < l.axes.size(); ++i) x = resized(x, l.axes[i], l.sizes[i]);
  const int64_t axis = l.axes.back(), n = l.sizes.back();
  x = n % 2 == 0 ? half_transform(x, axis, false)
                 : resized(transform(cast(x, Dtype::kComplex64), axis, false), axis, n / 2 + 1);
  for (size_t i = l.axes.size() - 1; i-- > 0;) x = transform(x, l.axes[i], false);
  return scaled(x, factor(norm, l.total, false));
}

// The sum over all terms is the real part of that over the first half with weights.
array real_inverse(const array& a, const Lengths& l, const std::string& norm) {
  if (l.axes.empty()) return a;
  array x = cast(a, Dtype::kComplex64);
  for (size_t i = 0; i + 1 < l.axes.size(); ++i)
    x = transform(resized(x, l.axes[i], l.sizes[i]), l.axes[i], true);
  const int64_t axis = l.axes.back(), n = l.sizes.back();
  x = resized(x, axis, n / 2 + 1);
  x = n % 2 == 0 ? half_transform(x, axis, true)
                 : real(transform(resized(weighted(x, axis, n, 1, 2), axis, n), axis, true));
  return scaled(x, factor(norm, l.total, true));
}

/// Elements from `by` on come first.
array turned(const array& a, int64_t axis, int64_t by) {
  if (by == 0) return a;
  Dims start(static_cast<size_t>(a.ndim()), 0), stop(a.shape().begin(), a.shape().end());
  Dims begin = start, end = stop;
  begin[axis] = by;
  end[axis] = by;
  return concatenate({slice(a, begin, stop), slice(a, start, end)}, axis);
}

array shifted(const array& a, const std::optional<Dims>& axes, bool back, const char* op) {
  Dims over;
  if (axes) {
    over = *axes;
  } else {
    for (int d = 0; d < a.ndim(); ++d) over.push_back(d);
  }
  array out = a;
  for (int64_t axis : over) {
    const int at = checked_axis(axis, a.ndim(), op);
    const int64_t n = a.shape()[at];
    out = turned(out, at, back ? n / 2 : n - n / 2);
  }
  return out;
}

std::optional<Dims> one(std::optional<int64_t> n) {
  if (!n) return std::nullopt;
  return Dims{*n};
}

array frequencies(const array& term, int64_t n, double d) {
  return cast(term, Dtype::kFloat32) * scalar(1 / (static_cast<double>(n) * d));
}

}  // namespace

OpList fft_ops() {
  static constexpr const OpDef* kOps[] = {&kFftOp,    &kRdftOp,    &kIrdftOp, &kFft,     &kIfft,
                                          &kRfft,     &kIrfft,     &kFft2,    &kIfft2,   &kRfft2,
                                          &kIrfft2,   &kFftn,      &kIfftn,   &kRfftn,   &kIrfftn,
                                          &kFftshift, &kIfftshift, &kFftfreq, &kRfftfreq};
  return kOps;
}

}  // namespace ops

namespace fft {

array fft(const array& a, std::optional<int64_t> n, int64_t axis, const std::string& norm) {
  return ops::complex_transform(a, ops::lengths(a, ops::one(n), Dims{axis}, false), norm, false);
}
array ifft(const array& a, std::optional<int64_t> n, int64_t axis, const std::string& norm) {
  return ops::complex_transform(a, ops::lengths(a, ops::one(n), Dims{axis}, false), norm, true);
}
array rfft(const array& a, std::optional<int64_t> n, int64_t axis, const std::string& norm) {
  return ops::real_transform(a, ops::lengths(a, ops::one(n), Dims{axis}, false), norm);
}
array irfft(const array& a, std::optional<int64_t> n, int64_t axis, const std::string& norm) {
  return ops::real_inverse(a, ops::lengths(a, ops::one(n), Dims{axis}, true), norm);
}

array fftn(const array& a, const std::optional<Dims>& s, const std::optional<Dims>& axes,
           const std::string& norm) {
  return ops::complex_transform(a, ops::lengths(a, s, axes, false), norm, false);
}
array ifftn(const array& a, const std::optional<Dims>& s, const std::optional<Dims>& axes,
            const std::string& norm) {
  return ops::complex_transform(a, ops::lengths(a, s, axes, false), norm, true);
}
array rfftn(const array& a, const std::optional<Dims>& s, const std::optional<Dims>& axes,
            const std::string& norm) {
  return ops::real_transform(a, ops::lengths(a, s, axes, false), norm);
}
array irfftn(const array& a, const std::optional<Dims>& s, const std::optional<Dims>& axes,
             const std::string& norm) {
  return ops::real_inverse(a, ops::lengths(a, s, axes, true), norm);
}

array fftshift(const array& a, const std::optional<Dims>& axes) {
  return ops::shifted(a, axes, false, "fftshift");
}
array ifftshift(const array& a, const std::optional<Dims>& axes) {
  return ops::shifted(a, axes, true, "ifftshift");
}

array fftfreq(int64_t n, double d) {
  PLIMSOLL_CHECK(n > 0, ValueError, "[fftfreq] expected a length of at least 1, got {}", n);
  array term = arange(int64_t{0}, n, int64_t{1}, Dtype::kInt32);
  return ops::frequencies(concatenate({arange(int64_t{0}, (n + 1) / 2, int64_t{1}, Dtype::kInt32),
                                       arange(-(n / 2), int64_t{0}, int64_t{1}, Dtype::kInt32)}),
                          n, d);
}
array rfftfreq(int64_t n, double d) {
  PLIMSOLL_CHECK(n > 0, ValueError, "[rfftfreq] expected a length of at least 1, got {}", n);
  return ops::frequencies(arange(int64_t{0}, n / 2 + 1, int64_t{1}, Dtype::kInt32), n, d);
}

}  // namespace fft
}  // namespace plimsoll
