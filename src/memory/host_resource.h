// Host memory from mmap: private anonymous ranges, pages by first touch.
#pragma once

#include "device/resource.h"

namespace plimsoll::memory {

/// Ranges are readable and writable from the start and never change protection, so that a range
/// stays one mapping (max_map_count); decommit is MADV_DONTNEED.
class HostResource final : public device::Resource {
 public:
  HostResource();
  Bytes page_size() const override { return page_size_; }
  Bytes huge_page_size() const override { return huge_page_size_; }
  std::byte* reserve_address(Bytes size, Bytes alignment, bool huge) noexcept override;
  void release_address(std::byte* address, Bytes size) noexcept override;
  bool commit(std::byte* address, Bytes size, bool huge) noexcept override;
  void decommit(std::byte* address, Bytes size) noexcept override;

 private:
  Bytes page_size_;
  Bytes huge_page_size_;
};

}  // namespace plimsoll::memory
