// Shorthands of the families that work on matrices, the last two axes.
#pragma once

#include "plimsoll/array.h"

namespace plimsoll::ops {

/// The conjugate transpose.
array adjoint(const array& a);
/// True for a view, not yet evaluated, that swaps the last two axes.
bool is_transposed_matrix(const array& a);
/// The main diagonal [..., min(M, N)], and the square matrix that has it.
array main_diagonal(const array& a);
array diagonal_matrix(const array& d);
/// Rows of a [..., M, N] at indices [..., M].
array rows_at(const array& a, const array& indices);
/// ValueError for fewer than two axes, other dtypes than float32 and float64 (and complex64), and
/// where `square` for other shapes.
void check_matrix(const array& a, const char* op, bool square, bool complex_too);

}  // namespace plimsoll::ops
