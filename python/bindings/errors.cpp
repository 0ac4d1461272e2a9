#include "bindings/errors.h"

#include <nanobind/nanobind.h>

#include <cerrno>
#include <new>

#include "plimsoll/error.h"

namespace plimsoll::python {
namespace {

ErrorHandler memory_error_handler = nullptr;

void set_os_error(const IoError& e) {
  if (e.error_number() == 0) {
    PyErr_SetString(PyExc_OSError, e.what());
    return;
  }
  PyObject* args = Py_BuildValue("(is)", e.error_number(), e.what());
  if (!args) return;
  PyErr_SetObject(PyExc_OSError, args);
  Py_DECREF(args);
}

void set_interrupt(const Interrupted& e) {
  // PyErr_CheckSignals may have set KeyboardInterrupt (or what a handler raised) already.
  if (!PyErr_Occurred()) PyErr_SetString(PyExc_KeyboardInterrupt, e.what());
}

void set_error(const std::exception_ptr& p) {
  if (memory_error_handler && memory_error_handler(p)) return;
  try {
    std::rethrow_exception(p);
  } catch (nanobind::python_error& e) {
    e.restore();
  } catch (const nanobind::builtin_exception& e) {
    if (e.type() == nanobind::exception_type::type_error)
      PyErr_SetString(PyExc_TypeError, e.what());
    else if (e.type() == nanobind::exception_type::index_error)
      PyErr_SetString(PyExc_IndexError, e.what());
    else if (e.type() == nanobind::exception_type::stop_iteration)
      PyErr_SetNone(PyExc_StopIteration);
    else
      PyErr_SetString(PyExc_ValueError, e.what());
  } catch (const ValueError& e) {
    PyErr_SetString(PyExc_ValueError, e.what());
  } catch (const TypeError& e) {
    PyErr_SetString(PyExc_TypeError, e.what());
  } catch (const IndexError& e) {
    PyErr_SetString(PyExc_IndexError, e.what());
  } catch (const IoError& e) {
    set_os_error(e);
  } catch (const OutOfMemory& e) {
    PyErr_SetString(PyExc_MemoryError, e.what());
  } catch (const Interrupted& e) {
    set_interrupt(e);
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const std::exception& e) {
    PyErr_SetString(PyExc_RuntimeError, e.what());
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
