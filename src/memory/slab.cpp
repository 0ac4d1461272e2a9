#include "memory/slab.h"

#include <bit>
#include <new>
#include <utility>

#include "base/platform_poison.h"

namespace plimsoll::memory {

uint32_t SlabSet::class_of(Bytes size) {
  uint64_t grains = size == 0 ? 1 : (size + kGrain - 1) / kGrain;
  if (grains <= 16) return static_cast<uint32_t>(grains - 1);
  int shift = std::bit_width(grains - 1) - 4;
  uint64_t step = (grains - 1) >> shift;  // 8 … 15
  return static_cast<uint32_t>(16 + (shift - 1) * 8 + (step - 8));
}

Bytes SlabSet::block_bytes(uint32_t cls) {
  if (cls < 16) return (cls + 1) * kGrain;
  uint32_t shift = (cls - 16) / 8 + 1;
  uint64_t step = (cls - 16) % 8 + 8;
  return ((step + 1) << shift) * kGrain;
}

Bytes SlabSet::slab_bytes(uint32_t cls) {
  return std::clamp(std::bit_ceil(block_bytes(cls) * 8), kMinSlab, kMaxSlab);
}

std::byte* SlabSet::allocate(uint32_t cls, Slab** out) noexcept {
  MutexLock lock(mutex_);
  Slab* slab = partial_[cls];
  if (slab == nullptr && (slab = add(cls)) == nullptr) return nullptr;
  std::byte* block = static_cast<std::byte*>(slab->free);
  const bool used = block != nullptr;
  if (!used) block = slab->memory.base + slab->fresh++ * block_bytes(cls);
  platform::unpoison(block, block_bytes(cls));
  if (used) slab->free = *reinterpret_cast<void**>(block);
  if (++slab->live == slab->blocks) unlink(slab);
  *out = slab;
  return block;
}

void SlabSet::free(Slab* slab, std::byte* block) noexcept {
  MutexLock lock(mutex_);
  platform::unpoison(block, sizeof(void*));
  *reinterpret_cast<void**>(block) = slab->free;
  slab->free = block;
  platform::poison(block, block_bytes(slab->cls));
  if (slab->live-- == slab->blocks) link(slab);
  if (slab->live != 0) return;
  unlink(slab);
  bytes_ -= slab->memory.committed;
  platform::unpoison(slab->memory.base, slab->memory.bytes);
  blocks_.release(std::move(slab->memory));
  slab->~Slab();
  metadata_.deallocate(slab, sizeof(Slab));
}

Bytes SlabSet::bytes() const noexcept {
  MutexLock lock(mutex_);
  return bytes_;
}

Slab* SlabSet::add(uint32_t cls) noexcept {
  void* memory = metadata_.try_allocate(sizeof(Slab));
  if (memory == nullptr) return nullptr;
  Slab* slab = new (memory) Slab;
  Bytes bytes = slab_bytes(cls);
  if (!blocks_.allocate(bytes, false, Tag::kBuffer, &slab->memory)) {
    slab->~Slab();
    metadata_.deallocate(slab, sizeof(Slab));
    return nullptr;
  }
  platform::poison(slab->memory.base, bytes);
  slab->cls = cls;
  slab->blocks = static_cast<uint32_t>(bytes / block_bytes(cls));
  bytes_ += bytes;
  link(slab);
  return slab;
}

void SlabSet::link(Slab* slab) noexcept {
  Slab*& head = partial_[slab->cls];
  slab->previous = nullptr;
  slab->next = head;
  if (head != nullptr) head->previous = slab;
  head = slab;
}

void SlabSet::unlink(Slab* slab) noexcept {
  Slab*& head = partial_[slab->cls];
  if (slab->previous != nullptr) slab->previous->next = slab->next;
  if (slab->next != nullptr) slab->next->previous = slab->previous;
  if (head == slab) head = slab->next;
  slab->next = slab->previous = nullptr;
}

}  // namespace plimsoll::memory
