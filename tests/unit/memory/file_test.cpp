#include "memory/file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <vector>

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
  std::ofstream(other) << "abcdefghij";
  FileIdentity before = source.identity();
  EXPECT_EQ(open_for_reading(path.string())->identity(), before);
  std::ofstream(path, std::ios::app) << "x";
  EXPECT_THROW(source.read(two, 0), IoError);
  std::filesystem::remove(path);
  std::filesystem::remove(other);
}

}  // namespace
}  // namespace plimsoll::memory
