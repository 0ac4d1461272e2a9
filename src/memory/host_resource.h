// Host memory from mmap: private anonymous ranges, pages by first touch.
#pragma once

#include <atomic>

#include "device/resource.h"

namespace plimsoll::memory {

/// Ranges are readable and writable from the start and never change protection, so that a range
/// stays one mapping; decommit is MADV_DONTNEED. Moving pages splits mappings: it stops while the
/// process has half as many as it may have (max_map_count).
class HostResource final : public device::Resource {
 public:
  HostResource();
  Bytes page_size() const override { return page_size_; }
  Bytes huge_page_size() const override { return huge_page_size_; }
  std::byte* reserve_address(Bytes size, Bytes alignment, bool huge) noexcept override;
  void release_address(std::byte* address, Bytes size) noexcept override;
  bool commit(std::byte* address, Bytes size, bool huge) noexcept override;
  void decommit(std::byte* address, Bytes size) noexcept override;
  bool move_pages(std::byte* from, std::byte* to, Bytes size) noexcept override;

 private:
  static constexpr uint32_t kCheckEvery = 2048;  // moves, each of which adds two mappings at most
  std::atomic<uint32_t> moves_{0};
  std::atomic<bool> crowded_{false};
  Bytes page_size_;
  Bytes huge_page_size_;
};

}  // namespace plimsoll::memory
