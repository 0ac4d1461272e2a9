// Arrays as NumPy arrays.
#pragma once

#include <nanobind/nanobind.h>

#include "plimsoll/array.h"

namespace plimsoll::python {

/// A NumPy array with a copy of the elements, converted to `dtype` unless that is None. The bytes
/// go straight into NumPy's memory, wherever they reside.
nanobind::object to_numpy(const array& a, nanobind::handle dtype);

/// `__array_ufunc__`: what a ufunc of NumPy's gives for arrays among its inputs, NumPy's array.
/// Where a transform records one of them our function of the name is called instead: it stays
/// recorded.
nanobind::object apply_ufunc(nanobind::handle ufunc, nanobind::handle method,
                             const nanobind::args& inputs, const nanobind::kwargs& options);

}  // namespace plimsoll::python
