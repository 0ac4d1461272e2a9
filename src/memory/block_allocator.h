// Committed blocks of whole pages: recycled from a cache of freed ones, or cut fresh from arenas.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "base/fault_plan.h"
#include "base/mutex.h"
#include "device/resource.h"
#include "memory/arena.h"
#include "memory/ledger.h"
#include "memory/metadata_arena.h"

namespace plimsoll::memory {

/// An address range whose first `committed` bytes are resident and paid for by `charge`. A range
/// whose residency somebody else keeps (a Buffer) has committed = 0 and an empty charge.
struct Block {
  std::byte* base = nullptr;
  Bytes bytes = 0;
  Bytes committed = 0;
  Arena* arena = nullptr;
  bool huge = false;
  Reservation charge;
};

/// Freed blocks by size class, each class last in, first out; and all of them by age. Not
/// thread-safe: BlockAllocator's lock guards it.
class BlockCache {
 public:
  explicit BlockCache(MetadataArena& records) : records_(records) {}
  /// False where no record could be made; the block is untouched then.
  bool put(Block& block) noexcept;
  /// A block of exactly `bytes` of address, preferably with `committed` bytes resident.
  bool take_ordinary(Bytes bytes, Bytes committed, Block* out) noexcept;
  /// The least block of at least `bytes`.
  bool take_huge(Bytes bytes, Block* out) noexcept;
  bool take_oldest(Block* out) noexcept;
  /// The oldest of its kind.
  bool take_oldest(bool huge, Block* out) noexcept;
  Bytes bytes() const { return bytes_; }

 private:
  struct Node;
  static constexpr int kBins = 512;
  struct Bins {
    std::array<Node*, kBins> heads{};
    std::array<uint64_t, kBins / 64> filled{};
  };
  static int bin_of(Bytes bytes, bool huge);
  Bins& bins(bool huge) { return huge ? huge_ : ordinary_; }
  void remove(Node* node, Block* out) noexcept;

  MetadataArena& records_;
  Bins ordinary_;
  Bins huge_;
  Node* newest_ = nullptr;
  Node* oldest_ = nullptr;
  Bytes bytes_ = 0;
};

/// Thread-safe.
class BlockAllocator {
 public:
  static constexpr Bytes kPage = 4 * kKiB;
  static constexpr Bytes kHugePage = 2 * kMiB;

  BlockAllocator(Ledger& ledger, device::Resource& resource, MetadataArena& metadata,
                 FaultPlan* faults, Bytes arena_bytes, Bytes cache_limit);
  ~BlockAllocator();

  /// `bytes` (whole pages of its kind) resident and charged. False where the ledger or the system
  /// refuses, after the cache has been given back.
  bool allocate(Bytes bytes, bool huge, Tag tag, Block* out) noexcept;
  /// Address only.
  bool allocate_address(Bytes bytes, bool huge, Block* out) noexcept;
  /// Keeps the block in the cache, or gives it back where it has no committed pages or the cache
  /// has no room for it.
  void release(Block block) noexcept;

  /// Ledger::try_reserve that gives back cached blocks before it fails.
  std::optional<Reservation> reserve(Bytes bytes, Tag tag) noexcept;
  bool commit(std::byte* address, Bytes bytes, bool huge) noexcept;
  void decommit(std::byte* address, Bytes bytes) noexcept;

  Bytes trim(Bytes bytes) noexcept;
  /// Gives back what the ledger lacks for `bytes` more (the limit may have been lowered below what
  /// is in use), or `bytes` where the system lacks them; false where nothing went.
  bool make_room(Bytes bytes) noexcept { return trim(std::max(bytes, ledger_.shortfall(bytes))); }
  Bytes set_cache_limit(Bytes limit) noexcept;
  Bytes cache_bytes() const noexcept;
  /// What trim() of everything would give back: cached blocks, their records, an empty chunk of
  /// metadata.
  Bytes reclaimable() const noexcept;
  /// Mappings that nothing uses.
  void drop_empty_arenas() noexcept;

  struct Stats {
    uint64_t recycled = 0, fresh = 0, mappings = 0;
    Bytes address_bytes = 0;
  };
  Stats stats() const noexcept;

 private:
  /// Address length that a block of `bytes` gets: classes 1/16 apart, so that near sizes recycle
  /// each other's ranges. Only the pages asked for are ever resident.
  static Bytes address_class(Bytes bytes, bool huge);
  bool recycle(Bytes bytes, bool huge, Block* out) noexcept REQUIRES(mutex_);
  bool fit(Bytes bytes, Tag tag, Block* block) noexcept;
  bool gather(Block* block, Bytes bytes) noexcept;
  void keep_rest(Block& block) noexcept REQUIRES(mutex_);
  bool find_address(Bytes bytes, bool huge, Block* out) noexcept REQUIRES(mutex_);
  void drop(Block& block) noexcept REQUIRES(mutex_);
  Bytes drop_oldest_until(Bytes keep) noexcept REQUIRES(mutex_);
  ArenaSet& arenas(bool huge) REQUIRES(mutex_) { return huge ? huge_ : ordinary_; }

  Ledger& ledger_;
  device::Resource& resource_;
  MetadataArena& metadata_;
  FaultPlan* faults_;
  // Of cached blocks only, so that an emptied cache leaves nothing of them behind.
  MetadataArena records_;
  mutable Mutex mutex_;
  ArenaSet ordinary_ GUARDED_BY(mutex_);
  ArenaSet huge_ GUARDED_BY(mutex_);
  BlockCache cache_ GUARDED_BY(mutex_);
  Bytes cache_limit_ GUARDED_BY(mutex_);
  std::atomic<uint64_t> recycled_{0};
  std::atomic<uint64_t> fresh_{0};
};

}  // namespace plimsoll::memory
