// einsum_path, whose result no box holds.
#pragma once

#include <nanobind/nanobind.h>

namespace plimsoll::python {

void bind_einsum(nanobind::module_& m);

}  // namespace plimsoll::python
