// How much memory this process may have: RAM, cgroups v1 and v2, rlimits.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"

namespace plimsoll::memory {

/// Where the files are; tests point it at a tree of their own.
struct HostPaths {
  std::string meminfo = "/proc/meminfo";
  std::string self_cgroup = "/proc/self/cgroup";
  std::string self_mountinfo = "/proc/self/mountinfo";
  std::string root;  // put before every path that is read, mount points included
};

struct HostLimits {
  Bytes physical = 0;
  std::optional<Bytes> cgroup;  // tightest on the path to the root
  std::string cgroup_path;      // which one
  std::optional<Bytes> rlimit_as;
  std::optional<Bytes> rlimit_data;
  Bytes tightest = 0;       // min of the above
  Bytes default_limit = 0;  // 0.8 × tightest, whole pages
  std::string decided_by;   // "physical RAM", "cgroup v1 /path", "RLIMIT_AS", "RLIMIT_DATA"
};

/// Raises IoError where not even the RAM can be read.
HostLimits read_host_limits(const HostPaths& paths = {});

/// What could be taken now: the least of MemAvailable and, for each cgroup on the path,
/// max − current + inactive_file.
Bytes available_now(const HostPaths& paths = {});

/// What the machine leaves to one that has memory already: it bounds growth, and takes nothing
/// back. Reading it takes a tenth of a millisecond, so a reading is kept for a while, and where
/// /proc cannot be read. Not for several threads at once.
class MachineRoom {
 public:
  explicit MachineRoom(HostPaths paths = {}) : paths_(std::move(paths)) {}
  /// What may be in use at most: `used`, and what is available beside it less a margin for what the
  /// process takes without asking. The reading is at most `age` old.
  Bytes room(Bytes used, std::chrono::milliseconds age);

 private:
  static constexpr Bytes kMargin = 16 * kMiB;
  const HostPaths paths_;
  std::chrono::steady_clock::time_point read_;
  std::optional<Bytes> room_;
};

/// Resident set of this process, of which anonymous; for reports and tests.
struct ProcessMemory {
  Bytes resident = 0;
  Bytes anonymous = 0;
  Bytes peak_resident = 0;
  Bytes address_space = 0;
};
ProcessMemory process_memory();

// Parsing, by contents.

/// "MemTotal", "MemAvailable", … in bytes.
std::optional<Bytes> meminfo_field(std::string_view meminfo, std::string_view field);

struct CgroupLevel {
  std::string directory;
  bool v2 = false;
};
/// Directories of the memory cgroup from the process's own up to the mount's root.
std::vector<CgroupLevel> cgroup_levels(std::string_view self_cgroup, std::string_view mountinfo);

}  // namespace plimsoll::memory
