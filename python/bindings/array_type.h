// The Python class `array`: a plain CPython type, because one allocation per recorded operation is
// all that we can afford.
#pragma once

#include <nanobind/nanobind.h>

#include <new>
#include <utility>

#include "plimsoll/array.h"

namespace plimsoll::python {

namespace nb = nanobind;

struct PyArray {
  PyObject_HEAD PyObject* weakrefs;
  array value;
};

/// Set by bind_array, before anything else is bound.
extern PyTypeObject* array_type;

inline bool is_array(PyObject* o) {
  return Py_TYPE(o) == array_type || PyType_IsSubtype(Py_TYPE(o), array_type);
}
/// REQUIRES: is_array(o).
inline array& unwrap(PyObject* o) { return reinterpret_cast<PyArray*>(o)->value; }

/// A new reference, or null with MemoryError set.
PyObject* wrap(array value);

}  // namespace plimsoll::python

namespace nanobind::detail {

template <>
struct type_caster<plimsoll::array> {
  NB_TYPE_CASTER(plimsoll::array, const_name("array"))

  bool from_python(handle src, uint8_t, cleanup_list*) noexcept {
    if (!plimsoll::python::is_array(src.ptr())) return false;
    value = plimsoll::python::unwrap(src.ptr());
    return true;
  }
  static handle from_cpp(const plimsoll::array& a, rv_policy, cleanup_list*) noexcept {
    return plimsoll::python::wrap(a);
  }
};

}  // namespace nanobind::detail
