// repr(array), reading only the edges of a large one.
#include <fmt/format.h>
#include <nanobind/nanobind.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "bindings/array.h"
#include "bindings/array_type.h"
#include "bindings/convert.h"
#include "bindings/errors.h"
#include "bindings/host_convert.h"
#include "bindings/index.h"
#include "core/shape.h"

namespace plimsoll::python {
namespace {

// MLX's rule: an axis longer than six shows three elements at each end.
constexpr int64_t kEdge = 3;

std::atomic<int> precision{-1};  // digits behind the point; negative: six significant digits

std::string number(double v) {
  if (std::isnan(v)) return "nan";
  if (std::isinf(v)) return v > 0 ? "inf" : "-inf";
  int digits = precision.load(std::memory_order_relaxed);
  return digits < 0 ? fmt::format("{:g}", v) : fmt::format("{:.{}f}", v, digits);
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

// Reads the edges of every long axis, each end by itself: what lies between is not touched.
class Edges {
 public:
  explicit Edges(const array& a) : shape_(a.shape()), item_(size_of(a.dtype())) {
    for (int64_t& n : shape_) n = std::min(n, 2 * kEdge);
    strides_ = row_major(shape_);
    bytes_.resize(static_cast<size_t>(num_elements(shape_)) * item_);
    if (!bytes_.empty()) read(a, 0, 0);
  }
  const Shape& shape() const { return shape_; }
  const std::byte* data() const { return bytes_.data(); }

 private:
  void read(const array& part, int axis, int64_t at) {
    if (axis == part.ndim()) {
      std::vector<std::byte> bytes = read_elements(part);
      const std::byte* next = bytes.data();
      return place(part.shape(), 0, at, next);
    }
    const int64_t n = part.shape()[axis];
    if (n <= 2 * kEdge) return read(part, axis + 1, at);
    read(slice_axis(part, axis, 0, kEdge), axis + 1, at);
    read(slice_axis(part, axis, n - kEdge, n), axis + 1, at + kEdge * strides_[axis]);
  }

  void place(const Shape& part, size_t axis, int64_t at, const std::byte*& next) {
    if (axis == part.size()) {
      std::memcpy(bytes_.data() + static_cast<size_t>(at) * item_, next, item_);
      next += item_;
      return;
    }
    for (int64_t i = 0; i < part[axis]; ++i) place(part, axis + 1, at + i * strides_[axis], next);
  }

  Shape shape_;
  Strides strides_;
  size_t item_;
  std::vector<std::byte> bytes_;
};

}  // namespace

PyObject* repr(PyObject* self) {
  return guarded([&]() -> PyObject* {
    array a = unwrap(self);
    if (a.size() > 0 && !a.is_available()) without_gil([&] { a.eval(); });
    Edges edges(a);
    Printer printer{edges.shape(), a.shape(), a.dtype(), edges.data(), {}};
    printer.print(0);
    std::string text = fmt::format("array({}, dtype={})", printer.out, name_of(a.dtype()));
    return PyUnicode_FromStringAndSize(text.data(), static_cast<Py_ssize_t>(text.size()));
  });
}

void bind_print_options(nb::module_& m) {
  m.def(
      "_print_precision", [] { return precision.load(); },
      "Digits behind the point that arrays are printed with; negative: six significant digits.");
  m.def(
      "_set_print_precision", [](int digits) { precision = digits; }, nb::arg("digits"),
      "Sets what _print_precision gives.");
}

}  // namespace plimsoll::python
