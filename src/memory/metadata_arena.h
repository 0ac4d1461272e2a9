// Charged slabs for graph nodes, buffer headers and other small fixed-size metadata.
#pragma once

#include <array>
#include <cstddef>

#include "base/bytes.h"
#include "base/mutex.h"
#include "device/resource.h"
#include "memory/ledger.h"

namespace plimsoll::memory {

/// Thread-safe. Chunks of 64 KiB are charged as kMetadata when they are taken and given back when
/// empty (one empty chunk may be kept, charged as kCache, until trim()).
class MetadataArena {
 public:
  static constexpr Bytes kChunkBytes = 64 * kKiB;
  static constexpr size_t kMaxBlock = 512;  // classes of 64, 128, …, 512 bytes

  MetadataArena(Ledger& ledger, device::Resource& resource, FaultPlan* faults);
  ~MetadataArena();
  MetadataArena(const MetadataArena&) = delete;
  MetadataArena& operator=(const MetadataArena&) = delete;

  /// 64-byte aligned, or null where the ledger or the system refuses.
  /// REQUIRES: 0 < bytes ≤ kMaxBlock.
  [[nodiscard]] void* try_allocate(size_t bytes) noexcept;
  /// REQUIRES: the size that try_allocate was given.
  void deallocate(void* block, size_t bytes) noexcept;
  /// Gives back the empty chunk that is kept. Returns its bytes.
  Bytes trim() noexcept;
  Bytes cache_bytes() const noexcept;
  size_t live_blocks() const noexcept;

 private:
  struct Chunk;
  static constexpr int kClasses = kMaxBlock / 64;
  struct Class {
    Chunk* partial = nullptr;  // chunks with a free block, most recently used first
    size_t live = 0;
  };
  Chunk* take_chunk(int cls) noexcept REQUIRES(mutex_);
  void give_back(Chunk* chunk) noexcept REQUIRES(mutex_);

  Ledger& ledger_;
  device::Resource& resource_;
  FaultPlan* faults_;
  mutable Mutex mutex_;
  std::array<Class, kClasses> classes_ GUARDED_BY(mutex_);
  Chunk* spare_ GUARDED_BY(mutex_) = nullptr;
};

}  // namespace plimsoll::memory
