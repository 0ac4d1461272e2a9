// Blocks of memory for buffers: slabs for small ones, recycled ranges of large arenas for the rest.
// What the ledger is charged is what is resident, after rounding.
#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/bytes.h"
#include "base/fault_plan.h"
#include "base/mutex.h"
#include "base/platform_linux.h"
#include "device/resource.h"
#include "memory/buffer.h"
#include "memory/ledger.h"
#include "memory/metadata_arena.h"

namespace plimsoll::memory {

class BlockAllocator;
class SlabSet;

/// How a size is allocated: a pure function of the size and the pool's options, so that a planner
/// knows every byte before anything runs.
struct BlockShape {
  bool small = false;        // a slab block: `bytes` is its class, slabs are charged whole
  bool huge = false;         // whole 2 MiB pages
  Bytes bytes = 0;           // charge when fully resident
  Bytes slab_bytes = 0;      // small only: the slab it lives in
  uint32_t slab_blocks = 0;  // small only: blocks in one slab
  Bytes extent_bytes = 0;
  Bytes fine_extent_bytes = 0;
  Bytes extent(bool fine) const { return fine ? fine_extent_bytes : extent_bytes; }
};

struct PinnedBy {
  std::string owner;
  Bytes bytes;
  std::thread::id thread;  // that asked for it
  std::chrono::steady_clock::time_point since;
};

/// Thread-safe. Outlives its buffers.
class Pool {
 public:
  static constexpr size_t kMostFine = 4;  // fine extents in a coarse one
  struct Options {
    Bytes slab_threshold = 64 * kKiB;  // smaller buffers come from slabs (a power of two)
    Bytes extent_bytes = 2 * kMiB;     // power of two ≥ 4 KiB; huge pages only from 2 MiB up
    /// Of Buffer::set_fine: a half or a quarter of it; anything else means the same size.
    Bytes fine_extent_bytes = 512 * kKiB;
    bool huge_pages = true;
    Bytes arena_bytes = 64 * kMiB;  // address space asked for at once
    Bytes cache_limit = Ledger::kNoLimit;
  };

  Pool(Ledger& ledger, device::Resource& resource, FaultPlan* faults = nullptr);
  Pool(Ledger& ledger, device::Resource& resource, FaultPlan* faults, Options options);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  /// In a forked child nothing is given back: a thread that is not there may have held a lock.
  bool in_forked_child() const noexcept { return platform::fork_count() != forks_; }
  /// Goes on in a forked child. REQUIRES: no other thread used the pool when it was forked.
  void adopt_process() noexcept { forks_ = platform::fork_count(); }

  /// A buffer that is resident at once, contents undefined: a recycled block if there is one, fresh
  /// pages otherwise. Cached blocks are given back before it fails. Null where the ledger or the
  /// system refuses. Size 0 is allowed. Small ones are charged through their slab, always kBuffer.
  [[nodiscard]] std::optional<BufferRef> try_make_resident(Bytes size, Tag tag = Tag::kBuffer);

  /// A buffer with nothing resident (all extents kEmpty). Small sizes are resident at once.
  /// Raises OutOfMemory where address space or the metadata's charge is refused.
  [[nodiscard]] BufferRef make(Bytes size);
  /// The same; null where it is refused.
  [[nodiscard]] std::optional<BufferRef> try_make(Bytes size);

  /// Ledger::try_reserve that gives cached blocks back before it fails: the way to pay for
  /// Buffer::commit and SpillStore::read.
  [[nodiscard]] std::optional<Reservation> try_reserve(Bytes bytes, Tag tag = Tag::kBuffer);

  BlockShape shape_of(Bytes size) const;
  /// Scratch of a mebibyte and more is rounded up to whole huge pages, which freed buffers and it
  /// can pass to each other.
  Bytes scratch_size(Bytes size) const;
  /// What the header and the extent table of a buffer of this size take of the metadata (headers
  /// are charged in chunks of MetadataArena::kChunkBytes).
  Bytes metadata_of(Bytes size) const;
  /// Charge of the extent table alone.
  Bytes table_of(Bytes size) const;
  size_t extents_of(Bytes size) const;  // fine ones
  /// Charge of the chunks that the headers of so many more buffers and slabs need.
  Bytes header_growth(size_t buffers, size_t slabs) const;

  // Freed blocks kept with their pages, charged as kCache (clear_cache and trim also give back an
  // empty chunk of the metadata arena, which is charged as kMetadata).
  Bytes cache_bytes() const;
  /// What trim() of everything would give back now.
  Bytes reclaimable() const;
  void clear_cache();
  /// Gives back the least recently freed blocks until at least `bytes` went; returns what went.
  Bytes trim(Bytes bytes);
  /// Returns the previous limit, and trims to the new one.
  Bytes set_cache_limit(Bytes limit);

  /// Live buffers that are not small, most recently made first: candidates for eviction.
  std::vector<BufferRef> live_buffers();
  /// What exported views hold, and who holds them.
  std::vector<PinnedBy> exports() const;
  Bytes exported_bytes() const;
  /// Waits for the views of other threads that are so young that they may be there for a copy
  /// (numpy.array copies through one).
  void wait_for_copies();

  MetadataArena& metadata() { return *metadata_; }
  Ledger& ledger() { return ledger_; }
  const Options& options() const { return options_; }

  struct Stats {
    uint64_t recycled = 0;    // served from the cache
    uint64_t fresh = 0;       // served by fresh pages
    uint64_t mappings = 0;    // address ranges held now
    Bytes address_bytes = 0;  // their length
    Bytes slab_bytes = 0;     // slabs held now, empty ones excluded
  };
  Stats stats() const;

 private:
  friend class Buffer;
  friend class BufferRef;
  friend class ExportPin;
  Buffer* new_buffer(Bytes size, const BlockShape& shape) noexcept;
  void delete_buffer(Buffer* buffer) noexcept;
  bool place_small(Buffer* buffer, const BlockShape& shape) noexcept;
  static Bytes table_bytes(size_t extents);
  bool make_table(Buffer* buffer) noexcept;
  void link(Buffer* buffer) noexcept;
  void recycle(Buffer* buffer) noexcept;  // the last reference is gone
  void release_block(Block block) noexcept;
  bool take_block(Bytes bytes, bool huge, Block* out) noexcept;
  bool take_address(Bytes bytes, bool huge, Block* out) noexcept;
  bool commit_pages(std::byte* address, Bytes size, bool huge) noexcept;
  void decommit_pages(std::byte* address, Bytes size) noexcept;
  uint64_t add_export(std::string owner, Bytes bytes);
  void remove_export(uint64_t id) noexcept;

  Ledger& ledger_;
  const Options options_;
  std::unique_ptr<MetadataArena> metadata_;
  std::unique_ptr<BlockAllocator> blocks_;
  std::unique_ptr<SlabSet> slabs_;

  mutable Mutex mutex_;
  Buffer* live_ GUARDED_BY(mutex_) = nullptr;  // not small ones, newest first
  std::map<uint64_t, PinnedBy> exports_ GUARDED_BY(mutex_);
  CondVar export_ended_;
  uint64_t next_export_ GUARDED_BY(mutex_) = 1;
  int forks_ = platform::fork_count();
};

}  // namespace plimsoll::memory
