// What AddressSanitizer cannot know of memory that is not malloc's; nothing in other builds.
#pragma once

#include <cstddef>

#include "base/bytes.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

namespace plimsoll::platform {

/// Nobody may read or write the range until it is unpoisoned.
inline void poison([[maybe_unused]] std::byte* address, [[maybe_unused]] Bytes size) noexcept {
#ifdef __SANITIZE_ADDRESS__
  ASAN_POISON_MEMORY_REGION(address, size);
#endif
}

inline void unpoison([[maybe_unused]] std::byte* address, [[maybe_unused]] Bytes size) noexcept {
#ifdef __SANITIZE_ADDRESS__
  ASAN_UNPOISON_MEMORY_REGION(address, size);
#endif
}

}  // namespace plimsoll::platform
