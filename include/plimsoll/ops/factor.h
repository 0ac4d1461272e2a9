// Factorisations of matrices (the last two axes), float32 or float64; svd and eig take complex64.
#pragma once

#include <vector>

#include "plimsoll/array.h"

namespace plimsoll::linalg {

/// The lower factor l of a = l lᵀ, or the upper u of a = uᵀ u.
array cholesky(const array& a, bool upper = false);
/// q with orthonormal columns and upper triangular r: a = q r.
std::vector<array> qr(const array& a);
/// u, s, vh with a = u diag(s) vh; the squares u and vh are unitary.
std::vector<array> svd(const array& a);
array singular_values(const array& a);
/// Row indices p, l and u with a = l[p] u.
std::vector<array> lu(const array& a);
/// l and u in one matrix, and the exchanges of rows.
std::vector<array> lu_factor(const array& a);
/// Eigenvalues and eigenvectors (columns) of any square matrix, complex64.
std::vector<array> eig(const array& a);
array eigvals(const array& a);

}  // namespace plimsoll::linalg
