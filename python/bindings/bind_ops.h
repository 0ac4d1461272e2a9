// Walks the registry of operations once and makes a Python function of each that has an entry.
#pragma once

#include <nanobind/nanobind.h>

namespace plimsoll::python {

/// Binds every record into `m` or its submodules, and MLX's second names and array's methods.
void bind_ops(nanobind::module_& m);

}  // namespace plimsoll::python
