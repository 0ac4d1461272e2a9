// Tapering windows.
#pragma once

#include "plimsoll/array.h"

namespace plimsoll {

array hanning(int64_t m);
array hamming(int64_t m);
array blackman(int64_t m);
array bartlett(int64_t m);

}  // namespace plimsoll
