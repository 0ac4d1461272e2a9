// Arithmetic on two arrays, element by element, with NumPy's broadcasting and MLX's promotion.
#pragma once

#include <vector>

#include "plimsoll/ops/scalar.h"

namespace plimsoll {

/// a + b.
array add(const array& a, const array& b);
/// a - b.
array subtract(const array& a, const array& b);
/// a * b.
array multiply(const array& a, const array& b);
/// a / b.
array divide(const array& a, const array& b);
/// The integral quotient floor(a / b).
array floor_divide(const array& a, const array& b);
/// The remainder a - b * floor(a / b), which has the sign of b.
array remainder(const array& a, const array& b);
/// a to the power of b.
array power(const array& a, const array& b);
/// The greater of the two; NaN where one is NaN.
array maximum(const array& a, const array& b);
/// The lesser of the two; NaN where one is NaN.
array minimum(const array& a, const array& b);
/// log(exp(a) + exp(b)) without overflow.
array logaddexp(const array& a, const array& b);
/// The angle in radians of the point (b, a), in [-pi, pi].
array arctan2(const array& a, const array& b);
/// floor_divide and remainder.
std::vector<array> divmod(const array& a, const array& b);
/// Bit by bit; integers and bool only.
array bitwise_and(const array& a, const array& b);
array bitwise_or(const array& a, const array& b);
array bitwise_xor(const array& a, const array& b);
/// Integers only; bool is taken as uint8.
array left_shift(const array& a, const array& b);
array right_shift(const array& a, const array& b);

inline array operator+(const array& a, const array& b) { return add(a, b); }
inline array operator-(const array& a, const array& b) { return subtract(a, b); }
inline array operator*(const array& a, const array& b) { return multiply(a, b); }
inline array operator/(const array& a, const array& b) { return divide(a, b); }
inline array operator%(const array& a, const array& b) { return remainder(a, b); }

// A number next to an array is weak: x * 2.0 has x's dtype where that is a float.
template <Number T>
array operator+(const array& a, T b) {
  return add(a, scalar(b));
}
template <Number T>
array operator-(const array& a, T b) {
  return subtract(a, scalar(b));
}
template <Number T>
array operator*(const array& a, T b) {
  return multiply(a, scalar(b));
}
template <Number T>
array operator/(const array& a, T b) {
  return divide(a, scalar(b));
}
template <Number T>
array operator+(T a, const array& b) {
  return add(scalar(a), b);
}
template <Number T>
array operator-(T a, const array& b) {
  return subtract(scalar(a), b);
}
template <Number T>
array operator*(T a, const array& b) {
  return multiply(scalar(a), b);
}
template <Number T>
array operator/(T a, const array& b) {
  return divide(scalar(a), b);
}

}  // namespace plimsoll
