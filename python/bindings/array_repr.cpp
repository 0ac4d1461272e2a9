// repr(array), reading only the edges of a large one.
#include <fmt/format.h>
#include <nanobind/nanobind.h>

#include <cmath>
#include <string>

#include "bindings/array.h"
#include "bindings/array_type.h"
#include "bindings/convert.h"
#include "bindings/errors.h"
#include "bindings/host_convert.h"
#include "bindings/index.h"

namespace plimsoll::python {
namespace {

// MLX's rule: an axis longer than six shows three elements at each end.
constexpr int64_t kEdge = 3;

std::string number(double v) {
  if (std::isnan(v)) return "nan";
  if (std::isinf(v)) return v > 0 ? "inf" : "-inf";
  return fmt::format("{:g}", v);
}

std::string text_of(const std::byte* p, Dtype dtype) {
  if (dtype == Dtype::kBool) return element_as_int(p, dtype) ? "True" : "False";
  if (dtype == Dtype::kUint64) return fmt::format("{}", load_as<uint64_t>(p));
  if (is_integral(dtype)) return fmt::format("{}", element_as_int(p, dtype));
  std::complex<double> v = element_as_complex(p, dtype);
  if (dtype != Dtype::kComplex64) return number(v.real());
  return number(v.real()) + (std::signbit(v.imag()) ? "-" : "+") + number(std::abs(v.imag())) + "j";
}

struct Printer {
  Shape shape;  // of what was read
  Shape full;   // of the array
  Dtype dtype;
  const std::byte* next;
  std::string out;

  bool shortened(size_t axis) const { return shape[axis] < full[axis]; }

  void print(size_t axis) {
    if (axis == shape.size()) {
      out += text_of(next, dtype);
      next += size_of(dtype);
      return;
    }
    std::string gap = axis + 1 == shape.size() ? ", " : ",\n" + std::string(7 + axis, ' ');
    out += "[";
    for (int64_t i = 0; i < shape[axis]; ++i) {
      if (i) out += gap;
      if (i == kEdge && shortened(axis)) out += "..." + gap;
      print(axis + 1);
    }
    out += "]";
  }
};

// The edges of every long axis, joined.
array edges(const array& a) {
  array out = a;
  for (int axis = 0; axis < a.ndim(); ++axis) {
    if (a.shape()[axis] <= 2 * kEdge) continue;
    int64_t n = a.shape()[axis];
    out = join(slice_axis(out, axis, 0, kEdge), slice_axis(out, axis, n - kEdge, n), axis);
  }
  return out;
}

}  // namespace

PyObject* repr(PyObject* self) {
  return guarded([&]() -> PyObject* {
    array a = unwrap(self);
    std::vector<std::byte> bytes;
    Shape shown_shape = a.shape();
    if (a.size() > 0) {
      if (!a.is_available()) without_gil([&] { a.eval(); });
      array shown = edges(a);
      shown_shape = shown.shape();
      bytes = read_elements(shown);
    }
    Printer printer{shown_shape, a.shape(), a.dtype(), bytes.data(), {}};
    printer.print(0);
    std::string text = fmt::format("array({}, dtype={})", printer.out, name_of(a.dtype()));
    return PyUnicode_FromStringAndSize(text.data(), static_cast<Py_ssize_t>(text.size()));
  });
}

}  // namespace plimsoll::python
