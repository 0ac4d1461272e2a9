// Functions in files.
#pragma once

#include <nanobind/nanobind.h>

namespace plimsoll::python {

void bind_export(nanobind::module_& m);

}  // namespace plimsoll::python
