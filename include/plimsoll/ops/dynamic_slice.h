// Slices whose start is an array, known only when it is evaluated.
#pragma once

#include "plimsoll/array.h"

namespace plimsoll {

array slice(const array& a, const array& start_indices, const Dims& axes, const Shape& slice_size);
array slice_update(const array& a, const array& update, const array& start_indices,
                   const Dims& axes);

}  // namespace plimsoll
