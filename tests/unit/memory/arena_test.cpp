#include "memory/arena.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <utility>
#include <vector>

#include "memory/host_resource.h"

namespace plimsoll::memory {
namespace {

constexpr Bytes kUnit = 4 * kKiB;

/// Counts what is mapped, and can refuse.
class CountingResource final : public device::Resource {
 public:
  Bytes page_size() const override { return host_.page_size(); }
  Bytes huge_page_size() const override { return host_.huge_page_size(); }
  std::byte* reserve_address(Bytes size, Bytes alignment, bool huge) noexcept override {
    if (mapped + size > limit) return nullptr;
    mapped += size;
    return host_.reserve_address(size, alignment, huge);
  }
  void release_address(std::byte* address, Bytes size) noexcept override {
    mapped -= size;
    host_.release_address(address, size);
  }
  bool commit(std::byte*, Bytes, bool) noexcept override { return true; }
  void decommit(std::byte* address, Bytes size) noexcept override { host_.decommit(address, size); }

  Bytes mapped = 0;
  Bytes limit = ~Bytes{0};

 private:
  HostResource host_;
};

TEST(ArenaSet, RangesNeverOverlapAndFreeSpaceIsFoundAgain) {
  CountingResource resource;
  ArenaSet set(resource, nullptr, kUnit, kMiB, false);
  struct Range {
    Arena* arena;
    Bytes bytes;
  };
  std::map<std::byte*, Range> live;
  std::mt19937 random(3);
  for (int i = 0; i < 20'000; ++i) {
    if (random() % 100 < (i / 2000 % 2 ? 45u : 55u) || live.empty()) {
      Bytes bytes = (random() % 20 == 0 ? random() % 300 + 1 : random() % 40 + 1) * kUnit;
      Arena* arena = nullptr;
      std::byte* at = set.allocate(bytes, &arena);
      ASSERT_NE(at, nullptr);
      ASSERT_GE(at, arena->base);
      ASSERT_LE(at + bytes, arena->base + arena->bytes);
      auto next = live.lower_bound(at);
      bool clear_above = next == live.end() || at + bytes <= next->first;
      bool clear_below =
          next == live.begin() || std::prev(next)->first + std::prev(next)->second.bytes <= at;
      ASSERT_TRUE(clear_above && clear_below);
      live[at] = {arena, bytes};
    } else {
      auto it = live.lower_bound(live.begin()->first + random() % kMiB);
      if (it == live.end()) it = live.begin();
      set.free(it->second.arena, it->first, it->second.bytes);
      live.erase(it);
    }
    ASSERT_EQ(set.address_bytes(), resource.mapped);
  }
  for (auto& [at, r] : live) set.free(r.arena, at, r.bytes);
  set.drop_empty();
  EXPECT_EQ(resource.mapped, 0u);
  EXPECT_EQ(set.mappings(), 0u);
}

TEST(ArenaSet, TakesTheBlockAloneWhereAWholeArenaIsTooMuch) {
  CountingResource resource;
  resource.limit = 200 * kKiB;
  ArenaSet set(resource, nullptr, kUnit, kMiB, false);
  Arena* arena = nullptr;
  std::byte* at = set.allocate(100 * kKiB, &arena);
  ASSERT_NE(at, nullptr);
  EXPECT_EQ(resource.mapped, 100 * kKiB);
  EXPECT_EQ(set.allocate(120 * kKiB, &arena), nullptr);
  set.free(arena, at, 100 * kKiB);
  EXPECT_EQ(resource.mapped, 0u);
}

TEST(ArenaSet, HugeRangesAreAlignedToHugePages) {
  CountingResource resource;
  ArenaSet set(resource, nullptr, 2 * kMiB, 16 * kMiB, true);
  for (Bytes bytes : {2 * kMiB, 4 * kMiB, 32 * kMiB}) {
    Arena* arena = nullptr;
    std::byte* at = set.allocate(bytes, &arena);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(at) % (2 * kMiB), 0u);
    set.free(arena, at, bytes);
  }
}

}  // namespace
}  // namespace plimsoll::memory
