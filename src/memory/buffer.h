// Bytes with an owner: one contiguous address range whose residency is kept per extent.
//
// The unit of residency, dirtiness and eviction is the *extent* (Pool::Options::extent_bytes; the
// last one is shorter). A buffer with nothing in memory can be told to use *fine* extents
// (Pool::Options::fine_extent_bytes), always in 4 KiB pages, so that tiles of it hold less. Every
// range is in bytes of the buffer and is widened outward to whole extents, except by commit and
// discard, which say otherwise. The rule for planners: a tile needs all extents that it touches; an
// extent on the edge of two tiles is either kept between them or is evicted and read again (both
// are right). A tile that overwrites bytes must `read` the spilled extents that it covers partly
// and may `commit` those that it covers whole: read_modify(range) names the former.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/mutex.h"
#include "memory/ledger.h"

namespace plimsoll::memory {

class Pool;
class Buffer;
class FileSink;
class FileSource;
class SpillStore;
struct Slab;
struct Arena;
struct Block;

enum class ExtentState : uint8_t {
  kEmpty,     // no bytes: never written, or discarded
  kResident,  // the bytes are only in memory
  kClean,     // in memory and in the backing (spill store, or the buffer's source or sink file)
  kSpilled,   // only in the backing
  kLoading,   // being read from the backing; becomes kClean, or kSpilled again on failure
};

/// Where spilled extents live: the spill store, seen from a buffer.
class SlotOwner {
 public:
  virtual void free_slot(uint32_t slot) noexcept = 0;
  /// Keeps a slot's bytes where they are, even if it is freed meanwhile.
  virtual void hold_slot(uint32_t slot) noexcept = 0;
  struct Parts {
    uint32_t slot;   // what it holds is in
    uint32_t count;  // parts: itself and the next count − 1 of `rests`
  };
  /// Cuts each slot into parts of `bytes`, the last one shorter: it keeps the first, new slots get
  /// the others. False, and nothing changed, where somebody holds one of the slots or there is no
  /// memory for records.
  virtual bool split_slots(Pool& pool, std::span<const Parts> slots, Bytes bytes,
                           std::span<uint32_t> rests) noexcept = 0;
  /// The reverse: a slot takes over what its parts hold, which are no slots any more.
  virtual bool join_slots(std::span<const Parts> slots,
                          std::span<const uint32_t> rests) noexcept = 0;

 protected:
  ~SlotOwner() = default;
};

/// Counted reference to a Buffer; the last one gives it back to its pool. May be null.
class BufferRef {
 public:
  BufferRef() = default;
  BufferRef(const BufferRef& o) noexcept;
  BufferRef(BufferRef&& o) noexcept : buffer_(std::exchange(o.buffer_, nullptr)) {}
  BufferRef& operator=(BufferRef o) noexcept {
    std::swap(buffer_, o.buffer_);
    return *this;
  }
  ~BufferRef();
  Buffer* get() const { return buffer_; }
  Buffer* operator->() const { return buffer_; }
  Buffer& operator*() const { return *buffer_; }
  explicit operator bool() const { return buffer_ != nullptr; }
  friend bool operator==(const BufferRef&, const BufferRef&) = default;
  /// True where this is the only reference: the test for donation.
  bool unique() const;

 private:
  friend class Pool;
  friend class Buffer;
  explicit BufferRef(Buffer* adopted) : buffer_(adopted) {}
  Buffer* buffer_ = nullptr;
};

/// A scoped right to addresses: the extents under it are resident and cannot be evicted. Move-only;
/// keeps the buffer alive.
class Pin {
 public:
  Pin() = default;
  Pin(Pin&& o) noexcept : buffer_(std::move(o.buffer_)), range_(o.range_) {}
  Pin& operator=(Pin&& o) noexcept;
  ~Pin() { release(); }
  /// Address of byte range().begin of the buffer.
  std::byte* data() const;
  ByteRange range() const { return range_; }
  explicit operator bool() const { return static_cast<bool>(buffer_); }
  void release() noexcept;

