// Records of what extents have in the spill file.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/bytes.h"
#include "memory/ledger.h"
#include "memory/pool.h"
#include "memory/spill_space.h"

namespace plimsoll::memory {

/// Where the bytes of one extent are.
struct Slot {
  Fragments where;
  std::array<uint32_t, Pool::kMostFine> sums{};  // of each fine extent
  uint32_t readers : 31 = 0;
  uint32_t dead : 1 = 0;  // freed while readers were at it
  uint32_t next = 0;      // of a free slot: the next free one
};

/// Not thread-safe: the store's lock guards it. Slots come in chunks that never move; all of them
/// go when the last slot is given back.
class SlotTable {
 public:
  static constexpr size_t kChunk = 32;
  /// Of a chunk: its slots, and what the heap keeps of one fragment and one hole a slot.
  static constexpr Bytes kChunkCharge = kChunk * (sizeof(Slot) + 96) + 64;

  /// Charged to the ledger, what the pool's cache holds of it included, where there is room;
  /// otherwise later: evicting must not fail for want of a record of it.
  uint32_t take(Pool& pool);
  void give(uint32_t slot) noexcept;
  Slot& operator[](uint32_t slot) { return chunks_[slot / kChunk][slot % kChunk]; }
  /// Charge of `count` slots where `there` are taken now, beside what is charged already.
  Bytes growth(size_t count, size_t there = 0) const;

 private:
  static constexpr uint32_t kNone = ~0u;
  std::vector<std::unique_ptr<Slot[]>> chunks_;
  uint32_t free_ = kNone;
  size_t live_ = 0;
  Reservation charge_;
};

}  // namespace plimsoll::memory
