#include "memory/pool.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "memory/host_resource.h"
#include "plimsoll/error.h"

namespace plimsoll::memory {
namespace {

constexpr Pool::Options kTiny{.slab_threshold = 4 * kKiB, .extent_bytes = 4 * kKiB};

struct PoolTest : testing::Test {
  FaultPlan faults;
  HostResource resource;
  Ledger ledger{Ledger::kNoLimit, &faults};
};

TEST_F(PoolTest, ShapeRoundsToPagesAndUsesHugePagesOnlyWhereTheyWasteLittle) {
  Pool pool(ledger, resource);
  EXPECT_TRUE(pool.shape_of(64 * kKiB - 1).small);
  EXPECT_FALSE(pool.shape_of(64 * kKiB).small);
  EXPECT_EQ(pool.shape_of(64 * kKiB + 1).bytes, 68 * kKiB);
  EXPECT_TRUE(pool.shape_of(4 * kMiB).huge);
  EXPECT_FALSE(pool.shape_of(4 * kMiB + 1).huge);
  EXPECT_EQ(pool.shape_of(4 * kMiB + 1).bytes, 4 * kMiB + 4 * kKiB);
  EXPECT_TRUE(pool.shape_of(17 * kMiB).huge);
  EXPECT_EQ(pool.shape_of(17 * kMiB).bytes, 18 * kMiB);
  for (Bytes size = 64 * kKiB; size < 64 * kMiB; size += 37 * kKiB) {
    auto s = pool.shape_of(size);
    ASSERT_LE(s.bytes - size, std::max<Bytes>(size / 8, 4 * kKiB));
  }
}

TEST_F(PoolTest, ChargesWholePagesAndGivesThemBack) {
  Pool pool(ledger, resource);
  {
    auto b = pool.try_make_resident(100 * kKiB + 1);
    ASSERT_TRUE(b);
    EXPECT_EQ(ledger.used(Tag::kBuffer), 104 * kKiB);
    EXPECT_EQ((*b)->resident_bytes(), 104 * kKiB);
    Pin pin = (*b)->pin();
    std::memset(pin.data(), 7, (*b)->size());
  }
  EXPECT_EQ(ledger.used(Tag::kBuffer), 0u);
  EXPECT_EQ(ledger.used(Tag::kCache), 104 * kKiB);
  pool.clear_cache();
  EXPECT_EQ(ledger.used(), 0u);
  EXPECT_EQ(pool.cache_bytes(), 0u);
  EXPECT_EQ(pool.stats().address_bytes, 0u);
}

TEST_F(PoolTest, RecyclesTheMostRecentlyFreedBlockOfTheSize) {
  Pool pool(ledger, resource);
  auto a = *pool.try_make_resident(1 * kMiB);
  auto b = *pool.try_make_resident(1 * kMiB);
  std::byte* address_a = a->pin().data();
  std::byte* address_b = b->pin().data();
  a = BufferRef();
  b = BufferRef();
  EXPECT_EQ((*pool.try_make_resident(1 * kMiB))->pin().data(), address_b);
  auto c = *pool.try_make_resident(1 * kMiB);
  auto d = *pool.try_make_resident(1 * kMiB);
  EXPECT_EQ(c->pin().data(), address_b);
  EXPECT_EQ(d->pin().data(), address_a);
  EXPECT_EQ(pool.stats().fresh, 2u);
  EXPECT_EQ(pool.stats().recycled, 3u);
}

TEST_F(PoolTest, ABufferThatIsDiscardedWholeLeavesItsBlockToTheNext) {
  Pool pool(ledger, resource);
  auto a = *pool.try_make_resident(1 * kMiB);
  std::byte* address = nullptr;
  {
    Pin pin = a->pin();
    address = pin.data();
    EXPECT_FALSE(a->discard_to_cache());
  }
  EXPECT_TRUE(a->discard_to_cache());
  EXPECT_FALSE(a->discard_to_cache());
  EXPECT_EQ(a->extent_state(0), ExtentState::kEmpty);
  EXPECT_EQ(ledger.used(Tag::kBuffer), 0u);
  EXPECT_EQ(ledger.used(Tag::kCache), 1 * kMiB);
  EXPECT_EQ((*pool.try_make_resident(1 * kMiB))->pin().data(), address);
  EXPECT_EQ(pool.stats().fresh, 1u);
  Reservation charge = *pool.try_reserve(1 * kMiB);
  a->commit(a->all(), charge);
  EXPECT_TRUE(a->resident(a->all()));
}

TEST_F(PoolTest, NearSizesRecycleEachOtherAndAreChargedExactly) {
  Pool pool(ledger, resource);
  pool.try_make_resident(1000 * kKiB).reset();
  auto b = *pool.try_make_resident(996 * kKiB);
  EXPECT_EQ(pool.stats().recycled, 1u);
  EXPECT_EQ(ledger.used(Tag::kBuffer), 996 * kKiB);
  b = BufferRef();
  b = *pool.try_make_resident(1000 * kKiB);
  EXPECT_EQ(pool.stats().recycled, 2u);
  EXPECT_EQ(ledger.used(Tag::kBuffer), 1000 * kKiB);
}

TEST_F(PoolTest, CutsLargerHugeBlocks) {
  Pool pool(ledger, resource);
  if (!pool.shape_of(16 * kMiB).huge) GTEST_SKIP() << "huge pages are off";
  pool.try_make_resident(16 * kMiB).reset();
  auto a = *pool.try_make_resident(4 * kMiB);
  auto b = *pool.try_make_resident(12 * kMiB);
  EXPECT_EQ(pool.stats().fresh, 1u);
  EXPECT_EQ(ledger.used(Tag::kBuffer), 16 * kMiB);
  EXPECT_EQ(pool.cache_bytes(), 0u);
}

TEST_F(PoolTest, GivesTheCacheBackBeforeItRefuses) {
  Pool pool(ledger, resource);
  ledger.set_limit(10 * kMiB);
  {
    auto a = pool.try_make_resident(3 * kMiB);
    auto b = pool.try_make_resident(4 * kMiB);
    ASSERT_TRUE(a && b);
  }
  EXPECT_EQ(pool.cache_bytes(), 7 * kMiB);
  auto c = pool.try_make_resident(8 * kMiB);
  ASSERT_TRUE(c);
  EXPECT_LE(ledger.peak(), 10 * kMiB);
  EXPECT_FALSE(pool.try_make_resident(2 * kMiB));
  EXPECT_TRUE(pool.try_make_resident(64 * kKiB));
}

TEST_F(PoolTest, MetadataTakesFromTheCacheWhatALoweredLimitNeeds) {
  Pool pool(ledger, resource);
  {
    std::vector<BufferRef> all;
    for (int i = 0; i < 8; ++i) all.push_back(*pool.try_make_resident(kMiB));
  }
  ASSERT_GE(ledger.used(Tag::kCache), 8 * kMiB);
  ledger.set_limit(kMiB);
  // The first takes the spare chunk, the second, of another class, needs one more, which is far
  // less than what the limit was lowered by.
  void* first = pool.metadata().try_allocate(500);
  void* second = pool.metadata().try_allocate(60);
  ASSERT_NE(second, nullptr);
  EXPECT_LE(ledger.used(), kMiB);
  pool.metadata().deallocate(first, 500);
  pool.metadata().deallocate(second, 60);
}

TEST_F(PoolTest, CacheLimitDropsTheOldestBlocks) {
  Pool pool(ledger, resource);
  EXPECT_EQ(pool.set_cache_limit(2 * kMiB), Ledger::kNoLimit);
  auto a = *pool.try_make_resident(kMiB);
  auto b = *pool.try_make_resident(kMiB);
  auto c = *pool.try_make_resident(kMiB);
  a = b = c = BufferRef();
  EXPECT_EQ(pool.cache_bytes(), 2 * kMiB);
  EXPECT_EQ(pool.trim(1), kMiB);
  EXPECT_EQ(pool.set_cache_limit(0), 2 * kMiB);
  EXPECT_EQ(pool.cache_bytes(), 0u);
  pool.try_make_resident(kMiB).reset();
  EXPECT_EQ(pool.cache_bytes(), 0u);
}

TEST_F(PoolTest, SmallBuffersAreChargedByTheSlab) {
  Pool pool(ledger, resource);
  auto shape = pool.shape_of(1000);
  std::vector<BufferRef> all;
  for (uint32_t i = 0; i < shape.slab_blocks; ++i) all.push_back(*pool.try_make_resident(1000));
  EXPECT_EQ(ledger.used(Tag::kBuffer), shape.slab_bytes);
  all.push_back(*pool.try_make_resident(1000));
  EXPECT_EQ(ledger.used(Tag::kBuffer), 2 * shape.slab_bytes);
  EXPECT_EQ(all[0]->evictable(all[0]->all()), 0u);
  all.clear();
  EXPECT_EQ(ledger.used(Tag::kBuffer), 0u);
  pool.clear_cache();
  EXPECT_EQ(ledger.used(), 0u);
}

TEST_F(PoolTest, BuffersOfABlockOfTheirOwnMayBeOfAByte) {
  Pool pool(ledger, resource, nullptr, {.slab_threshold = 1, .extent_bytes = 4 * kKiB});
  EXPECT_TRUE(pool.shape_of(0).small);
  auto b = *pool.try_make_resident(1);
  EXPECT_FALSE(b->small());
  EXPECT_EQ(b->resident_bytes(), 4 * kKiB);
  EXPECT_EQ(b->evictable_after_write(b->all()), 4 * kKiB);
}

TEST_F(PoolTest, EmptyBuffersAreAllowed) {
  Pool pool(ledger, resource);
  auto b = *pool.try_make_resident(0);
  EXPECT_EQ(b->size(), 0u);
  Pin pin = b->pin();
  EXPECT_NE(pin.data(), nullptr);
}

TEST_F(PoolTest, MakeTakesAddressesButNoPages) {
  Pool pool(ledger, resource);
  auto b = pool.make(8 * kGiB);
  EXPECT_EQ(b->resident_bytes(), 0u);
  EXPECT_EQ(ledger.used(Tag::kBuffer), 0u);
  EXPECT_LT(ledger.used(), 320 * kKiB);
  EXPECT_EQ(b->bytes_missing({0, 1}), b->bytes_missing({0, 2 * kMiB}));
  EXPECT_THROW((void)b->pin({0, 1}), Error);
}

TEST_F(PoolTest, MakeRaisesWhereItsMetadataIsRefused) {
  ledger.set_limit(10 * kKiB);
  Pool pool(ledger, resource);
  EXPECT_THROW((void)pool.make(kMiB), OutOfMemory);
  EXPECT_EQ(ledger.used(), 0u);
}

TEST_F(PoolTest, RefusesOptionsThatAreNoPowersOfTwo) {
  EXPECT_THROW(Pool(ledger, resource, nullptr, {.extent_bytes = 3 * kKiB}), ValueError);
  EXPECT_THROW(Pool(ledger, resource, nullptr, {.slab_threshold = 5000}), ValueError);
}

TEST_F(PoolTest, ListsLiveBuffersAndExports) {
  Pool pool(ledger, resource);
  auto small = *pool.try_make_resident(100);
  auto a = *pool.try_make_resident(kMiB);
  auto b = *pool.try_make_resident(2 * kMiB);
  auto live = pool.live_buffers();
  ASSERT_EQ(live.size(), 2u);
  EXPECT_EQ(live[0], b);
  EXPECT_EQ(live[1], a);
  EXPECT_FALSE(a.unique());
  live.clear();
  EXPECT_TRUE(a.unique());
  {
    ExportPin view = a->export_pin("numpy view of loss");
    EXPECT_TRUE(a->exported());
    EXPECT_TRUE(a->pinned());
    EXPECT_EQ(pool.exported_bytes(), kMiB);
    EXPECT_EQ(pool.exports().at(0).owner, "numpy view of loss");
  }
  EXPECT_FALSE(a->exported());
  EXPECT_FALSE(a->pinned());
  EXPECT_EQ(pool.exported_bytes(), 0u);
}

TEST_F(PoolTest, SurvivesEveryKthFailure) {
  bool finished = false;
  for (int from_then_on = 0; from_then_on < 2; ++from_then_on) {
    for (uint64_t k = 1; k < 1000; ++k) {
      faults.fail_at(k, from_then_on != 0);
      {
        Pool pool(ledger, resource, &faults);
        std::vector<BufferRef> all;
        for (int i = 0; i < 30; ++i) {
          Bytes size = i % 3 == 0 ? 500 : i % 3 == 1 ? 100 * kKiB : 1 * kMiB;
          if (auto b = pool.try_make_resident(size)) {
            std::memset((*b)->pin().data(), i, size);
            all.push_back(std::move(*b));
          }
          if (i % 4 == 3 && !all.empty()) all.erase(all.begin());
        }
      }
      ASSERT_EQ(ledger.used(), 0u) << "k = " << k;
      finished = faults.injected() == 0;
      if (finished) break;
    }
    EXPECT_TRUE(finished);
  }
}

// Random makes, frees, commits, discards against a model of contents and charge.
TEST_F(PoolTest, RandomSequencesKeepContentsAndCharge) {
  struct Live {
    BufferRef ref;
    std::vector<int> value;  // per extent; -1: not resident
  };
  for (unsigned seed = 0; seed < 20; ++seed) {
    std::mt19937 random(seed);
    ledger.set_limit(4 * kMiB);
    ledger.reset_peak();
    {
      Pool pool(ledger, resource, nullptr, kTiny);
      std::vector<Live> live;
      for (int step = 0; step < 600; ++step) {
        int what = random() % 5;
        if (what == 0) {
          Bytes size = random() % 200'000;
          if (auto b = pool.try_make_resident(size)) {
            Live l{*b, std::vector<int>((*b)->num_extents(), static_cast<int>(random() % 256))};
            std::memset(l.ref->pin().data(), l.value[0], size);
            live.push_back(std::move(l));
          }
        } else if (what == 1) {
          try {
            auto ref = pool.make(random() % 500'000 + 4096);
            std::vector<int> none(ref->num_extents(), -1);
            live.push_back({std::move(ref), none});
          } catch (const OutOfMemory&) {
            EXPECT_LT(ledger.available(), MetadataArena::kChunkBytes);
            live.erase(live.begin(), live.begin() + live.size() / 2);
          }
        } else if (!live.empty()) {
          Live& l = live[random() % live.size()];
          Bytes begin = random() % (l.ref->size() + 1);
          ByteRange r{begin, begin + random() % (l.ref->size() - begin + 1)};
          if (r.empty()) continue;
          if (what == 2) {
            std::swap(l, live.back());
            live.pop_back();
          } else if (l.ref->small()) {
            continue;
          } else if (what == 3) {
            auto charge = pool.try_reserve(l.ref->bytes_missing(r));
            if (!charge) continue;
            l.ref->commit(r, *charge);
            EXPECT_EQ(charge->bytes(), 0u);
            ByteRange wide = l.ref->widen(r);
            Pin pin = l.ref->pin(wide);
            std::memset(pin.data(), step % 256, wide.size());
            for (Bytes e = wide.begin / 4096; e * 4096 < wide.end; ++e) l.value[e] = step % 256;
          } else {
            l.ref->discard(r);
            Bytes first = (r.begin + 4095) / 4096;
            Bytes last = r.end == l.ref->size() ? l.value.size() : r.end / 4096;
            for (Bytes e = first; e < last; ++e) l.value[e] = -1;
          }
        }
        ASSERT_LE(ledger.used(), 4 * kMiB);
      }
      Bytes charged = pool.stats().slab_bytes;
      for (Live& l : live) {
        if (l.ref->small()) {
          Pin pin = l.ref->pin();
          for (Bytes i = 0; i < l.ref->size(); ++i)
            ASSERT_EQ(pin.data()[i], static_cast<std::byte>(l.value[0]));
          continue;
        }
        charged += l.ref->resident_bytes();
        for (size_t e = 0; e < l.value.size(); ++e) {
          ByteRange r{e * 4096, std::min(l.ref->size(), (e + 1) * 4096)};
          ASSERT_EQ(l.ref->resident(r), l.value[e] >= 0);
          if (l.value[e] < 0) continue;
          Pin pin = l.ref->pin(r);
          for (Bytes i = 0; i < r.size(); ++i)
            ASSERT_EQ(pin.data()[i], static_cast<std::byte>(l.value[e]));
        }
      }
      EXPECT_EQ(ledger.used(Tag::kBuffer), charged);
      EXPECT_EQ(ledger.used(Tag::kCache), pool.cache_bytes());
    }
    EXPECT_LE(ledger.peak(), 4 * kMiB);
    ASSERT_EQ(ledger.used(), 0u) << "seed " << seed;
  }
}

TEST_F(PoolTest, ThreadsShareAPoolUnderALimit) {
  ledger.set_limit(8 * kMiB);
  {
    Pool pool(ledger, resource, nullptr, kTiny);
    std::atomic<int> wrong{0}, made{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        std::mt19937 random(t);
        std::vector<BufferRef> mine;
        for (int i = 0; i < 2000; ++i) {
          Bytes size = random() % 3 ? random() % 4000 + 8 : random() % 300'000 + 8;
          if (auto b = pool.try_make_resident(size)) {
            ++made;
            Pin pin = (*b)->pin();
            std::memset(pin.data(), t, size);
            mine.push_back(std::move(*b));
          }
          if (mine.size() > 8 || (!mine.empty() && random() % 3 == 0)) {
            auto& b = mine[random() % mine.size()];
            Pin pin = b->pin();
            if (pin.data()[b->size() - 1] != static_cast<std::byte>(t)) ++wrong;
            pin.release();
            std::swap(b, mine.back());
            mine.pop_back();
          }
          if (i % 100 == 0) pool.live_buffers();
          if (i % 333 == 0) pool.clear_cache();
        }
      });
    }
    for (auto& t : threads) t.join();
    EXPECT_EQ(wrong, 0);
    EXPECT_GT(made, 1000);
  }
  EXPECT_LE(ledger.peak(), 8 * kMiB);
  EXPECT_EQ(ledger.used(), 0u);
}

}  // namespace
}  // namespace plimsoll::memory
