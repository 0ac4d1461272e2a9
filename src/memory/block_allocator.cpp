#include "memory/block_allocator.h"

#include <bit>
#include <new>
#include <utility>

namespace plimsoll::memory {
namespace {

constexpr int kStepBits = 4;  // 16 classes an octave
constexpr int kSearchDepth = 8;

}  // namespace

struct BlockCache::Node {
  Block block;
  Node* newer = nullptr;
  Node* older = nullptr;
  Node* above = nullptr;  // in its bin
  Node* below = nullptr;
  int bin = 0;
};

// Counts of pages below 16 have a bin each, then 16 bins an octave; monotone in `bytes`.
int BlockCache::bin_of(Bytes bytes, bool huge) {
  uint64_t n = bytes / (huge ? BlockAllocator::kHugePage : BlockAllocator::kPage);
  if (n < (1u << kStepBits)) return static_cast<int>(n);
  int octave = std::bit_width(n) - 1 - kStepBits;
  auto step = static_cast<int>((n >> octave) & ((1u << kStepBits) - 1));
  return std::min(kBins - 1, ((octave + 1) << kStepBits) + step);
}

bool BlockCache::put(Block& block) noexcept {
  void* memory = records_.try_allocate_without_reclaim(sizeof(Node));
  if (memory == nullptr) return false;
  Node* node = new (memory) Node;
  node->bin = bin_of(block.bytes, block.huge);
  bytes_ += block.committed;
  block.charge.retag(Tag::kCache);
  Bins& b = bins(block.huge);
  node->block = std::move(block);
  node->older = newest_;
  (newest_ != nullptr ? newest_->newer : oldest_) = node;
  newest_ = node;
  Node*& head = b.heads[node->bin];
  node->below = head;
  if (head != nullptr) head->above = node;
  head = node;
  b.filled[node->bin / 64] |= uint64_t{1} << (node->bin % 64);
  return true;
}

void BlockCache::remove(Node* node, Block* out) noexcept {
  (node->newer != nullptr ? node->newer->older : newest_) = node->older;
  (node->older != nullptr ? node->older->newer : oldest_) = node->newer;
  Bins& b = bins(node->block.huge);
  Node*& head = b.heads[node->bin];
  if (node->above != nullptr) node->above->below = node->below;
  if (node->below != nullptr) node->below->above = node->above;
  if (head == node) head = node->below;
  if (head == nullptr) b.filled[node->bin / 64] &= ~(uint64_t{1} << (node->bin % 64));
  bytes_ -= node->block.committed;
  *out = std::move(node->block);
  node->~Node();
  records_.deallocate(node, sizeof(Node));
}

bool BlockCache::take_ordinary(Bytes bytes, Bytes committed, Block* out) noexcept {
  Node* best = nullptr;
  int depth = 0;
  for (Node* n = ordinary_.heads[bin_of(bytes, false)]; n != nullptr && depth < kSearchDepth;
       n = n->below, ++depth) {
    if (n->block.bytes != bytes) continue;
    if (best == nullptr) best = n;
    if (n->block.committed == committed) {
      best = n;
      break;
    }
  }
  if (best == nullptr) return false;
  remove(best, out);
  return true;
}

bool BlockCache::take_huge(Bytes bytes, Block* out) noexcept {
  int bin = bin_of(bytes, true);
  Node* best = nullptr;
  int depth = 0;
  for (Node* n = huge_.heads[bin]; n != nullptr && depth < kSearchDepth; n = n->below, ++depth) {
    if (n->block.bytes < bytes) continue;
    if (best == nullptr || n->block.bytes < best->block.bytes) best = n;
    if (best->block.bytes == bytes) break;
  }
  for (int i = bin + 1; best == nullptr && i < kBins;) {
    uint64_t word = huge_.filled[i / 64] >> (i % 64);
    if (word == 0) {
      i = (i / 64 + 1) * 64;
      continue;
    }
    best = huge_.heads[i + std::countr_zero(word)];
  }
  if (best == nullptr) return false;
  remove(best, out);
  return true;
}

bool BlockCache::take_oldest(Block* out) noexcept {
  if (oldest_ == nullptr) return false;
  remove(oldest_, out);
  return true;
}

bool BlockCache::take_oldest(bool huge, Block* out) noexcept {
  Node* node = oldest_;
  while (node != nullptr && node->block.huge != huge) node = node->newer;
  if (node == nullptr) return false;
  remove(node, out);
  return true;
}

BlockAllocator::BlockAllocator(Ledger& ledger, device::Resource& resource, MetadataArena& metadata,
                               FaultPlan* faults, Bytes arena_bytes, Bytes cache_limit)
    : ledger_(ledger),
      resource_(resource),
      metadata_(metadata),
      faults_(faults),
      records_(ledger, resource, faults),
      ordinary_(resource, faults, kPage, arena_bytes, false),
      huge_(resource, faults, kHugePage, arena_bytes, true),
      cache_(records_),
      cache_limit_(cache_limit) {}

BlockAllocator::~BlockAllocator() { trim(~Bytes{0}); }

Bytes BlockAllocator::address_class(Bytes bytes, bool huge) {
  if (huge) return bytes;
  uint64_t pages = bytes / kPage;
  if (pages < (2u << kStepBits)) return bytes;
  int shift = std::bit_width(pages) - 1 - kStepBits;
  return round_up(pages, uint64_t{1} << shift) * kPage;
}

bool BlockAllocator::allocate(Bytes bytes, bool huge, Tag tag, Block* out) noexcept {
  bool found;
  {
    MutexLock lock(mutex_);
    found = recycle(bytes, huge, out);
  }
  if (found && fit(bytes, tag, out)) return true;
  auto charge = ledger_.try_reserve(bytes, tag);
  if (!allocate_address(bytes, huge, out)) return false;
  if (!charge) gather(out, bytes);
  Bytes more = bytes - out->committed;
  if (!charge && more > 0) charge = reserve(more, tag);
  if (more > 0 && (!charge || !commit(out->base + out->committed, more, huge))) {
    MutexLock lock(mutex_);
    keep_rest(*out);
    return false;
  }
  if (charge) out->charge.merge(std::move(*charge));
  out->charge.retag(tag);
  out->committed = bytes;
  (more > 0 ? fresh_ : recycled_).fetch_add(1, std::memory_order_relaxed);
  return true;
}

// Takes the pages of freed blocks of other sizes, and their charge, up to `bytes`. Moving a page is
// some thirty times cheaper than giving it back and touching a fresh one.
bool BlockAllocator::gather(Block* block, Bytes bytes) noexcept {
  MutexLock lock(mutex_);
  Block old;
  while (block->committed < bytes && cache_.take_oldest(block->huge, &old)) {
    Bytes part = std::min(old.committed, bytes - block->committed);
    Bytes keep = old.committed - part;
    bool moved = resource_.move_pages(old.base + keep, block->base + block->committed, part);
    if (moved) {
      block->committed += part;
      block->charge.merge(old.charge.split(part));
      old.committed = keep;
    }
    keep_rest(old);
    if (!moved) return false;
  }
  return true;
}

// Cached huge blocks are resident as a whole.
void BlockAllocator::keep_rest(Block& block) noexcept {
  if (block.huge && block.committed > 0 && block.committed < block.bytes) {
    huge_.free(block.arena, block.base + block.committed, block.bytes - block.committed);
    block.bytes = block.committed;
  }
  if (block.committed == 0 || !cache_.put(block)) drop(block);
}

bool BlockAllocator::recycle(Bytes bytes, bool huge, Block* out) noexcept {
  if (!huge) return cache_.take_ordinary(address_class(bytes, false), bytes, out);
  if (!cache_.take_huge(bytes, out)) return false;
  if (out->bytes == bytes) return true;
  Block rest{out->base + bytes,
             out->bytes - bytes,
             out->committed - bytes,
             out->arena,
             true,
             out->charge.split(out->committed - bytes)};
  out->bytes = out->committed = bytes;
  if (!cache_.put(rest)) drop(rest);
  return true;
}

// Makes a recycled block hold exactly `bytes` of pages.
bool BlockAllocator::fit(Bytes bytes, Tag tag, Block* block) noexcept {
  if (block->committed > bytes) {
    decommit(block->base + bytes, block->committed - bytes);
    block->charge.split(block->committed - bytes).release();
    block->committed = bytes;
  } else if (block->committed < bytes) {
    Bytes more = bytes - block->committed;
    auto charge = reserve(more, tag);
    if (!charge || !commit(block->base + block->committed, more, block->huge)) {
      MutexLock lock(mutex_);
      drop(*block);
      return false;
    }
    block->charge.merge(std::move(*charge));
    block->committed = bytes;
  }
  block->charge.retag(tag);
  recycled_.fetch_add(1, std::memory_order_relaxed);
  return true;
}

bool BlockAllocator::allocate_address(Bytes bytes, bool huge, Block* out) noexcept {
  {
    MutexLock lock(mutex_);
    if (find_address(bytes, huge, out)) return true;
  }
  // Cached blocks hold address space too.
  trim(~Bytes{0});
  MutexLock lock(mutex_);
  ordinary_.drop_empty();
  huge_.drop_empty();
  return find_address(bytes, huge, out);
}

bool BlockAllocator::find_address(Bytes bytes, bool huge, Block* out) noexcept {
  Bytes length = address_class(bytes, huge);
  Arena* arena = nullptr;
  std::byte* base = arenas(huge).allocate(length, &arena);
  if (base == nullptr) return false;
  *out = Block{base, length, 0, arena, huge, {}};
  return true;
}

void BlockAllocator::release(Block block) noexcept {
  MutexLock lock(mutex_);
  if (block.committed == 0 || block.committed > cache_limit_) return drop(block);
  if (!cache_.put(block)) return drop(block);
  drop_oldest_until(cache_limit_);
}

void BlockAllocator::drop(Block& block) noexcept {
  if (block.committed != 0) resource_.decommit(block.base, block.committed);
  block.charge.release();
  arenas(block.huge).free(block.arena, block.base, block.bytes);
}

std::optional<Reservation> BlockAllocator::reserve(Bytes bytes, Tag tag) noexcept {
  while (true) {
    if (auto r = ledger_.try_reserve(bytes, tag)) return r;
    Bytes short_by = std::max<Bytes>(1, ledger_.shortfall(bytes));
    if (trim(short_by) == 0) return std::nullopt;
  }
}

bool BlockAllocator::commit(std::byte* address, Bytes bytes, bool huge) noexcept {
  return !should_fail(faults_, FaultSite::kCommit) && resource_.commit(address, bytes, huge);
}

void BlockAllocator::decommit(std::byte* address, Bytes bytes) noexcept {
  resource_.decommit(address, bytes);
}

Bytes BlockAllocator::trim(Bytes bytes) noexcept {
  Bytes gone;
  {
    MutexLock lock(mutex_);
    Bytes held = cache_.bytes();
    gone = drop_oldest_until(held > bytes ? held - bytes : 0);
  }
  if (gone < bytes) gone += records_.trim();
  if (gone < bytes) gone += metadata_.trim();
  return gone;
}

Bytes BlockAllocator::drop_oldest_until(Bytes keep) noexcept {
  Bytes before = cache_.bytes();
  Block block;
  while (cache_.bytes() > keep && cache_.take_oldest(&block)) drop(block);
  return before - cache_.bytes();
}

Bytes BlockAllocator::set_cache_limit(Bytes limit) noexcept {
  MutexLock lock(mutex_);
  Bytes previous = std::exchange(cache_limit_, limit);
  drop_oldest_until(limit);
  return previous;
}

Bytes BlockAllocator::cache_bytes() const noexcept {
  MutexLock lock(mutex_);
  return cache_.bytes();
}

Bytes BlockAllocator::reclaimable() const noexcept {
  MutexLock lock(mutex_);
  return cache_.bytes() + records_.charged_bytes() + metadata_.spare_bytes();
}

void BlockAllocator::drop_empty_arenas() noexcept {
  MutexLock lock(mutex_);
  ordinary_.drop_empty();
  huge_.drop_empty();
}

BlockAllocator::Stats BlockAllocator::stats() const noexcept {
  MutexLock lock(mutex_);
  return {recycled_, fresh_, ordinary_.mappings() + huge_.mappings(),
          ordinary_.address_bytes() + huge_.address_bytes()};
}

}  // namespace plimsoll::memory
