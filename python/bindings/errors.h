// C++ exceptions become Python's, in one place for our own call types and for nanobind's.
#pragma once

#include <nanobind/nanobind.h>

#include <exception>
#include <utility>

namespace plimsoll::python {

/// Sets Python's error from the exception being handled. Call inside a catch block only.
void set_error_from_current_exception() noexcept;

/// Runs `f`, which returns a new reference or null with an error set; exceptions set the error.
template <typename F>
PyObject* guarded(F&& f) noexcept {
  try {
    return std::forward<F>(f)();
  } catch (...) {
    set_error_from_current_exception();
    return nullptr;
  }
}

/// Runs `f` without the GIL. `f` must not touch Python.
template <typename F>
auto without_gil(F&& f) {
  nanobind::gil_scoped_release release;
  return std::forward<F>(f)();
}

/// A handler of one more exception class: returns true where it has set Python's error.
using ErrorHandler = bool (*)(const std::exception_ptr&);
void set_memory_error_handler(ErrorHandler handler);

void bind_errors(nanobind::module_& m);

}  // namespace plimsoll::python
