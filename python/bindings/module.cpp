// The extension module plimsoll._core. What it holds is public through plimsoll.core.
#include <nanobind/nanobind.h>

#include <limits>

#include "bindings/array.h"
#include "bindings/bind_ops.h"
#include "bindings/device.h"
#include "bindings/dlpack.h"
#include "bindings/dtype.h"
#include "bindings/einsum.h"
#include "bindings/errors.h"
#include "bindings/export.h"
#include "bindings/faults.h"
#include "bindings/io.h"
#include "bindings/memory.h"
#include "bindings/random.h"
#include "bindings/registry.h"
#include "bindings/transforms.h"

NB_MODULE(_core, m) {
  namespace py = plimsoll::python;
  m.doc() = "Plimsoll's engine: arrays, operations, transforms, memory.";
  // Functions and types live as long as the process; nanobind's report of them is noise.
  nanobind::set_leak_warnings(false);
  py::bind_errors(m);
  py::bind_dtype(m);
  py::bind_device(m);
  py::bind_array(m);
  py::bind_ops(m);
  py::bind_operators();
  py::bind_array_methods(m);
  py::bind_print_options(m);
  py::bind_dlpack(m);
  py::bind_random(m);
  py::bind_transforms(m);
  py::bind_memory(m);
  py::bind_faults(m);
  py::bind_io(m);
  py::bind_export(m);
  py::bind_einsum(m);
  py::bind_registry(m);
}
