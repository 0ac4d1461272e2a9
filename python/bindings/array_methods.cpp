// Methods and properties of array that are more than a function of its first argument.
#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>

#include <algorithm>
#include <string>

#include "base/check.h"
#include "bindings/array.h"
#include "bindings/array_type.h"
#include "bindings/buffer_protocol.h"
#include "bindings/convert.h"
#include "bindings/device.h"
#include "bindings/dtype.h"
#include "bindings/errors.h"
#include "bindings/index.h"
#include "bindings/numpy.h"
#include "plimsoll/ops/complex.h"
#include "plimsoll/ops/view.h"

namespace plimsoll::python {
namespace {

struct ArrayAt {
  array a;
  nb::object key;
};

struct ArrayIterator {
  array a;
  int64_t next = 0;
};

template <typename F, typename... Extra>
void method(const char* name, F f, const Extra&... extra) {
  nb::handle cls(reinterpret_cast<PyObject*>(array_type));
  nb::cpp_function_def(f, nb::scope(cls), nb::name(name), nb::is_method(), extra...);
}

// reshape(2, 3) and reshape((2, 3)) mean the same.
Dims dims_of(const nb::args& args, const char* what) {
  Dims out;
  PyObject* given = args.ptr();
  if (args.size() == 1 && PySequence_Check(args[0].ptr())) given = args[0].ptr();
  PLIMSOLL_CHECK(to_ints(given, out), TypeError, "{}: expected integers, or one tuple of them",
                 what);
  return out;
}

void require_stream(nb::handle stream) {
  PLIMSOLL_CHECK(check_stream(stream.ptr()), TypeError,
                 "stream: expected a Stream, Device or None, got {}",
                 Py_TYPE(stream.ptr())->tp_name);
}

nb::object item(const array& a) {
  PLIMSOLL_CHECK(a.size() == 1, ValueError,
                 "[convert] Only length-1 arrays can be converted to Python scalars, got shape {}; "
                 "take one of its elements, or tolist()",
                 to_string(a.shape()));
  std::vector<std::byte> bytes = read_elements(a);
  nb::object o = nb::steal(element(bytes.data(), a.dtype()));
  if (!o) throw nb::python_error();
  return o;
}

array update(const ArrayAt& at, nb::handle value, Update how) {
  array v = is_array(value.ptr())    ? nb::cast<array>(value)
            : is_scalar(value.ptr()) ? *weak_scalar(value.ptr())
                                     : make_array(value, std::nullopt);
  return update_item(at.a, at.key, v, how);
}

void bind_helpers(nb::module_& m) {
  nb::class_<ArrayAt> at(m, "ArrayAt", "What array.at gives: updates of x[key] that all count.");
  at.def(
      "__getitem__",
      [](const ArrayAt& at, nb::object key) {
        return ArrayAt{at.a, std::move(key)};
      },
      nb::arg("key").none());
  auto add = [&](const char* name, Update how) {
    at.def(
        name, [how](const ArrayAt& at, nb::handle value) { return update(at, value, how); },
        nb::arg("value"),
        nb::sig((std::string("def ") + name + "(self, value: object) -> array").c_str()));
  };
  add("add", Update::kAdd);
  add("subtract", Update::kSubtract);
  add("multiply", Update::kMultiply);
  add("divide", Update::kDivide);
  add("maximum", Update::kMaximum);
  add("minimum", Update::kMinimum);
  nb::class_<ArrayIterator>(m, "ArrayIterator")
      .def("__iter__", [](nb::handle self) { return nb::borrow(self); })
      .def("__next__", [](ArrayIterator& it) {
        if (it.next >= it.a.shape()[0]) throw nb::stop_iteration();
        return get_item(it.a, nb::int_(it.next++));
      });
}

void bind_shape_methods() {
  method(
      "reshape",
      [](const array& a, nb::args shape, nb::handle stream) {
        require_stream(stream);
        return reshape(a, dims_of(shape, "reshape"));
      },
      nb::arg("shape"), nb::kw_only(), nb::arg("stream") = nb::none(),
      "The elements in another shape. Equivalent to :func:`reshape`, dimensions given one by one\n"
      "or as a tuple.");
  method(
      "transpose",
      [](const array& a, nb::args axes, nb::handle stream) {
        require_stream(stream);
        bool none = axes.size() == 0 || (axes.size() == 1 && axes[0].is_none());
        return none ? transpose(a) : transpose(a, dims_of(axes, "transpose"));
      },
      nb::arg("axes"), nb::kw_only(), nb::arg("stream") = nb::none(),
      "The axes in another order. Equivalent to :func:`transpose`.");
}

nb::bytes bytes_of(const array& a) {
  std::vector<std::byte> bytes = read_elements(a);
  return nb::bytes(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

nb::tuple state_of(const array& a) {
  return nb::make_tuple(bytes_of(a), nb::steal(from_box(graph::Box(Dims(a.shape())), false)),
                        a.dtype());
}

array from_state(nb::bytes bytes, nb::handle shape, Dtype dtype) {
  Dims dims;
  PLIMSOLL_CHECK(to_ints(shape.ptr(), dims), TypeError, "expected a shape");
  for (int64_t d : dims)
    PLIMSOLL_CHECK(d >= 0, ValueError, "expected dimensions of at least 0, got {}", d);
  PLIMSOLL_CHECK(bytes.size() == static_cast<size_t>(num_elements(dims)) * size_of(dtype),
                 ValueError, "expected as many bytes as the shape has");
  return without_gil([&] { return array(bytes.c_str(), dims, dtype); });
}

void bind_pickling(nb::module_& m) {
  method("__reduce__", [](const array& a) {
    return nb::make_tuple(nb::module_::import_("plimsoll._pickle").attr("array_from_bytes"),
                          state_of(a));
  });
  method("__getstate__", state_of, "The elements' bytes in row-major order, the shape, the Dtype.");
  nb::handle cls(reinterpret_cast<PyObject*>(array_type));
  nb::cpp_function_def(
      [](nb::handle self, const nb::tuple& state) {
        PLIMSOLL_CHECK(is_array(self.ptr()) && state.size() == 3, TypeError,
                       "__setstate__(): expected what __getstate__ gives");
        unwrap(self.ptr()) =
            from_state(nb::cast<nb::bytes>(state[0]), state[1], nb::cast<Dtype>(state[2]));
      },
      nb::scope(cls), nb::name("__setstate__"), nb::is_method(), nb::arg("state"),
      nb::sig("def __setstate__(self, state: tuple[Any, ...]) -> None"),
      "Takes the value that __getstate__ gave.");
  method("__bytes__", bytes_of, "The elements' bytes in row-major order.");
  m.def("_array_from_bytes", from_state, "An array of a shape and Dtype from row-major bytes.");
  method(
      "__array_namespace__",
      [](const array&, nb::handle api_version) {
        PLIMSOLL_CHECK(api_version.is_none(), ValueError,
                       "[__array_namespace__] expected no api_version; none is claimed in full");
        return nb::module_::import_("plimsoll.core");
      },
      nb::arg("api_version") = nb::none(),
      "The module with the functions of arrays; ValueError for a given api_version.");
}

void bind_value_methods() {
  method("item", item, "The value of a one-element array as a Python number.");
  method("tolist", to_list, "The elements as nested lists, or a number for a 0-d array.");
  method("__iter__", [](const array& a) {
    PLIMSOLL_CHECK(a.ndim() > 0, TypeError, "iterating over a 0-d array");
    return ArrayIterator{a};
  });
  method("__complex__", [](const array& a) {
    array one = a;
    nb::object v = item(one);
    Py_complex c = PyComplex_AsCComplex(v.ptr());
    return nb::steal(PyComplex_FromCComplex(c));
  });
  method("__copy__", [](const array& a) { return a; });
  method(
      "__deepcopy__", [](const array& a, nb::handle) { return a; }, nb::arg("memo").none());
  method(
      "__array__",
      [](nb::handle self, nb::handle dtype, nb::handle copy) {
        if (!is_array(self.ptr())) throw nb::type_error("[__array__] expected an array");
        raise_dropped_interrupt(self.ptr());
        PLIMSOLL_CHECK(copy.ptr() != Py_False, ValueError,
                       "[__array__] expected that a copy may be made");
        return to_numpy(unwrap(self.ptr()), dtype);
      },
      nb::arg("dtype") = nb::none(), nb::arg("copy") = nb::none(),
      "A NumPy array with a copy of the elements (bfloat16 as float32).");
  method(
      "__array_ufunc__",
      [](nb::handle, nb::handle ufunc, nb::handle how, const nb::args& inputs,
         const nb::kwargs& options) { return apply_ufunc(ufunc, how, inputs, options); },
      nb::arg("ufunc"), nb::arg("method"), nb::arg("inputs"), nb::arg("options"),
      nb::sig("def __array_ufunc__(self, ufunc: object, method: str, *inputs: object, "
              "**options: object) -> object"),
      "NumPy's array of a ufunc, as of NumPy's operators; an array inside of grad, vmap and such.");
  method(
      "__format__",
      [](nb::handle self, const nb::str& spec) -> nb::object {
        const array& a = unwrap(self.ptr());
        if (nb::len(spec) == 0) return nb::str(self);
        PLIMSOLL_CHECK(
            a.ndim() == 0, TypeError,
            "[format] expected a scalar array for a format such as \"{}\", got shape {}; "
            "format its elements",
            spec.c_str(), to_string(a.shape()));
        return nb::steal(PyObject_Format(item(a).ptr(), spec.ptr()));
      },
      nb::arg("format_spec"));
}

PyObject* get_t(PyObject* self, void*) {
  return guarded([&] { return wrap(transpose(unwrap(self))); });
}

PyObject* get_mt(PyObject* self, void*) {
  return guarded([&] {
    const array& a = unwrap(self);
    PLIMSOLL_CHECK(a.ndim() >= 2, ValueError, "[mT] expected at least 2 dimensions, got {}",
                   a.ndim());
    return wrap(swapaxes(a, -1, -2));
  });
}

PyObject* get_real(PyObject* self, void*) {
  return guarded([&] { return wrap(real(unwrap(self))); });
}

PyObject* get_imag(PyObject* self, void*) {
  return guarded([&] { return wrap(imag(unwrap(self))); });
}

PyObject* get_at(PyObject* self, void*) {
  return guarded([&] { return nb::cast(ArrayAt{unwrap(self), nb::none()}).release().ptr(); });
}

void property(PyGetSetDef* def) {
  nb::object descriptor = nb::steal(PyDescr_NewGetSet(array_type, def));
  if (!descriptor || PyObject_SetAttrString(reinterpret_cast<PyObject*>(array_type), def->name,
                                            descriptor.ptr()) < 0)
    throw nb::python_error();
}

}  // namespace

void bind_array_methods(nb::module_& m) {
  bind_helpers(m);
  bind_shape_methods();
  bind_value_methods();
  bind_pickling(m);
  static PyGetSetDef properties[] = {
      {"T", get_t, nullptr, "The array with its axes reversed.", nullptr},
      {"mT", get_mt, nullptr, "The array with its last two axes exchanged.", nullptr},
      {"real", get_real, nullptr, "The real part.", nullptr},
      {"imag", get_imag, nullptr, "The imaginary part.", nullptr},
      {"at", get_at, nullptr, "Updates in which repeated indices all count: x.at[i].add(v).",
       nullptr}};
  for (PyGetSetDef& p : properties) property(&p);
}

}  // namespace plimsoll::python
