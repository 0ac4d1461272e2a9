// Builds the class `array`; each part of it has a file of its own.
#pragma once

#include <nanobind/nanobind.h>

namespace plimsoll::python {

/// Makes the type with its operators and properties. REQUIRES: bind_dtype ran.
void bind_array(nanobind::module_& m);
/// Finds the records behind the operators. REQUIRES: bind_ops ran.
void bind_operators();
/// Adds the methods that are not plain functions: item, tolist, reshape, transpose, at, ...
void bind_array_methods(nanobind::module_& m);
/// The settings of repr.
void bind_print_options(nanobind::module_& m);

// Slots, filled by bind_array.
extern PyNumberMethods number_slots;  // array_operators.cpp
PyObject* compare(PyObject* a, PyObject* b, int op);
PyObject* subscript(PyObject* self, PyObject* key);  // array_index.cpp
int assign_subscript(PyObject* self, PyObject* key, PyObject* value);
PyObject* repr(PyObject* self);  // array_repr.cpp

}  // namespace plimsoll::python
