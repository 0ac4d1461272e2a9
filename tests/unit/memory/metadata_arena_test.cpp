#include "memory/metadata_arena.h"

#include <gtest/gtest.h>

#include <cstring>
#include <thread>
#include <utility>
#include <vector>

#include "memory/host_resource.h"

namespace plimsoll::memory {
namespace {

TEST(MetadataArena, ComesInChargedChunks) {
  HostResource resource;
  Ledger ledger;
  MetadataArena arena(ledger, resource, nullptr);
  std::vector<std::pair<void*, size_t>> blocks;
  for (int i = 0; i < 5000; ++i) {
    size_t bytes = static_cast<size_t>(i) % 512 + 1;
    void* p = arena.try_allocate(bytes);
    ASSERT_NE(p, nullptr);
    ASSERT_EQ(reinterpret_cast<uintptr_t>(p) % 64, 0u);
    std::memset(p, i, bytes);
    blocks.push_back({p, bytes});
  }
  EXPECT_EQ(arena.live_blocks(), 5000u);
  EXPECT_EQ(ledger.used(Tag::kMetadata) % MetadataArena::kChunkBytes, 0u);
  EXPECT_LT(ledger.used(), 5000 * 288 * 1.3);
  for (size_t i = 0; i < blocks.size(); ++i) {
    ASSERT_EQ(*static_cast<unsigned char*>(blocks[i].first), static_cast<unsigned char>(i));
    arena.deallocate(blocks[i].first, blocks[i].second);
  }
  EXPECT_EQ(ledger.used(Tag::kMetadata), MetadataArena::kChunkBytes);
  arena.trim();
  EXPECT_EQ(ledger.used(), 0u);
  ledger.set_limit(1000);
  EXPECT_EQ(arena.try_allocate(64), nullptr);
}

TEST(MetadataArena, SaysWhatMoreBlocksWillTake) {
  HostResource resource;
  Ledger ledger;
  MetadataArena arena(ledger, resource, nullptr);
  std::vector<void*> blocks;
  for (size_t count : {1u, 170u, 3u, 1000u}) {
    const Bytes said = arena.growth(320, count), before = ledger.used() - arena.spare_bytes();
    for (size_t i = 0; i < count; ++i) blocks.push_back(arena.try_allocate(320));
    EXPECT_EQ(ledger.used(), before + said);
    EXPECT_EQ(arena.charged_bytes(), ledger.used());
    for (size_t i = 0; i < count / 2; ++i) {
      arena.deallocate(blocks.back(), 320);
      blocks.pop_back();
    }
  }
  for (void* b : blocks) arena.deallocate(b, 320);
  EXPECT_EQ(ledger.used(), arena.spare_bytes());
}

TEST(MetadataArena, AsksForMoreBeforeItRefuses) {
  HostResource resource;
  Ledger ledger(MetadataArena::kChunkBytes);
  Reservation cached = *ledger.try_reserve(1000, Tag::kCache);
  MetadataArena arena(ledger, resource, nullptr);
  EXPECT_EQ(arena.try_allocate(64), nullptr);
  arena.set_reclaim(
      [](void* c, Bytes) {
        bool any = !static_cast<Reservation*>(c)->empty();
        static_cast<Reservation*>(c)->release();
        return any;
      },
      &cached);
  EXPECT_EQ(arena.try_allocate_without_reclaim(64), nullptr);
  void* block = arena.try_allocate(64);
  EXPECT_NE(block, nullptr);
  arena.deallocate(block, 64);
}

TEST(MetadataArena, ThreadsFreeEachOthersBlocks) {
  HostResource resource;
  Ledger ledger;
  MetadataArena arena(ledger, resource, nullptr);
  std::vector<void*> shared[2];
  for (auto& blocks : shared)
    for (int i = 0; i < 2000; ++i) blocks.push_back(arena.try_allocate(256));
  std::vector<std::thread> threads;
  for (auto& blocks : shared)
    threads.emplace_back([&] {
      for (void*& b : blocks) {
        arena.deallocate(b, 256);
        b = arena.try_allocate(256);
        if (b != nullptr) std::memset(b, 1, 256);
      }
    });
  for (auto& t : threads) t.join();
  EXPECT_EQ(arena.live_blocks(), 4000u);
  for (auto& blocks : shared)
    for (void* b : blocks) arena.deallocate(b, 256);
  arena.trim();
  EXPECT_EQ(ledger.used(), 0u);
}

}  // namespace
}  // namespace plimsoll::memory
