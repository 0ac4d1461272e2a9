// Buffers that go over to fine extents, and back.
#include <algorithm>
#include <vector>

#include "memory/block_allocator.h"
#include "memory/buffer.h"
#include "memory/pool.h"

namespace plimsoll::memory {

bool Buffer::set_fine(bool fine) {
  const BlockShape shape = pool_->shape_of(size_);
  if (small_ || shape.fine_extent_bytes == shape.extent_bytes) return true;
  Block old;
  {
    MutexLock lock(mutex_);
    if (fine_ == fine) return true;
    if (!can_change_extents(fine) || !(fine ? split_extents() : join_extents())) return false;
    fine_ = fine;
    extent_bytes_ = shape.extent(fine);
    if (!shape.huge) return true;
    // Parts of huge pages cannot be given back: a range of the other kind follows.
    old = take_away_block();
    huge_ = !fine;
    page_bytes_ = fine ? BlockAllocator::kPage : BlockAllocator::kHugePage;
  }
  pool_->release_block(std::move(old));
  return true;
}

size_t Buffer::fine_in(size_t coarse) const {
  if (small_) return 1;
  const Pool::Options& options = pool_->options();
  const Bytes bytes = std::min(options.extent_bytes, size_ - coarse * options.extent_bytes);
  return (bytes + options.fine_extent_bytes - 1) / options.fine_extent_bytes;
}

// All of it was never written, or all is in a backing; and what becomes one extent is in the same.
bool Buffer::can_change_extents(bool fine) const {
  if (charge_.bytes() != 0) return false;
  const ExtentState state = extents_[0].state;
  if (state != ExtentState::kEmpty && state != ExtentState::kSpilled) return false;
  const size_t ratio = pool_->options().extent_bytes / pool_->options().fine_extent_bytes;
  for (size_t i = 0; i < num_extents_; ++i) {
    if (extents_[i].state != state) return false;
    if (!fine && extents_[i].in_file != extents_[i - i % ratio].in_file) return false;
  }
  return true;
}

bool Buffer::split_extents() {
  const Bytes unit = pool_->options().fine_extent_bytes;
  std::vector<SlotOwner::Parts> slots;
  std::vector<uint32_t> rests;
  for (size_t i = 0; i < num_extents_; ++i)
    if (extents_[i].slot != kNoSlot)
      slots.push_back({extents_[i].slot, static_cast<uint32_t>(fine_in(i))});
  for (const SlotOwner::Parts& p : slots) rests.resize(rests.size() + p.count - 1);
  if (!rests.empty() && !store_->split_slots(*pool_, slots, unit, rests)) return false;
  const size_t ratio = extent_bytes_ / unit, before = num_extents_;
  num_extents_ = (size_ + unit - 1) / unit;
  for (size_t i = before, rest = rests.size(); i-- > 0;) {
    const Extent whole = extents_[i];
    for (size_t part = fine_in(i); part-- > 1;) {
      extents_[i * ratio + part] = whole;
      if (whole.slot != kNoSlot) extents_[i * ratio + part].slot = rests[--rest];
    }
    extents_[i * ratio] = whole;
  }
  return true;
}

bool Buffer::join_extents() {
  const size_t ratio = pool_->options().extent_bytes / extent_bytes_, before = num_extents_;
  const size_t after = (before + ratio - 1) / ratio;
  std::vector<SlotOwner::Parts> slots;
  std::vector<uint32_t> rests;
  for (size_t i = 0; i < after; ++i) {
    if (extents_[i * ratio].slot == kNoSlot) continue;
    slots.push_back({extents_[i * ratio].slot, static_cast<uint32_t>(fine_in(i))});
    for (size_t part = 1; part < fine_in(i); ++part)
      rests.push_back(extents_[i * ratio + part].slot);
  }
  if (!rests.empty() && !store_->join_slots(slots, rests)) return false;
  num_extents_ = after;
  for (size_t i = 0; i < after; ++i) extents_[i] = extents_[i * ratio];
  for (size_t i = after; i < before; ++i) extents_[i] = {};
  return true;
}

// A kernel that gives back page tables does so where a call covers all that one maps: 2 MiB, at any
// place in the extents.
ByteRange Buffer::with_page_tables(size_t begin, size_t end) const {
  auto gone = [&](size_t i) NO_THREAD_SAFETY_ANALYSIS {
    return !extents_[i].in_memory() && extents_[i].state != ExtentState::kLoading;
  };
  constexpr int kNeighbours = 4;
  for (int n = 0; n < kNeighbours && begin > 0 && gone(begin - 1); ++n) --begin;
  for (int n = 0; n < kNeighbours && end < num_extents_ && gone(end); ++n) ++end;
  return {pages_of(begin).begin, pages_of(end - 1).end};
}

}  // namespace plimsoll::memory
