#include "plimsoll/array.h"

#include <cstring>

#include "base/check.h"
#include "graph/node.h"

namespace plimsoll {
namespace {

graph::Node* keep(array made) {
  graph::Node* node = made.node();
  graph::retain(node);
  return node;
}

graph::Node* integer(int64_t value, Dtype dtype) {
  return keep(
      graph::constant({.dtype = dtype, .real = static_cast<double>(value), .integer = value}));
}

graph::Node* real(double value, Dtype dtype) {
  return keep(graph::constant({.dtype = dtype,
                               .real = value,
                               .integer = is_integral(dtype) ? static_cast<int64_t>(value) : 0}));
}

bool fits_int32(int64_t v) { return v == static_cast<int32_t>(v); }

}  // namespace

array::array(bool value) : node_(integer(value, Dtype::kBool)) {}
array::array(int value) : node_(integer(value, Dtype::kInt32)) {}
array::array(int64_t value)
    : node_(integer(value, fits_int32(value) ? Dtype::kInt32 : Dtype::kInt64)) {}
array::array(float value) : node_(real(value, Dtype::kFloat32)) {}
array::array(double value) : node_(real(value, Dtype::kFloat32)) {}
array::array(std::complex<float> value)
    : node_(keep(graph::constant(
          {.dtype = Dtype::kComplex64, .real = value.real(), .imag = value.imag()}))) {}
array::array(double value, Dtype dtype) : node_(real(value, dtype)) {}
array::array(int64_t value, Dtype dtype) : node_(integer(value, dtype)) {}

array::array(const void* data, Shape shape, Dtype dtype) {
  const auto* from = static_cast<const std::byte*>(data);
  node_ = keep(graph::from_host(std::move(shape), dtype, [from](ByteRange range, std::byte* to) {
    std::memcpy(to, from + range.begin, range.size());
  }));
}

const Shape& array::shape() const { return node_->shape; }
int64_t array::shape(int axis) const { return node_->shape[normalize_axis(axis, ndim(), "shape")]; }
Dtype array::dtype() const { return node_->dtype; }
bool array::is_available() const { return node_->available(); }

void array::eval() const {
  if (!node_->available()) graph::evaluator().eval({this, 1});
}

void array::copy_to(void* out) const {
  eval();
  graph::evaluator().copy_out(*node_, out);
}

namespace {

template <typename T>
T load(const void* p) {
  T v;
  std::memcpy(&v, p, sizeof(T));
  return v;
}

double half_to_double(uint16_t h) {
  int exponent = (h >> 10) & 31, mantissa = h & 1023;
  double sign = h >> 15 ? -1.0 : 1.0;
  if (exponent == 31) return mantissa ? __builtin_nan("") : sign * __builtin_inf();
  if (exponent == 0) return sign * __builtin_ldexp(mantissa, -24);
  return sign * __builtin_ldexp(mantissa + 1024, exponent - 25);
}

template <typename R>
R convert(const void* p, Dtype dtype) {
  switch (dtype) {
    case Dtype::kBool:
      return load<uint8_t>(p) != 0;
    case Dtype::kUint8:
      return load<uint8_t>(p);
    case Dtype::kUint16:
      return load<uint16_t>(p);
    case Dtype::kUint32:
      return load<uint32_t>(p);
    case Dtype::kUint64:
      return static_cast<R>(load<uint64_t>(p));
    case Dtype::kInt8:
      return load<int8_t>(p);
    case Dtype::kInt16:
      return load<int16_t>(p);
    case Dtype::kInt32:
      return load<int32_t>(p);
    case Dtype::kInt64:
      return static_cast<R>(load<int64_t>(p));
    case Dtype::kFloat16:
      return static_cast<R>(half_to_double(load<uint16_t>(p)));
    case Dtype::kBfloat16:
      return static_cast<R>(std::bit_cast<float>(uint32_t{load<uint16_t>(p)} << 16));
    case Dtype::kFloat64:
      return static_cast<R>(load<double>(p));
    default:
      return static_cast<R>(load<float>(p));
  }
}

template <typename R>
R item(const array& a) {
  PLIMSOLL_CHECK(a.size() == 1, ValueError, "[item] expected an array of one element, got shape {}",
                 to_string(a.shape()));
  char bytes[16];
  a.copy_to(bytes);
  return convert<R>(bytes, a.dtype());
}

}  // namespace

double array::item_double() const { return item<double>(*this); }
int64_t array::item_int() const { return item<int64_t>(*this); }

}  // namespace plimsoll
