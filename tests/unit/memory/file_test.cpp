#include "memory/file.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <vector>

#include "base/platform_linux.h"
#include "plimsoll/error.h"
#include "tests/unit/memory/faulty_file.h"

namespace plimsoll::memory {
namespace {

constexpr char kDirectory[] = "/var/tmp";

TEST(File, ScratchFilesHaveNoName) {
  auto count = [] {
    int n = 0;
    for (auto& e : std::filesystem::directory_iterator(kDirectory))
      n += e.path().filename().string().starts_with("plimsoll-spill-");
    return n;
  };
  int before = count();
  auto file = open_scratch(kDirectory, true);
  EXPECT_EQ(count(), before);
  EXPECT_TRUE(file->allocate(0, 64 * kKiB));
  EXPECT_EQ(file->size(), 64 * kKiB);
  file->truncate(0);
  EXPECT_EQ(file->size(), 0u);
}

TEST(File, ReadsBackWhatWasWrittenInShortTransfers) {
  FileFaults faults;
  faults.short_transfers = true;
  FaultyFile file(open_scratch(kDirectory, false), &faults);
  std::vector<std::byte> out(100'000), in(100'000);
  for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<std::byte>(i * 13);
  write_all(file, out, 5);
  read_exact(file, in, 5);
  EXPECT_EQ(in, out);
  EXPECT_GT(faults.writes, 3);
}

TEST(File, ReadingPastTheEndIsAnError) {
  auto file = open_scratch(kDirectory, false);
  std::vector<std::byte> bytes(10);
  write_all(*file, bytes, 0);
  bytes.resize(11);
  EXPECT_THROW(read_exact(*file, bytes, 0), IoError);
}

TEST(File, MissingFilesAndDirectoriesAreNamed) {
  try {
    (void)open_for_reading("/nonexistent/file");
    FAIL();
  } catch (const IoError& e) {
    EXPECT_EQ(e.error_number(), ENOENT);
    EXPECT_NE(std::string(e.what()).find("/nonexistent/file"), std::string::npos);
  }
  EXPECT_THROW((void)open_scratch("/nonexistent", true), IoError);
}

TEST(File, FaultPlanFailsEachKindOfCall) {
  FaultPlan plan;
  auto file = open_scratch(kDirectory, false, &plan);
  std::vector<std::byte> bytes(10);
  for (FaultSite site : {FaultSite::kFileAllocate, FaultSite::kFileWrite, FaultSite::kFileRead}) {
    plan.fail_at(1, false, FaultPlan::mask(site));
    int raised = 0;
    for (int call = 0; call < 3; ++call) {
      try {
        if (call == 0) file->allocate(0, 4096);
        if (call == 1) write_all(*file, bytes, 0);
        if (call == 2) read_exact(*file, bytes, 0);
      } catch (const IoError&) {
        ++raised;
      }
    }
    EXPECT_EQ(raised, 1);
    EXPECT_EQ(plan.injected(site), 1u);
  }
}

TEST(FileSource, RaisesOnceTheFileIsAnotherVersion) {
  std::filesystem::path path = std::filesystem::path(testing::TempDir()) / "plimsoll-file-source";
  std::ofstream(path) << "0123456789";
  FileSource source(open_for_reading(path.string()), 2);
  std::byte two[2];
  source.read(two, 3);
  EXPECT_EQ(static_cast<char>(two[0]), '5');
  // A renamed replacement leaves the open file as it was: saving over a loaded file is safe.
  std::filesystem::path other = path.string() + ".new";
  std::filesystem::copy_file(path, other);
  FileSource changed(open_for_reading(other.string()), 2);
  std::filesystem::rename(other, path);
  source.read(two, 3);
  EXPECT_EQ(static_cast<char>(two[0]), '5');
  std::ofstream(path, std::ios::app) << "x";
  source.read(two, 3);
  EXPECT_THROW(changed.read(two, 0), IoError);
  std::filesystem::remove(path);
  source.read(two, 3);
}

// Every alignment of file, buffer and size, whole and at the end of the file.
TEST(FileSource, ReadsTheSameBytesAtAnyOffset) {
  std::filesystem::path path = std::filesystem::path(kDirectory) / "plimsoll-file-offsets";
  std::vector<char> bytes(1'200'000);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 31 + i / 4096);
  std::ofstream(path, std::ios::binary).write(bytes.data(), 1'200'000);
  auto file = open_for_reading(path.string());
  std::vector<std::byte> room(1'300'000);
  std::byte* start = room.data() + (4096 - reinterpret_cast<uintptr_t>(room.data()) % 4096);
  for (uint64_t offset : {0, 1, 128, 4095, 4096, 100'001}) {
    for (size_t size : {size_t{1}, size_t{300'000}, size_t{1'048'576}, 1'200'000 - offset}) {
      for (size_t shift : {0, 8}) {
        if (offset + size > bytes.size()) continue;
        file->drop_cache(0, 0);  // all of it: the next read goes to the disk
        FileSource source(file, offset);
        source.read({start + shift, size}, 0);
        ASSERT_EQ(std::memcmp(start + shift, bytes.data() + offset, size), 0)
            << offset << " " << size << " " << shift;
        source.read({start + shift, size}, 0);
        ASSERT_EQ(std::memcmp(start + shift, bytes.data() + offset, size), 0);
      }
    }
  }
  std::filesystem::remove(path);
}

TEST(FileSource, LeavesThePageCacheAsItWas) {
  if (platform::is_memory_backed(kDirectory)) GTEST_SKIP() << "files are RAM here";
  std::filesystem::path path = std::filesystem::path(kDirectory) / "plimsoll-file-cache";
  constexpr uint64_t kSize = 4 << 20;
  std::ofstream(path, std::ios::binary) << std::string(kSize + 4096, 'x');
  int fd = platform::open_read_only(path.string());
  ASSERT_EQ(platform::sync_file(fd), 0);
  bool told = platform::is_cached(fd, 0, kSize);
  FileSource source(open_for_reading(path.string()), 128);
  std::vector<std::byte> room(kSize + 4096);
  std::byte* start = room.data() + (4096 - reinterpret_cast<uintptr_t>(room.data()) % 4096);
  source.read({start, kSize}, 0);
  EXPECT_EQ(platform::is_cached(fd, 0, kSize), told) << "what others use was dropped";
  platform::drop_file_cache(fd, 0, 0);
  EXPECT_FALSE(platform::is_cached(fd, 0, kSize));
  source.read({start, kSize}, 0);
  for (uint64_t begin = 0; begin < kSize; begin += kSize / 4)
    EXPECT_FALSE(platform::is_cached(fd, begin, kSize / 4)) << begin;
  platform::close_file(fd);
  std::filesystem::remove(path);
}

TEST(FileSource, PutsTheBytesOfNumbersInOrder) {
  std::filesystem::path path = std::filesystem::path(testing::TempDir()) / "plimsoll-file-order";
  std::ofstream(path) << std::string("\x01\x02\x03\x04\x05\x06\x07\x08", 8)
                      << std::string("\0\x02\xff\x01", 4);
  auto file = open_for_reading(path.string());
  auto read = [&](Decode decode, uint64_t offset, size_t size) {
    std::string out(size, '?');
    FileSource(file, offset, decode).read(std::as_writable_bytes(std::span(out)), 0);
    return out;
  };
  EXPECT_EQ(read(Decode::kSwap2, 0, 8), "\x02\x01\x04\x03\x06\x05\x08\x07");
  EXPECT_EQ(read(Decode::kSwap4, 0, 8), "\x04\x03\x02\x01\x08\x07\x06\x05");
  EXPECT_EQ(read(Decode::kSwap8, 0, 8), "\x08\x07\x06\x05\x04\x03\x02\x01");
  EXPECT_EQ(read(Decode::kBool, 8, 4), std::string("\0\x01\x01\x01", 4));
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace plimsoll::memory
