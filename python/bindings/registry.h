// The registry as data, for the tests that ask whether every operation is complete.
#pragma once

#include <nanobind/nanobind.h>

namespace plimsoll::python {

void bind_registry(nanobind::module_& m);

}  // namespace plimsoll::python