 private:
  friend class Buffer;
  friend class ExportPin;
  Pin(BufferRef buffer, ByteRange range) : buffer_(std::move(buffer)), range_(range) {}
  BufferRef buffer_;
  ByteRange range_;
};

/// A pin that outlives an evaluation, with the name of who holds it (a NumPy view, DLPack).
class ExportPin {
 public:
  ExportPin() = default;
  ExportPin(ExportPin&& o) noexcept
      : pin_(std::move(o.pin_)), pool_(std::exchange(o.pool_, nullptr)), id_(o.id_) {}
  ExportPin& operator=(ExportPin&& o) noexcept;
  ~ExportPin() { release(); }
  std::byte* data() const { return pin_.data(); }
  void release() noexcept;

 private:
  friend class Buffer;
  Pin pin_;
  Pool* pool_ = nullptr;
  uint64_t id_ = 0;
};

/// Thread-safe. Made by Pool only; which outlives it.
class Buffer {
 public:
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  Bytes size() const { return size_; }
  ByteRange all() const { return {0, size_}; }
  Pool& pool() const { return *pool_; }

  // Extents. Both change with set_fine.
  size_t num_extents() const { return num_extents_; }
  Bytes extent_bytes() const { return extent_bytes_; }
  ExtentState extent_state(size_t extent) const;
  /// `range` widened to whole extents (clipped to size()).
  ByteRange widen(ByteRange range) const;
  /// Goes over to fine extents, or back. False, and nothing changed, where it cannot: something of
  /// it is in memory or on its way, or only a part was ever written.
  bool set_fine(bool fine);
  /// Fine extents that one is or can be cut into.
  size_t fine_count(size_t extent) const { return fine_ ? 1 : fine_in(extent); }
  /// A slab block: resident for life, never evicted, charged by its slab.
  bool small() const { return small_; }

  // Questions; charges are in whole pages as the ledger sees them (0 for small buffers).
  bool resident(ByteRange range) const;
  Bytes resident_bytes(ByteRange range) const;
  Bytes resident_bytes() const { return resident_bytes(all()); }
  /// Charge when all of it is resident: in the pages that it has now, or as Pool::shape_of says
  /// where it has none (a reader that loads it whole sets coarse extents first).
  Bytes whole_bytes() const;
  /// Charge that making the range resident needs.
  Bytes bytes_missing(ByteRange range) const;
  /// Charge of spilled extents: what read() of the range would take and read.
  Bytes bytes_spilled(ByteRange range) const;
  /// File bytes that SpillStore::write(range) would write, to the store or the sink: what is dirty,
  /// in whole 4 KiB blocks.
  Bytes dirty_bytes(ByteRange range) const;
  /// Charge that evict(range) would give back now, without and with writing the dirty extents
  /// first.
  Bytes evictable(ByteRange range) const;
  Bytes evictable_after_write(ByteRange range) const;
  /// Spilled extents that `range` covers only in part: read them before overwriting `range`. At
  /// most two ranges (the edges), empty where nothing is to be read.
  std::pair<ByteRange, ByteRange> read_modify(ByteRange range) const;

