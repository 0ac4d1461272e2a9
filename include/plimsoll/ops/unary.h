// Functions of one array, element by element.
//
// The result has the shape of the argument. Functions whose results are not integers take integers
// as float32; complex64 is accepted unless said.
#pragma once

#include "plimsoll/array.h"

namespace plimsoll {

/// Absolute value; the magnitude of a complex number (float32).
array abs(const array& a);
/// The number with its sign changed; unsigned integers wrap around.
array negative(const array& a);
/// -1, 0 or 1 by the sign; z / |z| for complex numbers; 0 for NaN.
array sign(const array& a);
/// The number times itself.
array square(const array& a);
/// Square root; NaN for negative real numbers.
array sqrt(const array& a);
/// One over the square root.
array rsqrt(const array& a);
/// One over the number.
array reciprocal(const array& a);
/// e to the power of the number.
array exp(const array& a);
/// exp(a) - 1 without loss of digits near 0.
array expm1(const array& a);
/// Natural logarithm; -inf at 0 and NaN below.
array log(const array& a);
/// log(1 + a) without loss of digits near 0.
array log1p(const array& a);
/// Logarithm to base 2.
array log2(const array& a);
/// Logarithm to base 10.
array log10(const array& a);
/// Sine of an angle in radians.
array sin(const array& a);
/// Cosine of an angle in radians.
array cos(const array& a);
/// Tangent of an angle in radians.
array tan(const array& a);
/// Inverse sine, in radians; NaN outside [-1, 1].
array arcsin(const array& a);
/// Inverse cosine, in radians; NaN outside [-1, 1].
array arccos(const array& a);
/// Inverse tangent, in radians.
array arctan(const array& a);
/// Hyperbolic sine.
array sinh(const array& a);
/// Hyperbolic cosine.
array cosh(const array& a);
/// Hyperbolic tangent.
array tanh(const array& a);
/// Inverse hyperbolic sine.
array arcsinh(const array& a);
/// Inverse hyperbolic cosine; NaN below 1.
array arccosh(const array& a);
/// Inverse hyperbolic tangent; NaN outside [-1, 1].
array arctanh(const array& a);
/// Error function, 2 / sqrt(pi) times the integral of exp(-t * t) from 0 to a.
array erf(const array& a);
/// Inverse of the error function; NaN outside [-1, 1].
array erfinv(const array& a);
/// Logistic function, 1 / (1 + exp(-a)).
array sigmoid(const array& a);
/// Greatest integral number that is not greater; integers are returned as they are.
array floor(const array& a);
/// Least integral number that is not less; integers are returned as they are.
array ceil(const array& a);
/// The number without its fraction; integers are returned as they are.
array trunc(const array& a);
/// Rounds to `decimals` decimal places, halves to even; integers change only for negative decimals.
array round(const array& a, int decimals = 0);
/// Not, of "is not 0".
array logical_not(const array& a);
/// Every bit changed; integers and bool only.
array bitwise_invert(const array& a);
/// Radians to degrees and back.
array degrees(const array& a);
array radians(const array& a);
/// The argument.
array positive(const array& a);

inline array operator-(const array& a) { return negative(a); }

}  // namespace plimsoll
