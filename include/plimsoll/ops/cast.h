// Change of dtype.
#pragma once

#include "plimsoll/array.h"

namespace plimsoll {

/// `a` with its elements converted; `a` itself where it has the dtype already.
array astype(const array& a, Dtype dtype);
/// The same values, through which no gradient flows.
array stop_gradient(const array& a);

}  // namespace plimsoll
