#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <random>
#include <thread>
#include <vector>

#include "memory/host_resource.h"
#include "memory/pool.h"
#include "memory/spill_store.h"
#include "plimsoll/error.h"
#include "tests/unit/memory/faulty_file.h"

namespace plimsoll::memory {
namespace {

namespace fs = std::filesystem;

constexpr Bytes kCoarse = 16 * kKiB, kFine = 4 * kKiB;
constexpr Pool::Options kTiny{
    .slab_threshold = 4 * kKiB, .extent_bytes = kCoarse, .fine_extent_bytes = kFine};

struct FineExtentsTest : testing::Test {
  FineExtentsTest() {
    directory = fs::path("/var/tmp") / ("plimsoll-fine-" + std::to_string(getpid()));
    fs::create_directories(directory);
    options.directory = directory.string();
  }
  ~FineExtentsTest() override { fs::remove_all(directory); }

  static std::byte expected(Bytes i) { return static_cast<std::byte>(i * 7 + i / 4096); }
  static BufferRef filled(Pool& pool, Bytes size) {
    BufferRef b = *pool.try_make_resident(size);
    Pin pin = b->pin();
    for (Bytes i = 0; i < size; ++i) pin.data()[i] = expected(i);
    return b;
  }
  static void expect_contents(const BufferRef& b, ByteRange r) {
    Pin pin = b->pin(r);
    for (Bytes i = r.begin; i < r.end; ++i)
      ASSERT_EQ(pin.data()[i - r.begin], expected(i)) << "byte " << i;
  }
  static void load(SpillStore& store, Pool& pool, const BufferRef& b, ByteRange r) {
    auto charge = pool.try_reserve(b->bytes_spilled(r));
    ASSERT_TRUE(charge);
    Ticket t = store.read(b, r, *charge);
    store.wait(t);
  }
  static void spill(SpillStore& store, const BufferRef& b, ByteRange r) {
    Ticket t = store.write(b, r);
    store.wait(t);
    b->evict(r);
  }

