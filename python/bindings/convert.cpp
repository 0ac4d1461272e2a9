#include "bindings/convert.h"

#include <nanobind/nanobind.h>

#include <cstring>
#include <string>

#include "base/check.h"
#include "bindings/array_type.h"
#include "bindings/dtype.h"
#include "bindings/errors.h"
#include "bindings/host_convert.h"
#include "bindings/signature.h"
#include "graph/node.h"

namespace plimsoll::python {

// Its float() would drop the imaginary part.
bool is_foreign_complex(PyObject* o) { return strncmp(Py_TYPE(o)->tp_name, "numpy.c", 7) == 0; }

// Its numbers mean nothing without their unit.
bool is_numpy_time(PyObject* o) {
  const char* name = Py_TYPE(o)->tp_name;
  return strcmp(name, "numpy.datetime64") == 0 || strcmp(name, "numpy.timedelta64") == 0;
}

namespace {

bool has_index(PyObject* o) {
  PyNumberMethods* n = Py_TYPE(o)->tp_as_number;
  return n && n->nb_index;
}

// NumPy's scalars and the like, without importing NumPy.
bool is_foreign_real(PyObject* o) {
  PyNumberMethods* n = Py_TYPE(o)->tp_as_number;
  if (!n || !n->nb_float || is_array(o) || is_foreign_complex(o) || is_numpy_time(o)) return false;
  return !PyObject_CheckBuffer(o) || strncmp(Py_TYPE(o)->tp_name, "numpy.", 6) == 0;
}

// Subclasses as well, such as numpy.memmap.
bool is_numpy_array(PyObject* o) {
  for (PyTypeObject* t = Py_TYPE(o); t; t = t->tp_base)
    if (strcmp(t->tp_name, "numpy.ndarray") == 0) return true;
  return false;
}

array weak_int(PyObject* o) {
  int64_t v;
  if (!to_int(o, v)) throw TypeError("expected an integer");
  Dtype dtype = v == static_cast<int32_t>(v) ? Dtype::kInt32 : Dtype::kInt64;
  return graph::constant({.dtype = dtype, .real = static_cast<double>(v), .integer = v}, true);
}

array weak_real(double v) { return graph::constant({.dtype = Dtype::kFloat32, .real = v}, true); }

double as_double(PyObject* o) {
  double v = PyFloat_AsDouble(o);
  if (v == -1.0 && PyErr_Occurred()) throw nb::python_error();
  return v;
}

bool to_bool(PyObject* o, graph::Box& out) {
  if (PyBool_Check(o)) {
    out = o == Py_True;
    return true;
  }
  if (strcmp(Py_TYPE(o)->tp_name, "numpy.bool") && strcmp(Py_TYPE(o)->tp_name, "numpy.bool_"))
    return false;
  out = PyObject_IsTrue(o) == 1;
  return true;
}

bool to_number(PyObject* o, uint32_t types, graph::Box& out) {
  if ((types & kBool) && to_bool(o, out)) return true;
  bool scalar = types & kScalar;
  if (((types & kInt) || scalar) && !PyFloat_Check(o)) {
    int64_t v;
    if (to_int(o, v)) {
      out = v;
      return true;
    }
  }
  if (((types & kFloat) || scalar) && (PyFloat_Check(o) || PyLong_Check(o) || is_foreign_real(o))) {
    out = as_double(o);
    return true;
  }
  return false;
}

bool to_string(PyObject* o, graph::Box& out) {
  if (!PyUnicode_Check(o)) return false;
  Py_ssize_t size = 0;
  const char* s = PyUnicode_AsUTF8AndSize(o, &size);
  if (!s) throw nb::python_error();
  out = std::string(s, static_cast<size_t>(size));
  return true;
}

bool to_array(PyObject* o, uint32_t types, graph::Box& out) {
  if (is_array(o)) {
    out = unwrap(o);
    return true;
  }
  if (types & kScalar) {
    if (auto a = weak_scalar(o)) {
      out = *std::move(a);
      return true;
    }
  }
  if (auto a = array_like(o)) {
    out = *std::move(a);
    return true;
  }
  return false;
}

// [(1, 2), (3, 4)] as 1, 2, 3, 4.
bool to_flat_ints(PyObject* o, Dims& out) {
  if (!PyList_Check(o) && !PyTuple_Check(o)) return false;
  out.clear();
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(o); ++i) {
    Dims part;
    if (!to_ints(PySequence_Fast_GET_ITEM(o, i), part)) return false;
    for (int64_t v : part) out.push_back(v);
  }
  return true;
}

PyObject* from_arrays(std::vector<array>&& arrays, bool as_list) {
  auto n = static_cast<Py_ssize_t>(arrays.size());
  PyObject* out = as_list ? PyList_New(n) : PyTuple_New(n);
  if (!out) return nullptr;
  for (Py_ssize_t i = 0; i < n; ++i) {
    PyObject* item = wrap(std::move(arrays[i]));
    if (!item) {
      Py_DECREF(out);
      return nullptr;
    }
    if (as_list)
      PyList_SET_ITEM(out, i, item);
    else
      PyTuple_SET_ITEM(out, i, item);
  }
  return out;
}

PyObject* from_dims(const Dims& dims) {
  PyObject* out = PyTuple_New(static_cast<Py_ssize_t>(dims.size()));
  if (!out) return nullptr;
  for (size_t i = 0; i < dims.size(); ++i)
    PyTuple_SET_ITEM(out, static_cast<Py_ssize_t>(i), PyLong_FromLongLong(dims[i]));
  return out;
}

}  // namespace

