// Files of arrays: what plimsoll/_io.py is made of.
#pragma once

#include <nanobind/nanobind.h>

namespace plimsoll::python {

void bind_io(nanobind::module_& m);

}  // namespace plimsoll::python
