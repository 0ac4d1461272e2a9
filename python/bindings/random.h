// The global random state: the key that random operations use where none is given.
#pragma once

#include <nanobind/nanobind.h>

namespace plimsoll::python {

void bind_random(nanobind::module_& m);

}  // namespace plimsoll::python
