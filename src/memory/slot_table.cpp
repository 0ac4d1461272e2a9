#include "memory/slot_table.h"

#include <algorithm>
#include <utility>

#include "memory/pool.h"

namespace plimsoll::memory {

uint32_t SlotTable::take(Pool& pool) {
  if (free_ == kNone) {
    auto first = static_cast<uint32_t>(chunks_.size() * kChunk);
    chunks_.push_back(std::make_unique<Slot[]>(kChunk));
    for (uint32_t i = kChunk; i-- > 0;) chunks_.back()[i].next = std::exchange(free_, first + i);
  }
  if (Bytes all = chunks_.size() * kChunkCharge; charge_.bytes() < all)
    if (auto more = pool.try_reserve(all - charge_.bytes(), Tag::kMetadata))
      charge_.merge(std::move(*more));
  ++live_;
  return std::exchange(free_, (*this)[free_].next);
}

void SlotTable::give(uint32_t slot) noexcept {
  (*this)[slot] = Slot{};
  (*this)[slot].next = std::exchange(free_, slot);
  if (--live_ != 0) return;
  chunks_.clear();
  chunks_.shrink_to_fit();
  free_ = kNone;
  charge_.release();
}

Bytes SlotTable::growth(size_t count, size_t there) const {
  Bytes all = (live_ - std::min(live_, there) + count + kChunk - 1) / kChunk * kChunkCharge;
  return all - std::min(all, charge_.bytes());
}

}  // namespace plimsoll::memory
