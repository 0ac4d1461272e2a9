#include "bindings/trees.h"

#include <nanobind/nanobind.h>

#include <cstring>
#include <string>
#include <string_view>

#include "base/check.h"
#include "bindings/array_type.h"

namespace plimsoll::python {
namespace {

template <typename F>
void each_array(nb::handle tree, F&& f) {
  Nesting nesting;
  PyObject* o = tree.ptr();
  if (is_array(o)) {
    f(o);
  } else if (PyList_Check(o) || PyTuple_Check(o)) {
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(o); ++i)
      each_array(PySequence_Fast_GET_ITEM(o, i), f);
  } else if (PyDict_Check(o)) {
    PyObject *key, *value;
    Py_ssize_t at = 0;
    while (PyDict_Next(o, &at, &key, &value)) each_array(value, f);
  }
}

nb::object rebuild(nb::handle tree, const std::vector<array>& arrays, size_t& next);

nb::object rebuild_sequence(PyObject* o, const std::vector<array>& arrays, size_t& next) {
  nb::list items;
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(o); ++i)
    items.append(rebuild(PySequence_Fast_GET_ITEM(o, i), arrays, next));
  if (PyList_Check(o)) return items;
  if (PyTuple_CheckExact(o)) return nb::steal(PyList_AsTuple(items.ptr()));
  nb::handle type(reinterpret_cast<PyObject*>(Py_TYPE(o)));
  if (nb::hasattr(type, "_make")) return type.attr("_make")(items);
  return nb::steal(PyList_AsTuple(items.ptr()));
}

nb::object rebuild(nb::handle tree, const std::vector<array>& arrays, size_t& next) {
  Nesting nesting;
  PyObject* o = tree.ptr();
  if (is_array(o)) {
    PLIMSOLL_ASSERT(next < arrays.size());
    return nb::cast(arrays[next++]);
  }
  if (PyList_Check(o) || PyTuple_Check(o)) return rebuild_sequence(o, arrays, next);
  if (!PyDict_Check(o)) return nb::borrow(tree);
  nb::dict out;
  PyObject *key, *value;
  Py_ssize_t at = 0;
  while (PyDict_Next(o, &at, &key, &value)) out[nb::handle(key)] = rebuild(value, arrays, next);
  return out;
}

void replace_below(nb::handle tree, const std::vector<array>& arrays, size_t& next) {
  Nesting nesting;
  PyObject* o = tree.ptr();
  auto fresh = [&] {
    PLIMSOLL_ASSERT(next < arrays.size());
    return nb::cast(arrays[next++]);
  };
  if (is_array(o)) {
    unwrap(o) = nb::cast<array>(fresh());
  } else if (PyList_Check(o)) {
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(o); ++i) {
      PyObject* item = PyList_GET_ITEM(o, i);
      if (is_array(item))
        PyList_SetItem(o, i, fresh().release().ptr());
      else
        replace_below(item, arrays, next);
    }
  } else if (PyTuple_Check(o)) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(o); ++i)
      replace_below(PyTuple_GET_ITEM(o, i), arrays, next);
  } else if (PyDict_Check(o)) {
    PyObject *key, *value;
    Py_ssize_t at = 0;
    while (PyDict_Next(o, &at, &key, &value)) {  // setting a present key keeps the iteration valid
      if (!is_array(value))
        replace_below(value, arrays, next);
      else if (PyDict_SetItem(o, key, fresh().ptr()) < 0)
        throw nb::python_error();
    }
  }
}

template <typename T>
void append(std::string& out, char kind, T value) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  out += kind;
  out.append(bytes, sizeof(T));
}

void append_text(std::string& out, char kind, std::string_view text) {
  append(out, kind, text.size());
  out += text;
}

/// Types that a class derives from lists, tuples, dicts or constants may behave otherwise.
void append_type(std::string& out, char kind, PyObject* o) { append(out, kind, Py_TYPE(o)); }

bool append_constant(PyObject* o, std::string& out) {
  if (o == Py_None) {
    out += 'n';
  } else if (PyLong_Check(o)) {  // a bool has a type of its own
    append_type(out, 'i', o);
    append_text(out, ' ', nb::cast<std::string>(nb::steal(PyLong_Type.tp_repr(o))));
  } else if (PyFloat_Check(o)) {
    append_type(out, 'f', o);
    append(out, ' ', PyFloat_AS_DOUBLE(o));
  } else if (PyUnicode_Check(o)) {
    append_type(out, 's', o);
    Py_ssize_t size;
    const char* text = PyUnicode_AsUTF8AndSize(o, &size);
    if (!text) throw nb::python_error();
    append_text(out, ' ', {text, static_cast<size_t>(size)});
  } else {
    return false;
  }
  return true;
}

}  // namespace

Nesting::Nesting() {
  if (Py_EnterRecursiveCall(" in lists, tuples and dicts of arrays; does one hold itself?"))
    throw nb::python_error();
}

std::vector<array> arrays_in(nb::handle tree) {
  std::vector<array> out;
  each_array(tree, [&](PyObject* o) { out.push_back(unwrap(o)); });
  return out;
}

nb::object with_arrays(nb::handle tree, const std::vector<array>& arrays) {
  size_t next = 0;
  nb::object out = rebuild(tree, arrays, next);
  PLIMSOLL_ASSERT(next == arrays.size());
  return out;
}

void replace_arrays(nb::handle tree, const std::vector<array>& arrays) {
  size_t next = 0;
  replace_below(tree, arrays, next);
  PLIMSOLL_ASSERT(next == arrays.size());
}

bool only_arrays(nb::handle tree) {
  Nesting nesting;
  PyObject* o = tree.ptr();
  if (is_array(o)) return true;
  if (PyList_Check(o) || PyTuple_Check(o)) {
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(o); ++i)
      if (!only_arrays(PySequence_Fast_GET_ITEM(o, i))) return false;
    return true;
  }
  if (!PyDict_Check(o)) return false;
  PyObject *key, *value;
  Py_ssize_t at = 0;
  while (PyDict_Next(o, &at, &key, &value))
    if (!only_arrays(value)) return false;
  return true;
}

void structure_of(nb::handle tree, Leaves leaves, std::string& out) {
  Nesting nesting;
  PyObject* o = tree.ptr();
  if (is_array(o)) {
    const array& a = unwrap(o);
    append(out, '*', a.dtype());
    append(out, 'd', a.shape().size());
    for (int64_t extent : a.shape()) append(out, ' ', extent);
  } else if (PyList_Check(o) || PyTuple_Check(o)) {
    append_type(out, PyList_Check(o) ? '[' : '(', o);
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(o); ++i)
      structure_of(PySequence_Fast_GET_ITEM(o, i), leaves, out);
    out += ']';
  } else if (PyDict_Check(o)) {
    append_type(out, '{', o);
    PyObject *key, *value;
    Py_ssize_t at = 0;
    while (PyDict_Next(o, &at, &key, &value)) {
      structure_of(key, leaves, out);
      structure_of(value, leaves, out);
    }
    out += '}';
  } else if (!append_constant(o, out)) {
    PLIMSOLL_CHECK(
        leaves == Leaves::kAny, ValueError,
        "[compile] expected arguments that are arrays, bools, ints, floats, strings or "
        "None, in lists, tuples and dicts, got {}; make it an array, or let the function "
        "find it outside of its arguments",
        Py_TYPE(o)->tp_name);
    out += '?';
  }
}

}  // namespace plimsoll::python
