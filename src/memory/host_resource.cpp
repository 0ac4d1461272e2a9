#include "memory/host_resource.h"

#include "base/platform_linux.h"

namespace plimsoll::memory {

HostResource::HostResource()
    : page_size_(platform::page_size()), huge_page_size_(platform::huge_page_size()) {}

std::byte* HostResource::reserve_address(Bytes size, Bytes alignment, bool huge) noexcept {
  std::byte* address = platform::map_anonymous(size, alignment);
  // Without NOHUGEPAGE khugepaged would grow ranges past what the ledger was charged. Kernels
  // without huge pages refuse the advice and need none.
  if (address != nullptr && huge_page_size_ != 0) platform::advise_huge_pages(address, size, huge);
  return address;
}

void HostResource::release_address(std::byte* address, Bytes size) noexcept {
  platform::unmap(address, size);
}

// First touch makes the pages: kernels touch in parallel, this thread would not.
bool HostResource::commit(std::byte*, Bytes, bool) noexcept { return true; }

void HostResource::decommit(std::byte* address, Bytes size) noexcept {
  platform::discard_pages(address, size);
}

bool HostResource::move_pages(std::byte* from, std::byte* to, Bytes size) noexcept {
  if (moves_.fetch_add(1, std::memory_order_relaxed) % kCheckEvery == kCheckEvery - 1) {
    try {
      crowded_ = platform::count_mappings() > platform::max_mappings() / 2;
    } catch (...) {  // no memory for the text
      crowded_ = true;
    }
  }
  return !crowded_ && platform::move_pages(from, to, size);
}

}  // namespace plimsoll::memory