bool is_scalar(PyObject* o) {
  return PyLong_Check(o) || PyFloat_Check(o) || PyComplex_Check(o) ||
         (!is_array(o) && !is_numpy_array(o) &&
          (has_index(o) || is_foreign_real(o) || is_foreign_complex(o)));
}

std::optional<array> weak_scalar(PyObject* o) {
  if (PyBool_Check(o)) {
    bool v = o == Py_True;
    return graph::constant({.dtype = Dtype::kBool, .real = double{v}, .integer = v}, true);
  }
  if (PyLong_Check(o)) return weak_int(o);
  if (PyFloat_Check(o)) return weak_real(PyFloat_AS_DOUBLE(o));
  if (PyComplex_Check(o) || is_foreign_complex(o)) {
    Py_complex z = PyComplex_AsCComplex(o);
    if (z.real == -1.0 && PyErr_Occurred()) throw nb::python_error();
    return graph::constant({.dtype = Dtype::kComplex64, .real = z.real, .imag = z.imag}, true);
  }
  if (is_array(o) || is_numpy_array(o)) return std::nullopt;
  graph::Box box;
  if (to_bool(o, box)) {
    bool v = std::get<bool>(box);
    return graph::constant({.dtype = Dtype::kBool, .real = double{v}, .integer = v}, true);
  }
  if (has_index(o)) return weak_int(o);
  if (is_foreign_real(o)) return weak_real(as_double(o));
  return std::nullopt;
}

bool to_int(PyObject* o, int64_t& out) {
  if (!PyLong_Check(o)) {
    if (is_array(o) || is_numpy_array(o) || !has_index(o)) return false;
    nb::object index = nb::steal(PyNumber_Index(o));
    if (!index) throw nb::python_error();
    return to_int(index.ptr(), out);
  }
  int overflow = 0;
  out = PyLong_AsLongLongAndOverflow(o, &overflow);
  PLIMSOLL_CHECK(overflow == 0, ValueError,
                 "[array] expected an integer that fits into int64, got a larger one");
  return true;
}

bool to_ints(PyObject* o, Dims& out) {
  if (!PyList_Check(o) && !PyTuple_Check(o)) {
    if (!is_numpy_array(o) && !PyRange_Check(o)) return false;
    nb::object list = nb::steal(PySequence_List(o));
    if (!list) throw nb::python_error();
    return to_ints(list.ptr(), out);
  }
  Py_ssize_t n = PySequence_Fast_GET_SIZE(o);
  out.resize(static_cast<size_t>(n));
  for (Py_ssize_t i = 0; i < n; ++i)
    if (!to_int(PySequence_Fast_GET_ITEM(o, i), out[i])) return false;
  return true;
}

bool to_arrays(PyObject* o, std::vector<array>& out) {
  if (!PyList_Check(o) && !PyTuple_Check(o)) return false;
  Py_ssize_t n = PySequence_Fast_GET_SIZE(o);
  out.reserve(static_cast<size_t>(n));
  for (Py_ssize_t i = 0; i < n; ++i) {
    graph::Box one;
    if (!to_array(PySequence_Fast_GET_ITEM(o, i), kArray | kScalar, one)) return false;
    out.push_back(std::get<array>(std::move(one)));
  }
  return true;
}

bool to_box(PyObject* o, uint32_t types, graph::Box& out) {
  if ((types & kArray) && is_array(o)) {
    out = unwrap(o);
    return true;
  }
  if (o == Py_None) return types & kNone;
  if ((types & kArray) && to_array(o, types, out)) return true;
  if ((types & (kBool | kInt | kFloat | kScalar)) && to_number(o, types, out)) return true;
  if ((types & kString) && to_string(o, out)) return true;
  Dtype dtype;
  if ((types & kDtype) && to_dtype(o, dtype)) {
    out = dtype;
    return true;
  }
  if (types & kInts) {
    Dims dims;
    if (to_ints(o, dims) || ((types & kPairs) && to_flat_ints(o, dims))) {
      out = std::move(dims);
      return true;
    }
  }
  if (types & kArrays) {
    std::vector<array> arrays;
    if (to_arrays(o, arrays)) {
      out = std::move(arrays);
      return true;
    }
  }
  return false;
}

PyObject* from_box(graph::Box&& box, bool as_list) {
  if (auto* a = std::get_if<array>(&box)) return wrap(std::move(*a));
  if (auto* v = std::get_if<std::vector<array>>(&box)) return from_arrays(std::move(*v), as_list);
  if (auto* b = std::get_if<bool>(&box)) return PyBool_FromLong(*b);
  if (auto* i = std::get_if<int64_t>(&box)) return PyLong_FromLongLong(*i);
  if (auto* d = std::get_if<double>(&box)) return PyFloat_FromDouble(*d);
  if (auto* s = std::get_if<std::string>(&box))
    return PyUnicode_FromStringAndSize(s->data(), static_cast<Py_ssize_t>(s->size()));
  if (auto* t = std::get_if<Dtype>(&box)) return nb::handle(dtype_object(*t)).inc_ref().ptr();
  if (auto* d = std::get_if<Dims>(&box)) return from_dims(*d);
  Py_RETURN_NONE;
}

}  // namespace plimsoll::python