  // Changes.
  /// Makes the extents of `range` resident, contents undefined, splitting the charge off `from`
  /// (left as it was on failure). Resident extents are untouched; spilled ones lose their backing.
  /// REQUIRES: `range` covers each spilled extent that it touches whole, and
  /// from.bytes() ≥ bytes_missing(range). Raises OutOfMemory where the system refuses pages.
  void commit(ByteRange range, Reservation& from);
  /// Gives back the pages of the clean, unpinned extents in `range`: nothing is lost. Returns the
  /// charge given back, still reserved where the caller wants it.
  Bytes evict(ByteRange range) { return evict_reserved(range).bytes(); }
  [[nodiscard]] Reservation evict_reserved(ByteRange range);
  /// Evicts a buffer that is clean and resident as a whole by handing its block, pages and all, to
  /// the pool's cache, where the next buffer of its size finds it. False where it is not so.
  bool evict_to_cache();
  /// For one that is spilled as a whole and holds no block: takes a resident one (recycled, if the
  /// cache has it), so that read() of everything needs no charge. False where there is no room.
  bool take_block();
  bool has_block() const;
  /// The bytes of `range` are dead: extents that lie whole inside become kEmpty, memory and backing
  /// given back. Pinned or loading ones stay as they are. Returns the charge given back.
  Bytes discard(ByteRange range) { return discard_reserved(range).bytes(); }
  [[nodiscard]] Reservation discard_reserved(ByteRange range);
  /// Discards all of a buffer that is resident as a whole, and hands its block to the pool's cache.
  /// False where it is not so.
  bool discard_to_cache();
  /// The bytes of `range` were (or are about to be) changed in memory: copies in the backing are
  /// forgotten. REQUIRES: resident. Call it again after the last change where a spill write may run
  /// at the same time.
  void mark_written(ByteRange range);

  /// Raises Error where an extent of the range is not resident.
  [[nodiscard]] Pin pin(ByteRange range);
  [[nodiscard]] Pin pin() { return pin(all()); }
  [[nodiscard]] ExportPin export_pin(std::string owner);
  bool pinned() const;
  bool exported() const { return exports_.load(std::memory_order_relaxed) != 0; }

  /// Every extent becomes kSpilled with `source` as its backing.
  /// REQUIRES: a buffer from Pool::make, all extents kEmpty.
  void set_source(std::shared_ptr<FileSource> source);
  /// Dirty extents that SpillStore::write is asked to write go to the sink's file from now on,
  /// without space in the store, and become kClean with it as their backing; what is dirty after
  /// FileSink::seal goes to the store again.
  /// REQUIRES: a buffer from Pool::make, all extents kEmpty, and sink->size() == size().
  void set_sink(std::shared_ptr<FileSink> sink);
  /// Its bytes are in a file that must not be written: they may not be changed in place for the
  /// result of another operation.
  bool has_source() const { return source_ != nullptr || sink_ != nullptr; }

 private:
  friend class BufferRef;
  friend class Pin;
  friend class ExportPin;
  friend class Pool;
  friend class SpillStore;
  friend class Ticket;

  static constexpr uint32_t kNoSlot = ~0u;
  struct Extent {
    ExtentState state = ExtentState::kEmpty;
    bool in_file = false;    // the backing is source_ or sink_, not a slot
    bool writing = false;    // a spill write runs
    bool rewritten = false;  // mark_written came while it ran
    uint32_t pins = 0;
    uint32_t slot = kNoSlot;  // of store_
    bool in_memory() const {
      return state == ExtentState::kResident || state == ExtentState::kClean;
    }
  };
  struct Span {  // of extent indices
    size_t begin, end;
  };

  Buffer(Pool* pool, Bytes size) : pool_(pool), size_(size) {}
  ~Buffer() = default;

  void check_range(ByteRange range) const;
  Span touched(ByteRange range) const REQUIRES(mutex_);  // extents that overlap
  Span covered(ByteRange range) const REQUIRES(mutex_);  // extents that lie whole inside
  ByteRange bytes_of(size_t extent) const;
  ByteRange pages_of(size_t extent) const;  // rounded up to pages
  Bytes charge_of(size_t extent) const { return pages_of(extent).size(); }
  std::byte* address_of(size_t extent) const { return base_ + extent * extent_bytes_; }
  void forget_backing(Extent& extent) noexcept REQUIRES(mutex_);
  size_t fine_in(size_t coarse) const;  // fine extents in a coarse one
  bool can_change_extents(bool fine) const REQUIRES(mutex_);
  bool split_extents() REQUIRES(mutex_);
  bool join_extents() REQUIRES(mutex_);
  ByteRange with_page_tables(size_t begin, size_t end) const REQUIRES(mutex_);
  /// Gives back the pages of the extents of `span` that `take` changes (it returns true for them),
  /// in runs, and their charge.
  template <typename Take>
  Reservation give_back(Span span, Take take) REQUIRES(mutex_);
  /// Gives an evicted buffer a range of addresses. Raises OutOfMemory where there is none.
  void ensure_address() REQUIRES(mutex_);
  /// Asks for pages for the extents of `span` that are not resident; all or none.
  bool commit_pages(Span span) REQUIRES(mutex_);
  template <typename Count>
  Bytes sum_charges(ByteRange range, Count count) const;
  void unpin(ByteRange range) noexcept;

