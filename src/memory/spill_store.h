// Bytes of evicted extents in an unlinked file. Nothing of it survives the process.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/fault_plan.h"
#include "memory/buffer.h"
#include "memory/file.h"
#include "memory/ledger.h"

namespace plimsoll::memory {

class SpillStore;

/// Space in the spill file that planning has secured; unused space goes back when destroyed.
class SpillReservation {
 public:
  SpillReservation() = default;
  SpillReservation(SpillReservation&& o) noexcept
      : store_(std::exchange(o.store_, nullptr)), bytes_(std::exchange(o.bytes_, 0)) {}
  SpillReservation& operator=(SpillReservation&& o) noexcept;
  ~SpillReservation() { release(); }
  Bytes bytes() const { return bytes_; }
  void release() noexcept;

 private:
  friend class SpillStore;
  SpillReservation(SpillStore* store, Bytes bytes) : store_(store), bytes_(bytes) {}
  SpillStore* store_ = nullptr;
  Bytes bytes_ = 0;
};

/// A transfer under way. Dropping a ticket does not cancel it; wait() is needed to see its error.
class Ticket {
 public:
  Ticket() = default;
  bool valid() const { return state_ != nullptr; }
  /// True once the transfer ended, well or not.
  bool done() const;

 private:
  friend class SpillStore;
  struct State;
  std::shared_ptr<State> state_;
};

/// Thread-safe. Outlives the buffers that have extents in it.
class SpillStore {
 public:
  struct Options {
    std::string directory;  // empty: default_directory()
    Bytes limit = Ledger::kNoLimit;
    int threads = 2;
    bool direct = true;
    Bytes request_bytes = 4 * kMiB;
    /// Tests: how the file is made; empty for open_scratch.
    std::function<std::unique_ptr<File>(const std::string& directory, bool direct)> open;
  };
  struct Stats {
    Bytes written = 0;
    Bytes read = 0;               // from the spill file
    Bytes read_from_sources = 0;  // and from sinks
    Bytes written_to_sinks = 0;
    uint64_t waited_ns = 0;  // in wait()
    uint64_t write_requests = 0;
    uint64_t read_requests = 0;
    Bytes stored = 0;        // in the file now
    Bytes file_bytes = 0;    // length of the file
    int threads = 0;         // that could be started
    bool direct = false;     // O_DIRECT is in use
    bool guaranteed = true;  // false: no fallocate there, so that ENOSPC can come late
  };

  /// Opens nothing: the file appears with the first reserve_space.
  explicit SpillStore(Options options, FaultPlan* faults = nullptr);
  ~SpillStore();
  SpillStore(const SpillStore&) = delete;
  SpillStore& operator=(const SpillStore&) = delete;

  /// Raises IoError (ENOSPC where the disk or the store's limit is short, a clear text for a
  /// tmpfs).
  [[nodiscard]] SpillReservation reserve_space(Bytes bytes);
  /// File space that write(range) of a buffer takes: its dirty extents in whole pages, or none
  /// where they go to a sink.
  static Bytes space_for(const Buffer& buffer, ByteRange range);
  /// What the ledger is charged, beside what it is now, for the records of so many extents in the
  /// store at one time, `there` already among them.
  Bytes record_growth(size_t extents, size_t there) const;
  /// Room left under the store's limit and on the disk.
  Bytes available();

  /// Starts writing the dirty extents of `range`; they stay readable, and become kClean when it
  /// ends well. On failure they stay resident and dirty. Space comes from `space`, or is reserved
  /// now (which can raise); those of a buffer with an open sink go to its file and need none.
  Ticket write(const BufferRef& buffer, ByteRange range, SpillReservation* space = nullptr);

  /// Starts reading the spilled extents of `range` (from the store or the buffer's file), which are
  /// kLoading until it ends: then kClean, or on failure kSpilled with the charge given back.
  /// REQUIRES: charge.bytes() ≥ buffer->bytes_spilled(range); the rest stays in `charge`.
  Ticket read(const BufferRef& buffer, ByteRange range, Reservation& charge);

  /// Waits and raises the transfer's IoError here. Helps with the work where no thread could start.
  void wait(Ticket& ticket);
  /// Until no transfer is under way; errors stay with their tickets.
  void wait_all();

  /// Copies bytes out of a buffer whatever the state of its extents (kEmpty: zeros), through one
  /// fine extent of charged staging; residency does not change. For repr, NumPy and strided sweeps.
  /// Raises OutOfMemory where the staging is refused, IoError where reading fails.
  void copy_out(const BufferRef& buffer, ByteRange range, std::byte* to);

  /// Belongs to this process from now on. REQUIRES: nothing was ever stored.
  void adopt_process() noexcept;
  Stats stats() const;
  /// Drops freed space at the end of the file; all of it where nothing is stored.
  void shrink() noexcept;

  /// $XDG_CACHE_HOME/plimsoll or $HOME/.cache/plimsoll; /var/tmp where there is neither.
  static std::string default_directory();

 private:
  friend class Buffer;
  friend class SpillReservation;
  struct Impl;
  void free_slot(uint32_t slot) noexcept;
  std::unique_ptr<Impl> impl_;
};

}  // namespace plimsoll::memory
