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
/// empty (one empty chunk may be kept until trim()).
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
  /// The same without asking the reclaimer, for callers that hold its locks.
  [[nodiscard]] void* try_allocate_without_reclaim(size_t bytes) noexcept;
  /// REQUIRES: the size that try_allocate was given.
  void deallocate(void* block, size_t bytes) noexcept;
  /// Gives back the empty chunk that is kept. Returns its bytes.
  Bytes trim() noexcept;
  /// What trim() would give back.
  Bytes spare_bytes() const noexcept;
  /// Of all chunks.
  Bytes charged_bytes() const noexcept;
  /// Charge of the chunks that `count` more blocks of this size need, beside those there are and
  /// the empty one: a bound whatever is allocated and freed meanwhile.
  Bytes growth(size_t bytes, size_t count) const noexcept;
  size_t live_blocks() const noexcept;

  /// Asked once, without locks held, before try_allocate fails: true where something was given
  /// back.
  using Reclaim = bool (*)(void* context, Bytes bytes);
  void set_reclaim(Reclaim reclaim, void* context) noexcept {
    reclaim_ = reclaim;
    reclaim_context_ = context;
  }

 private:
  struct Chunk;
  struct Region;
  static constexpr int kClasses = kMaxBlock / 64;
  struct Class {
    Chunk* partial = nullptr;  // chunks with a free block, most recently used first
    size_t live = 0;
    size_t room = 0;  // blocks in all chunks of the class
  };
  static int class_of(size_t bytes) { return static_cast<int>((bytes + 63) / 64) - 1; }
  static size_t block_bytes(int cls) { return static_cast<size_t>(cls + 1) * 64; }
  static size_t blocks_of_chunk(int cls);
  void link(Chunk* chunk) noexcept REQUIRES(mutex_);
  void unlink(Chunk* chunk) noexcept REQUIRES(mutex_);
  Chunk* take_chunk(int cls) noexcept REQUIRES(mutex_);
  Chunk* fresh_chunk() noexcept REQUIRES(mutex_);
  Region* add_region() noexcept REQUIRES(mutex_);
  void drop_region(Region* region) noexcept REQUIRES(mutex_);
  void give_back(Chunk* chunk) noexcept REQUIRES(mutex_);

  Ledger& ledger_;
  device::Resource& resource_;
  FaultPlan* faults_;
  mutable Mutex mutex_;
  std::array<Class, kClasses> classes_ GUARDED_BY(mutex_);
  Chunk* spare_ GUARDED_BY(mutex_) = nullptr;
  Bytes charged_ GUARDED_BY(mutex_) = 0;
  Region* regions_ GUARDED_BY(mutex_) = nullptr;
  Reclaim reclaim_ = nullptr;
  void* reclaim_context_ = nullptr;
};

}  // namespace plimsoll::memory
