#include "io/save.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <numeric>
#include <string>
#include <vector>

#include "graph/node.h"
#include "plimsoll/error.h"
#include "plimsoll/io.h"
#include "plimsoll/ops/unary.h"
#include "runtime/context.h"
#include "tests/unit/memory/faulty_file.h"

namespace plimsoll {
namespace {

namespace fs = std::filesystem;
using memory::FaultyFile;
using memory::File;
using memory::NewFile;

struct SaveTest : testing::Test {
  SaveTest() {
    directory = fs::path("/var/tmp") / ("plimsoll-io-" + std::to_string(getpid()));
    fs::create_directories(directory / "spill");
    path = (directory / "a.npy").string();
    wrap = [this](std::shared_ptr<File> file) -> std::shared_ptr<File> {
      return std::make_shared<FaultyFile>(std::move(file), &file_faults);
    };
  }
  ~SaveTest() override { fs::remove_all(directory); }

  runtime::ContextOptions options() {
    runtime::ContextOptions o;
    o.limit = 64 * kMiB;
    o.spill_directory = (directory / "spill").string();
    o.threads = 2;
    o.pool.slab_threshold = 4 * kKiB;
    o.pool.extent_bytes = 64 * kKiB;
    o.faults = &faults;
    return o;
  }
  static std::vector<float> counted(size_t n) {
    std::vector<float> v(n);
    std::iota(v.begin(), v.end(), 0.0f);
    return v;
  }
  static std::vector<float> values(const array& a) {
    std::vector<float> v(static_cast<size_t>(a.size()));
    a.copy_to(v.data());
    return v;
  }
  size_t files() const {
    return static_cast<size_t>(std::distance(fs::directory_iterator(directory), {})) - 1;
  }
  std::string contents() const {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  fs::path directory;
  std::string path;
  memory::FileFaults file_faults;
  NewFile::Wrap wrap;
  FaultPlan faults;
};

constexpr int64_t kCount = 1 << 20;

TEST_F(SaveTest, LoadedArraysAreReadByRanges) {
  runtime::Context context(options());
  save_npy(path, array(counted(kCount).data(), {1024, 1024}, Dtype::kFloat32));
  array a = load_npy(path);
  const memory::Buffer& buffer = *a.node()->storage->buffer;
  EXPECT_EQ(buffer.resident_bytes(), 0u);
  // What copies out a part reads that part only.
  float two[2];
  Bytes before = context.store().stats().read_from_sources;
  graph::evaluator().copy_out(*a.node(), {400, 408}, two);
  EXPECT_EQ(two[0], 100.0f);
  EXPECT_EQ(two[1], 101.0f);
  EXPECT_EQ(context.store().stats().read_from_sources - before, 8u);
  EXPECT_EQ(values(a), counted(kCount));
  EXPECT_EQ(context.store().stats().written, 0u);
}

TEST_F(SaveTest, AFullDiskIsKnownBeforeAnythingIsComputed) {
  runtime::Context context(options());
  std::ofstream(path) << "old";
  array a = negative(array(counted(kCount).data(), {kCount}, Dtype::kFloat32));
  file_faults.disk_bytes = kCount;
  {
    NewFile file(path, nullptr, wrap);
    try {
      io::save_npy(file, a);
      FAIL();
    } catch (const IoError& e) {
      EXPECT_EQ(e.error_number(), ENOSPC);
    }
  }
  EXPECT_FALSE(a.is_available());
  EXPECT_EQ(contents(), "old");
  EXPECT_EQ(files(), 1u);
}

TEST_F(SaveTest, EveryFailedWriteLeavesTheOldFileAndTheArray) {
  runtime::Context context(options());
  std::ofstream(path) << "old";
  array a = negative(array(counted(kCount).data(), {kCount}, Dtype::kFloat32));
  int failures = 0;
  for (int k = 1;; ++k) {
    file_faults.writes = 0;
    file_faults.fail_write = k;
    NewFile file(path, nullptr, wrap);
    try {
      io::save_npy(file, a);
      break;
    } catch (const IoError& e) {
      EXPECT_EQ(e.error_number(), EIO);
      EXPECT_EQ(contents(), "old");
      ++failures;
    }
  }
  EXPECT_GE(failures, 2);
  EXPECT_EQ(values(load_npy(path))[5], -5.0f);
  EXPECT_EQ(values(a)[5], -5.0f);
  EXPECT_EQ(files(), 1u);
}

TEST_F(SaveTest, ShortWritesAreContinued) {
  runtime::Context context(options());
  file_faults.short_transfers = true;
  NewFile file(path, nullptr, wrap);
  io::save_npy(file, array(counted(kCount).data(), {kCount}, Dtype::kFloat32));
  EXPECT_EQ(values(load_npy(path)), counted(kCount));
}

// Every k-th refusal of anything: the evaluation may fail, but then the file is the old one, the
// arrays keep their values, and the next try works.
TEST_F(SaveTest, SurvivesTheKthFailureOfAnything) {
  runtime::Context context(options());
  std::vector<float> one = counted(50'000);
  save_npy(path, array(one.data(), {50'000}, Dtype::kFloat32));
  int failed = 0;
  for (uint64_t k = 1;; ++k) {
    array x = load_npy(path);
    array y = negative(x);
    faults.fail_at(k);
    try {
      save_npy(path, y);
    } catch (const Error&) {
      ++failed;
      faults.disarm();
      EXPECT_EQ(values(load_npy(path))[7], x.is_available() ? values(x)[7] : 0.0f);
      save_npy(path, y);
    }
    bool injected = faults.injected() > 0;
    faults.disarm();
    ASSERT_EQ(values(y)[7], -values(x)[7]);
    ASSERT_EQ(values(load_npy(path))[7], values(y)[7]);
    if (!injected) break;
  }
  EXPECT_GE(failed, 3);
  EXPECT_EQ(files(), 1u);
}

TEST_F(SaveTest, ManyArraysShareAFile) {
  runtime::Context context(options());
  std::vector<float> v = counted(kCount);
  NamedArrays arrays{{"a", array(v.data(), {1024, 1024}, Dtype::kFloat32)},
                     {"é\n", array(v.data(), {3}, Dtype::kFloat32)},
                     {"c", array(2.5)},
                     {"none", array(v.data(), {0, 4}, Dtype::kFloat32)}};
  std::string name = (directory / "a.safetensors").string();
  save_safetensors(name, arrays, {{"k", "v"}});
  Safetensors loaded = load_safetensors(name);
  ASSERT_EQ(loaded.arrays.size(), arrays.size());
  for (size_t i = 0; i < arrays.size(); ++i) {
    EXPECT_EQ(loaded.arrays[i].first, arrays[i].first);
    EXPECT_EQ(values(loaded.arrays[i].second), values(arrays[i].second));
    EXPECT_EQ(to_string(loaded.arrays[i].second.shape()), to_string(arrays[i].second.shape()));
  }
  EXPECT_EQ(loaded.metadata, (FileMetadata{{"k", "v"}}));
  EXPECT_THROW(save_safetensors(name, {{"\xff", array(1)}}), ValueError);
  EXPECT_THROW(save_safetensors(name, {{"a", array(1)}, {"a", array(2)}}), ValueError);
  EXPECT_EQ(load_safetensors(name).arrays.size(), arrays.size());
}

}  // namespace
}  // namespace plimsoll
