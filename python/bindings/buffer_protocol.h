// Python's buffer protocol: NumPy and memoryview see an array's own bytes.
#pragma once

#include <nanobind/nanobind.h>

namespace plimsoll::python {

int get_buffer(PyObject* self, Py_buffer* view, int flags);
/// Raises the KeyboardInterrupt that this thread's last get_buffer ended with, if that was of
/// `self`.
void raise_dropped_interrupt(PyObject* self);
void release_buffer(PyObject* self, Py_buffer* view);

}  // namespace plimsoll::python
