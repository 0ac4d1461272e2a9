// array(value, dtype): scalars, nested sequences, NumPy arrays.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <complex>
#include <cstring>
#include <string>

#include "base/check.h"
#include "bindings/array_type.h"
#include "bindings/convert.h"
#include "bindings/dlpack.h"
#include "bindings/errors.h"
#include "bindings/host_convert.h"
#include "graph/node.h"
#include "plimsoll/ops/cast.h"
#include "plimsoll/ops/join.h"

namespace plimsoll::python {
namespace {

[[noreturn]] void invalid_type(PyObject* o) {
  throw ValueError(
      fmt::format("[array] Invalid type {} received in array initialization; pass a number, or "
                  "lists, tuples, arrays or buffers of numbers",
                  Py_TYPE(o)->tp_name));
}

// ---- The buffer protocol.

class BufferView {
 public:
  explicit BufferView(PyObject* o) {
    if (PyObject_GetBuffer(o, &view_, PyBUF_FULL_RO) < 0) throw nb::python_error();
  }
  BufferView(const BufferView&) = delete;
  BufferView& operator=(const BufferView&) = delete;
  ~BufferView() { PyBuffer_Release(&view_); }
  Py_buffer* operator->() { return &view_; }
  Py_buffer* get() { return &view_; }

