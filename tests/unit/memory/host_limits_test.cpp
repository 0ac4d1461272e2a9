#include "memory/host_limits.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "memory/ledger.h"
#include "plimsoll/error.h"

namespace plimsoll::memory {
namespace {

namespace fs = std::filesystem;

constexpr char kMeminfo[] =
    "MemTotal:       16000000 kB\nMemFree:         1000000 kB\nMemAvailable:    8000000 kB\n";

/// A tree of files that stands for /proc and /sys.
class FakeHost {
 public:
  FakeHost()
      : root_(fs::path(testing::TempDir()) /
              testing::UnitTest::GetInstance()->current_test_info()->name()) {
    fs::remove_all(root_);
    write("/proc/meminfo", kMeminfo);
    paths_.root = root_.string();
  }
  ~FakeHost() { fs::remove_all(root_); }
  void write(const std::string& path, const std::string& text) {
    fs::path full = root_.string() + path;
    fs::create_directories(full.parent_path());
    std::ofstream(full) << text;
  }
  const HostPaths& paths() const { return paths_; }

 private:
  fs::path root_;
  HostPaths paths_;
};

TEST(HostLimits, ReadsFieldsOfMeminfo) {
  EXPECT_EQ(meminfo_field(kMeminfo, "MemTotal"), 16000000 * kKiB);
  EXPECT_EQ(meminfo_field(kMeminfo, "Mem"), std::nullopt);
  EXPECT_EQ(meminfo_field("", "MemTotal"), std::nullopt);
}

TEST(HostLimits, FollowsV1AndV2ToTheRoot) {
  auto levels = cgroup_levels(
      "5:cpu,cpuacct:/x\n4:memory:/a/b\n0::/u\n",
      "30 1 0:26 / /sys/fs/cgroup/memory rw,nosuid shared:9 - cgroup cgroup rw,memory\n"
      "31 1 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
      "32 1 0:28 / /sys/fs/cgroup/uni\\040fied rw - cgroup2 cgroup2 rw\n");
  ASSERT_EQ(levels.size(), 5u);
  EXPECT_EQ(levels[0].directory, "/sys/fs/cgroup/memory/a/b");
  EXPECT_FALSE(levels[0].v2);
  EXPECT_EQ(levels[1].directory, "/sys/fs/cgroup/memory/a");
  EXPECT_EQ(levels[2].directory, "/sys/fs/cgroup/memory");
  EXPECT_EQ(levels[3].directory, "/sys/fs/cgroup/uni fied/u");
  EXPECT_TRUE(levels[3].v2);
  EXPECT_EQ(levels[4].directory, "/sys/fs/cgroup/uni fied");
}

TEST(HostLimits, ContainersSeeTheirCgroupAsTheMount) {
  auto levels = cgroup_levels("4:memory:/docker/abc\n",
                              "30 1 0:26 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup "
                              "rw,memory\n");
  ASSERT_EQ(levels.size(), 1u);
  EXPECT_EQ(levels[0].directory, "/sys/fs/cgroup/memory");
}

TEST(HostLimits, PhysicalRamDecidesWithoutCgroups) {
  FakeHost host;
  auto limits = read_host_limits(host.paths());
  EXPECT_EQ(limits.physical, 16000000 * kKiB);
  if (!limits.rlimit_as && !limits.rlimit_data) {
    EXPECT_EQ(limits.decided_by, "physical RAM");
    EXPECT_EQ(limits.tightest, limits.physical);
    EXPECT_LE(limits.default_limit, limits.tightest * 8 / 10);
    EXPECT_GT(limits.default_limit, limits.tightest * 8 / 10 - 2 * 4096);
  }
  EXPECT_EQ(available_now(host.paths()), 8000000 * kKiB);
}

TEST(HostLimits, TightestCgroupOnThePathDecides) {
  FakeHost host;
  host.write("/proc/self/cgroup", "0::/outer/inner\n");
  host.write("/proc/self/mountinfo", "30 1 0:26 / /cg rw - cgroup2 cgroup2 rw\n");
  host.write("/cg/outer/inner/memory.max", "max\n");
  host.write("/cg/outer/inner/memory.current", "1000000\n");
  host.write("/cg/outer/memory.max", "500000000\n");
  host.write("/cg/outer/memory.current", "450000000\n");
  host.write("/cg/outer/memory.stat", "anon 5\ninactive_file 150000000\nactive_file 7\n");
  auto limits = read_host_limits(host.paths());
  EXPECT_EQ(limits.cgroup, 500000000u);
  EXPECT_EQ(limits.cgroup_path, "/cg/outer");
  EXPECT_EQ(limits.decided_by, "cgroup v2 /cg/outer");
  EXPECT_EQ(available_now(host.paths()), 200000000u);
}

TEST(HostLimits, V1NumbersNearTwoToThe63AreNoLimit) {
  FakeHost host;
  host.write("/proc/self/cgroup", "4:memory:/a\n");
  host.write("/proc/self/mountinfo", "30 1 0:26 / /cg rw - cgroup cgroup rw,memory\n");
  host.write("/cg/memory.limit_in_bytes", "9223372036854771712\n");
  host.write("/cg/memory.usage_in_bytes", "77\n");
  host.write("/cg/a/memory.limit_in_bytes", "1000000\n");
  host.write("/cg/a/memory.usage_in_bytes", "1200000\n");
  host.write("/cg/a/memory.stat", "inactive_file 1\ntotal_inactive_file 100000\n");
  auto limits = read_host_limits(host.paths());
  EXPECT_EQ(limits.cgroup, 1000000u);
  EXPECT_EQ(available_now(host.paths()), 0u);  // over its limit: nothing, not a wrapped number
}

TEST(HostLimits, RaisesWithoutProc) {
  HostPaths nowhere;
  nowhere.root = "/nonexistent";
  EXPECT_THROW(read_host_limits(nowhere), IoError);
}

TEST(HostLimits, RoomIsWhatIsUsedAndWhatIsLeftLessAMargin) {
  using std::chrono::milliseconds;
  FakeHost host;
  MachineRoom machine(host.paths());
  const Bytes left = 8000000 * kKiB - 16 * kMiB;
  EXPECT_EQ(machine.room(1 * kGiB, milliseconds(100)), 1 * kGiB + left);
  host.write("/proc/meminfo", "MemTotal: 16000000 kB\nMemAvailable: 1000 kB\n");
  EXPECT_EQ(machine.room(2 * kGiB, std::chrono::hours(1)), 1 * kGiB + left);  // a reading is kept
  EXPECT_EQ(machine.room(2 * kGiB, milliseconds(-1)), 2 * kGiB);  // never less than is used
  host.write("/proc/meminfo", "nothing");
  EXPECT_EQ(machine.room(kGiB, milliseconds(-1)), 2 * kGiB);
  HostPaths nowhere;
  nowhere.root = "/nonexistent";
  EXPECT_EQ(MachineRoom(nowhere).room(kGiB, milliseconds(0)), Ledger::kNoLimit);
}

TEST(HostLimits, ReadsThisMachine) {
  auto limits = read_host_limits();
  EXPECT_GT(limits.physical, 64 * kMiB);
  EXPECT_GT(limits.default_limit, 0u);
  EXPECT_LE(available_now(), limits.physical);
  EXPECT_GT(process_memory().resident, 0u);
  EXPECT_GE(process_memory().peak_resident, process_memory().anonymous);
}

}  // namespace
}  // namespace plimsoll::memory
