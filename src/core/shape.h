// Shapes and strides (in elements), and the layout of an array inside its buffer.
#pragma once

#include <cstdint>
#include <string>

#include "base/small_vector.h"

namespace plimsoll {

using Dims = SmallVector<int64_t, 6>;
using Shape = Dims;
using Strides = Dims;

/// Product of the dimensions; throws ValueError where it passes 2^62.
int64_t num_elements(const Shape& shape);
/// Strides of a row-major array.
Strides row_major(const Shape& shape);
/// "(2, 3)" or "(2,)".
std::string to_string(const Shape& shape);
/// Axis in [0, ndim) for one in [-ndim, ndim); throws ValueError naming `op`.
int normalize_axis(int64_t axis, int ndim, const char* op);
/// NumPy's broadcasting; throws ShapeError naming `op`.
Shape broadcast_shapes(const Shape& a, const Shape& b, const char* op);
/// Strides that read an array of `shape` as if it had `target`'s shape (0 on repeated axes).
Strides broadcast_strides(const Shape& shape, const Strides& strides, const Shape& target);

/// Where an array lies in its buffer, in elements of its dtype.
struct Layout {
  int64_t offset = 0;
  Strides strides;
};

/// True where the elements are consecutive in row-major order (axes of size 1 do not matter).
bool is_row_contiguous(const Shape& shape, const Strides& strides);

/// Least and greatest element index that a non-empty array touches.
struct ElementSpan {
  int64_t first;
  int64_t last;
};
ElementSpan element_span(const Shape& shape, const Layout& layout);

}  // namespace plimsoll
