// The floating-point mode that every kernel worker computes in, whatever the caller's is.
#pragma once

#include <xmmintrin.h>

namespace plimsoll::cpu {

/// Round to nearest even, denormals kept, exceptions masked, for the lifetime of the object; the
/// thread's own mode comes back afterwards.
class ScopedFloatMode {
 public:
  ScopedFloatMode() : saved_(_mm_getcsr()) { _mm_setcsr(kMode); }
  ~ScopedFloatMode() { _mm_setcsr(saved_); }
  ScopedFloatMode(const ScopedFloatMode&) = delete;
  ScopedFloatMode& operator=(const ScopedFloatMode&) = delete;

 private:
  static constexpr unsigned kMode = 0x1F80;
  unsigned saved_;
};

}  // namespace plimsoll::cpu
