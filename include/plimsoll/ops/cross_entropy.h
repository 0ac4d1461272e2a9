// Cross entropy of scores against classes.
#pragma once

#include "plimsoll/array.h"

namespace plimsoll::fast {

/// logsumexp(logits) - logits[target] over the last axis, in float32.
array cross_entropy(const array& logits, const array& targets);

}  // namespace plimsoll::fast
