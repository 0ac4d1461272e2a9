// Elements as Python numbers: item, tolist and their parts.
#include <nanobind/nanobind.h>

#include "bindings/array_type.h"
#include "bindings/convert.h"
#include "bindings/errors.h"
#include "bindings/host_convert.h"

namespace plimsoll::python {
namespace {

nb::object nested(const Shape& shape, size_t axis, Dtype dtype, const std::byte*& next) {
  if (axis == shape.size()) {
    nb::object o = nb::steal(element(next, dtype));
    if (!o) throw nb::python_error();
    next += size_of(dtype);
    return o;
  }
  nb::object list = nb::steal(PyList_New(shape[axis]));
  if (!list) throw nb::python_error();
  for (int64_t i = 0; i < shape[axis]; ++i)
    PyList_SET_ITEM(list.ptr(), i, nested(shape, axis + 1, dtype, next).release().ptr());
  return list;
}

}  // namespace

PyObject* element(const std::byte* bytes, Dtype dtype) {
  if (dtype == Dtype::kBool) return PyBool_FromLong(element_as_int(bytes, dtype) != 0);
  if (dtype == Dtype::kUint64) return PyLong_FromUnsignedLongLong(load_as<uint64_t>(bytes));
  if (is_integral(dtype)) return PyLong_FromLongLong(element_as_int(bytes, dtype));
  std::complex<double> v = element_as_complex(bytes, dtype);
  if (dtype == Dtype::kComplex64) return PyComplex_FromDoubles(v.real(), v.imag());
  return PyFloat_FromDouble(v.real());
}

std::vector<std::byte> read_elements(const array& a) {
  array held = a;  // another thread may drop the Python object meanwhile
  std::vector<std::byte> bytes(held.nbytes());
  without_gil([&] { held.copy_to(bytes.data()); });
  return bytes;
}

nb::object to_list(const array& a) {
  std::vector<std::byte> bytes = read_elements(a);
  const std::byte* next = bytes.data();
  return nested(a.shape(), 0, a.dtype(), next);
}

}  // namespace plimsoll::python
