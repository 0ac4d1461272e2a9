// Evaluating several arrays at once.
#pragma once

#include <span>

#include "plimsoll/array.h"

namespace plimsoll {

/// Computes the arrays now and waits. Raises what went wrong; every array stays valid.
void eval(std::span<const array> outputs);
/// Starts computing and returns; the next use of a result waits.
void async_eval(std::span<const array> outputs);

}  // namespace plimsoll
