// The Python class Dtype and its categories.
#pragma once

#include <nanobind/nanobind.h>

#include "plimsoll/dtype.h"

namespace plimsoll::python {

void bind_dtype(nanobind::module_& m);

/// True and sets `out` where `o` is a Dtype; never sets an error.
bool to_dtype(PyObject* o, Dtype& out) noexcept;
/// The one object of that dtype; a borrowed reference.
PyObject* dtype_object(Dtype dtype) noexcept;

}  // namespace plimsoll::python

namespace nanobind::detail {

template <>
struct type_caster<plimsoll::Dtype> {
  NB_TYPE_CASTER(plimsoll::Dtype, const_name("Dtype"))

  bool from_python(handle src, uint8_t, cleanup_list*) noexcept {
    return plimsoll::python::to_dtype(src.ptr(), value);
  }
  static handle from_cpp(plimsoll::Dtype d, rv_policy, cleanup_list*) noexcept {
    return handle(plimsoll::python::dtype_object(d)).inc_ref();
  }
};

}  // namespace nanobind::detail
