// Conversion of host elements between dtypes, for lists, NumPy arrays and Python numbers.
#pragma once

#include <complex>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "plimsoll/array.h"
#include "plimsoll/dtype.h"

namespace plimsoll::python {

/// Converts `count` elements as astype does (a float to an integer by truncate_to, to half by
/// rounding to nearest even; a complex number loses its imaginary part; anything becomes bool by
/// comparison with 0).
void convert_elements(const void* from, Dtype from_dtype, void* to, Dtype to_dtype, size_t count);

/// Elements outside; those of complex128 have no Dtype of their own.
struct HostElement {
  Dtype dtype;
  bool complex128 = false;
};

/// An array in `dtype` of row-major elements, which are converted on their way.
array from_elements(const std::byte* elements, HostElement element, Shape shape, Dtype dtype);

template <typename T>
T load_as(const void* p) {
  T v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

/// One element as a complex double, whatever its dtype; int64 values beyond 2^53 round.
std::complex<double> element_as_complex(const void* p, Dtype dtype);
/// One element of an integral dtype; uint64 wraps.
int64_t element_as_int(const void* p, Dtype dtype);

}  // namespace plimsoll::python