 private:
  Py_buffer view_{};
};

Dtype integer_of(bool is_signed, Py_ssize_t bytes) {
  switch (bytes) {
    case 1:
      return is_signed ? Dtype::kInt8 : Dtype::kUint8;
    case 2:
      return is_signed ? Dtype::kInt16 : Dtype::kUint16;
    case 4:
      return is_signed ? Dtype::kInt32 : Dtype::kUint32;
    default:
      return is_signed ? Dtype::kInt64 : Dtype::kUint64;
  }
}

HostElement element_of(const Py_buffer& view) {
  std::string_view format = view.format ? view.format : "B";
  if (format.starts_with('<') || format.starts_with('=') || format.starts_with('@'))
    format.remove_prefix(1);
  if (format == "?") return {Dtype::kBool};
  if (format == "e") return {Dtype::kFloat16};
  if (format == "f") return {Dtype::kFloat32};
  if (format == "d") return {Dtype::kFloat64};
  if (format == "Zf") return {Dtype::kComplex64};
  if (format == "Zd") return {Dtype::kComplex64, true};
  if (format.size() == 1 && std::strchr("bhilqn", format[0]))
    return {integer_of(true, view.itemsize)};
  if (format.size() == 1 && std::strchr("BHILQN", format[0]))
    return {integer_of(false, view.itemsize)};
  throw ValueError(
      fmt::format("[array] expected a buffer of numbers, got elements of format \"{}\"; convert "
                  "them first, as NumPy's astype does",
                  format));
}

// The elements in row-major order, in `dtype`. Large copies run without the GIL.
array from_buffer(PyObject* o, std::optional<Dtype> dtype, bool bfloat16) {
  BufferView view(o);
  HostElement element = element_of(*view.get());
  if (bfloat16) element.dtype = Dtype::kBfloat16;
  Shape shape(view->shape, view->shape + view->ndim);
  Dtype wanted = dtype.value_or(element.dtype == Dtype::kFloat64 ? Dtype::kFloat32 : element.dtype);
  const auto* bytes = static_cast<const std::byte*>(view->buf);
  std::vector<std::byte> packed;
  if (!PyBuffer_IsContiguous(view.get(), 'C')) {
    packed.resize(static_cast<size_t>(view->len));
    if (PyBuffer_ToContiguous(packed.data(), view.get(), view->len, 'C') < 0)
      throw nb::python_error();
    bytes = packed.data();
  }
  return without_gil([&] { return from_elements(bytes, element, shape, wanted); });
}

bool is_numpy_bfloat16(PyObject* o) {
  if (!nb::hasattr(o, "dtype")) return false;
  nb::object dtype = nb::handle(o).attr("dtype");
  // NumPy makes a name anew each time, which takes longer than the rest.
  if (nb::hasattr(dtype, "isbuiltin") && nb::cast<int>(dtype.attr("isbuiltin")) == 1) return false;
  return nb::hasattr(dtype, "name") &&
         nb::cast<std::string>(nb::str(dtype.attr("name"))) == "bfloat16";
}

std::optional<array> foreign_array(PyObject* o, std::optional<Dtype> dtype) {
  if (PyUnicode_Check(o) || PyBytes_Check(o) || PyType_Check(o) || is_numpy_time(o))
    return std::nullopt;
  if (is_numpy_bfloat16(o)) {
    nb::object bits = nb::handle(o).attr("view")("uint16");
    return from_buffer(bits.ptr(), dtype, true);
  }
  if (PyObject_CheckBuffer(o)) return from_buffer(o, dtype, false);
  for (const char* protocol : {"__mlx_array__", "__array__"}) {
    if (!nb::hasattr(o, protocol)) continue;
    nb::object a = nb::handle(o).attr(protocol)();
    if (is_array(a.ptr())) return unwrap(a.ptr());
    if (PyObject_CheckBuffer(a.ptr())) return from_buffer(a.ptr(), dtype, false);
  }
  if (nb::hasattr(o, "__dlpack__")) return from_dlpack(o, dtype);
  return std::nullopt;
}

// NumPy's scalars that are no Python numbers have a dtype to keep.
bool is_typed_scalar(PyObject* o) {
  return strncmp(Py_TYPE(o)->tp_name, "numpy.", 6) == 0 && !PyFloat_Check(o) &&
         !PyComplex_Check(o) && PyObject_CheckBuffer(o);
}

// ---- Nested sequences.

enum class Leaf : uint8_t { kNothing, kBool, kInt, kLong, kFloat, kComplex, kArray };

struct Survey {
  Shape shape;
  Leaf leaf = Leaf::kNothing;
  bool known_depth = false;
};

bool is_sequence(PyObject* o) { return PyList_Check(o) || PyTuple_Check(o); }

Leaf leaf_of(PyObject* o) {
  if (PyFloat_Check(o)) return Leaf::kFloat;
  if (PyBool_Check(o)) return Leaf::kBool;
  if (is_array(o)) return Leaf::kArray;
  if (!PyLong_Check(o) && (PyComplex_Check(o) || is_foreign_complex(o))) return Leaf::kComplex;
  if (PyLong_Check(o) || is_scalar(o)) {
    int64_t v;
    if (!to_int(o, v)) return Leaf::kFloat;
    return v == static_cast<int32_t>(v) ? Leaf::kInt : Leaf::kLong;
  }
  invalid_type(o);
}

constexpr size_t kMaxDepth = 1000;
constexpr const char* kRagged =
    "[array] Initialization encountered non-uniform length: expected lists of one length beside "
    "each other, got others; pad them first";

void survey(PyObject* o, size_t depth, Survey& s) {
  if (!is_sequence(o)) {
    PLIMSOLL_CHECK(!s.known_depth || depth == s.shape.size(), ValueError, kRagged);
    s.known_depth = true;
    s.leaf = std::max(s.leaf, leaf_of(o));
    return;
  }
  PLIMSOLL_CHECK(depth < kMaxDepth, ValueError,
                 "[array] expected lists nested at most {} deep, got more; does one hold itself?",
                 kMaxDepth);
  Py_ssize_t n = PySequence_Fast_GET_SIZE(o);
  if (depth == s.shape.size() && !s.known_depth)
    s.shape.push_back(n);
  else
    PLIMSOLL_CHECK(depth < s.shape.size() && s.shape[depth] == n, ValueError, kRagged);
  if (n == 0) s.known_depth = true;
  for (Py_ssize_t i = 0; i < n; ++i) survey(PySequence_Fast_GET_ITEM(o, i), depth + 1, s);
}

template <typename T, typename Read>
void collect(PyObject* o, std::vector<T>& out, Read read) {
  if (!is_sequence(o)) {
    out.push_back(read(o));
    return;
  }
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(o); ++i)
    collect(PySequence_Fast_GET_ITEM(o, i), out, read);
}

template <typename T>
array from_values(const std::vector<T>& values, Dtype held, Survey& s, Dtype wanted) {
  const auto* bytes = reinterpret_cast<const std::byte*>(values.data());
  return without_gil([&] { return from_elements(bytes, {held}, s.shape, wanted); });
}

int64_t read_int(PyObject* o) {
  int64_t v = 0;
  if (!to_int(o, v)) throw ValueError("[array] expected an integer");
  return v;
}

double read_real(PyObject* o) {
  double v = PyFloat_AsDouble(o);
  if (v == -1.0 && PyErr_Occurred()) throw nb::python_error();
  return v;
}

std::complex<float> read_complex(PyObject* o) {
  Py_complex c = PyComplex_AsCComplex(o);
  if (c.real == -1.0 && PyErr_Occurred()) throw nb::python_error();
  return {static_cast<float>(c.real), static_cast<float>(c.imag)};
}

array stack_arrays(PyObject* o, std::optional<Dtype> dtype) {
  std::vector<array> parts;
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(o); ++i)
    parts.push_back(make_array(PySequence_Fast_GET_ITEM(o, i), dtype));
  return stack(parts);
}

