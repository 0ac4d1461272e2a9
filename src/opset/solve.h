// Inverses and systems of equations of dense matrices through LAPACK; batch axes are equal.
//
//   inv (a)                  [..., N, N]; raises where the matrix is singular
//   tri_inv (a)              the same of a triangle, of which the other is not read (TriangleAttrs)
//   solve (a, b)             [..., N, N], [..., N, K] → x [..., N, K] with a x = b; raises as inv
//   solve_triangular (a, b)  the same of a triangle (TriangleAttrs)
#pragma once

#include "opset/factor.h"
