// Inverses, systems of equations and determinants of matrices (the last two axes).
#pragma once

#include <vector>

#include "plimsoll/array.h"

namespace plimsoll::linalg {

array inv(const array& a);
/// The inverse of a lower or upper triangle.
array tri_inv(const array& a, bool upper = false);
/// The inverse of the matrix whose Cholesky factor is `a`.
array cholesky_inv(const array& a, bool upper = false);
/// The pseudo-inverse of Moore and Penrose.
array pinv(const array& a);
/// x with a x = b; b is a matrix, or a vector where it has one axis.
array solve(const array& a, const array& b);
array solve_triangular(const array& a, const array& b, bool upper = false);
array det(const array& a);
/// Sign and log of the magnitude of the determinant.
std::vector<array> slogdet(const array& a);

}  // namespace plimsoll::linalg
