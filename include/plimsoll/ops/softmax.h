// Softmax.
#pragma once

#include "plimsoll/ops/reduce.h"

namespace plimsoll {

/// exp(a) over its sum along the axes (all of them for nullopt), without overflow. Integers are
/// computed in float32. Sums are always in float32 or better, so `precise` makes no difference.
array softmax(const array& a, const Axes& axes = std::nullopt, bool precise = false);

}  // namespace plimsoll
