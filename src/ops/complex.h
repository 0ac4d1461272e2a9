// Complex functions that unary ops are made of where their argument is complex64.
#pragma once

#include "plimsoll/array.h"

namespace plimsoll::ops {

/// Magnitude as float32.
array complex_abs(const array& z);
/// re + i im.
array complex_of(const array& re, const array& im);
/// Principal values.

}  // namespace plimsoll::ops
