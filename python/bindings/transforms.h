// Function transforms and evaluation of trees.
#pragma once

#include <nanobind/nanobind.h>

namespace plimsoll::python {

void bind_transforms(nanobind::module_& m);

}  // namespace plimsoll::python
