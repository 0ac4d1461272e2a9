// Which parts of the spill file are in use, free, and promised to a plan.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "base/bytes.h"
#include "memory/file.h"

namespace plimsoll::memory {

/// A part of the file; offset and size are multiples of 4 KiB.
struct Fragment {
  uint64_t offset = 0;
  Bytes size = 0;
};
using Fragments = std::vector<Fragment>;

/// Not thread-safe. Invariant: free ≥ promised. Freed space is used again before a promise is, so a
/// plan promises the most that it has in the store at one time.
class SpillSpace {
 public:
  explicit SpillSpace(Bytes limit) : limit_(limit) {}

  /// Secures bytes for later, growing the file. Raises IoError (ENOSPC).
  void promise(File& file, Bytes bytes);
  void unpromise(Bytes bytes) { promised_ -= bytes; }

  /// Space for `bytes`: what is free and not promised, then `*own_promise` (which is lowered), then
  /// the file grows. In one piece if one is free. Raises IoError (ENOSPC).
  Fragments take(File& file, Bytes bytes, Bytes* own_promise);
  void give(const Fragments& fragments) noexcept;

  /// Cuts off free space at the end that is not promised.
  void shrink(File& file) noexcept;

  Bytes used() const { return length_ - free_; }
  Bytes free() const { return free_; }
  Bytes promised() const { return promised_; }
  Bytes length() const { return length_; }
  Bytes limit() const { return limit_; }
  /// False once the file system could not promise space (no fallocate).
  bool guaranteed() const { return guaranteed_; }

 private:
  void grow(File& file, Bytes bytes);
  void insert(uint64_t offset, Bytes size);

  const Bytes limit_;
  std::map<uint64_t, Bytes> holes_;  // by offset, neighbours joined
  Bytes length_ = 0;
  Bytes free_ = 0;
  Bytes promised_ = 0;
  bool guaranteed_ = true;
};

}  // namespace plimsoll::memory
