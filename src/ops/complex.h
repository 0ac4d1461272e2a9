// Complex functions that unary ops are made of where their argument is complex64.
#pragma once

#include "plimsoll/array.h"

namespace plimsoll::ops {

/// Magnitude as float32.
array complex_abs(const array& z);
/// re + i im.
array complex_of(const array& re, const array& im);
/// Principal values.
array complex_log1p(const array& z);
array complex_arcsin(const array& z);
array complex_arccos(const array& z);
array complex_arctan(const array& z);
array complex_arcsinh(const array& z);
array complex_arccosh(const array& z);
array complex_arctanh(const array& z);

}  // namespace plimsoll::ops