array from_sequence(PyObject* o, std::optional<Dtype> dtype) {
  Survey s;
  survey(o, 0, s);
  auto count = static_cast<size_t>(num_elements(s.shape));
  switch (s.leaf) {
    case Leaf::kArray:
      return stack_arrays(o, dtype);
    case Leaf::kNothing: {
      char none = 0;
      return array(&none, s.shape, dtype.value_or(Dtype::kFloat32));
    }
    case Leaf::kBool:
    case Leaf::kInt:
    case Leaf::kLong: {
      std::vector<int64_t> v;
      v.reserve(count);
      collect(o, v, read_int);
      Dtype natural = s.leaf == Leaf::kBool  ? Dtype::kBool
                      : s.leaf == Leaf::kInt ? Dtype::kInt32
                                             : Dtype::kInt64;
      return from_values(v, Dtype::kInt64, s, dtype.value_or(natural));
    }
    case Leaf::kFloat: {
      std::vector<double> v;
      v.reserve(count);
      collect(o, v, read_real);
      return from_values(v, Dtype::kFloat64, s, dtype.value_or(Dtype::kFloat32));
    }
    case Leaf::kComplex: {
      std::vector<std::complex<float>> v;
      v.reserve(count);
      collect(o, v, read_complex);
      return from_values(v, Dtype::kComplex64, s, dtype.value_or(Dtype::kComplex64));
    }
  }
  throw Error("[array] unreachable");
}

array from_scalar(PyObject* o, std::optional<Dtype> dtype) {
  array weak = *weak_scalar(o);
  array strong = graph::constant(weak.node()->constant);
  if (!dtype || *dtype == weak.dtype()) return strong;
  // Integers wrap; a float is rounded to the dtype only.
  return astype(is_integral(weak.dtype()) ? strong : weak, *dtype);
}

}  // namespace

std::optional<array> array_like(PyObject* o) {
  if (is_sequence(o) || PyLong_Check(o) || PyFloat_Check(o)) return std::nullopt;
  return foreign_array(o, std::nullopt);
}

array make_array(nb::handle value, std::optional<Dtype> dtype) {
  PyObject* o = value.ptr();
  if (is_array(o)) {
    array a = unwrap(o);
    return !dtype || *dtype == a.dtype() ? a : astype(a, *dtype);
  }
  if (is_scalar(o) && !is_typed_scalar(o)) return from_scalar(o, dtype);
  if (is_sequence(o)) return from_sequence(o, dtype);
  if (auto a = foreign_array(o, dtype)) {
    return !dtype || a->dtype() == *dtype ? *a : astype(*a, *dtype);
  }
  PLIMSOLL_CHECK(o != Py_None, TypeError,
                 "array(): expected a scalar, list, tuple, array or buffer and a Dtype, got {}",
                 Py_TYPE(o)->tp_name);
  invalid_type(o);
}

}  // namespace plimsoll::python
