// Matrix products.
#pragma once

#include "plimsoll/array.h"

namespace plimsoll {

/// Product over the last axis of a and the last but one of b; leading axes broadcast; a 1-d operand
/// is a row (a) or a column (b) whose axis is taken out of the result. Inexact dtypes.
array matmul(const array& a, const array& b);
/// alpha * matmul(a, b) + beta * c.
array addmm(const array& c, const array& a, const array& b, float alpha = 1, float beta = 1);
/// Product of every element of a with every element of b, both flattened.
array outer(const array& a, const array& b);
/// Sum product over the last axes; a plain product where one operand is 0-d.
array inner(const array& a, const array& b);
/// Sum product over axes: {n} takes the last n of a and the first n of b; an even number of axes
/// names those of a, then those of b.
array tensordot(const array& a, const array& b, const Dims& axes = {2});

}  // namespace plimsoll