  fs::path directory;
  SpillStore::Options options;
  HostResource resource;
  Ledger ledger{Ledger::kNoLimit};
};

TEST_F(FineExtentsTest, ATileOfALargeBufferTakesHalfAMebibyte) {
  Pool pool(ledger, resource);
  SpillStore store(options);
  constexpr Bytes kUnit = 512 * kKiB;
  const Bytes size = 8 * kMiB - 100;
  BufferRef b = filled(pool, size);
  EXPECT_FALSE(b->set_fine(true)) << "it is in memory";
  spill(store, b, b->all());
  EXPECT_EQ(b->bytes_missing({0, 1}), 2 * kMiB);
  ASSERT_TRUE(b->set_fine(true));
  EXPECT_EQ(b->num_extents(), 16u);
  EXPECT_EQ(b->bytes_missing({kUnit, kUnit + 1}), kUnit);
  EXPECT_EQ(b->bytes_missing(b->all()), 8 * kMiB);
  EXPECT_EQ(b->widen({kUnit, kUnit + 1}), (ByteRange{kUnit, 2 * kUnit}));
  pool.clear_cache();
  const Bytes before = ledger.used();
  load(store, pool, b, {3 * kMiB, 3 * kMiB + 1});
  EXPECT_EQ(ledger.used() - before, kUnit);
  expect_contents(b, {3 * kMiB, 3 * kMiB + kUnit});
  EXPECT_FALSE(b->set_fine(false)) << "a part is in memory";
  EXPECT_EQ(b->whole_bytes(), 8 * kMiB);
  EXPECT_EQ(b->evict(b->all()), kUnit);
  ASSERT_TRUE(b->set_fine(false));
  EXPECT_EQ(b->num_extents(), 4u);
  load(store, pool, b, b->all());
  expect_contents(b, b->all());
}

TEST_F(FineExtentsTest, ChargesFollowThePages) {
  Pool pool(ledger, resource);
  SpillStore store(options);
  const Bytes size = 17 * kMiB + 1;  // 18 MiB of huge pages
  BufferRef b = filled(pool, size);
  ASSERT_EQ(b->whole_bytes(), 18 * kMiB);
  spill(store, b, b->all());
  EXPECT_EQ(b->fine_count(0), 4u);
  EXPECT_EQ(b->fine_count(8), 3u);
  ASSERT_TRUE(b->set_fine(true));
  EXPECT_EQ(b->fine_count(0), 1u);
  EXPECT_EQ(b->whole_bytes(), 18 * kMiB) << "whoever loads it whole goes back";
  EXPECT_EQ(b->bytes_spilled(b->all()), 17 * kMiB + 4 * kKiB);
  load(store, pool, b, b->all());
  EXPECT_EQ(b->whole_bytes(), 17 * kMiB + 4 * kKiB);
  EXPECT_EQ(ledger.used(Tag::kBuffer), 17 * kMiB + 4 * kKiB);
  expect_contents(b, b->all());
}

TEST_F(FineExtentsTest, AnEmptyBufferIsFilledInFineExtents) {
  Pool pool(ledger, resource, nullptr, kTiny);
  SpillStore store(options);
  BufferRef b = pool.make(5 * kFine);
  ASSERT_TRUE(b->set_fine(true));
  ASSERT_EQ(b->num_extents(), 5u);
  for (Bytes at = 0; at < b->size(); at += kFine) {
    const ByteRange tile{at, at + kFine};
    EXPECT_EQ(b->bytes_missing(tile), kFine);
    auto charge = pool.try_reserve(kFine);
    b->commit(tile, *charge);
    Pin pin = b->pin(tile);
    for (Bytes i = 0; i < kFine; ++i) pin.data()[i] = expected(at + i);
    pin.release();
    EXPECT_FALSE(b->set_fine(false));
    spill(store, b, tile);
    // Until all of it is there, parts of a coarse extent may differ.
    EXPECT_EQ(b->set_fine(false), at + kFine == b->size());
  }
  EXPECT_EQ(b->num_extents(), 2u);
  load(store, pool, b, {kFine, 3 * kFine});
  expect_contents(b, {0, kCoarse});
  EXPECT_EQ(b->extent_state(1), ExtentState::kSpilled);
}

TEST_F(FineExtentsTest, BuffersOfOneExtentHaveOneOfEitherKind) {
  Pool pool(ledger, resource, nullptr, kTiny);
  SpillStore store(options);
  BufferRef b = filled(pool, kFine);
  spill(store, b, b->all());
  ASSERT_TRUE(b->set_fine(true));
  EXPECT_EQ(b->num_extents(), 1u);
  ASSERT_TRUE(b->set_fine(false));
  load(store, pool, b, b->all());
  expect_contents(b, b->all());
}

TEST_F(FineExtentsTest, WhereTheyAreTheSameNothingChanges) {
  Pool pool(ledger, resource, nullptr, {.slab_threshold = 4 * kKiB, .extent_bytes = kCoarse});
  BufferRef b = filled(pool, 3 * kCoarse);
  EXPECT_TRUE(b->set_fine(true));
  EXPECT_EQ(b->num_extents(), 3u);
  EXPECT_EQ(b->extent_bytes(), kCoarse);
  EXPECT_TRUE(filled(pool, 100)->set_fine(true));
}

TEST_F(FineExtentsTest, BytesThatWereChangedOnDiskAreNoticedInEachPart) {
  for (bool fine : {false, true}) {
    for (size_t part : {0u, 1u, 3u}) {
      FileFaults file_faults;
      SpillStore::Options o = options;
      o.open = [&](const std::string& d, bool direct) -> std::unique_ptr<File> {
        return std::make_unique<FaultyFile>(open_scratch(d, direct), &file_faults);
      };
      Pool pool(ledger, resource, nullptr, kTiny);
      SpillStore store(o);
      BufferRef b = filled(pool, kCoarse);
      spill(store, b, b->all());
      ASSERT_TRUE(b->set_fine(fine));
      std::vector<std::byte> out(kFine);
      file_faults.corrupt_read = 1;
      EXPECT_THROW(store.copy_out(b, {part * kFine, (part + 1) * kFine}, out.data()), IoError);
      store.copy_out(b, {part * kFine, (part + 1) * kFine}, out.data());
      EXPECT_EQ(out[0], expected(part * kFine));
      EXPECT_EQ(store.stats().read, 2 * kFine) << "the others are not read";
    }
  }
}

TEST_F(FineExtentsTest, CopiesGoOnWhileExtentsChange) {
  Pool pool(ledger, resource, nullptr, kTiny);
  SpillStore store(options);
  const Bytes size = 9 * kFine + 17;
  BufferRef b = filled(pool, size);
  spill(store, b, b->all());
  std::atomic<bool> stop{false};
  std::atomic<int> copies{0}, wrong{0};
  std::thread reader([&] {
    std::vector<std::byte> out(size);
    while (!stop) {
      store.copy_out(b, b->all(), out.data());
      for (Bytes i = 0; i < size; ++i) wrong += out[i] != expected(i);
      ++copies;
    }
  });
  int changes = 0;
  for (int i = 0; changes < 300 || copies < 100; ++i) changes += b->set_fine(i % 2 == 0);
  stop = true;
  reader.join();
  EXPECT_EQ(wrong, 0);
}

// Writes, evictions, reads, discards and changes of extents against a model of the contents.
TEST_F(FineExtentsTest, RandomSequencesKeepContentsInAFragmentedStore) {
  constexpr size_t kUnits = 11;
  constexpr Bytes kSize = kUnits * kFine - 100;
  size_t changed = 0;
  for (unsigned seed = 0; seed < 12; ++seed) {
    std::mt19937 random(seed);
    ledger.set_limit(kMiB);
    ledger.reset_peak();
    {
      Pool pool(ledger, resource, nullptr, kTiny);
      SpillStore store(options);
      std::vector<BufferRef> buffers;
      std::vector<std::vector<int>> model(5, std::vector<int>(kUnits, -1));
      for (size_t i = 0; i < model.size(); ++i) buffers.push_back(pool.make(kSize));
      auto set = [&](std::vector<int>& values, ByteRange wide, int to) {
        for (Bytes e = wide.begin / kFine; e * kFine < wide.end; ++e) values[e] = to;
      };
      for (int step = 0; step < 1500; ++step) {
        const size_t which = random() % buffers.size();
        BufferRef& b = buffers[which];
        const Bytes begin = random() % kSize;
        ByteRange r{begin, begin + 1 + random() % (kSize - begin)};
        if (random() % 3 == 0) r = b->all();
        switch (random() % 7) {
          case 0:
          case 1: {
            Ticket t = store.write(b, r);
            store.wait(t);
            b->evict(r);
            break;
          }
          case 2:
            load(store, pool, b, r);
            break;
          case 3: {
            const ByteRange wide = b->widen(r);
            auto charge = pool.try_reserve(b->bytes_missing(wide));
            ASSERT_TRUE(charge);
            b->commit(wide, *charge);
            Pin pin = b->pin(wide);
            std::memset(pin.data(), step % 256, wide.size());
            b->mark_written(wide);
            set(model[which], wide, step % 256);
            break;
          }
          case 4: {
            const ByteRange wide = b->widen(r);
            b->discard(wide);
            set(model[which], wide, -1);
            break;
          }
          case 5:
            changed += b->set_fine(random() % 2 == 0);
            break;
          default:
            std::vector<std::byte> out(r.size());
            store.copy_out(b, r, out.data());
            for (Bytes i = 0; i < out.size(); ++i) {
              const int v = model[which][(r.begin + i) / kFine];
              ASSERT_EQ(out[i], static_cast<std::byte>(std::max(v, 0))) << seed << " " << step;
            }
        }
        Bytes resident = 0;
        for (const BufferRef& each : buffers) resident += each->resident_bytes();
        ASSERT_EQ(ledger.used(Tag::kBuffer), resident);
      }
    }
    EXPECT_LE(ledger.peak(), kMiB);
    ASSERT_EQ(ledger.used(), 0u);
  }
  EXPECT_GT(changed, 1000u);
}

}  // namespace
}  // namespace plimsoll::memory
