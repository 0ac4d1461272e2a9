#include "memory/spill_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <future>
#include <new>
#include <random>
#include <vector>

#include "memory/host_resource.h"
#include "memory/pool.h"
#include "plimsoll/error.h"
#include "tests/unit/memory/faulty_file.h"

namespace plimsoll::memory {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr Bytes kExtent = 4 * kKiB;
constexpr Pool::Options kTiny{.slab_threshold = 4 * kKiB, .extent_bytes = kExtent};

template <typename Call>
std::string message_of(Call call) {
  try {
    call();
  } catch (const Error& e) {
    return e.what();
  }
  return "nothing was raised";
}

struct SpillStoreTest : testing::Test {
  SpillStoreTest() {
    directory = fs::path("/var/tmp") / ("plimsoll-test-" + std::to_string(getpid()));
    fs::create_directories(directory);
    options.directory = directory.string();
  }
  ~SpillStoreTest() override {
    EXPECT_TRUE(fs::is_empty(directory)) << "something was left in the spill directory";
    fs::remove_all(directory);
  }
  SpillStore::Options faulty() {
    SpillStore::Options o = options;
    o.open = [this](const std::string& d, bool direct) -> std::unique_ptr<File> {
      return std::make_unique<FaultyFile>(open_scratch(d, direct), &file_faults);
    };
    return o;
  }
  /// Resident, bytes that depend on the position and the seed.
  static BufferRef filled(Pool& pool, Bytes size, unsigned seed) {
    auto b = pool.try_make_resident(size);
    if (!b) throw OutOfMemory("test");
    Pin pin = (*b)->pin();
    for (Bytes i = 0; i < size; ++i) pin.data()[i] = expected(i, seed);
    return *b;
  }
  static std::byte expected(Bytes i, unsigned seed) {
    return static_cast<std::byte>(i * 7 + i / 4096 + seed);
  }
  static void expect_contents(const BufferRef& b, unsigned seed, ByteRange r) {
    Pin pin = b->pin(r);
    for (Bytes i = r.begin; i < r.end; ++i)
      ASSERT_EQ(pin.data()[i - r.begin], expected(i, seed)) << "byte " << i;
  }
  static void load(SpillStore& store, Pool& pool, const BufferRef& b, ByteRange r) {
    auto charge = pool.try_reserve(b->bytes_spilled(r));
    if (!charge) throw OutOfMemory("test");
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
  FileFaults file_faults;
  FaultPlan faults;
  HostResource resource;
  Ledger ledger{Ledger::kNoLimit, &faults};
};

TEST_F(SpillStoreTest, BringsBackWhatWasSpilled) {
  Pool pool(ledger, resource);
  SpillStore store(options);
  auto b = filled(pool, 9 * kMiB + 5000, 3);
  Bytes used = ledger.used(Tag::kBuffer);
  Ticket t = store.write(b, b->all());
  store.wait(t);
  EXPECT_TRUE(t.done());
  EXPECT_EQ(b->extent_state(0), ExtentState::kClean);
  EXPECT_EQ(ledger.used(Tag::kBuffer), used);
  EXPECT_EQ(b->evict(b->all()), used);
  EXPECT_EQ(ledger.used(Tag::kBuffer), 0u);
  EXPECT_EQ(b->bytes_spilled(b->all()), used);
  EXPECT_THAT(message_of([&] { (void)b->pin(); }), HasSubstr("to be resident"));
  load(store, pool, b, b->all());
  expect_contents(b, 3, b->all());
  auto stats = store.stats();
  EXPECT_EQ(stats.written, round_up(b->size(), 4096));
  EXPECT_EQ(stats.read, stats.written);
  EXPECT_EQ(stats.stored, stats.written);
  EXPECT_TRUE(stats.guaranteed);
  b = BufferRef();
  EXPECT_EQ(store.stats().stored, 0u);
  EXPECT_EQ(store.stats().file_bytes, 0u);
}

TEST_F(SpillStoreTest, RangesMoveWholeExtentsOnly) {
  Pool pool(ledger, resource, nullptr, kTiny);
  SpillStore store(options);
  auto b = filled(pool, 10 * kExtent, 1);
  spill(store, b, {kExtent + 5, 3 * kExtent + 1});
  for (size_t i = 0; i < 10; ++i)
    EXPECT_EQ(b->extent_state(i),
              i >= 1 && i <= 3 ? ExtentState::kSpilled : ExtentState::kResident);
  EXPECT_EQ(b->bytes_missing({0, kExtent}), 0u);
  EXPECT_EQ(b->bytes_missing({kExtent, kExtent + 1}), kExtent);
  load(store, pool, b, {2 * kExtent + 1, 2 * kExtent + 2});
  EXPECT_EQ(b->extent_state(2), ExtentState::kClean);
  EXPECT_EQ(b->extent_state(3), ExtentState::kSpilled);
  expect_contents(b, 1, {2 * kExtent, 3 * kExtent});
}

TEST_F(SpillStoreTest, CleanExtentsAreNotWrittenAgain) {
  Pool pool(ledger, resource, nullptr, kTiny);
  SpillStore store(options);
  auto b = filled(pool, 4 * kExtent, 1);
  spill(store, b, b->all());
  load(store, pool, b, b->all());
  EXPECT_EQ(SpillStore::space_for(*b, b->all()), 0u);
  spill(store, b, b->all());
  EXPECT_EQ(store.stats().written, 4 * kExtent);
  load(store, pool, b, b->all());
  b->mark_written({kExtent, kExtent + 1});
  EXPECT_EQ(store.stats().stored, 3 * kExtent);
  EXPECT_EQ(SpillStore::space_for(*b, b->all()), kExtent);
  EXPECT_EQ(b->evictable(b->all()), 3 * kExtent);
  EXPECT_EQ(b->evictable_after_write(b->all()), 4 * kExtent);
  spill(store, b, b->all());
  EXPECT_EQ(store.stats().written, 5 * kExtent);
}

TEST_F(SpillStoreTest, BytesChangedDuringAWriteStayDirty) {
  Pool pool(ledger, resource, nullptr, kTiny);
  std::promise<void> started, go;
  auto gate = go.get_future().share();
  bool first = true;
  file_faults.before_write = [&, gate] {
    if (std::exchange(first, false)) started.set_value();
    gate.wait();
  };
  SpillStore store(faulty());
  auto b = filled(pool, kExtent, 1);
  Ticket t = store.write(b, b->all());
  started.get_future().wait();
  EXPECT_EQ(b->evict(b->all()), 0u);
  b->mark_written(b->all());
  go.set_value();
  store.wait(t);
  EXPECT_EQ(b->extent_state(0), ExtentState::kResident);
  EXPECT_EQ(b->evict(b->all()), 0u);
  EXPECT_EQ(store.stats().stored, 0u);
}

TEST_F(SpillStoreTest, PinnedExtentsStay) {
  Pool pool(ledger, resource, nullptr, kTiny);
  SpillStore store(options);
  auto b = filled(pool, 3 * kExtent, 1);
  {
    Pin pin = b->pin({kExtent, kExtent + 1});
    spill(store, b, b->all());
    EXPECT_EQ(b->extent_state(1), ExtentState::kClean);
    EXPECT_EQ(b->resident_bytes(), kExtent);
    EXPECT_EQ(b->discard({kExtent, 2 * kExtent}), 0u);
  }
  EXPECT_EQ(b->evict(b->all()), kExtent);
}

TEST_F(SpillStoreTest, FailedWritesLeaveTheBytesInMemory) {
  Pool pool(ledger, resource, nullptr, kTiny);
  file_faults.fail_write = 3;
  file_faults.error = ENOSPC;
  SpillStore::Options o = faulty();
  o.threads = 1;
  SpillStore store(o);
  auto b = filled(pool, 6 * kExtent, 1);
  Ticket t = store.write(b, b->all());
  EXPECT_THROW(store.wait(t), IoError);
  EXPECT_THROW(store.wait(t), IoError);  // a ticket keeps its error
  EXPECT_EQ(b->evict(b->all()), 2 * kExtent);
  EXPECT_EQ(store.stats().stored, 2 * kExtent);
  expect_contents(b, 1, {2 * kExtent, 6 * kExtent});
  load(store, pool, b, b->all());
  expect_contents(b, 1, b->all());
}

TEST_F(SpillStoreTest, WithoutMemoryForATransferItIsOutOfMemory) {
  Pool pool(ledger, resource);
  SpillStore store(faulty());
  auto b = filled(pool, 5 * kMiB, 1);
  file_faults.before_write = [] { throw std::bad_alloc(); };
  Ticket t = store.write(b, b->all());
  EXPECT_THROW(store.wait(t), OutOfMemory);
  expect_contents(b, 1, b->all());
}

TEST_F(SpillStoreTest, FailedReadsKeepTheExtentSpilled) {
  Pool pool(ledger, resource, nullptr, kTiny);
  SpillStore store(faulty());
  auto b = filled(pool, 4 * kExtent, 1);
  spill(store, b, b->all());
  Bytes before = ledger.used();
  file_faults.fail_read = 2;
  EXPECT_THROW(load(store, pool, b, b->all()), IoError);
  EXPECT_GT(b->bytes_spilled(b->all()), 0u);
  EXPECT_EQ(ledger.used(), before + b->resident_bytes());
  load(store, pool, b, b->all());
  expect_contents(b, 1, b->all());
}

TEST_F(SpillStoreTest, ACorruptBlockIsAnErrorAndNotData) {
  Pool pool(ledger, resource, nullptr, kTiny);
  SpillStore store(faulty());
  auto b = filled(pool, 4 * kExtent, 1);
  spill(store, b, b->all());
  file_faults.corrupt_read = 1;
  EXPECT_THAT(message_of([&] { load(store, pool, b, {0, 1}); }), HasSubstr("checksum mismatch"));
  EXPECT_EQ(b->extent_state(0), ExtentState::kSpilled);
  load(store, pool, b, b->all());
  expect_contents(b, 1, b->all());
}

TEST_F(SpillStoreTest, ShortTransfersAreContinued) {
  Pool pool(ledger, resource);
  file_faults.short_transfers = true;
  SpillStore store(faulty());
  auto b = filled(pool, 300 * kKiB, 1);
  spill(store, b, b->all());
  EXPECT_GT(file_faults.writes, 3);
  load(store, pool, b, b->all());
  EXPECT_GT(file_faults.reads, 3);
  expect_contents(b, 1, b->all());
}

TEST_F(SpillStoreTest, AFullDiskIsAPlanningError) {
  file_faults.disk_bytes = 100 * kExtent;
  SpillStore store(faulty());
  auto space = store.reserve_space(60 * kExtent);
  try {
    (void)store.reserve_space(60 * kExtent);
    FAIL();
  } catch (const IoError& e) {
    EXPECT_EQ(e.error_number(), ENOSPC);
  }
  Pool pool(ledger, resource, nullptr, kTiny);
  auto b = filled(pool, 60 * kExtent, 1);
  Ticket t = store.write(b, b->all(), &space);
  store.wait(t);
  EXPECT_EQ(space.bytes(), 0u);
}

TEST_F(SpillStoreTest, TheLimitOfTheStoreIsKeptAndNamed) {
  options.limit = 10 * kExtent;
  SpillStore store(options);
  EXPECT_LE(store.available(), 10 * kExtent);
  auto space = store.reserve_space(7 * kExtent);
  EXPECT_EQ(store.available(), 3 * kExtent);
  EXPECT_THAT(message_of([&] { (void)store.reserve_space(4 * kExtent); }),
              HasSubstr("PLIMSOLL_SPILL_LIMIT"));
  space.release();
  EXPECT_EQ(store.available(), 10 * kExtent);
}

TEST_F(SpillStoreTest, FreedSpaceIsUsedBeforeThePromise) {
  options.limit = 4 * kExtent;
  Pool pool(ledger, resource, nullptr, kTiny);
  SpillStore store(options);
  auto space = store.reserve_space(4 * kExtent);
  for (int i = 0; i < 5; ++i) {
    auto b = filled(pool, 3 * kExtent, i);
    Ticket t = store.write(b, b->all(), &space);
    store.wait(t);
  }
  EXPECT_EQ(store.stats().file_bytes, 4 * kExtent);
}

TEST_F(SpillStoreTest, AFileSystemWithoutFallocateIsReported) {
  file_faults.no_fallocate = true;
  Pool pool(ledger, resource, nullptr, kTiny);
  SpillStore store(faulty());
  auto b = filled(pool, 4 * kExtent, 1);
  spill(store, b, b->all());
  EXPECT_FALSE(store.stats().guaranteed);
  load(store, pool, b, b->all());
  expect_contents(b, 1, b->all());
}

TEST_F(SpillStoreTest, RefusesATmpfs) {
  options.directory = "/dev/shm";
  SpillStore store(options);
  EXPECT_THAT(message_of([&] { (void)store.reserve_space(1); }),
              HasSubstr("a tmpfs, whose files are RAM; set PLIMSOLL_SPILL_DIR"));
}

TEST_F(SpillStoreTest, RefusesADirectoryThatCannotBe) {
  options.directory = "/proc/nothing/here";
  SpillStore store(options);
  EXPECT_THAT(message_of([&] { (void)store.reserve_space(1); }), HasSubstr("PLIMSOLL_SPILL_DIR"));
}

TEST_F(SpillStoreTest, WorksWithoutThreadsAndWithoutDirectIo) {
  faults.fail_at(1, true, FaultPlan::mask(FaultSite::kThreadStart));
  options.direct = false;
  Pool pool(ledger, resource, nullptr, kTiny);
  SpillStore store(options, &faults);
  auto b = filled(pool, 20 * kExtent, 1);
  spill(store, b, b->all());
  EXPECT_EQ(store.stats().threads, 0);
  EXPECT_FALSE(store.stats().direct);
  load(store, pool, b, b->all());
  expect_contents(b, 1, b->all());
  EXPECT_GT(faults.injected(FaultSite::kThreadStart), 0u);
}

TEST_F(SpillStoreTest, ReadsExtentsAgainFromTheirSourceFile) {
  fs::path path = fs::path(testing::TempDir()) / "plimsoll-source";
  {
    std::ofstream out(path, std::ios::binary);
    out << "header!";
    for (Bytes i = 0; i < 5 * kExtent + 100; ++i) out.put(static_cast<char>(expected(i, 9)));
  }
  Pool pool(ledger, resource, nullptr, kTiny);
  SpillStore store(options);
  auto b = pool.make(5 * kExtent + 100);
  b->set_source(std::make_shared<FileSource>(open_for_reading(path.string()), 7));
  EXPECT_EQ(b->bytes_spilled(b->all()), 6 * kExtent);
  load(store, pool, b, b->all());
  expect_contents(b, 9, b->all());
  EXPECT_EQ(b->evict(b->all()), 6 * kExtent);
  EXPECT_EQ(store.stats().written, 0u);
  std::vector<std::byte> some(100);
  store.copy_out(b, {kExtent - 50, kExtent + 50}, some.data());
  for (Bytes i = 0; i < 100; ++i) EXPECT_EQ(some[i], expected(kExtent - 50 + i, 9));

  load(store, pool, b, {0, kExtent});
  b->mark_written({0, 1});
  spill(store, b, {0, 1});
  EXPECT_EQ(store.stats().written, kExtent);

  std::ofstream(path, std::ios::app) << "more";
  EXPECT_THAT(message_of([&] {
                load(store, pool, b, {kExtent, 2 * kExtent});
              }),
              AllOf(HasSubstr("changed since"), HasSubstr(path.string())));
  load(store, pool, b, {0, kExtent});  // this one has its bytes in the store
  fs::remove(path);
}

TEST_F(SpillStoreTest, CopiesOutWhateverTheState) {
  Pool pool(ledger, resource, nullptr, kTiny);
  SpillStore store(options);
  auto b = filled(pool, 5 * kExtent, 1);
  spill(store, b, {kExtent, 3 * kExtent});
  b->discard({4 * kExtent, 5 * kExtent});
  Bytes before = ledger.used(Tag::kBuffer);
  std::vector<std::byte> out(5 * kExtent - 200);
  store.copy_out(b, {100, 5 * kExtent - 100}, out.data());
  for (Bytes i = 0; i < out.size(); ++i)
    ASSERT_EQ(out[i], i + 100 < 4 * kExtent ? expected(i + 100, 1) : std::byte{0});
  EXPECT_EQ(ledger.used(Tag::kBuffer), before);
  EXPECT_EQ(ledger.used(Tag::kStaging), 0u);
  EXPECT_EQ(b->extent_state(1), ExtentState::kSpilled);

  auto small = filled(pool, 50, 4);
  store.copy_out(small, {10, 50}, out.data());
  EXPECT_EQ(out[0], expected(10, 4));
}

TEST_F(SpillStoreTest, CommitOverwritesSpilledExtentsOnlyWhole) {
  Pool pool(ledger, resource, nullptr, kTiny);
  SpillStore store(options);
  auto b = filled(pool, 5 * kExtent, 1);
  spill(store, b, b->all());
  ByteRange tile{kExtent + 10, 4 * kExtent};
  auto edges = b->read_modify(tile);
  EXPECT_EQ(edges.first, (ByteRange{kExtent, 2 * kExtent}));
  EXPECT_TRUE(edges.second.empty());
  auto charge = pool.try_reserve(b->bytes_missing(tile));
  EXPECT_THROW(b->commit(tile, *charge), Error);
  EXPECT_EQ(charge->bytes(), 3 * kExtent);
  Ticket t = store.read(b, edges.first, *charge);
  store.wait(t);
  b->commit(tile, *charge);
  EXPECT_EQ(charge->bytes(), 0u);
  EXPECT_EQ(store.stats().stored, 3 * kExtent);
  expect_contents(b, 1, {kExtent, 2 * kExtent});
}

TEST_F(SpillStoreTest, AForkedChildIsToldToSpawnAndCannotCutTheFile) {
  Pool pool(ledger, resource, nullptr, kTiny);
  SpillStore store(options);
  auto b = filled(pool, 4 * kExtent, 1);
  spill(store, b, b->all());
  Bytes length = store.stats().file_bytes;
  pid_t child = fork();
  if (child == 0) {
    bool told =
        message_of([&] { (void)store.reserve_space(1); }).find("spawn") != std::string::npos;
    std::vector<std::byte> out(8);
    told &= message_of([&] {
              store.copy_out(b, {0, 8}, out.data());
            }).find("spawn") != std::string::npos;
    b = BufferRef();
    store.shrink();
    _exit(told ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT_EQ(store.stats().file_bytes, length);
  load(store, pool, b, b->all());
  expect_contents(b, 1, b->all());
}

TEST_F(SpillStoreTest, TransfersHoldNoReferenceOnceTheyAreWaitedFor) {
  Pool pool(ledger, resource, nullptr, kTiny);
  SpillStore store(options);
  for (int i = 0; i < 300; ++i) {
    auto b = filled(pool, 2 * kExtent, i);
    Ticket t = store.write(b, b->all());
    store.wait(t);
    ASSERT_TRUE(b.unique());
    b->evict(b->all());
    load(store, pool, b, b->all());
    ASSERT_TRUE(b.unique());
  }
}

// Random writes, evictions, reads, rewrites and discards, against a model of the contents.
TEST_F(SpillStoreTest, RandomSequencesKeepContents) {
  constexpr Bytes kSize = 12 * kExtent - 100;
  constexpr Bytes kLimit = 1 * kMiB;
  for (unsigned seed = 0; seed < 15; ++seed) {
    std::mt19937 random(seed);
    ledger.set_limit(kLimit);
    ledger.reset_peak();
    {
      Pool pool(ledger, resource, nullptr, kTiny);
      SpillStore store(options);
      std::vector<BufferRef> buffers;
      std::vector<std::vector<int>> model;  // byte value of each extent; -1: empty
      std::vector<Ticket> tickets;
      auto settle = [&] {
        for (Ticket& t : tickets) store.wait(t);
        tickets.clear();
      };
      for (int i = 0; i < 6; ++i) {
        buffers.push_back(pool.make(kSize));
        model.push_back(std::vector<int>(12, -1));
      }
      for (int step = 0; step < 1000; ++step) {
        size_t which = random() % buffers.size();
        BufferRef& b = buffers[which];
        auto& values = model[which];
        Bytes begin = random() % (kSize + 1);
        ByteRange r{begin, begin + random() % (kSize - begin + 1)};
        if (r.empty()) continue;
        switch (random() % 6) {
          case 0:
            tickets.push_back(store.write(b, r));
            break;
          case 1:
            b->evict(r);
            break;
          case 2:
            if (auto charge = pool.try_reserve(b->bytes_spilled(r)))
              tickets.push_back(store.read(b, r, *charge));
            break;
          case 3: {
            settle();
            ByteRange wide = b->widen(r);
            auto charge = pool.try_reserve(b->bytes_missing(wide));
            if (!charge) break;
            b->commit(wide, *charge);
            Pin pin = b->pin(wide);
            std::memset(pin.data(), step % 256, wide.size());
            b->mark_written(wide);
            for (Bytes e = wide.begin / kExtent; e * kExtent < wide.end; ++e)
              values[e] = step % 256;
            break;
          }
          case 4: {
            settle();
            ByteRange wide = b->widen(r);
            b->discard(wide);
            for (Bytes e = wide.begin / kExtent; e * kExtent < wide.end; ++e) values[e] = -1;
            break;
          }
          default:
            settle();
            std::vector<std::byte> out(r.size());
            store.copy_out(b, r, out.data());
            for (Bytes i = 0; i < out.size(); ++i) {
              int v = values[(r.begin + i) / kExtent];
              ASSERT_EQ(out[i], static_cast<std::byte>(std::max(v, 0))) << seed << " " << step;
            }
        }
      }
      settle();
    }
    EXPECT_LE(ledger.peak(), kLimit);
    ASSERT_EQ(ledger.used(), 0u);
  }
}

// Spill and reload under every k-th failure of every site: an error or the right bytes, nothing
// lost, nothing leaked.
TEST_F(SpillStoreTest, SurvivesEveryKthFailure) {
  int injected = 0;
  for (bool from_then_on : {false, true}) {
    bool finished = false;
    for (uint64_t k = 1; k < 2000 && !finished; ++k) {
      faults.fail_at(k, from_then_on);
      {
        Pool pool(ledger, resource, &faults, kTiny);
        SpillStore store(options, &faults);
        std::vector<BufferRef> buffers;
        for (unsigned i = 0; i < 4; ++i) {
          try {
            buffers.push_back(filled(pool, 5 * kExtent + 10, i));
          } catch (const OutOfMemory&) {
            buffers.push_back(BufferRef());
          }
        }
        for (BufferRef& b : buffers) {
          if (!b) continue;
          try {
            auto space = store.reserve_space(SpillStore::space_for(*b, b->all()));
            Ticket t = store.write(b, b->all(), &space);
            store.wait(t);
          } catch (const IoError&) {
          }
          b->evict(b->all());
        }
        for (unsigned i = 0; i < 4; ++i) {
          if (!buffers[i]) continue;
          try {
            load(store, pool, buffers[i], buffers[i]->all());
          } catch (const Error&) {
          }
        }
        finished = faults.injected() == 0;
        injected += static_cast<int>(faults.injected());
        faults.disarm();
        for (unsigned i = 0; i < 4; ++i) {
          if (!buffers[i]) continue;
          load(store, pool, buffers[i], buffers[i]->all());
          expect_contents(buffers[i], i, buffers[i]->all());
        }
      }
      ASSERT_EQ(ledger.used(), 0u) << "k = " << k;
    }
    EXPECT_TRUE(finished);
  }
  EXPECT_GT(injected, 100);
  RecordProperty("injected", injected);
}

}  // namespace
}  // namespace plimsoll::memory
