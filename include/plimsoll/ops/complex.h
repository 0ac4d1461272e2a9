// Parts of complex numbers.
#pragma once

#include "plimsoll/array.h"

namespace plimsoll {

/// Parts of a complex number (float32); a real number is its own real part.
array real(const array& a);
array imag(const array& a);
/// The complex conjugate; real numbers are returned as they are.
array conjugate(const array& a);

}  // namespace plimsoll
