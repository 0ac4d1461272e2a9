// Functions of one array, element by element.
#include "plimsoll/ops/unary.h"

#include <cmath>
#include <cstddef>
#include <type_traits>

#include "ops/common.h"
#include "ops/complex.h"
#include "ops/lists.h"
#include "plimsoll/ops/binary.h"
#include "plimsoll/ops/cast.h"
#include "plimsoll/ops/complex.h"
#include "plimsoll/ops/scalar.h"

namespace plimsoll {
namespace ops {
namespace {

// Without a gradient `vjp` is nullptr, as a type: sanitizers do not compare addresses in constants.
template <typename V>
constexpr OpDef unary(const char* name, TileOp tile_op, V vjp, graph::Entry entry,
                      const char* signature, const char* doc) {
  return {.name = name,
          .kind = Kind::kElementwise,
          .tile_op = tile_op,
          .vjp = vjp,
          .differentiable = !std::is_same_v<V, std::nullptr_t>,
          .entry = entry,
          .signature = signature,
          .doc = doc};
}

constinit const OpDef kAbs =
    unary("abs", TileOp::kAbs,
          vjp_of_one<[](const array& g, const array& x, const array&) { return g * sign(x); }>,
          boxed<&plimsoll::abs>::call,
          "abs(a: scalar | array, /, *, stream: None | Stream | Device = None) -> array",
          R"(Absolute value; the magnitude of a complex number (float32).

Any dtype; complex64 gives float32.

Example:
    >>> mx.abs(mx.array([-1.0, 2.0]))
    array([1, 2], dtype=float32)
)");

constinit const OpDef kNegative =
    unary("negative", TileOp::kNegative,
          vjp_of_one<[](const array& g, const array&, const array&) { return -g; }>,
          boxed<&negative>::call,
          "negative(a: scalar | array, /, *, stream: None | Stream | Device = None) -> array",
          R"(The number with its sign changed; unsigned integers wrap around.

Any dtype, which is kept. Raises ValueError for bool; use logical_not there.

Example:
    >>> mx.negative(mx.array([1, -2]))
    array([-1, 2], dtype=int32)
)");

constinit const OpDef kSign =
    unary("sign", TileOp::kSign, nullptr, boxed<&sign>::call,
          "sign(a: scalar | array, /, *, stream: None | Stream | Device = None) -> array",
          R"(-1, 0 or 1 by the sign; z / abs(z) for complex numbers; 0 for NaN.

Any dtype, which is kept.

Example:
    >>> mx.sign(mx.array([-3.0, 0.0, 2.0]))
    array([-1, 0, 1], dtype=float32)
)");

constinit const OpDef kSquare =
    unary("square", TileOp::kSquare, vjp_of_one<[](const array& g, const array& x, const array&) {
            return g * conj_if_complex(x) * scalar(2);
          }>,
          boxed<&square>::call,
          "square(a: scalar | array, /, *, stream: None | Stream | Device = None) -> array",
          R"(The number times itself.

Any dtype, which is kept.

Example:
    >>> mx.square(mx.array([3, -2]))
    array([9, 4], dtype=int32)
)");

constinit const OpDef kSqrt =
    unary("sqrt", TileOp::kSqrt, vjp_of_one<[](const array& g, const array&, const array& y) {
            return g * scalar(0.5) / conj_if_complex(y);
          }>,
          boxed<&plimsoll::sqrt>::call,
          "sqrt(a: scalar | array, /, *, stream: None | Stream | Device = None) -> array",
          R"(Square root; NaN for negative real numbers.

float dtypes and complex64 are kept; integers are computed in float32.

Example:
    >>> mx.sqrt(mx.array([4.0, 9.0]))
    array([2, 3], dtype=float32)
)");

constinit const OpDef kRsqrt =
    unary("rsqrt", TileOp::kRsqrt, vjp_of_one<[](const array& g, const array& x, const array& y) {
            return g * scalar(-0.5) * conj_if_complex(y / x);
          }>,
          boxed<&rsqrt>::call,
          "rsqrt(a: scalar | array, /, *, stream: None | Stream | Device = None) -> array",
          R"(One over the square root.

float dtypes and complex64 are kept; integers are computed in float32.

Example:
    >>> mx.rsqrt(mx.array([4.0]))
    array([0.5], dtype=float32)
)");

constinit const OpDef kReciprocal = unary(
    "reciprocal", TileOp::kReciprocal, vjp_of_one<[](const array& g, const array&, const array& y) {
      return -(g * conj_if_complex(square(y)));
    }>,
    boxed<&reciprocal>::call,
    "reciprocal(a: scalar | array, /, *, stream: None | Stream | Device = None) -> array",
    R"(One over the number.

float dtypes and complex64 are kept; integers are computed in float32.

Example:
    >>> mx.reciprocal(mx.array([4.0]))
    array([0.25], dtype=float32)
)");

constinit const OpDef kExp = unary(
    "exp", TileOp::kExp,
    vjp_of_one<[](const array& g, const array&, const array& y) { return g * conj_if_complex(y); }>,
    boxed<&plimsoll::exp>::call,
    "exp(a: scalar | array, /, *, stream: None | Stream | Device = None) -> array",
    R"(e to the power of the number.

float dtypes and complex64 are kept; integers are computed in float32.

Example:
    >>> mx.exp(mx.array([0.0]))
    array([1], dtype=float32)
)");

constinit const OpDef kExpm1 = unary(
    "expm1", TileOp::kExpm1,
    vjp_of_one<[](const array& g, const array&, const array& y) { return g * (y + scalar(1)); }>,
    boxed<&expm1>::call,
    "expm1(a: scalar | array, /, *, stream: None | Stream | Device = None) -> array",
    R"(exp(a) - 1 without loss of digits near 0.

float dtypes are kept; integers are computed in float32. Raises ValueError for complex64.

Example:
    >>> mx.expm1(mx.array([0.0]))
    array([0], dtype=float32)
)");

constinit const OpDef kLog = unary(
    "log", TileOp::kLog,
    vjp_of_one<[](const array& g, const array& x, const array&) { return g / conj_if_complex(x); }>,
    boxed<&plimsoll::log>::call,
    "log(a: scalar | array, /, *, stream: None | Stream | Device = None) -> array",
    R"(Natural logarithm; -inf at 0 and NaN below.

float dtypes and complex64 are kept; integers are computed in float32.

Example:
    >>> mx.log(mx.array([1.0]))
    array([0], dtype=float32)
)");

constinit const OpDef kLog1p =
    unary("log1p", TileOp::kLog1p, vjp_of_one<[](const array& g, const array& x, const array&) {
            return g / conj_if_complex(x + scalar(1));
          }>,
          boxed<&log1p>::call,
          "log1p(a: scalar | array, /, *, stream: None | Stream | Device = None) -> array",
          R"(log(1 + a) without loss of digits near 0.

float dtypes and complex64 are kept; integers are computed in float32.

Example:
    >>> mx.log1p(mx.array([0.0]))
    array([0], dtype=float32)
)");

constinit const OpDef kLog2 =
    unary("log2", TileOp::kLog2, vjp_of_one<[](const array& g, const array& x, const array&) {
            return g / conj_if_complex(x * scalar(0.6931471805599453));
          }>,
          boxed<&log2>::call,
          "log2(a: scalar | array, /, *, stream: None | Stream | Device = None) -> array",
          R"(Logarithm to base 2.

float dtypes and complex64 are kept; integers are computed in float32.

Example:
    >>> mx.log2(mx.array([8.0]))
    array([3], dtype=float32)
)");

constinit const OpDef kLog10 =
    unary("log10", TileOp::kLog10, vjp_of_one<[](const array& g, const array& x, const array&) {
            return g / conj_if_complex(x * scalar(2.302585092994046));
          }>,
          boxed<&log10>::call,
          "log10(a: scalar | array, /, *, stream: None | Stream | Device = None) -> array",
          R"(Logarithm to base 10.

float dtypes and complex64 are kept; integers are computed in float32.

Example:
    >>> mx.log10(mx.array([100.0]))
    array([2], dtype=float32)
)");

constinit const OpDef kSin =
    unary("sin", TileOp::kSin, vjp_of_one<[](const array& g, const array& x, const array&) {
            return g * conj_if_complex(cos(x));
          }>,
          boxed<&plimsoll::sin>::call,
          "sin(a: scalar | array, /, *, stream: None | Stream | Device = None) -> array",
          R"(Sine of an angle in radians.

float dtypes and complex64 are kept; integers are computed in float32.

Example:
    >>> mx.sin(mx.array([0.0]))
    array([0], dtype=float32)
)");

constinit const OpDef kCos =
    unary("cos", TileOp::kCos, vjp_of_one<[](const array& g, const array& x, const array&) {
            return -(g * conj_if_complex(sin(x)));
          }>,
          boxed<&plimsoll::cos>::call,
          "cos(a: scalar | array, /, *, stream: None | Stream | Device = None) -> array",
          R"(Cosine of an angle in radians.

float dtypes and complex64 are kept; integers are computed in float32.

Example:
    >>> mx.cos(mx.array([0.0]))
    array([1], dtype=float32)
)");

constinit const OpDef kTan =
    unary("tan", TileOp::kTan, vjp_of_one<[](const array& g, const array&, const array& y) {
            return g * conj_if_complex(square(y) + scalar(1));
          }>,
          boxed<&tan>::call,
          "tan(a: scalar | array, /, *, stream: None | Stream | Device = None) -> array",
          R"(Tangent of an angle in radians.

float dtypes and complex64 are kept; integers are computed in float32.

Example:
    >>> mx.tan(mx.array([0.0]))
    array([0], dtype=float32)
)");

constinit const OpDef kArcsin =
    unary("arcsin", TileOp::kArcsin, vjp_of_one<[](const array& g, const array& x, const array&) {
            return g * conj_if_complex(rsqrt(scalar(1) - square(x)));
          }>,
          boxed<&arcsin>::call,
          "arcsin(a: scalar | array, /, *, stream: None | Stream | Device = None) -> array",
          R"(Inverse sine, in radians; NaN outside [-1, 1].

float dtypes and complex64 are kept; integers are computed in float32.

Example:
    >>> mx.arcsin(mx.array([0.0]))
    array([0], dtype=float32)
)");

constinit const OpDef kArccos =
    unary("arccos", TileOp::kArccos, vjp_of_one<[](const array& g, const array& x, const array&) {
            return -(g * conj_if_complex(rsqrt(scalar(1) - square(x))));
          }>,
          boxed<&arccos>::call,
          "arccos(a: scalar | array, /, *, stream: None | Stream | Device = None) -> array",
          R"(Inverse cosine, in radians; NaN outside [-1, 1].

float dtypes and complex64 are kept; integers are computed in float32.

Example:
    >>> mx.arccos(mx.array([1.0]))
    array([0], dtype=float32)
)");

constinit const OpDef kArctan =
    unary("arctan", TileOp::kArctan, vjp_of_one<[](const array& g, const array& x, const array&) {
            return g / conj_if_complex(square(x) + scalar(1));
          }>,
          boxed<&arctan>::call,
          "arctan(a: scalar | array, /, *, stream: None | Stream | Device = None) -> array",
          R"(Inverse tangent, in radians.

float dtypes and complex64 are kept; integers are computed in float32.

Example:
    >>> mx.arctan(mx.array([0.0]))
    array([0], dtype=float32)
)");

constinit const OpDef kSinh =
    unary("sinh", TileOp::kSinh, vjp_of_one<[](const array& g, const array& x, const array&) {
            return g * conj_if_complex(cosh(x));
          }>,
          boxed<&sinh>::call,
          "sinh(a: scalar | array, /, *, stream: None | Stream | Device = None) -> array",
          R"(Hyperbolic sine.

float dtypes and complex64 are kept; integers are computed in float32.

Example:
    >>> mx.sinh(mx.array([0.0]))
    array([0], dtype=float32)
)");

constinit const OpDef kCosh =
    unary("cosh", TileOp::kCosh, vjp_of_one<[](const array& g, const array& x, const array&) {
            return g * conj_if_complex(sinh(x));
          }>,
          boxed<&cosh>::call,
          "cosh(a: scalar | array, /, *, stream: None | Stream | Device = None) -> array",
          R"(Hyperbolic cosine.

float dtypes and complex64 are kept; integers are computed in float32.

Example:
    >>> mx.cosh(mx.array([0.0]))
    array([1], dtype=float32)
)");

constinit const OpDef kTanh =
    unary("tanh", TileOp::kTanh, vjp_of_one<[](const array& g, const array&, const array& y) {
            return g * conj_if_complex(scalar(1) - square(y));
          }>,
          boxed<&tanh>::call,
          "tanh(a: scalar | array, /, *, stream: None | Stream | Device = None) -> array",
          R"(Hyperbolic tangent.

float dtypes and complex64 are kept; integers are computed in float32.

Example:
    >>> mx.tanh(mx.array([0.0]))
    array([0], dtype=float32)
)");

constinit const OpDef kArcsinh =
    unary("arcsinh", TileOp::kArcsinh, vjp_of_one<[](const array& g, const array& x, const array&) {
            return g * conj_if_complex(rsqrt(square(x) + scalar(1)));
          }>,
          boxed<&arcsinh>::call,
          "arcsinh(a: scalar | array, /, *, stream: None | Stream | Device = None) -> array",
          R"(Inverse hyperbolic sine.

float dtypes and complex64 are kept; integers are computed in float32.

Example:
    >>> mx.arcsinh(mx.array([0.0]))
    array([0], dtype=float32)
)");

constinit const OpDef kArccosh =
    unary("arccosh", TileOp::kArccosh, vjp_of_one<[](const array& g, const array& x, const array&) {
            // Not rsqrt(x * x - 1), whose sign is another one in half of the complex plane.
            return g * conj_if_complex(rsqrt(x - scalar(1)) * rsqrt(x + scalar(1)));
          }>,
          boxed<&arccosh>::call,
          "arccosh(a: scalar | array, /, *, stream: None | Stream | Device = None) -> array",
          R"(Inverse hyperbolic cosine; NaN below 1.

float dtypes and complex64 are kept; integers are computed in float32.

Example:
    >>> mx.arccosh(mx.array([1.0]))
    array([0], dtype=float32)
)");

constinit const OpDef kArctanh =
    unary("arctanh", TileOp::kArctanh, vjp_of_one<[](const array& g, const array& x, const array&) {
            return g / conj_if_complex(scalar(1) - square(x));
          }>,
          boxed<&arctanh>::call,
          "arctanh(a: scalar | array, /, *, stream: None | Stream | Device = None) -> array",
          R"(Inverse hyperbolic tangent; NaN outside [-1, 1].

float dtypes and complex64 are kept; integers are computed in float32.

Example:
    >>> mx.arctanh(mx.array([0.0]))
    array([0], dtype=float32)
)");

constinit const OpDef kErf =
    unary("erf", TileOp::kErf, vjp_of_one<[](const array& g, const array& x, const array&) {
            return g * scalar(1.1283791670955126) * exp(-square(x));
          }>,
          boxed<&erf>::call,
          "erf(a: scalar | array, /, *, stream: None | Stream | Device = None) -> array",
          R"(Error function, 2 / sqrt(pi) times the integral of exp(-t * t) from 0 to a.

float dtypes are kept; integers are computed in float32. Raises ValueError for complex64.

Example:
    >>> mx.erf(mx.array([0.0]))
    array([0], dtype=float32)
)");

constinit const OpDef kErfinv =
    unary("erfinv", TileOp::kErfinv, vjp_of_one<[](const array& g, const array&, const array& y) {
            return g * scalar(0.886226925452758) * exp(square(y));
          }>,
          boxed<&erfinv>::call,
          "erfinv(a: scalar | array, /, *, stream: None | Stream | Device = None) -> array",
          R"(Inverse of the error function; NaN outside [-1, 1].

float dtypes are kept; integers are computed in float32. Raises ValueError for complex64.

Example:
    >>> mx.erfinv(mx.array([0.0]))
    array([0], dtype=float32)
)");

constinit const OpDef kSigmoid =
    unary("sigmoid", TileOp::kSigmoid, vjp_of_one<[](const array& g, const array&, const array& y) {
            return g * y * (scalar(1) - y);
          }>,
          boxed<&sigmoid>::call,
          "sigmoid(a: scalar | array, /, *, stream: None | Stream | Device = None) -> array",
          R"(Logistic function, 1 / (1 + exp(-a)).

float dtypes are kept; integers are computed in float32. Raises ValueError for complex64.

Example:
    >>> mx.sigmoid(mx.array([0.0]))
    array([0.5], dtype=float32)
)");

constinit const OpDef kFloor =
    unary("floor", TileOp::kFloor, nullptr, boxed<&floor>::call,
          "floor(a: scalar | array, /, *, stream: None | Stream | Device = None) -> array",
          R"(Greatest integral number that is not greater; integers are returned as they are.

Real dtypes, which are kept. Raises ValueError for complex64.

Example:
    >>> mx.floor(mx.array([1.5, -1.5]))
    array([1, -2], dtype=float32)
)");

constinit const OpDef kCeil =
    unary("ceil", TileOp::kCeil, nullptr, boxed<&ceil>::call,
          "ceil(a: scalar | array, /, *, stream: None | Stream | Device = None) -> array",
          R"(Least integral number that is not less; integers are returned as they are.

Real dtypes, which are kept. Raises ValueError for complex64.

Example:
    >>> mx.ceil(mx.array([1.5, -1.5]))
    array([2, -1], dtype=float32)
)");

constinit const OpDef kTrunc =
    unary("trunc", TileOp::kTrunc, nullptr, boxed<&trunc>::call,
          "trunc(a: scalar | array, /, *, stream: None | Stream | Device = None) -> array",
          R"(The number without its fraction; integers are returned as they are.

Real dtypes, which are kept. Raises ValueError for complex64.

Example:
    >>> mx.trunc(mx.array([1.5, -1.5]))
    array([1, -1], dtype=float32)
)");

constinit const OpDef kLogicalNot =
    unary("logical_not", TileOp::kLogicalNot, nullptr, boxed<&logical_not>::call,
          "logical_not(a: scalar | array, /, *, stream: None | Stream | Device = None) -> array",
          R"(Not: true where the number is 0.

Any dtype; the result is bool.

Example:
    >>> mx.logical_not(mx.array([0, 2]))
    array([True, False], dtype=bool)
)");

constinit const OpDef kBitwiseInvert =
    unary("bitwise_invert", TileOp::kBitwiseInvert, nullptr, boxed<&bitwise_invert>::call,
          "bitwise_invert(a: scalar | array, stream: None | Stream | Device = None) -> array",
          R"(Every bit of an integer changed; not, for bool.

Integers and bool, which are kept. Raises ValueError for other dtypes.

Example:
    >>> mx.bitwise_invert(mx.array([0, 1]))
    array([-1, -2], dtype=int32)
)");

constinit const OpDef kRound = [] {
  OpDef def = unary("round", TileOp::kRound, nullptr, boxed<&plimsoll::round>::call,
                    "round(a: scalar | array, /, decimals: int = 0, stream: None | Stream | Device "
                    "= None) -> array",
                    R"(The nearest number of ``decimals`` decimal places, halves to the even one.

Any dtype, which is kept. Integers change only where ``decimals`` is negative.

Example:
    >>> mx.round(mx.array([0.5, 1.5, 2.4]))
    array([0, 2, 2], dtype=float32)
)");
  return def;
}();

constinit const OpDef kDegrees =
    composite("degrees", boxed<&degrees>::call,
              "degrees(a: scalar | array, /, *, stream: None | Stream | Device = None) -> array",
              R"(Radians as degrees: a * 180 / pi.

float dtypes and complex64 are kept; integers are computed in float32.

Example:
    >>> mx.degrees(mx.array([0.0]))
    array([0], dtype=float32)
)");

constinit const OpDef kRadians =
    composite("radians", boxed<&radians>::call,
              "radians(a: scalar | array, /, *, stream: None | Stream | Device = None) -> array",
              R"(Degrees as radians: a * pi / 180.

float dtypes and complex64 are kept; integers are computed in float32.

Example:
    >>> mx.radians(mx.array([0.0]))
    array([0], dtype=float32)
)");

constinit const OpDef kPositive =
    composite("positive", boxed<&positive>::call,
              "positive(a: scalar | array, /, *, stream: None | Stream | Device = None) -> array",
              R"(The argument itself.

Example:
    >>> mx.positive(mx.array([1, -2]))
    array([1, -2], dtype=int32)
)");

array inexact_unary(const OpDef& def, const array& a) {
  Dtype t = a.dtype();
  if (is_inexact(t) && !graph::is_weak(a)) [[likely]]
    return record(def, {a});
  return record(def, {cast(a, inexact(t))});
}

void refuse_complex(const OpDef& def, Dtype t) {
  PLIMSOLL_CHECK(t != Dtype::kComplex64, ValueError,
                 "[{}] expected a real dtype, got complex64; take real or imag first", def.name);
}

array real_unary(const OpDef& def, const array& a) {
  refuse_complex(def, a.dtype());
  return inexact_unary(def, a);
}

array rounded(const OpDef& def, const array& a) {
  refuse_complex(def, a.dtype());
  if (is_integral(a.dtype())) return cast(a, a.dtype());
  return record(def, {cast(a, a.dtype())});
}

}  // namespace

OpList unary_ops() {
  static constexpr const OpDef* kOps[] = {
      &kAbs,     &kNegative, &kSign,    &kSquare,     &kSqrt,          &kRsqrt,  &kReciprocal,
      &kExp,     &kExpm1,    &kLog,     &kLog1p,      &kLog2,          &kLog10,  &kSin,
      &kCos,     &kTan,      &kArcsin,  &kArccos,     &kArctan,        &kSinh,   &kCosh,
      &kTanh,    &kArcsinh,  &kArccosh, &kArctanh,    &kErf,           &kErfinv, &kSigmoid,
      &kFloor,   &kCeil,     &kTrunc,   &kLogicalNot, &kBitwiseInvert, &kRound,  &kDegrees,
      &kRadians, &kPositive};
  return kOps;
}

}  // namespace ops

using ops::cast;
using ops::record;

array abs(const array& a) {
  if (a.dtype() == Dtype::kComplex64) return ops::complex_abs(a);
  if (kind_of(a.dtype()) <= DtypeKind::kUnsigned) return cast(a, a.dtype());
  return record(ops::kAbs, {cast(a, a.dtype())});
}

array negative(const array& a) {
  PLIMSOLL_CHECK(a.dtype() != Dtype::kBool, ValueError,
                 "[negative] expected numbers, got bool; use logical_not for bool");
  return record(ops::kNegative, {cast(a, a.dtype())});
}

array sign(const array& a) {
  if (a.dtype() == Dtype::kBool) return cast(a, a.dtype());
  return record(ops::kSign, {cast(a, a.dtype())});
}

array square(const array& a) {
  if (a.dtype() == Dtype::kBool) return cast(a, a.dtype());
  return record(ops::kSquare, {cast(a, a.dtype())});
}

array sqrt(const array& a) { return ops::inexact_unary(ops::kSqrt, a); }
array rsqrt(const array& a) { return ops::inexact_unary(ops::kRsqrt, a); }
array reciprocal(const array& a) { return ops::inexact_unary(ops::kReciprocal, a); }
array exp(const array& a) { return ops::inexact_unary(ops::kExp, a); }
array expm1(const array& a) { return ops::real_unary(ops::kExpm1, a); }
array log(const array& a) { return ops::inexact_unary(ops::kLog, a); }
array log1p(const array& a) { return ops::inexact_unary(ops::kLog1p, a); }
array log2(const array& a) { return ops::inexact_unary(ops::kLog2, a); }
array log10(const array& a) { return ops::inexact_unary(ops::kLog10, a); }
array sin(const array& a) { return ops::inexact_unary(ops::kSin, a); }
array cos(const array& a) { return ops::inexact_unary(ops::kCos, a); }
array tan(const array& a) { return ops::inexact_unary(ops::kTan, a); }
array arcsin(const array& a) { return ops::inexact_unary(ops::kArcsin, a); }
array arccos(const array& a) { return ops::inexact_unary(ops::kArccos, a); }
array arctan(const array& a) { return ops::inexact_unary(ops::kArctan, a); }
array sinh(const array& a) { return ops::inexact_unary(ops::kSinh, a); }
array cosh(const array& a) { return ops::inexact_unary(ops::kCosh, a); }
array tanh(const array& a) { return ops::inexact_unary(ops::kTanh, a); }
array arcsinh(const array& a) { return ops::inexact_unary(ops::kArcsinh, a); }
array arccosh(const array& a) { return ops::inexact_unary(ops::kArccosh, a); }
array arctanh(const array& a) { return ops::inexact_unary(ops::kArctanh, a); }
array erf(const array& a) { return ops::real_unary(ops::kErf, a); }
array erfinv(const array& a) { return ops::real_unary(ops::kErfinv, a); }
array sigmoid(const array& a) { return ops::real_unary(ops::kSigmoid, a); }
array floor(const array& a) { return ops::rounded(ops::kFloor, a); }
array ceil(const array& a) { return ops::rounded(ops::kCeil, a); }
array trunc(const array& a) { return ops::rounded(ops::kTrunc, a); }

array round(const array& a, int decimals) {
  Dtype t = a.dtype();
  if (t == Dtype::kComplex64)
    return ops::complex_of(round(real(a), decimals), round(imag(a), decimals));
  if (is_integral(t) && decimals >= 0) return cast(a, t);
  if (decimals == 0) return record(ops::kRound, {cast(a, t)});
  // A product with a power of ten that is rounded to 16 bits would make ties of what is none.
  array x = cast(a, size_of(t) == 2 || is_integral(t) ? Dtype::kFloat32 : t);
  double power = std::pow(10.0, std::abs(decimals));
  array s = scalar(power);
  array rounded =
      decimals > 0 ? record(ops::kRound, {x * s}) / s : record(ops::kRound, {x / s}) * s;
  return cast(rounded, t);
}

array logical_not(const array& a) { return record(ops::kLogicalNot, {cast(a, Dtype::kBool)}); }

array bitwise_invert(const array& a) {
  PLIMSOLL_CHECK(is_integral(a.dtype()), ValueError,
                 "[bitwise_invert] expected integers or bool, got {}", name_of(a.dtype()));
  if (a.dtype() == Dtype::kBool) return logical_not(a);
  return record(ops::kBitwiseInvert, {cast(a, a.dtype())});
}

array degrees(const array& a) { return a * scalar(57.29577951308232); }
array radians(const array& a) { return a * scalar(0.017453292519943295); }
array positive(const array& a) { return cast(a, a.dtype()); }

}  // namespace plimsoll
