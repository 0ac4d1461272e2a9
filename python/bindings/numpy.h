// Arrays as NumPy arrays.
#pragma once

#include <nanobind/nanobind.h>

#include "plimsoll/array.h"

namespace plimsoll::python {

/// A NumPy array with a copy of the elements, converted to `dtype` unless that is None. The bytes
/// go straight into NumPy's memory, wherever they reside.
nanobind::object to_numpy(const array& a, nanobind::handle dtype);

}  // namespace plimsoll::python
