#include "bindings/export.h"

#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "base/check.h"
#include "bindings/array_type.h"
#include "bindings/errors.h"
#include "bindings/trees.h"
#include "plimsoll/export.h"

namespace plimsoll::python {

namespace nb = nanobind;

namespace {

/// What Python raised for arrays that its function does not take: a ValueError to the exporter,
/// which may try other shapes, and the error of Python to who called it.
class NotTaken : public ValueError {
 public:
  explicit NotTaken(const nb::python_error& e)
      : ValueError("[export_function] the function raised an error"), error(e) {}
  nb::python_error error;
};

nb::object call(const nb::callable& fun, const nb::list& args, const nb::dict& named) {
  try {
    return fun(*nb::tuple(args), **named);
  } catch (const nb::python_error& e) {
    for (PyObject* type :
         {PyExc_ValueError, PyExc_TypeError, PyExc_IndexError, PyExc_AssertionError})
      if (e.matches(type)) throw NotTaken(e);
    throw;
  }
}

/// Calls the function with arrays, the last of which have names.
Function with_keywords(nb::callable fun, const NamedArrays& keywords) {
  return [fun, &keywords](const Arrays& inputs) {
    nb::list args;
    nb::dict named;
    const size_t positional = inputs.size() - keywords.size();
    for (size_t i = 0; i < positional; ++i) args.append(inputs[i]);
    for (size_t i = 0; i < keywords.size(); ++i)
      named[nb::str(keywords[i].first.c_str(), keywords[i].first.size())] = inputs[positional + i];
    nb::object result = call(fun, args, named);
    PyObject* r = result.ptr();
    bool arrays = PyList_Check(r) || PyTuple_Check(r);
    if (arrays)
      for (nb::handle item : result) arrays = arrays && is_array(item.ptr());
    PLIMSOLL_CHECK(
        arrays || is_array(r), ValueError,
        "[export_function] expected a function that returns an array, or a tuple or list "
        "of arrays, got {}",
        nb::cast<std::string>(nb::str(result.type().attr("__name__"))));
    return arrays_in(result);
  };
}

}  // namespace

void bind_export(nb::module_& m) {
  nb::class_<FunctionExporter>(m, "_FunctionExporter")
      .def(nb::init<std::string, bool, std::string>(), nb::arg("path"), nb::arg("shapeless"),
           nb::arg("metadata"))
      .def(
          "add",
          [](FunctionExporter& e, nb::callable fun, const Arrays& args,
             const NamedArrays& keywords) {
            try {
              e.add(with_keywords(fun, keywords), args, keywords);
            } catch (const NotTaken& refused) {
              throw nb::python_error(refused.error);
            }
          },
          nb::arg("fun"), nb::arg("args"), nb::arg("keywords"),
          nb::sig("def add(self, fun: Callable[..., Any], args: Sequence[array], keywords: "
                  "Sequence[tuple[str, array]]) -> None"),
          "Keywords ascend.")
      .def("close", [](FunctionExporter& e) { without_gil([&] { e.close(); }); });
  nb::class_<ImportedFunction>(m, "_ImportedFunction")
      .def(
          "__init__",
          [](ImportedFunction* self, const std::string& path) {
            without_gil([&] { new (self) ImportedFunction(path); });
          },
          nb::arg("path"))
      .def_prop_ro("metadata",
                   [](const ImportedFunction& f) {
                     return nb::bytes(f.metadata().data(), f.metadata().size());
                   })
      .def(
          "__call__",
          [](const ImportedFunction& f, const Arrays& args, const NamedArrays& keywords) {
            return f(args, keywords);
          },
          nb::arg("args"), nb::arg("keywords"));
}

}  // namespace plimsoll::python
