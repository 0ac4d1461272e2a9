// More threads than cores, so that tests of bits see many on a small machine.
#pragma once

#include <oneapi/tbb/global_control.h>

namespace plimsoll::test {

/// Up to sixteen threads, more than this machine may have cores. For good: TBB warns on standard
/// error where an arena asks for more than a control of the moment allows.
inline void allow_sixteen_threads() {
  static const tbb::global_control kMost(tbb::global_control::max_allowed_parallelism, 16);
}

}  // namespace plimsoll::test
