#include "bindings/buffer_protocol.h"

#include <memory>

#include "bindings/array_type.h"
#include "bindings/errors.h"
#include "bindings/exports.h"

namespace plimsoll::python {
namespace {

// bfloat16 has no letter: NumPy asks `__array__` then, which widens to float32.
const char* format_of(Dtype t) {
  switch (t) {
    case Dtype::kBool:
      return "?";
    case Dtype::kUint8:
      return "B";
    case Dtype::kUint16:
      return "H";
    case Dtype::kUint32:
      return "I";
    case Dtype::kUint64:
      return "Q";
    case Dtype::kInt8:
      return "b";
    case Dtype::kInt16:
      return "h";
    case Dtype::kInt32:
      return "i";
    case Dtype::kInt64:
      return "q";
    case Dtype::kFloat16:
      return "e";
    case Dtype::kFloat32:
      return "f";
    case Dtype::kFloat64:
      return "d";
    case Dtype::kComplex64:
      return "Zf";
    default:
      return nullptr;
  }
}

void fill(Py_buffer* view, PyObject* self, Export& e, int flags) {
  const array& a = e.held;
  *view = {};
  view->buf = e.data;
  view->len = static_cast<Py_ssize_t>(a.nbytes());
  view->itemsize = static_cast<Py_ssize_t>(a.itemsize());
  view->readonly = !e.copy.empty();
  view->ndim = a.ndim();
  if (flags & PyBUF_FORMAT) view->format = const_cast<char*>(format_of(a.dtype()));
  view->shape = e.shape.data();
  view->strides = e.strides.data();
  bool needs_rows = (flags & PyBUF_STRIDES) != PyBUF_STRIDES ||
                    (flags & PyBUF_C_CONTIGUOUS) == PyBUF_C_CONTIGUOUS;
  bool fits = !needs_rows || PyBuffer_IsContiguous(view, 'C');
  if ((flags & PyBUF_F_CONTIGUOUS) == PyBUF_F_CONTIGUOUS) fits &= PyBuffer_IsContiguous(view, 'F');
  if ((flags & PyBUF_ANY_CONTIGUOUS) == PyBUF_ANY_CONTIGUOUS)
    fits &= PyBuffer_IsContiguous(view, 'A');
  if (!fits || ((flags & PyBUF_WRITABLE) && view->readonly)) {
    PyErr_SetString(PyExc_BufferError, fits ? "[buffer] the value of a constant cannot be written"
                                            : "[buffer] expected contiguous elements; call "
                                              "mx.contiguous first");
    throw nanobind::python_error();
  }
  if ((flags & PyBUF_STRIDES) != PyBUF_STRIDES) view->strides = nullptr;
  if (!(flags & PyBUF_ND)) view->shape = nullptr;
  view->obj = self;
  Py_INCREF(self);
}

// NumPy drops whatever a buffer raises, Ctrl-C as well, and asks `__array__` next, from the same
// call in Python; others pass the error on.
struct Interrupt {
  PyObject* of = nullptr;  // compared only
  PyFrameObject* frame = nullptr;
  int instruction = 0;
  bool operator==(const Interrupt&) const = default;
};
thread_local Interrupt interrupted;

Interrupt interrupt_here(PyObject* self) {
  PyFrameObject* frame = PyEval_GetFrame();
  return {self, frame, frame ? PyFrame_GetLasti(frame) : 0};
}

}  // namespace

int get_buffer(PyObject* self, Py_buffer* view, int flags) {
  interrupted = {};
  PyObject* done = guarded([&]() -> PyObject* {
    array a = unwrap(self);
    if (!format_of(a.dtype())) {
      PyErr_SetString(PyExc_BufferError,
                      "[buffer] bfloat16 has no format in Python's buffers; cast to float32");
      return nullptr;
    }
    std::unique_ptr<Export> e = without_gil([&] { return make_export(a, "NumPy, memoryview"); });
    fill(view, self, *e, flags);
    view->internal = e.release();
    return Py_None;
  });
  if (done) return 0;
  if (PyErr_ExceptionMatches(PyExc_KeyboardInterrupt)) interrupted = interrupt_here(self);
  view->obj = nullptr;
  return -1;
}

void raise_dropped_interrupt(PyObject* self) {
  if (interrupted != interrupt_here(self)) return;
  interrupted = {};
  PyErr_SetNone(PyExc_KeyboardInterrupt);
  throw nanobind::python_error();
}

void release_buffer(PyObject*, Py_buffer* view) { delete static_cast<Export*>(view->internal); }

}  // namespace plimsoll::python
