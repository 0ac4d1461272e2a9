#include "bindings/host_convert.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <type_traits>
#include <utility>

#include "core/truncate.h"
#include "graph/node.h"

namespace plimsoll::python {
namespace {

constexpr size_t kBlock = 512;

uint16_t half_from_float(float f) {
  uint32_t bits = std::bit_cast<uint32_t>(f);
  uint16_t sign = static_cast<uint16_t>((bits >> 16) & 0x8000);
  uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;   // NaN
  if (magnitude >= 0x477ff000) return sign | 0x7c00;  // rounds to infinity
  if (magnitude >= 0x38800000) {                      // normal
    uint32_t rounded = magnitude + 0xfff + ((magnitude >> 13) & 1);
    return sign | static_cast<uint16_t>((rounded - 0x38000000) >> 13);
  }
  // Subnormal: a half's least step is 2^-24, and nearbyint rounds to even.
  float steps = std::nearbyint(std::bit_cast<float>(magnitude) * 16777216.0f);
  return sign | static_cast<uint16_t>(steps);
}

float float_from_half(uint16_t h) {
  int exponent = (h >> 10) & 31, mantissa = h & 1023;
  float sign = h >> 15 ? -1.0f : 1.0f;
  if (exponent == 31) return mantissa ? std::nanf("") : sign * INFINITY;
  if (exponent == 0) return sign * std::ldexp(static_cast<float>(mantissa), -24);
  return sign * std::ldexp(static_cast<float>(mantissa + 1024), exponent - 25);
}

uint16_t bfloat_from_float(float f) {
  uint32_t bits = std::bit_cast<uint32_t>(f);
  if ((bits & 0x7fffffff) > 0x7f800000) return static_cast<uint16_t>((bits >> 16) | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

float float_from_bfloat(uint16_t b) { return std::bit_cast<float>(uint32_t{b} << 16); }

template <typename T, typename W>
void widen(const void* from, W* out, size_t n) {
  const auto* p = static_cast<const std::byte*>(from);
  for (size_t i = 0; i < n; ++i) out[i] = static_cast<W>(load_as<T>(p + i * sizeof(T)));
}

template <typename T, typename W>
void narrow(const W* in, void* to, size_t n) {
  auto* p = static_cast<std::byte*>(to);
  for (size_t i = 0; i < n; ++i) {
    T v;
    if constexpr (std::is_integral_v<T> && std::is_floating_point_v<W>)
      v = truncate_to<T>(in[i]);
    else
      v = static_cast<T>(in[i]);
    std::memcpy(p + i * sizeof(T), &v, sizeof(T));
  }
}

// Reads integers of any width as int64 (uint64 keeps its bits).
void read_ints(const void* from, Dtype t, int64_t* out, size_t n) {
  switch (t) {
    case Dtype::kBool:
      widen<uint8_t>(from, out, n);
      for (size_t i = 0; i < n; ++i) out[i] = out[i] != 0;
      break;
    case Dtype::kUint8:
      return widen<uint8_t>(from, out, n);
    case Dtype::kUint16:
      return widen<uint16_t>(from, out, n);
    case Dtype::kUint32:
      return widen<uint32_t>(from, out, n);
    case Dtype::kInt8:
      return widen<int8_t>(from, out, n);
    case Dtype::kInt16:
      return widen<int16_t>(from, out, n);
    case Dtype::kInt32:
      return widen<int32_t>(from, out, n);
    default:
      return widen<int64_t>(from, out, n);
  }
}

// Reads any dtype as double (the real part of a complex one).
void read_reals(const void* from, Dtype t, double* out, size_t n) {
  const auto* p = static_cast<const std::byte*>(from);
  switch (t) {
    case Dtype::kFloat16:
      for (size_t i = 0; i < n; ++i) out[i] = float_from_half(load_as<uint16_t>(p + 2 * i));
      break;
    case Dtype::kBfloat16:
      for (size_t i = 0; i < n; ++i) out[i] = float_from_bfloat(load_as<uint16_t>(p + 2 * i));
      break;
    case Dtype::kFloat32:
      return widen<float>(from, out, n);
    case Dtype::kFloat64:
      return widen<double>(from, out, n);
    case Dtype::kComplex64:
      for (size_t i = 0; i < n; ++i) out[i] = load_as<float>(p + 8 * i);
      break;
    case Dtype::kUint64:
      return widen<uint64_t>(from, out, n);
    default: {
      int64_t ints[kBlock];
      read_ints(from, t, ints, n);
      for (size_t i = 0; i < n; ++i) out[i] = static_cast<double>(ints[i]);
    }
  }
}

template <typename W>
void write(const W* in, Dtype t, void* to, size_t n) {
  auto* p = static_cast<std::byte*>(to);
  auto each16 = [&](uint16_t (*round)(float)) {
    for (size_t i = 0; i < n; ++i) {
      uint16_t v = round(static_cast<float>(in[i]));
      std::memcpy(p + 2 * i, &v, 2);
    }
  };
  switch (t) {
    case Dtype::kBool:
      for (size_t i = 0; i < n; ++i) p[i] = std::byte{in[i] != 0};
      break;
    case Dtype::kUint8:
      return narrow<uint8_t>(in, to, n);
    case Dtype::kUint16:
      return narrow<uint16_t>(in, to, n);
    case Dtype::kUint32:
      return narrow<uint32_t>(in, to, n);
    case Dtype::kUint64:
      return narrow<uint64_t>(in, to, n);
    case Dtype::kInt8:
      return narrow<int8_t>(in, to, n);
    case Dtype::kInt16:
      return narrow<int16_t>(in, to, n);
    case Dtype::kInt32:
      return narrow<int32_t>(in, to, n);
    case Dtype::kInt64:
      return narrow<int64_t>(in, to, n);
    case Dtype::kFloat16:
      return each16(half_from_float);
    case Dtype::kBfloat16:
      return each16(bfloat_from_float);
    case Dtype::kFloat32:
      return narrow<float>(in, to, n);
    case Dtype::kFloat64:
      return narrow<double>(in, to, n);
    case Dtype::kComplex64:
      for (size_t i = 0; i < n; ++i) {
        float pair[2] = {static_cast<float>(in[i]), 0};
        std::memcpy(p + 8 * i, pair, 8);
      }
      break;
  }
}

void convert_block(const void* from, Dtype a, void* to, Dtype b, size_t n) {
  if (is_integral(a) && (is_integral(b) || a != Dtype::kUint64)) {
    int64_t ints[kBlock];
    read_ints(from, a, ints, n);
    write(ints, b, to, n);
  } else {
    double reals[kBlock];
    read_reals(from, a, reals, n);
    write(reals, b, to, n);
  }
}

void convert_complex128(const std::byte* from, std::byte* to, Dtype dtype, size_t count) {
  std::complex<float> narrow[kBlock];
  for (size_t at = 0; at < count; at += kBlock) {
    const size_t n = std::min(count - at, kBlock);
    convert_elements(from + 16 * at, Dtype::kFloat64, narrow, Dtype::kFloat32, 2 * n);
    convert_elements(narrow, Dtype::kComplex64, to + at * size_of(dtype), dtype, n);
  }
}

}  // namespace

array from_elements(const std::byte* elements, HostElement element, Shape shape, Dtype dtype) {
  const size_t item = size_of(dtype);
  const size_t from = element.complex128 ? 16 : size_of(element.dtype);
  return graph::from_host(std::move(shape), dtype, [&](ByteRange range, std::byte* to) {
    const std::byte* begin = elements + range.begin / item * from;
    const size_t count = range.size() / item;
    if (element.complex128)
      convert_complex128(begin, to, dtype, count);
    else
      convert_elements(begin, element.dtype, to, dtype, count);
  });
}

void convert_elements(const void* from, Dtype from_dtype, void* to, Dtype to_dtype, size_t count) {
  if (from_dtype == to_dtype) {
    if (count) std::memcpy(to, from, count * size_of(from_dtype));
    return;
  }
  const auto* in = static_cast<const std::byte*>(from);
  auto* out = static_cast<std::byte*>(to);
  while (count > 0) {
    size_t n = std::min(count, kBlock);
    convert_block(in, from_dtype, out, to_dtype, n);
    in += n * size_of(from_dtype);
    out += n * size_of(to_dtype);
    count -= n;
  }
}

std::complex<double> element_as_complex(const void* p, Dtype dtype) {
  if (dtype == Dtype::kComplex64) {
    auto v = load_as<std::complex<float>>(p);
    return {v.real(), v.imag()};
  }
  double real;
  read_reals(p, dtype, &real, 1);
  return real;
}

int64_t element_as_int(const void* p, Dtype dtype) {
  int64_t v;
  read_ints(p, dtype, &v, 1);
  return v;
}

}  // namespace plimsoll::python
