// Devices and streams as Python sees them. One CPU: every stream runs its work in order.
#pragma once

#include <nanobind/nanobind.h>

namespace plimsoll::python {

void bind_device(nanobind::module_& m);

/// True for None, a Stream, Device or DeviceType; throws ValueError where that is a GPU, since this
/// build has none.
bool check_stream(PyObject* o);

}  // namespace plimsoll::python
