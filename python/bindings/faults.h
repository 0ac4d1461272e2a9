// Injected failures, for the fault campaigns of the tests.
#pragma once

#include <nanobind/nanobind.h>

namespace plimsoll::python {

void bind_faults(nanobind::module_& m);

}  // namespace plimsoll::python
