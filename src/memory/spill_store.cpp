#include "memory/spill_store.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <exception>
#include <new>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/mutex.h"
#include "base/platform_linux.h"
#include "memory/checksum.h"
#include "memory/io_queue.h"
#include "memory/pool.h"
#include "memory/slot_table.h"
#include "memory/spill_space.h"

namespace plimsoll::memory {
namespace {

constexpr Bytes kBlock = 4 * kKiB;

/// What one extent takes in the file: its bytes in whole 4 KiB blocks.
Bytes file_bytes(ByteRange bytes) { return round_up(bytes.size(), kBlock); }

/// Half as many bits: records of what is spilled are counted in every floor.
uint32_t folded_checksum(std::span<const std::byte> bytes) {
  const uint64_t sum = checksum(bytes);
  return static_cast<uint32_t>(sum ^ sum >> 32);
}

}  // namespace

// What went wrong in a job, by value: the waiting thread raises an exception of its own.
struct Failure {
  std::string text;  // empty: nothing
  int error_number = 0;
  enum class Kind { kOther, kIo, kMemory } kind = Kind::kOther;

  explicit operator bool() const { return !text.empty(); }
  /// REQUIRES: inside a catch block.
  static Failure current() noexcept {
    try {
      throw;
    } catch (const IoError& e) {
      return {e.what(), e.error_number(), Kind::kIo};
    } catch (const OutOfMemory& e) {
      return {e.what(), 0, Kind::kMemory};
    } catch (const std::bad_alloc&) {
      return {"[spill] the system refused memory", 0, Kind::kMemory};
    } catch (const std::exception& e) {
      return {e.what()};
    } catch (...) {
      return {"[spill] unknown failure"};
    }
  }
  [[noreturn]] void raise() const {
    if (kind == Kind::kIo) throw IoError(text, error_number);
    if (kind == Kind::kMemory) throw OutOfMemory(text);
    throw Error(text);
  }
};

struct Ticket::State {
  std::vector<Buffer::Transfer> pieces;  // fixed before the first job starts
  Mutex mutex;
  CondVar changed;
  size_t pending GUARDED_BY(mutex) = 0;
  Failure failure GUARDED_BY(mutex);

  void finish(Failure f) {
    {
      MutexLock lock(mutex);
      if (f && !failure) failure = std::move(f);
      --pending;
    }
    changed.notify_all();
  }
};

bool Ticket::done() const {
  if (state_ == nullptr) return true;
  MutexLock lock(state_->mutex);
  return state_->pending == 0;
}

struct SpillStore::Impl final : SlotOwner {
  using Piece = Buffer::Transfer;

  Impl(Options o, FaultPlan* f)
      : options(std::move(o)),
        faults(f),
        owner(platform::process_id()),
        space(options.limit),
        queue(options.threads, f) {}

  void check_process() const {
    if (platform::process_id() != owner)
      throw IoError(
          "[spill] expected the process that made the spill store, got a forked child; use the "
          "\"spawn\" start method of multiprocessing");
  }

  File& open_file() REQUIRES(mutex);
  void drop_slot(uint32_t slot) REQUIRES(mutex);
  /// A slot and its space, out of `promised` as far as that goes, for every piece.
  void give_slots(Buffer& buffer, std::span<Piece> pieces, Bytes* promised);
  void free_slot(uint32_t slot) noexcept override;
  void hold_slot(uint32_t slot) noexcept override;
  void unhold_slot(uint32_t slot) noexcept;
  bool split_slots(Pool& pool, std::span<const Parts> parts, Bytes bytes,
                   std::span<uint32_t> rests) noexcept override;
  bool join_slots(std::span<const Parts> parts, std::span<const uint32_t> rests) noexcept override;
  static Fragments cut(const Fragments& where, ByteRange part);

  void write_piece(Buffer& buffer, const Piece& piece);
  void read_piece(Buffer& buffer, const Piece& piece, std::byte* to);
  /// Bytes `part` of what the slot holds; it begins where a checksum does.
  void read_slot(uint32_t slot, ByteRange part, Bytes unit, std::byte* to);
  void write_job(BufferRef buffer, std::span<const Piece> pieces, Ticket::State& state);
  void read_job(BufferRef buffer, std::span<const Piece> pieces, Ticket::State& state);
  template <typename Run>
  void start(const BufferRef& buffer, std::shared_ptr<Ticket::State> state, bool urgent, Run run);

