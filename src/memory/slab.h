// Slabs of equal blocks for small buffers. A slab is charged whole while a block of it lives.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/bytes.h"
#include "base/mutex.h"
#include "memory/block_allocator.h"
#include "memory/metadata_arena.h"

namespace plimsoll::memory {

struct Slab {
  Block memory;
  uint32_t cls = 0;
  uint32_t live = 0;
  uint32_t fresh = 0;  // blocks never handed out start here
  uint32_t blocks = 0;
  void* free = nullptr;  // linked through the blocks
  Slab* next = nullptr;
  Slab* previous = nullptr;
};

/// Thread-safe. Full slabs first: a new slab is taken only when every slab of the class is full, so
/// a class holds at most ceil(peak live blocks / blocks per slab) slabs.
class SlabSet {
 public:
  static constexpr Bytes kGrain = 64;  // classes: multiples of 64 up to 512, then 8 an octave
  static constexpr Bytes kMinSlab = 16 * kKiB;
  static constexpr Bytes kMaxSlab = 256 * kKiB;

  SlabSet(BlockAllocator& blocks, MetadataArena& metadata) : blocks_(blocks), metadata_(metadata) {}

  static uint32_t class_of(Bytes size);
  static Bytes block_bytes(uint32_t cls);
  static Bytes slab_bytes(uint32_t cls);

  /// Null where the ledger or the system refuses. Sets *slab.
  std::byte* allocate(uint32_t cls, Slab** slab) noexcept;
  void free(Slab* slab, std::byte* block) noexcept;
  Bytes bytes() const noexcept;

 private:
  static constexpr size_t kClasses = 128;
  Slab* add(uint32_t cls) noexcept REQUIRES(mutex_);
  void link(Slab* slab) noexcept REQUIRES(mutex_);
  void unlink(Slab* slab) noexcept REQUIRES(mutex_);

  BlockAllocator& blocks_;
  MetadataArena& metadata_;
  mutable Mutex mutex_;
  std::array<Slab*, kClasses> partial_ GUARDED_BY(mutex_) = {};
  Bytes bytes_ GUARDED_BY(mutex_) = 0;
};

}  // namespace plimsoll::memory
