#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "base/platform_linux.h"
#include "memory/host_resource.h"
#include "memory/new_file.h"
#include "memory/pool.h"
#include "memory/spill_store.h"
#include "plimsoll/error.h"
#include "tests/unit/memory/faulty_file.h"

namespace plimsoll::memory {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr Bytes kExtent = 4 * kKiB;
constexpr Bytes kOffset = 128;

std::string contents(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

struct SinkTest : testing::Test {
  SinkTest() {
    directory = fs::path("/var/tmp") / ("plimsoll-sink-" + std::to_string(getpid()));
    fs::create_directories(directory);
    path = directory / "out";
    options.directory = directory.string();
    wrap = [this](std::shared_ptr<File> file) -> std::shared_ptr<File> {
      return std::make_shared<FaultyFile>(std::move(file), &file_faults);
    };
  }
  ~SinkTest() override { fs::remove_all(directory); }

  size_t files() const {
    return static_cast<size_t>(std::distance(fs::directory_iterator(directory), {}));
  }
  /// An empty buffer that goes to `file`.
  BufferRef sunk(const NewFile& file, Bytes size) {
    BufferRef b = pool.make(size);
    sink = std::make_shared<FileSink>(file.file(), kOffset, size);
    b->set_sink(sink);
    return b;
  }
  void fill(const BufferRef& b, ByteRange range, unsigned seed) {
    auto charge = pool.try_reserve(b->bytes_missing(range));
    b->commit(range, *charge);
    Pin pin = b->pin(range);
    for (Bytes i = range.begin; i < range.end; ++i) pin.data()[i - range.begin] = value(i, seed);
    b->mark_written(range);
  }
  void write(const BufferRef& b, ByteRange range) {
    Ticket t = store.write(b, range);
    store.wait(t);
  }
  void load(const BufferRef& b) {
    auto charge = pool.try_reserve(b->bytes_spilled(b->all()));
    Ticket t = store.read(b, b->all(), *charge);
    store.wait(t);
  }
  static std::byte value(Bytes i, unsigned seed) {
    return static_cast<std::byte>(i * 7 + i / 4096 + seed);
  }
  static void expect_contents(const BufferRef& b, unsigned seed) {
    Pin pin = b->pin();
    for (Bytes i = 0; i < b->size(); ++i) ASSERT_EQ(pin.data()[i], value(i, seed)) << i;
  }
  void expect_file(Bytes size, unsigned seed) const {
    std::string text = contents(path);
    ASSERT_EQ(text.size(), kOffset + size);
    for (Bytes i = 0; i < size; ++i)
      ASSERT_EQ(static_cast<std::byte>(text[kOffset + i]), value(i, seed)) << i;
  }

  fs::path directory, path;
  SpillStore::Options options;
  FileFaults file_faults;
  NewFile::Wrap wrap;
  HostResource resource;
  Ledger ledger;
  Pool pool{ledger, resource, nullptr, {.slab_threshold = 4 * kKiB, .extent_bytes = kExtent}};
  SpillStore store{options};
  std::shared_ptr<FileSink> sink;
};

TEST_F(SinkTest, DirtyExtentsGoToTheFileAndComeBackFromIt) {
  constexpr Bytes kSize = 10 * kExtent + 100;
  NewFile file(path.string());
  BufferRef b = sunk(file, kSize);
  // Tile by tile, in another order than the file's, each given back before the next.
  for (Bytes begin : {6 * kExtent, Bytes{0}, 3 * kExtent}) {
    ByteRange tile{begin, begin == 6 * kExtent ? kSize : begin + 3 * kExtent};
    fill(b, tile, 5);
    EXPECT_EQ(SpillStore::space_for(*b, tile), 0u);
    EXPECT_EQ(b->dirty_bytes(tile), round_up(tile.size(), kExtent));
    write(b, tile);
    EXPECT_EQ(b->dirty_bytes(tile), 0u);
    EXPECT_EQ(b->evict(tile), round_up(tile.size(), kExtent));
  }
  EXPECT_EQ(ledger.used(Tag::kBuffer), 0u);
  load(b);
  expect_contents(b, 5);
  b->evict(b->all());
  file.commit();
  sink->seal();
  expect_file(kSize, 5);
  load(b);
  expect_contents(b, 5);
  SpillStore::Stats stats = store.stats();
  EXPECT_EQ(stats.written, 0u);
  EXPECT_EQ(stats.stored, 0u);
  EXPECT_EQ(stats.file_bytes, 0u);
  EXPECT_EQ(stats.written_to_sinks, kSize);
  EXPECT_EQ(stats.read_from_sources, 2 * kSize);
}

TEST_F(SinkTest, ASealedFileIsNotWrittenAgain) {
  constexpr Bytes kSize = 4 * kExtent;
  NewFile file(path.string());
  BufferRef b = sunk(file, kSize);
  fill(b, b->all(), 1);
  write(b, b->all());
  file.commit();
  sink->seal();
  EXPECT_TRUE(b->has_source());
  std::byte one{};
  EXPECT_THROW(sink->write({&one, 1}, 0), Error);
  // Changed in memory afterwards: the spill store takes it.
  fill(b, b->all(), 2);
  EXPECT_EQ(SpillStore::space_for(*b, b->all()), kSize);
  write(b, b->all());
  EXPECT_EQ(store.stats().stored, kSize);
  b->evict(b->all());
  load(b);
  expect_contents(b, 2);
  expect_file(kSize, 1);
}

TEST_F(SinkTest, ReadsRaiseWhenSomeoneChangesTheSealedFile) {
  NewFile file(path.string());
  BufferRef b = sunk(file, 4 * kExtent);
  fill(b, b->all(), 1);
  write(b, b->all());
  b->evict(b->all());
  file.commit();
  sink->seal();
  std::ofstream(path, std::ios::app) << "x";
  EXPECT_THROW(load(b), IoError);
  EXPECT_EQ(b->extent_state(0), ExtentState::kSpilled);
  EXPECT_EQ(ledger.used(Tag::kBuffer), 0u);
}

TEST_F(SinkTest, AReplacedFileStaysReadableForItsBuffer) {
  constexpr Bytes kSize = 4 * kExtent;
  for (unsigned seed : {1, 2}) {
    NewFile file(path.string());
    BufferRef b = sunk(file, kSize);
    fill(b, b->all(), seed);
    write(b, b->all());
    b->evict(b->all());
    file.commit();
    sink->seal();
    NewFile other(path.string());
    write_all(*other.file(), std::as_bytes(std::span("replaced", 8)), 0);
    other.commit();
    EXPECT_EQ(contents(path), "replaced");
    load(b);
    expect_contents(b, seed);
  }
}

TEST_F(SinkTest, AFailedWriteLeavesExtentsDirtyAndTheOldFile) {
  std::ofstream(path) << "old";
  for (int error : {EIO, ENOSPC}) {
    NewFile file(path.string(), nullptr, wrap);
    file_faults.writes = 0;
    file_faults.fail_write = 2;
    file_faults.error = error;
    BufferRef b = sunk(file, 4 * kExtent);
    fill(b, b->all(), 1);
    try {
      write(b, b->all());
      FAIL();
    } catch (const IoError& e) {
      EXPECT_EQ(e.error_number(), error);
    }
    EXPECT_EQ(b->dirty_bytes(b->all()), 3 * kExtent);
    file_faults.fail_write = 0;
    write(b, b->all());
    EXPECT_EQ(b->dirty_bytes(b->all()), 0u);
    load(b);
    expect_contents(b, 1);
  }
  EXPECT_EQ(contents(path), "old");
  EXPECT_EQ(files(), 1u);
}

TEST_F(SinkTest, ShortTransfersAreContinued) {
  file_faults.short_transfers = true;
  constexpr Bytes kSize = 64 * kKiB + 4;
  Pool large(ledger, resource, nullptr, {.slab_threshold = 4 * kKiB, .extent_bytes = 64 * kKiB});
  NewFile file(path.string(), nullptr, wrap);
  BufferRef b = large.make(kSize);
  sink = std::make_shared<FileSink>(file.file(), kOffset, kSize);
  b->set_sink(sink);
  fill(b, b->all(), 9);
  write(b, b->all());
  EXPECT_GT(file_faults.writes, 3);
  b->evict(b->all());
  load(b);
  expect_contents(b, 9);
  file.commit();
  expect_file(kSize, 9);
}

TEST_F(SinkTest, SinksAreForEmptyBuffersOfTheirSize) {
  NewFile file(path.string());
  BufferRef b = sunk(file, 2 * kExtent);
  EXPECT_THROW(b->set_sink(std::make_shared<FileSink>(file.file(), 0, kExtent)), Error);
  fill(b, {0, kExtent}, 1);
  EXPECT_THROW(b->set_sink(sink), Error);
  std::byte bytes[2]{};
  EXPECT_THROW(sink->write(bytes, 2 * kExtent - 1), Error);
}

TEST_F(SinkTest, AnAbandonedFileLeavesNothing) {
  {
    NewFile file(path.string());
    write_all(*file.file(), std::as_bytes(std::span("x", 1)), 0);
  }
  EXPECT_EQ(files(), 0u);
}

TEST_F(SinkTest, WithoutATmpfileTheFileHasAHiddenNameUntilItIsComplete) {
  for (bool complete : {false, true}) {
    NewFile file(path.string(), nullptr, {}, /*nameless=*/false);
    write_all(*file.file(), std::as_bytes(std::span("new", 3)), 0);
    EXPECT_EQ(files(), 1u);
    EXPECT_FALSE(fs::exists(path));
    if (complete) file.commit();
  }
  EXPECT_EQ(contents(path), "new");
  EXPECT_EQ(files(), 1u);
}

TEST_F(SinkTest, WritingLeavesNothingInThePageCache) {
  if (platform::is_memory_backed(directory.string())) GTEST_SKIP() << "files are RAM here";
  constexpr Bytes kSize = 4 * kMiB;
  NewFile file(path.string());
  for (Bytes offset : {Bytes{4096}, kOffset}) {
    FileSink to(file.file(), offset, kSize);
    auto b = pool.try_make_resident(kSize);
    for (Bytes begin = 0; begin < kSize; begin += kMiB)
      to.write({(*b)->pin().data() + begin, kMiB}, begin);
  }
  file.commit();
  int fd = platform::open_read_only(path.string());
  for (Bytes begin = 0; begin < kSize; begin += 64 * kKiB)
    EXPECT_FALSE(platform::is_cached(fd, begin, 64 * kKiB)) << begin;
  platform::close_file(fd);
}

TEST_F(SinkTest, ANewFileKeepsPermissionsAndFollowsLinks) {
  std::ofstream(path) << "old";
  fs::permissions(path, fs::perms::owner_read | fs::perms::owner_write);
  fs::path link = directory / "link";
  fs::create_symlink("out", link);
  NewFile file(link.string());
  write_all(*file.file(), std::as_bytes(std::span("new", 3)), 0);
  file.commit();
  EXPECT_TRUE(fs::is_symlink(link));
  EXPECT_EQ(contents(path), "new");
  EXPECT_EQ(fs::status(path).permissions(), fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_EQ(files(), 2u);
}

TEST_F(SinkTest, FoldersThatAreMissingOrInTheWayAreNamed) {
  for (auto& [name, error] :
       {std::pair{directory / "none" / "out", ENOENT}, std::pair{directory, EISDIR}}) {
    try {
      NewFile file(name.string());
      FAIL();
    } catch (const IoError& e) {
      EXPECT_EQ(e.error_number(), error);
      EXPECT_THAT(e.what(), HasSubstr(name.string()));
    }
  }
}

}  // namespace
}  // namespace plimsoll::memory
