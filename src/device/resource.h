// Where a memory space gets its address ranges and pages. Only memory/ (the pool) calls it.
#pragma once

#include <cstddef>

#include "base/bytes.h"

namespace plimsoll::device {

/// Thread-safe. Nothing here raises: refusals are return values.
class Resource {
 public:
  virtual ~Resource() = default;
  /// Granularity of commit and decommit in ordinary and in huge ranges (0: no huge pages).
  virtual Bytes page_size() const = 0;
  virtual Bytes huge_page_size() const = 0;
  /// An address range without pages, aligned to `alignment` (a power of two ≥ page_size), or null.
  /// `huge` ranges are backed by huge pages only; commit and decommit them in whole ones.
  virtual std::byte* reserve_address(Bytes size, Bytes alignment, bool huge) noexcept = 0;
  /// REQUIRES: exactly a range that reserve_address returned.
  virtual void release_address(std::byte* address, Bytes size) noexcept = 0;
  /// After it the pages may be touched. False: the system refused.
  virtual bool commit(std::byte* address, Bytes size, bool huge) noexcept = 0;
  /// Gives the pages back at once; contents are lost.
  virtual void decommit(std::byte* address, Bytes size) noexcept = 0;
  /// Moves the pages of one range to another, which has none; the first is left without. False
  /// where the system cannot, or should not now; nothing has changed then.
  virtual bool move_pages(std::byte* from, std::byte* to, Bytes size) noexcept {
    (void)from, (void)to, (void)size;
    return false;
  }
};

}  // namespace plimsoll::device
