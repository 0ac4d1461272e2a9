#include "memory/arena.h"

#include <bit>
#include <new>

namespace plimsoll::memory {
namespace {

/// First index ≥ `from` whose bit equals `value`, or `end`.
uint64_t next_bit(const uint64_t* map, uint64_t from, uint64_t end, bool value) {
  while (from < end) {
    uint64_t word = map[from / 64];
    if (!value) word = ~word;
    word >>= from % 64;
    if (word != 0) return std::min(end, from + std::countr_zero(word));
    from = (from / 64 + 1) * 64;
  }
  return end;
}

void set_bits(uint64_t* map, uint64_t from, uint64_t count, bool value) {
  while (count != 0) {
    uint64_t n = std::min<uint64_t>(count, 64 - from % 64);
    uint64_t mask = (n == 64 ? ~uint64_t{0} : (uint64_t{1} << n) - 1) << (from % 64);
    if (value)
      map[from / 64] |= mask;
    else
      map[from / 64] &= ~mask;
    from += n;
    count -= n;
  }
}

}  // namespace

ArenaSet::ArenaSet(device::Resource& resource, FaultPlan* faults, Bytes unit, Bytes arena_bytes,
                   bool huge)
    : resource_(resource),
      faults_(faults),
      unit_(unit),
      arena_bytes_(round_up(std::max(arena_bytes, unit), unit)),
      huge_(huge) {}

ArenaSet::~ArenaSet() {
  drop_empty();
  // A mapping in use belongs to a buffer that outlives its pool by mistake: its pages stay.
  while (arenas_ != nullptr) {
    std::unique_ptr<Arena> owner(arenas_);
    arenas_ = arenas_->next;
  }
}

std::byte* ArenaSet::allocate(Bytes bytes, Arena** arena) noexcept {
  uint64_t units = bytes / unit_;
  // Large blocks get a mapping of their own, so that the shared ones stay dense.
  bool alone = bytes > arena_bytes_ / 4;
  if (!alone) {
    for (Arena* a = arenas_; a != nullptr; a = a->next) {
      if (a->map == nullptr || a->units - a->taken < units) continue;
      if (std::byte* at = take_run(a, units)) {
        if (a == empty_) empty_ = nullptr;
        *arena = a;
        return at;
      }
    }
  }
  Arena* fresh = add(alone ? bytes : arena_bytes_, !alone);
  if (fresh == nullptr && drop_empty()) fresh = add(alone ? bytes : arena_bytes_, !alone);
  // Under RLIMIT_AS a whole arena may be too much where the block alone still fits.
  if (fresh == nullptr && !alone) fresh = add(bytes, true);
  if (fresh == nullptr) return nullptr;
  *arena = fresh;
  if (fresh->map != nullptr) return take_run(fresh, units);
  fresh->taken = units;
  return fresh->base;
}

void ArenaSet::free(Arena* arena, std::byte* address, Bytes bytes) noexcept {
  uint64_t units = bytes / unit_;
  arena->taken -= units;
  if (arena->map != nullptr) {
    uint64_t first = static_cast<uint64_t>(address - arena->base) / unit_;
    set_bits(arena->map.get(), first, units, false);
    arena->first = std::min(arena->first, first);
  }
  if (arena->taken != 0) return;
  if (arena->map != nullptr && arena->bytes == arena_bytes_ && empty_ == nullptr)
    empty_ = arena;
  else
    remove(arena);
}

bool ArenaSet::drop_empty() noexcept {
  if (empty_ == nullptr) return false;
  remove(empty_);
  empty_ = nullptr;
  return true;
}

Arena* ArenaSet::add(Bytes bytes, bool with_map) noexcept {
  if (should_fail(faults_, FaultSite::kAddress)) return nullptr;
  std::unique_ptr<Arena> arena(new (std::nothrow) Arena);
  if (arena == nullptr) return nullptr;
  arena->bytes = bytes;
  arena->units = bytes / unit_;
  if (with_map) {
    arena->map.reset(new (std::nothrow) uint64_t[(arena->units + 63) / 64]());
    if (arena->map == nullptr) return nullptr;
  }
  arena->base = resource_.reserve_address(bytes, unit_, huge_);
  if (arena->base == nullptr) return nullptr;
  arena->next = arenas_;
  if (arenas_ != nullptr) arenas_->previous = arena.get();
  arenas_ = arena.release();
  ++mappings_;
  address_bytes_ += bytes;
  return arenas_;
}

void ArenaSet::remove(Arena* arena) noexcept {
  if (arena->previous != nullptr) arena->previous->next = arena->next;
  if (arena->next != nullptr) arena->next->previous = arena->previous;
  if (arenas_ == arena) arenas_ = arena->next;
  resource_.release_address(arena->base, arena->bytes);
  --mappings_;
  address_bytes_ -= arena->bytes;
  std::unique_ptr<Arena> owner(arena);
}

std::byte* ArenaSet::take_run(Arena* arena, uint64_t units) noexcept {
  uint64_t* map = arena->map.get();
  uint64_t at = next_bit(map, arena->first, arena->units, false);
  arena->first = at;
  while (at + units <= arena->units) {
    uint64_t stop = next_bit(map, at, std::min(arena->units, at + units), true);
    if (stop - at >= units) {
      set_bits(map, at, units, true);
      arena->taken += units;
      return arena->base + at * unit_;
    }
    at = next_bit(map, stop, arena->units, false);
  }
  return nullptr;
}

}  // namespace plimsoll::memory
