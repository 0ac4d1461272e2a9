#include "bindings/array.h"

#include <structmember.h>

#include "base/check.h"
#include "bindings/array_type.h"
#include "bindings/buffer_protocol.h"
#include "bindings/convert.h"
#include "bindings/dtype.h"
#include "bindings/errors.h"

namespace plimsoll::python {

PyTypeObject* array_type = nullptr;

PyObject* wrap(array value) {
  PyObject* o = array_type->tp_alloc(array_type, 0);
  if (o) new (&unwrap(o)) array(std::move(value));
  return o;
}

namespace {

constexpr const char* kDoc =
    "array(val, dtype=None)\n--\n\n"
    "An N-dimensional array of one dtype, computed when its value is needed.\n\n"
    "Args:\n"
    "    val: A scalar, a nested list or tuple of scalars or arrays, an array, or an object with\n"
    "        the buffer protocol (a NumPy array); it is copied.\n"
    "    dtype: The dtype. Default: bool, int32 (int64 where a value needs it), float32 or\n"
    "        complex64, whichever holds all values; that of the buffer, where float64 becomes\n"
    "        float32.\n\n"
    "Raises:\n"
    "    ValueError: where the lengths of nested lists differ or an element is no number.\n\n"
    "Example:\n\n"
    "    >>> array([[1, 2], [3, 4]]).shape\n"
    "    (2, 2)\n";

PyObject* create(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"val", "dtype", nullptr};
  PyObject *value = nullptr, *dtype = Py_None;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|O:array", const_cast<char**>(names), &value,
                                   &dtype))
    return nullptr;
  return guarded([&]() -> PyObject* {
    std::optional<Dtype> wanted;
    if (Dtype d; dtype != Py_None) {
      PLIMSOLL_CHECK(to_dtype(dtype, d), TypeError,
                     "array(): expected a Dtype or None, got {}; pass one such as mx.float32",
                     Py_TYPE(dtype)->tp_name);
      wanted = d;
    }
    array made = make_array(value, wanted);
    PyObject* o = type->tp_alloc(type, 0);
    if (o) new (&unwrap(o)) array(std::move(made));
    return o;
  });
}

void destroy(PyObject* self) {
  if (reinterpret_cast<PyArray*>(self)->weakrefs) PyObject_ClearWeakRefs(self);
  unwrap(self).~array();
  PyTypeObject* type = Py_TYPE(self);
  type->tp_free(self);
  Py_DECREF(type);
}

Py_ssize_t length(PyObject* self) {
  const array& a = unwrap(self);
  if (a.ndim() == 0) {
    PyErr_SetString(PyExc_TypeError, "len() 0-dimensional array.");
    return -1;
  }
  return a.shape()[0];
}

PyObject* get_shape(PyObject* self, void*) {
  return guarded([&] { return from_box(graph::Box(Dims(unwrap(self).shape())), false); });
}
PyObject* get_ndim(PyObject* self, void*) { return PyLong_FromLong(unwrap(self).ndim()); }
PyObject* get_size(PyObject* self, void*) { return PyLong_FromLongLong(unwrap(self).size()); }
PyObject* get_nbytes(PyObject* self, void*) { return PyLong_FromSize_t(unwrap(self).nbytes()); }
PyObject* get_itemsize(PyObject* self, void*) { return PyLong_FromSize_t(unwrap(self).itemsize()); }
PyObject* get_dtype(PyObject* self, void*) {
  return nb::handle(dtype_object(unwrap(self).dtype())).inc_ref().ptr();
}

PyGetSetDef getters[] = {{"shape", get_shape, nullptr, "Dimensions, a tuple of int.", nullptr},
                         {"ndim", get_ndim, nullptr, "Number of dimensions.", nullptr},
                         {"size", get_size, nullptr, "Number of elements.", nullptr},
                         {"nbytes", get_nbytes, nullptr, "Bytes of all elements.", nullptr},
                         {"itemsize", get_itemsize, nullptr, "Bytes of one element.", nullptr},
                         {"dtype", get_dtype, nullptr, "The Dtype of the elements.", nullptr},
                         {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyMemberDef members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(PyArray, weakrefs), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr}};

