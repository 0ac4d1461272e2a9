#include "memory/metadata_arena.h"

#include <cstdint>
#include <memory>
#include <new>
#include <utility>

namespace plimsoll::memory {
namespace {

// Chunks come from regions, so that a million nodes are a few mappings.
constexpr Bytes kRegionBytes = 64 * MetadataArena::kChunkBytes;

}  // namespace

struct MetadataArena::Chunk {
  Chunk* next = nullptr;  // in Class::partial
  Chunk* previous = nullptr;
  void* free = nullptr;  // linked through the blocks
  uint32_t live = 0;
  uint32_t fresh = 0;  // blocks never handed out start here
  uint32_t blocks = 0;
  int32_t cls = 0;
  Region* region = nullptr;
  Reservation charge;

  std::byte* block(uint32_t i, size_t bytes) {
    return reinterpret_cast<std::byte*>(this) + kHeader + i * bytes;
  }
  static constexpr size_t kHeader = 128;
};

struct MetadataArena::Region {
  std::byte* base = nullptr;
  uint64_t taken = 0;  // bit i: chunk i is in use
  Region* next = nullptr;
};

MetadataArena::MetadataArena(Ledger& ledger, device::Resource& resource, FaultPlan* faults)
    : ledger_(ledger), resource_(resource), faults_(faults) {}

MetadataArena::~MetadataArena() {
  trim();
  // Blocks still alive belong to objects that outlive us by mistake: leave their pages alone.
  MutexLock lock(mutex_);
  while (regions_ != nullptr && regions_->taken == 0) drop_region(regions_);
}

void* MetadataArena::try_allocate(size_t bytes) noexcept {
  if (void* block = try_allocate_without_reclaim(bytes)) return block;
  if (reclaim_ == nullptr || !reclaim_(reclaim_context_, kChunkBytes)) return nullptr;
  return try_allocate_without_reclaim(bytes);
}

void* MetadataArena::try_allocate_without_reclaim(size_t bytes) noexcept {
  int cls = class_of(bytes);
  MutexLock lock(mutex_);
  Class& c = classes_[cls];
  Chunk* chunk = c.partial;
  if (chunk == nullptr) {
    chunk = take_chunk(cls);
    if (chunk == nullptr) return nullptr;
  }
  void* block = chunk->free;
  if (block != nullptr)
    chunk->free = *static_cast<void**>(block);
  else
    block = chunk->block(chunk->fresh++, block_bytes(cls));
  ++c.live;
  if (++chunk->live == chunk->blocks) unlink(chunk);
  return block;
}

void MetadataArena::deallocate(void* block, size_t bytes) noexcept {
  if (block == nullptr) return;
  int cls = class_of(bytes);
  auto* chunk =
      reinterpret_cast<Chunk*>(round_down(reinterpret_cast<uintptr_t>(block), kChunkBytes));
  MutexLock lock(mutex_);
  *static_cast<void**>(block) = chunk->free;
  chunk->free = block;
  --classes_[cls].live;
  if (chunk->live-- == chunk->blocks) link(chunk);
  if (chunk->live != 0) return;
  unlink(chunk);
  classes_[cls].room -= chunk->blocks;
  if (spare_ == nullptr) {
    spare_ = chunk;
  } else {
    give_back(chunk);
  }
}

Bytes MetadataArena::trim() noexcept {
  MutexLock lock(mutex_);
  if (spare_ == nullptr) return 0;
  give_back(std::exchange(spare_, nullptr));
  return kChunkBytes;
}

Bytes MetadataArena::spare_bytes() const noexcept {
  MutexLock lock(mutex_);
  return spare_ == nullptr ? 0 : kChunkBytes;
}

Bytes MetadataArena::charged_bytes() const noexcept {
  MutexLock lock(mutex_);
  return charged_;
}

size_t MetadataArena::blocks_of_chunk(int cls) {
  return (kChunkBytes - Chunk::kHeader) / block_bytes(cls);
}

Bytes MetadataArena::growth(size_t bytes, size_t count) const noexcept {
  const int cls = class_of(bytes);
  const size_t per_chunk = blocks_of_chunk(cls);
  MutexLock lock(mutex_);
  const size_t want = classes_[cls].live + count, room = classes_[cls].room;
  return want <= room ? 0 : (want - room + per_chunk - 1) / per_chunk * kChunkBytes;
}

size_t MetadataArena::live_blocks() const noexcept {
  MutexLock lock(mutex_);
  size_t live = 0;
  for (const Class& c : classes_) live += c.live;
  return live;
}

void MetadataArena::link(Chunk* chunk) noexcept {
  Chunk*& head = classes_[chunk->cls].partial;
  chunk->previous = nullptr;
  chunk->next = head;
  if (head != nullptr) head->previous = chunk;
  head = chunk;
}

void MetadataArena::unlink(Chunk* chunk) noexcept {
  Chunk*& head = classes_[chunk->cls].partial;
  if (chunk->previous != nullptr) chunk->previous->next = chunk->next;
  if (chunk->next != nullptr) chunk->next->previous = chunk->previous;
  if (head == chunk) head = chunk->next;
  chunk->next = chunk->previous = nullptr;
}

MetadataArena::Chunk* MetadataArena::take_chunk(int cls) noexcept {
  Chunk* chunk = std::exchange(spare_, nullptr);
  if (chunk == nullptr && (chunk = fresh_chunk()) == nullptr) return nullptr;
  chunk->cls = cls;
  chunk->free = nullptr;
  chunk->live = chunk->fresh = 0;
  chunk->blocks = static_cast<uint32_t>(blocks_of_chunk(cls));
  classes_[cls].room += chunk->blocks;
  link(chunk);
  return chunk;
}

MetadataArena::Chunk* MetadataArena::fresh_chunk() noexcept {
  static_assert(sizeof(Chunk) <= Chunk::kHeader);
  auto charge = ledger_.try_reserve(kChunkBytes, Tag::kMetadata);
  if (!charge) return nullptr;
  Region* region = regions_;
  while (region != nullptr && region->taken == ~uint64_t{0}) region = region->next;
  if (region == nullptr && (region = add_region()) == nullptr) return nullptr;
  int index = __builtin_ctzll(~region->taken);
  std::byte* at = region->base + index * kChunkBytes;
  if (should_fail(faults_, FaultSite::kCommit) || !resource_.commit(at, kChunkBytes, false)) {
    if (region->taken == 0) drop_region(region);
    return nullptr;
  }
  region->taken |= uint64_t{1} << index;
  Chunk* chunk = new (at) Chunk;
  chunk->region = region;
  chunk->charge = std::move(*charge);
  charged_ += kChunkBytes;
  return chunk;
}

void MetadataArena::give_back(Chunk* chunk) noexcept {
  Reservation charge = std::move(chunk->charge);  // released after the pages are gone
  Region* region = chunk->region;
  auto* at = reinterpret_cast<std::byte*>(chunk);
  chunk->~Chunk();
  resource_.decommit(at, kChunkBytes);
  charged_ -= kChunkBytes;
  region->taken &= ~(uint64_t{1} << ((at - region->base) / kChunkBytes));
  if (region->taken == 0) drop_region(region);
}

MetadataArena::Region* MetadataArena::add_region() noexcept {
  if (should_fail(faults_, FaultSite::kAddress)) return nullptr;
  std::unique_ptr<Region> region(new (std::nothrow) Region);
  if (region == nullptr) return nullptr;
  region->base = resource_.reserve_address(kRegionBytes, kChunkBytes, false);
  if (region->base == nullptr) return nullptr;
  region->next = regions_;
  regions_ = region.release();
  return regions_;
}

void MetadataArena::drop_region(Region* region) noexcept {
  Region** at = &regions_;
  while (*at != region) at = &(*at)->next;
  *at = region->next;
  resource_.release_address(region->base, kRegionBytes);
  std::unique_ptr<Region> owner(region);
}

}  // namespace plimsoll::memory
