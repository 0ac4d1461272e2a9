// Address ranges without pages, cut from mappings of one size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/bytes.h"
#include "base/fault_plan.h"
#include "device/resource.h"

namespace plimsoll::memory {

/// One mapping. A bitmap says which units are taken; a mapping made for one large block has none.
struct Arena {
  std::byte* base = nullptr;
  Bytes bytes = 0;
  uint64_t units = 0;
  uint64_t taken = 0;  // units in use
  uint64_t first = 0;  // no free unit below it
  std::unique_ptr<uint64_t[]> map;
  Arena* next = nullptr;
  Arena* previous = nullptr;
};

/// Ranges of one kind (ordinary or huge pages). Not thread-safe: BlockAllocator's lock guards it.
class ArenaSet {
 public:
  /// Ranges are multiples of `unit` and aligned to it.
  ArenaSet(device::Resource& resource, FaultPlan* faults, Bytes unit, Bytes arena_bytes, bool huge);
  ~ArenaSet();
  ArenaSet(const ArenaSet&) = delete;
  ArenaSet& operator=(const ArenaSet&) = delete;

  /// Null where the system has no address space left. First fit, lowest unit first. Sets *arena.
  std::byte* allocate(Bytes bytes, Arena** arena) noexcept;
  /// Gives back a range, or a part of one. The mapping goes when nothing of it is in use, except
  /// that one empty mapping is kept until drop_empty().
  void free(Arena* arena, std::byte* address, Bytes bytes) noexcept;
  /// True where address space was given back.
  bool drop_empty() noexcept;

  Bytes unit() const { return unit_; }
  uint64_t mappings() const { return mappings_; }
  Bytes address_bytes() const { return address_bytes_; }

 private:
  Arena* add(Bytes bytes, bool with_map) noexcept;
  void remove(Arena* arena) noexcept;
  std::byte* take_run(Arena* arena, uint64_t units) noexcept;

  device::Resource& resource_;
  FaultPlan* faults_;
  const Bytes unit_;
  const Bytes arena_bytes_;
  const bool huge_;
  Arena* arenas_ = nullptr;
  Arena* empty_ = nullptr;
  uint64_t mappings_ = 0;
  Bytes address_bytes_ = 0;
};

}  // namespace plimsoll::memory