  Block take_away_block() REQUIRES(mutex_);
  /// Hands the block to the pool's cache and changes every extent, where none is pinned and each
  /// may.
  template <typename May, typename Change>
  bool hand_to_cache(May may, Change change);

  // For Pool.
  /// Takes over a block: resident where it has committed pages, empty otherwise.
  void adopt(Block block);
  /// The block with what is resident of it, for recycling where that is all; backing given back.
  Block abandon() noexcept;

  // For SpillStore: extents stay pinned while a transfer of theirs runs.
  struct Transfer {
    size_t extent;
    uint32_t slot;  // kNoSlot: the source or sink, or not yet known
  };
  /// True where dirty extents go to the sink and not to the store.
  bool writes_to_sink() const;
  void write_to_sink(size_t extent);
  /// Reads bytes of the buffer from its source or sink.
  void read_file(std::span<std::byte> to, Bytes offset);
  /// The dirty extents of `range` that no write runs for, now marked as being written.
  std::vector<Transfer> begin_write(ByteRange range, SlotOwner* store);
  /// Takes over `slot` (kNoSlot: the bytes are in the sink) where it returns true; otherwise it is
  /// still the caller's.
  bool finish_write(size_t extent, uint32_t slot) noexcept;
  void abandon_write(size_t extent) noexcept;
  /// The spilled extents of `range`, now kLoading with pages and charge.
  std::vector<Transfer> begin_read(ByteRange range, Reservation& from);
  struct Look {
    ExtentState state;
    ByteRange part;           // of the range, as far as one state and one checksum go
    Pin pin;                  // of the part, where it is in memory
    uint32_t slot = kNoSlot;  // where it is spilled to the store: held
    ByteRange checked;        // of the slot: what the checksum is of
  };
  /// The beginning of a range that is not empty.
  Look look(ByteRange range);
  void finish_read(size_t extent, bool ok) noexcept;

  Pool* const pool_;
  const Bytes size_;
  std::byte* base_ = nullptr;
  Bytes block_bytes_ = 0;  // length of the address range
  // Change under the lock, and only while nothing is in memory or moving.
  Bytes extent_bytes_ = 0;
  Bytes page_bytes_ = 0;  // 4 KiB, or 2 MiB in huge-page arenas
  size_t num_extents_ = 1;
  bool huge_ = false;
  bool fine_ = false;
  Slab* slab_ = nullptr;    // of a small buffer
  Arena* arena_ = nullptr;  // of any other
  bool small_ = false;
  std::atomic<uint32_t> references_{1};
  std::atomic<uint32_t> exports_{0};
  std::atomic<uint32_t> small_pins_{0};
  Buffer* next_ = nullptr;  // the pool's list of live buffers, under the pool's lock
  Buffer* previous_ = nullptr;

  mutable Mutex mutex_;
  Reservation charge_ GUARDED_BY(mutex_);
  bool prepaid_ GUARDED_BY(mutex_) = false;  // take_block() brought pages and their charge
  Reservation table_charge_;                 // of extents_ where it is not inline
  std::shared_ptr<FileSource> source_;
  std::shared_ptr<FileSink> sink_;
  SlotOwner* store_ GUARDED_BY(mutex_) = nullptr;
  Extent inline_extent_;
  std::unique_ptr<Extent[]> table_;
  Extent* extents_ = &inline_extent_;
};

}  // namespace plimsoll::memory
