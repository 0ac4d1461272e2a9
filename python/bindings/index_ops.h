// Small compositions of operations that indexing is made of.
#pragma once

#include "core/shape.h"
#include "plimsoll/array.h"

namespace plimsoll::python {

/// A normalised strided window: start in [0, extent], stop in [-1, extent], as Python's slice gives
/// them.
struct Range {
  Dims start, stop, step;
};
array read_range(const array& a, const Range& range);
array write_range(const array& a, const array& update, const Range& range);

/// `a` itself where it has the shape already.
array reshaped(const array& a, const Shape& shape);
array broadcasted(const array& a, const Shape& shape);
/// `count` axes that start at `from` moved so that they start at `to`.
array move_axes(const array& a, int64_t from, int64_t count, int64_t to);

}  // namespace plimsoll::python
