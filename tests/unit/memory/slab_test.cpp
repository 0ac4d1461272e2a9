#include "memory/slab.h"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <utility>
#include <vector>

#include "memory/host_resource.h"

namespace plimsoll::memory {
namespace {

TEST(Slab, ClassesWasteAtMostAnEighthAboveTheSmallest) {
  for (Bytes size = 0; size <= 128 * kKiB; size += 7) {
    uint32_t cls = SlabSet::class_of(size);
    Bytes block = SlabSet::block_bytes(cls);
    ASSERT_GE(block, size);
    ASSERT_EQ(block % 64, 0u);
    ASSERT_LT(cls, 128u);
    ASSERT_LE(block - size, size / 8 + 64) << size;
    Bytes next_smaller = cls == 0 ? 0 : SlabSet::block_bytes(cls - 1);
    ASSERT_LT(next_smaller, std::max<Bytes>(size, 1)) << size;
  }
}

// The bound that planners rely on: never more slabs than the most blocks alive at once need.
TEST(Slab, TakesANewSlabOnlyWhenAllAreFull) {
  HostResource resource;
  Ledger ledger;
  MetadataArena metadata(ledger, resource, nullptr);
  BlockAllocator blocks(ledger, resource, metadata, nullptr, 64 * kMiB, 0);
  SlabSet slabs(blocks, metadata);
  uint32_t cls = SlabSet::class_of(3000);
  Bytes per_slab = SlabSet::slab_bytes(cls) / SlabSet::block_bytes(cls);
  std::mt19937 random(4);
  std::vector<std::pair<Slab*, std::byte*>> live;
  std::set<std::byte*> distinct;
  size_t most = 0;
  for (int i = 0; i < 5000; ++i) {
    if (random() % 100 < (i / 500 % 2 ? 40u : 60u) || live.empty()) {
      Slab* slab = nullptr;
      std::byte* block = slabs.allocate(cls, &slab);
      ASSERT_NE(block, nullptr);
      ASSERT_TRUE(distinct.insert(block).second);
      live.push_back({slab, block});
    } else {
      std::swap(live[random() % live.size()], live.back());
      slabs.free(live.back().first, live.back().second);
      distinct.erase(live.back().second);
      live.pop_back();
    }
    most = std::max(most, live.size());
    ASSERT_LE(slabs.bytes(), (most + per_slab - 1) / per_slab * SlabSet::slab_bytes(cls));
  }
  for (auto& [slab, block] : live) slabs.free(slab, block);
  EXPECT_EQ(slabs.bytes(), 0u);
}

}  // namespace
}  // namespace plimsoll::memory
