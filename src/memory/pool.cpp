#include "memory/pool.h"

#include <algorithm>
#include <bit>
#include <new>
#include <utility>

#include "base/check.h"
#include "base/platform_poison.h"
#include "memory/block_allocator.h"
#include "memory/slab.h"

namespace plimsoll::memory {
namespace {

// Extent tables are heap blocks: 16 bytes of the heap's own, in units of a cache line.
constexpr Bytes kHeapRounding = 64;

Pool::Options checked(Pool::Options o) {
  PLIMSOLL_CHECK(std::has_single_bit(o.extent_bytes) && o.extent_bytes >= BlockAllocator::kPage,
                 ValueError, "[Pool] expected extents of a power of two from 4 KiB, got {} bytes",
                 o.extent_bytes);
  PLIMSOLL_CHECK(std::has_single_bit(o.slab_threshold) && o.slab_threshold <= 128 * kKiB,
                 ValueError,
                 "[Pool] expected a slab threshold of a power of two up to 128 KiB, got {} bytes",
                 o.slab_threshold);
  const Bytes fine = o.fine_extent_bytes;
  if (!std::has_single_bit(fine) || fine < BlockAllocator::kPage || fine >= o.extent_bytes ||
      o.extent_bytes / fine > Pool::kMostFine)
    o.fine_extent_bytes = o.extent_bytes;
  return o;
}

}  // namespace

Pool::Pool(Ledger& ledger, device::Resource& resource, FaultPlan* faults)
    : Pool(ledger, resource, faults, Options{}) {}

Pool::Pool(Ledger& ledger, device::Resource& resource, FaultPlan* faults, Options options)
    : ledger_(ledger), options_(checked(options)) {
  metadata_ = std::make_unique<MetadataArena>(ledger, resource, faults);
  blocks_ = std::make_unique<BlockAllocator>(ledger, resource, *metadata_, faults,
                                             options.arena_bytes, options.cache_limit);
  slabs_ = std::make_unique<SlabSet>(*blocks_, *metadata_);
  metadata_->set_reclaim(
      [](void* blocks, Bytes bytes) {
        return static_cast<BlockAllocator*>(blocks)->make_room(bytes);
      },
      blocks_.get());
}

Pool::~Pool() = default;

BlockShape Pool::shape_of(Bytes size) const {
  BlockShape s;
  if (size < options_.slab_threshold) {
    uint32_t cls = SlabSet::class_of(size);
    s.small = true;
    s.bytes = s.extent_bytes = s.fine_extent_bytes = SlabSet::block_bytes(cls);
    s.slab_bytes = SlabSet::slab_bytes(cls);
    s.slab_blocks = static_cast<uint32_t>(s.slab_bytes / s.bytes);
    return s;
  }
  constexpr Bytes kHuge = BlockAllocator::kHugePage;
  s.extent_bytes = options_.extent_bytes;
  s.fine_extent_bytes = options_.fine_extent_bytes;
  Bytes huge_bytes = round_up(size, kHuge);
  // Whole huge pages only where they waste at most an eighth.
  s.huge = options_.huge_pages && options_.extent_bytes >= kHuge && size >= kHuge / 2 &&
           huge_bytes - size <= size / 8;
  s.bytes = s.huge ? huge_bytes : round_up(size, BlockAllocator::kPage);
  return s;
}

Bytes Pool::scratch_size(Bytes size) const {
  constexpr Bytes kHuge = BlockAllocator::kHugePage;
  bool huge = options_.huge_pages && options_.extent_bytes >= kHuge && size >= kHuge / 2;
  return huge ? round_up(size, kHuge) : size;
}

std::optional<BufferRef> Pool::try_make_resident(Bytes size, Tag tag) {
  BlockShape shape = shape_of(size);
  Buffer* buffer = new_buffer(size, shape);
  if (buffer == nullptr) return std::nullopt;
  if (shape.small) {
    if (place_small(buffer, shape)) return BufferRef(buffer);
    delete_buffer(buffer);
    return std::nullopt;
  }
  Block block;
  if (!make_table(buffer) || !blocks_->allocate(shape.bytes, shape.huge, tag, &block)) {
    delete_buffer(buffer);
    return std::nullopt;
  }
  buffer->adopt(std::move(block));
  link(buffer);
  return BufferRef(buffer);
}

std::optional<BufferRef> Pool::try_make(Bytes size) {
  BlockShape shape = shape_of(size);
  Buffer* buffer = new_buffer(size, shape);
  if (buffer == nullptr) return std::nullopt;
  bool placed = false;
  if (shape.small) {
    placed = place_small(buffer, shape);
  } else {
    Block block;
    placed = make_table(buffer) && blocks_->allocate_address(shape.bytes, shape.huge, &block);
    if (placed) {
      buffer->adopt(std::move(block));
      link(buffer);
    }
  }
  if (placed) return BufferRef(buffer);
  delete_buffer(buffer);
  return std::nullopt;
}

BufferRef Pool::make(Bytes size) {
  if (auto buffer = try_make(size)) return std::move(*buffer);
  throw OutOfMemory(
      fmt::format("[Pool::make] expected room for a buffer of {}, got a refusal ({} of {} used); "
                  "raise the limit "
                  "or free arrays",
                  format_bytes(size), format_bytes(ledger_.used()), format_bytes(ledger_.limit())));
}

Buffer* Pool::new_buffer(Bytes size, const BlockShape& shape) noexcept {
  static_assert(sizeof(Buffer) <= MetadataArena::kMaxBlock);
  void* memory = metadata_->try_allocate(sizeof(Buffer));
  if (memory == nullptr) return nullptr;
  Buffer* buffer = new (memory) Buffer(this, size);
  buffer->small_ = shape.small;
  buffer->huge_ = shape.huge;
  buffer->extent_bytes_ = shape.extent_bytes;
  buffer->page_bytes_ = shape.huge ? BlockAllocator::kHugePage : BlockAllocator::kPage;
  if (!shape.small) buffer->num_extents_ = (size + shape.extent_bytes - 1) / shape.extent_bytes;
  return buffer;
}

void Pool::delete_buffer(Buffer* buffer) noexcept {
  buffer->~Buffer();
  metadata_->deallocate(buffer, sizeof(Buffer));
}

bool Pool::place_small(Buffer* buffer, const BlockShape& shape) noexcept {
  buffer->base_ = slabs_->allocate(SlabSet::class_of(buffer->size_), &buffer->slab_);
  buffer->block_bytes_ = shape.bytes;
  if (buffer->base_ == nullptr) return false;
  platform::poison(buffer->base_ + buffer->size_, shape.bytes - buffer->size_);
  return true;
}

Bytes Pool::table_bytes(size_t extents) {
  return extents == 1 ? 0 : round_up(extents * sizeof(Buffer::Extent) + 16, kHeapRounding);
}

Bytes Pool::metadata_of(Bytes size) const { return round_up(sizeof(Buffer), 64) + table_of(size); }

Bytes Pool::table_of(Bytes size) const { return table_bytes(extents_of(size)); }

size_t Pool::extents_of(Bytes size) const {
  BlockShape shape = shape_of(size);
  return shape.small ? 1 : (size + shape.fine_extent_bytes - 1) / shape.fine_extent_bytes;
}

Bytes Pool::header_growth(size_t buffers, size_t slabs) const {
  return metadata_->growth(sizeof(Buffer), buffers) + metadata_->growth(sizeof(Slab), slabs);
}

bool Pool::make_table(Buffer* buffer) noexcept {
  size_t n = extents_of(buffer->size_);
  if (n == 1) return true;
  auto charge = blocks_->reserve(table_bytes(n), Tag::kMetadata);
  if (!charge) return false;
  buffer->table_.reset(new (std::nothrow) Buffer::Extent[n]);
  if (buffer->table_ == nullptr) return false;
  buffer->table_charge_ = std::move(*charge);
  buffer->extents_ = buffer->table_.get();
  return true;
}

void Pool::link(Buffer* buffer) noexcept {
  MutexLock lock(mutex_);
  buffer->next_ = live_;
  if (live_ != nullptr) live_->previous_ = buffer;
  live_ = buffer;
}

void Pool::recycle(Buffer* buffer) noexcept {
  if (in_forked_child()) return;
  if (buffer->small_) {
    slabs_->free(buffer->slab_, buffer->base_);
    delete_buffer(buffer);
    return;
  }
  {
    MutexLock lock(mutex_);
    if (buffer->previous_ != nullptr) buffer->previous_->next_ = buffer->next_;
    if (buffer->next_ != nullptr) buffer->next_->previous_ = buffer->previous_;
    if (live_ == buffer) live_ = buffer->next_;
  }
  release_block(buffer->abandon());
  delete_buffer(buffer);
}

void Pool::release_block(Block block) noexcept {
  if (block.base != nullptr) blocks_->release(std::move(block));
}

bool Pool::take_block(Bytes bytes, bool huge, Block* out) noexcept {
  return blocks_->allocate(bytes, huge, Tag::kBuffer, out);
}

bool Pool::take_address(Bytes bytes, bool huge, Block* out) noexcept {
  return blocks_->allocate_address(bytes, huge, out);
}

bool Pool::commit_pages(std::byte* address, Bytes size, bool huge) noexcept {
  return blocks_->commit(address, size, huge);
}

void Pool::decommit_pages(std::byte* address, Bytes size) noexcept {
  blocks_->decommit(address, size);
}

std::optional<Reservation> Pool::try_reserve(Bytes bytes, Tag tag) {
  return blocks_->reserve(bytes, tag);
}

Bytes Pool::cache_bytes() const { return blocks_->cache_bytes(); }

Bytes Pool::reclaimable() const { return blocks_->reclaimable(); }

void Pool::clear_cache() {
  blocks_->trim(~Bytes{0});
  blocks_->drop_empty_arenas();
}

Bytes Pool::trim(Bytes bytes) { return blocks_->trim(bytes); }

Bytes Pool::set_cache_limit(Bytes limit) { return blocks_->set_cache_limit(limit); }

std::vector<BufferRef> Pool::live_buffers() {
  std::vector<BufferRef> all;
  MutexLock lock(mutex_);
  size_t count = 0;
  for (Buffer* b = live_; b != nullptr; b = b->next_) ++count;
  all.reserve(count);  // so that no reference is dropped under the lock
  for (Buffer* b = live_; b != nullptr; b = b->next_) {
    // One whose last reference is going waits for our lock in recycle(): leave it alone.
    uint32_t n = b->references_.load(std::memory_order_relaxed);
    while (n != 0 && !b->references_.compare_exchange_weak(n, n + 1)) {
    }
    if (n != 0) all.push_back(BufferRef(b));
  }
  return all;
}

uint64_t Pool::add_export(std::string owner, Bytes bytes) {
  MutexLock lock(mutex_);
  exports_.emplace(next_export_, PinnedBy{std::move(owner), bytes, std::this_thread::get_id(),
                                          std::chrono::steady_clock::now()});
  return next_export_++;
}

void Pool::remove_export(uint64_t id) noexcept {
  if (in_forked_child()) return;
  MutexLock lock(mutex_);
  exports_.erase(id);
  export_ended_.notify_all();
}

void Pool::wait_for_copies() {
  using namespace std::chrono;
  // A gigabyte a second, after a start that other threads may have delayed.
  auto patience = [](Bytes bytes) {
    return milliseconds(500 + std::min<Bytes>(bytes / 1'000'000, 5000));
  };
  MutexLock lock(mutex_);
  for (;;) {
    steady_clock::time_point until;
    for (const auto& [id, by] : exports_)
      if (by.thread != std::this_thread::get_id())
        until = std::max(until, by.since + patience(by.bytes));
    if (steady_clock::now() >= until) return;
    export_ended_.wait_until(mutex_, until);
  }
}

std::vector<PinnedBy> Pool::exports() const {
  MutexLock lock(mutex_);
  std::vector<PinnedBy> all;
  for (const auto& [id, by] : exports_) all.push_back(by);
  return all;
}

Bytes Pool::exported_bytes() const {
  MutexLock lock(mutex_);
  Bytes sum = 0;
  for (const auto& [id, by] : exports_) sum += by.bytes;
  return sum;
}

Pool::Stats Pool::stats() const {
  auto b = blocks_->stats();
  return {b.recycled, b.fresh, b.mappings, b.address_bytes, slabs_->bytes()};
}

}  // namespace plimsoll::memory