template <typename F>
void* slot(F* f) {
  return reinterpret_cast<void*>(f);
}

}  // namespace

void bind_array(nanobind::module_& m) {
  const PyNumberMethods& n = number_slots;
  PyType_Slot slots[] = {{Py_tp_doc, const_cast<char*>(kDoc)},
                         {Py_tp_new, slot(create)},
                         {Py_tp_dealloc, slot(destroy)},
                         {Py_tp_hash, slot(_Py_HashPointer)},
                         {Py_tp_richcompare, slot(compare)},
                         {Py_tp_repr, slot(repr)},
                         {Py_tp_getset, getters},
                         {Py_tp_members, members},
                         {Py_bf_getbuffer, slot(get_buffer)},
                         {Py_bf_releasebuffer, slot(release_buffer)},
                         {Py_mp_length, slot(length)},
                         {Py_mp_subscript, slot(subscript)},
                         {Py_mp_ass_subscript, slot(assign_subscript)},
                         {Py_nb_add, slot(n.nb_add)},
                         {Py_nb_subtract, slot(n.nb_subtract)},
                         {Py_nb_multiply, slot(n.nb_multiply)},
                         {Py_nb_true_divide, slot(n.nb_true_divide)},
                         {Py_nb_floor_divide, slot(n.nb_floor_divide)},
                         {Py_nb_remainder, slot(n.nb_remainder)},
                         {Py_nb_divmod, slot(n.nb_divmod)},
                         {Py_nb_power, slot(n.nb_power)},
                         {Py_nb_matrix_multiply, slot(n.nb_matrix_multiply)},
                         {Py_nb_and, slot(n.nb_and)},
                         {Py_nb_or, slot(n.nb_or)},
                         {Py_nb_xor, slot(n.nb_xor)},
                         {Py_nb_lshift, slot(n.nb_lshift)},
                         {Py_nb_rshift, slot(n.nb_rshift)},
                         {Py_nb_negative, slot(n.nb_negative)},
                         {Py_nb_positive, slot(n.nb_positive)},
                         {Py_nb_absolute, slot(n.nb_absolute)},
                         {Py_nb_invert, slot(n.nb_invert)},
                         {Py_nb_bool, slot(n.nb_bool)},
                         {Py_nb_int, slot(n.nb_int)},
                         {Py_nb_float, slot(n.nb_float)},
                         {Py_nb_index, slot(n.nb_index)},
                         {Py_nb_inplace_add, slot(n.nb_inplace_add)},
                         {Py_nb_inplace_subtract, slot(n.nb_inplace_subtract)},
                         {Py_nb_inplace_multiply, slot(n.nb_inplace_multiply)},
                         {Py_nb_inplace_true_divide, slot(n.nb_inplace_true_divide)},
                         {Py_nb_inplace_floor_divide, slot(n.nb_inplace_floor_divide)},
                         {Py_nb_inplace_remainder, slot(n.nb_inplace_remainder)},
                         {Py_nb_inplace_power, slot(n.nb_inplace_power)},
                         {Py_nb_inplace_matrix_multiply, slot(n.nb_inplace_matrix_multiply)},
                         {Py_nb_inplace_and, slot(n.nb_inplace_and)},
                         {Py_nb_inplace_or, slot(n.nb_inplace_or)},
                         {Py_nb_inplace_xor, slot(n.nb_inplace_xor)},
                         {Py_nb_inplace_lshift, slot(n.nb_inplace_lshift)},
                         {Py_nb_inplace_rshift, slot(n.nb_inplace_rshift)},
                         {0, nullptr}};
  PyType_Spec spec{"plimsoll._core.array", sizeof(PyArray), 0, Py_TPFLAGS_DEFAULT, slots};
  array_type = reinterpret_cast<PyTypeObject*>(PyType_FromModuleAndSpec(m.ptr(), &spec, nullptr));
  if (!array_type) throw nb::python_error();
  array_type->tp_name = "array";  // as errors call it
  m.attr("array") = nb::borrow(reinterpret_cast<PyObject*>(array_type));
}

}  // namespace plimsoll::python
