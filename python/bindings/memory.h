// The memory page.
#pragma once

#include <nanobind/nanobind.h>

namespace plimsoll::python {

void bind_memory(nanobind::module_& m);

}  // namespace plimsoll::python