  const Options options;
  FaultPlan* const faults;
  int owner;
  Mutex mutex;
  std::unique_ptr<File> file GUARDED_BY(mutex);
  SpillSpace space GUARDED_BY(mutex);
  int open_reservations GUARDED_BY(mutex) = 0;
  SlotTable slots GUARDED_BY(mutex);
  std::atomic<Bytes> written{0}, read{0}, read_from_sources{0}, written_to_sinks{0};
  std::atomic<uint64_t> waited_ns{0}, write_requests{0}, read_requests{0};
  IoQueue queue;  // last: its destructor runs what is queued
};

File& SpillStore::Impl::open_file() {
  if (file != nullptr) return *file;
  std::string directory = options.directory.empty() ? default_directory() : options.directory;
  if (options.open) {
    file = options.open(directory, options.direct);
    return *file;
  }
  if (!platform::make_directories(directory))
    throw IoError(fmt::format("[spill] expected a directory for the spill file, got {} ({}); set "
                              "PLIMSOLL_SPILL_DIR",
                              directory, platform::error_text(errno)),
                  errno);
  if (platform::is_memory_backed(directory))
    throw IoError(
        fmt::format("[spill] expected a directory on a disk, got {}, a tmpfs, whose files "
                    "are RAM; set PLIMSOLL_SPILL_DIR to one on a disk",
                    directory));
  file = open_scratch(directory, options.direct, faults);
  return *file;
}

void SpillStore::Impl::drop_slot(uint32_t id) {
  space.give(slots[id].where);
  slots.give(id);
  if (space.used() == 0 && open_reservations == 0 && file != nullptr) space.shrink(*file);
}

void SpillStore::Impl::give_slots(Buffer& buffer, std::span<Piece> pieces, Bytes* promised) {
  MutexLock lock(mutex);
  Bytes none = 0;
  for (Piece& p : pieces) {
    p.slot = slots.take(buffer.pool());
    slots[p.slot].where = space.take(open_file(), file_bytes(buffer.bytes_of(p.extent)),
                                     promised != nullptr ? promised : &none);
  }
}

void SpillStore::Impl::free_slot(uint32_t id) noexcept {
  // A child shares the parent's file: it must not cut it.
  if (platform::process_id() != owner) return;
  MutexLock lock(mutex);
  if (slots[id].readers != 0)
    slots[id].dead = true;
  else
    drop_slot(id);
}

void SpillStore::Impl::hold_slot(uint32_t id) noexcept {
  MutexLock lock(mutex);
  ++slots[id].readers;
}

void SpillStore::Impl::unhold_slot(uint32_t id) noexcept {
  MutexLock lock(mutex);
  if (--slots[id].readers == 0 && slots[id].dead) drop_slot(id);
}

Fragments SpillStore::Impl::cut(const Fragments& where, ByteRange part) {
  Fragments result;
  Bytes at = 0;
  for (const Fragment& f : where) {
    const Bytes begin = std::max(part.begin, at), end = std::min(part.end, at + f.size);
    if (begin < end) result.push_back({f.offset + (begin - at), end - begin});
    at += f.size;
  }
  return result;
}

bool SpillStore::Impl::split_slots(Pool& pool, std::span<const Parts> parts, Bytes bytes,
                                   std::span<uint32_t> rests) noexcept {
  MutexLock lock(mutex);
  size_t made = 0;
  std::vector<Fragments> firsts;
  try {
    for (const Parts& p : parts) {
      if (slots[p.slot].readers != 0) throw std::bad_alloc();
      firsts.push_back(cut(slots[p.slot].where, {0, bytes}));
      for (uint32_t i = 1; i < p.count; ++i) {
        const Bytes end = i + 1 == p.count ? ~Bytes{0} : (i + 1) * bytes;
        Fragments where = cut(slots[p.slot].where, {i * bytes, end});
        rests[made] = slots.take(pool);
        slots[rests[made++]].where = std::move(where);
      }
    }
  } catch (const std::bad_alloc&) {
    while (made > 0) slots.give(rests[--made]);
    return false;
  }
  for (size_t k = 0, rest = 0; k < parts.size(); ++k) {
    Slot& first = slots[parts[k].slot];
    for (uint32_t i = 1; i < parts[k].count; ++i)
      slots[rests[rest++]].sums[0] = std::exchange(first.sums[i], 0u);
    if (parts[k].count > 1) first.where = std::move(firsts[k]);
  }
  return true;
}

bool SpillStore::Impl::join_slots(std::span<const Parts> parts,
                                  std::span<const uint32_t> rests) noexcept {
  MutexLock lock(mutex);
  try {
    size_t rest = 0;
    for (const Parts& p : parts) {
      size_t fragments = slots[p.slot].where.size();
      uint32_t readers = slots[p.slot].readers;
      for (uint32_t i = 1; i < p.count; ++i, ++rest) {
        fragments += slots[rests[rest]].where.size();
        readers += slots[rests[rest]].readers;
      }
      if (readers != 0) return false;
      slots[p.slot].where.reserve(fragments);
    }
  } catch (const std::bad_alloc&) {
    return false;
  }
  size_t rest = 0;
  for (const Parts& p : parts) {
    Slot& whole = slots[p.slot];
    for (uint32_t i = 1; i < p.count; ++i, ++rest) {
      whole.sums[i] = slots[rests[rest]].sums[0];
      for (const Fragment& f : slots[rests[rest]].where) {
        Fragment& last = whole.where.back();
        if (last.offset + last.size == f.offset)
          last.size += f.size;
        else
          whole.where.push_back(f);
      }
      slots.give(rests[rest]);
    }
  }
  return true;
}

void SpillStore::Impl::write_piece(Buffer& buffer, const Piece& piece) {
  ByteRange bytes = buffer.bytes_of(piece.extent);
  if (piece.slot == Buffer::kNoSlot) {
    buffer.write_to_sink(piece.extent);
    written_to_sinks.fetch_add(bytes.size(), std::memory_order_relaxed);
    return;
  }
  const std::byte* at = buffer.address_of(piece.extent);
  File* to;
  Fragments where;
  {
    MutexLock lock(mutex);
    to = file.get();
    where = slots[piece.slot].where;
  }
  decltype(Slot::sums) sums{};
  const Bytes unit = buffer.pool().options().fine_extent_bytes;
  for (Bytes i = 0; i * unit < bytes.size(); ++i)
    sums[i] = folded_checksum({at + i * unit, std::min(unit, bytes.size() - i * unit)});
  for (const Fragment& f : where) {
    write_all(*to, {at, f.size}, f.offset);
    to->drop_cache(f.offset, f.size);
    at += f.size;
    write_requests.fetch_add(1, std::memory_order_relaxed);
  }
  written.fetch_add(file_bytes(bytes), std::memory_order_relaxed);
  MutexLock lock(mutex);
  slots[piece.slot].sums = sums;
}

void SpillStore::Impl::read_piece(Buffer& buffer, const Piece& piece, std::byte* to) {
  ByteRange bytes = buffer.bytes_of(piece.extent);
  if (piece.slot == Buffer::kNoSlot) {
    buffer.read_file({to, bytes.size()}, bytes.begin);
    read_from_sources.fetch_add(bytes.size(), std::memory_order_relaxed);
    return;
  }
  read_slot(piece.slot, {0, bytes.size()}, buffer.pool().options().fine_extent_bytes, to);
}

void SpillStore::Impl::read_slot(uint32_t slot, ByteRange part, Bytes unit, std::byte* to) {
  File* from;
  Fragments where;
  decltype(Slot::sums) expected;
  {
    MutexLock lock(mutex);
    from = file.get();
    where = slots[slot].where;
    expected = slots[slot].sums;
  }
  std::byte* at = to;
  Bytes skip = part.begin, left = file_bytes(part);
  for (const Fragment& f : where) {
    const Bytes skipped = std::min(skip, f.size);
    skip -= skipped;
    const Bytes n = std::min(f.size - skipped, left);
    if (n == 0) continue;
    read_exact(*from, {at, n}, f.offset + skipped);
    from->drop_cache(f.offset + skipped, n);
    at += n;
    left -= n;
    read_requests.fetch_add(1, std::memory_order_relaxed);
  }
  read.fetch_add(file_bytes(part), std::memory_order_relaxed);
  for (Bytes begin = part.begin; begin < part.end; begin += unit)
    if (folded_checksum({to + (begin - part.begin), std::min(unit, part.end - begin)}) !=
        expected[begin / unit])
      throw IoError(fmt::format("[spill] expected the bytes that were written at offset {} of the "
                                "spill file, got others (checksum mismatch); check the disk",
                                where.front().offset),
                    EIO);
}

void SpillStore::Impl::write_job(BufferRef buffer, std::span<const Piece> pieces,
                                 Ticket::State& state) {
  Failure failure;
  for (const Piece& piece : pieces) {
    bool kept = false;
    try {
      if (!failure) {
        write_piece(*buffer, piece);
        kept = buffer->finish_write(piece.extent, piece.slot);
      } else {
        buffer->abandon_write(piece.extent);
      }
    } catch (...) {
      failure = Failure::current();
      buffer->abandon_write(piece.extent);
    }
    if (!kept && piece.slot != Buffer::kNoSlot) free_slot(piece.slot);
  }
  // The reference goes before the news does: whoever waits may ask whether its own is the only one.
  buffer = BufferRef();
  state.finish(std::move(failure));
}

void SpillStore::Impl::read_job(BufferRef buffer, std::span<const Piece> pieces,
                                Ticket::State& state) {
  Failure failure;
  for (const Piece& piece : pieces) {
    bool ok = false;
    try {
      if (!failure) {
        read_piece(*buffer, piece, buffer->address_of(piece.extent));
        ok = true;
      }
    } catch (...) {
      failure = Failure::current();
    }
    buffer->finish_read(piece.extent, ok);
  }
  buffer = BufferRef();
  state.finish(std::move(failure));
}

// Cuts the pieces into requests of request_bytes and queues them. Cannot fail: the extents are
// marked already, so what cannot be queued runs here.
template <typename Run>
void SpillStore::Impl::start(const BufferRef& buffer, std::shared_ptr<Ticket::State> state,
                             bool urgent, Run run) {
  std::span<const Piece> pieces = state->pieces;
  size_t per_job = std::max<Bytes>(1, options.request_bytes / buffer->extent_bytes());
  {
    MutexLock lock(state->mutex);
    state->pending = (pieces.size() + per_job - 1) / per_job;
  }
  for (; !pieces.empty(); pieces = pieces.subspan(std::min(per_job, pieces.size()))) {
    auto part = pieces.first(std::min(per_job, pieces.size()));
    try {
      queue.submit([this, buffer = BufferRef(buffer), part, state,
                    run]() mutable { (this->*run)(std::move(buffer), part, *state); },
                   urgent);
    } catch (const std::bad_alloc&) {
      (this->*run)(buffer, part, *state);
    }
  }
}

SpillReservation& SpillReservation::operator=(SpillReservation&& o) noexcept {
  if (this != &o) {
    release();
    store_ = std::exchange(o.store_, nullptr);
    bytes_ = std::exchange(o.bytes_, 0);
  }
  return *this;
}

void SpillReservation::release() noexcept {
  if (store_ == nullptr) return;
  auto& impl = *std::exchange(store_, nullptr)->impl_;
  if (platform::process_id() != impl.owner) return;
  MutexLock lock(impl.mutex);
  impl.space.unpromise(std::exchange(bytes_, 0));
  --impl.open_reservations;
  if (impl.space.used() == 0 && impl.open_reservations == 0 && impl.file != nullptr)
    impl.space.shrink(*impl.file);
}

SpillStore::SpillStore(Options options, FaultPlan* faults)
    : impl_(std::make_unique<Impl>(std::move(options), faults)) {}

SpillStore::~SpillStore() {
  if (platform::process_id() != impl_->owner) impl_->queue.forget_threads();
}

SpillReservation SpillStore::reserve_space(Bytes bytes) {
  impl_->check_process();
  MutexLock lock(impl_->mutex);
  bytes = round_up(bytes, kBlock);
  impl_->space.promise(impl_->open_file(), bytes);
  ++impl_->open_reservations;
  return SpillReservation(this, bytes);
}

Bytes SpillStore::space_for(const Buffer& buffer, ByteRange range) {
  return buffer.writes_to_sink() ? 0 : buffer.dirty_bytes(range);
}

Bytes SpillStore::available() {
  impl_->check_process();
  MutexLock lock(impl_->mutex);
  SpillSpace& space = impl_->space;
  Bytes growth = space.limit() - space.length();
  std::string directory =
      impl_->options.directory.empty() ? default_directory() : impl_->options.directory;
  if (auto disk = platform::free_disk_space(directory)) growth = std::min(growth, *disk);
  return growth + space.free() - space.promised();
}

Bytes SpillStore::record_growth(size_t extents, size_t there) const {
  MutexLock lock(impl_->mutex);
  return impl_->slots.growth(extents, there);
}

Ticket SpillStore::write(const BufferRef& buffer, ByteRange range, SpillReservation* space) {
  Impl& impl = *impl_;
  impl.check_process();
  Ticket ticket;
  ticket.state_ = std::make_shared<Ticket::State>();
  auto& pieces = ticket.state_->pieces;
  pieces = buffer->begin_write(range, &impl);
  try {
    if (!buffer->writes_to_sink())
      impl.give_slots(*buffer, pieces, space != nullptr ? &space->bytes_ : nullptr);
  } catch (...) {
    for (const Impl::Piece& p : pieces) {
      if (p.slot != Buffer::kNoSlot) impl.free_slot(p.slot);
      buffer->abandon_write(p.extent);
    }
    throw;
  }
  impl.start(buffer, ticket.state_, /*urgent=*/false, &Impl::write_job);
  return ticket;
}

Ticket SpillStore::read(const BufferRef& buffer, ByteRange range, Reservation& charge) {
  impl_->check_process();
  Ticket ticket;
  ticket.state_ = std::make_shared<Ticket::State>();
  ticket.state_->pieces = buffer->begin_read(range, charge);
  impl_->start(buffer, ticket.state_, /*urgent=*/true, &Impl::read_job);
  return ticket;
}

void SpillStore::wait(Ticket& ticket) {
  if (ticket.state_ == nullptr) return;
  impl_->check_process();
  auto begin = std::chrono::steady_clock::now();
  Ticket::State& state = *ticket.state_;
  while (!ticket.done()) {
    if (impl_->queue.threads() == 0 && impl_->queue.run_one()) continue;
    MutexLock lock(state.mutex);
    while (state.pending != 0) state.changed.wait(state.mutex);
  }
  auto waited = std::chrono::steady_clock::now() - begin;
  impl_->waited_ns.fetch_add(static_cast<uint64_t>(std::chrono::nanoseconds(waited).count()),
                             std::memory_order_relaxed);
  MutexLock lock(state.mutex);
  if (state.failure) state.failure.raise();
}

void SpillStore::wait_all() { impl_->queue.drain(); }

void SpillStore::copy_out(const BufferRef& buffer, ByteRange range, std::byte* to) {
  Impl& impl = *impl_;
  Buffer& b = *buffer;
  for (Bytes begin = range.begin; begin < range.end;) {
    std::byte* target = to + (begin - range.begin);
    Buffer::Look look = b.look({begin, range.end});
    while (look.state == ExtentState::kLoading) {
      // Rare: another thread's read is at it, and only its ticket tells when it ends.
      if (!impl.queue.run_one()) std::this_thread::sleep_for(std::chrono::microseconds(50));
      look = b.look({begin, range.end});
    }
    const ByteRange part = look.part;
    begin = part.end;
    if (look.pin) {
      std::memcpy(target, look.pin.data(), part.size());
    } else if (look.state == ExtentState::kEmpty) {
      std::memset(target, 0, part.size());
    } else if (look.slot == Buffer::kNoSlot) {
      impl.check_process();
      b.read_file({target, part.size()}, part.begin);
      impl.read_from_sources.fetch_add(part.size(), std::memory_order_relaxed);
    } else {
      struct Hold {
        Impl& impl;
        uint32_t slot;
        ~Hold() { impl.unhold_slot(slot); }
      } hold{impl, look.slot};
      impl.check_process();
      auto staging = b.pool().try_make_resident(
          std::max(file_bytes(look.checked), b.pool().options().slab_threshold), Tag::kStaging);
      PLIMSOLL_CHECK(staging, OutOfMemory,
                     "[spill] expected {} to read a spilled array through, got none; raise the "
                     "limit or release arrays",
                     format_bytes(file_bytes(look.checked)));
      Pin pin = (*staging)->pin();
      const Bytes unit = b.pool().options().fine_extent_bytes;
      impl.read_slot(look.slot, look.checked, unit, pin.data());
      std::memcpy(target, pin.data() + part.begin % unit, part.size());
    }
  }
}

void SpillStore::adopt_process() noexcept { impl_->owner = platform::process_id(); }

SpillStore::Stats SpillStore::stats() const {
  Impl& impl = *impl_;
  Stats s;
  s.written = impl.written;
  s.read = impl.read;
  s.read_from_sources = impl.read_from_sources;
  s.written_to_sinks = impl.written_to_sinks;
  s.waited_ns = impl.waited_ns;
  s.write_requests = impl.write_requests;
  s.read_requests = impl.read_requests;
  s.threads = impl.queue.threads();
  MutexLock lock(impl.mutex);
  s.stored = impl.space.used();
  s.file_bytes = impl.space.length();
  s.direct = impl.file != nullptr && impl.file->direct();
  s.guaranteed = impl.space.guaranteed();
  return s;
}

void SpillStore::shrink() noexcept {
  if (platform::process_id() != impl_->owner) return;
  MutexLock lock(impl_->mutex);
  if (impl_->file != nullptr) impl_->space.shrink(*impl_->file);
}

std::string SpillStore::default_directory() {
  std::string cache = platform::environment("XDG_CACHE_HOME");
  if (!cache.empty()) return cache + "/plimsoll";
  std::string home = platform::environment("HOME");
  return home.empty() ? "/var/tmp" : home + "/.cache/plimsoll";
}

}  // namespace plimsoll::memory
