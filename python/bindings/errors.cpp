#include "bindings/errors.h"

#include <nanobind/nanobind.h>

#include <cerrno>
#include <cstring>
#include <new>

#include "plimsoll/error.h"

namespace plimsoll::python {
namespace {

ErrorHandler memory_error_handler = nullptr;

// Bytes that are no UTF-8, of a file or a path, are shown as escapes.
PyObject* text_of(const std::exception& e) {
  return PyUnicode_DecodeUTF8(e.what(), static_cast<Py_ssize_t>(std::strlen(e.what())),
                              "backslashreplace");
}

void set_error(PyObject* type, const std::exception& e) {
  PyObject* text = text_of(e);
  if (!text) return;
  PyErr_SetObject(type, text);
  Py_DECREF(text);
}

void set_os_error(const IoError& e) {
  if (e.error_number() == 0) return set_error(PyExc_OSError, e);
  PyObject* args = Py_BuildValue("(iN)", e.error_number(), text_of(e));
  if (!args) return;
  PyErr_SetObject(PyExc_OSError, args);
  Py_DECREF(args);
}

void set_interrupt(const Interrupted& e) {
  // PyErr_CheckSignals may have set KeyboardInterrupt (or what a handler raised) already.
  if (!PyErr_Occurred()) set_error(PyExc_KeyboardInterrupt, e);
}

void set_error(const std::exception_ptr& p) {
  if (memory_error_handler && memory_error_handler(p)) return;
  try {
    std::rethrow_exception(p);
  } catch (nanobind::python_error& e) {
    e.restore();
  } catch (const nanobind::builtin_exception& e) {
    if (e.type() == nanobind::exception_type::type_error)
      set_error(PyExc_TypeError, e);
    else if (e.type() == nanobind::exception_type::index_error)
      set_error(PyExc_IndexError, e);
    else if (e.type() == nanobind::exception_type::stop_iteration)
      PyErr_SetNone(PyExc_StopIteration);
    else
      set_error(PyExc_ValueError, e);
  } catch (const ValueError& e) {
    set_error(PyExc_ValueError, e);
  } catch (const TypeError& e) {
    set_error(PyExc_TypeError, e);
  } catch (const IndexError& e) {
    set_error(PyExc_IndexError, e);
  } catch (const IoError& e) {
    set_os_error(e);
  } catch (const OutOfMemory& e) {
    set_error(PyExc_MemoryError, e);
  } catch (const Interrupted& e) {
    set_interrupt(e);
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const std::exception& e) {
    set_error(PyExc_RuntimeError, e);
  } catch (...) {
    PyErr_SetString(PyExc_RuntimeError, "unknown C++ exception");
  }
}

}  // namespace

void set_memory_error_handler(ErrorHandler handler) { memory_error_handler = handler; }

void set_error_from_current_exception() noexcept { set_error(std::current_exception()); }

void bind_errors(nanobind::module_&) {
  nanobind::register_exception_translator([](const std::exception_ptr& p, void*) { set_error(p); });
}

}  // namespace plimsoll::python
