// Comparisons and logic, element by element; the results are bool.
#pragma once

#include "plimsoll/ops/scalar.h"

namespace plimsoll {

/// a == b; NaN equals nothing.
array equal(const array& a, const array& b);
/// a != b; NaN differs from everything.
array not_equal(const array& a, const array& b);
/// a < b; false where one is NaN.
array less(const array& a, const array& b);
/// a <= b; false where one is NaN.
array less_equal(const array& a, const array& b);
/// a > b; false where one is NaN.
array greater(const array& a, const array& b);
/// a >= b; false where one is NaN.
array greater_equal(const array& a, const array& b);
/// Whether both are not 0.
array logical_and(const array& a, const array& b);
/// Whether one or both are not 0.
array logical_or(const array& a, const array& b);
/// Whether exactly one is not 0.
array logical_xor(const array& a, const array& b);
/// |a - b| <= atol + rtol * |b|, or equal infinities, or two NaNs where `equal_nan`.
array isclose(const array& a, const array& b, double rtol = 1e-5, double atol = 1e-8,
              bool equal_nan = false);
/// Whether isclose holds everywhere: a 0-d bool.
array allclose(const array& a, const array& b, double rtol = 1e-5, double atol = 1e-8,
               bool equal_nan = false);
/// Whether the shapes and all elements are equal: a 0-d bool.
array array_equal(const array& a, const array& b, bool equal_nan = false);

inline array operator==(const array& a, const array& b) { return equal(a, b); }
template <Number T>
array operator==(const array& a, T b) {
  return equal(a, scalar(b));
}
inline array operator!=(const array& a, const array& b) { return not_equal(a, b); }
template <Number T>
array operator!=(const array& a, T b) {
  return not_equal(a, scalar(b));
}
inline array operator<(const array& a, const array& b) { return less(a, b); }
template <Number T>
array operator<(const array& a, T b) {
  return less(a, scalar(b));
}
inline array operator<=(const array& a, const array& b) { return less_equal(a, b); }
template <Number T>
array operator<=(const array& a, T b) {
  return less_equal(a, scalar(b));
}
inline array operator>(const array& a, const array& b) { return greater(a, b); }
template <Number T>
array operator>(const array& a, T b) {
  return greater(a, scalar(b));
}
inline array operator>=(const array& a, const array& b) { return greater_equal(a, b); }
template <Number T>
array operator>=(const array& a, T b) {
  return greater_equal(a, scalar(b));
}

}  // namespace plimsoll
