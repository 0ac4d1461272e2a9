#include "memory/host_limits.h"

#include <algorithm>
#include <charconv>

#include "base/check.h"
#include "base/platform_linux.h"
#include "memory/ledger.h"

namespace plimsoll::memory {
namespace {

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    size_t end = std::min(text.find(separator), text.size());
    parts.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

std::optional<Bytes> leading_number(std::string_view text) {
  size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return std::nullopt;
  Bytes value = 0;
  auto [end, error] = std::from_chars(text.data() + begin, text.data() + text.size(), value);
  if (error != std::errc{}) return std::nullopt;
  return value;
}

/// The number after `key` at the start of a line.
std::optional<Bytes> field(std::string_view text, std::string_view key) {
  for (std::string_view line : split(text, '\n'))
    if (line.starts_with(key)) return leading_number(line.substr(key.size()));
  return std::nullopt;
}

bool has_word(std::string_view list, std::string_view word) {
  auto words = split(list, ',');
  return std::find(words.begin(), words.end(), word) != words.end();
}

// mountinfo writes blanks and backslashes of paths as three octal digits.
std::string unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      int code = (text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0');
      out += static_cast<char>(code);
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

struct Mount {
  std::string root;   // which directory of the hierarchy is mounted
  std::string point;  // where
};

std::optional<Mount> find_mount(std::string_view mountinfo, bool v2) {
  for (std::string_view line : split(mountinfo, '\n')) {
    size_t dash = line.find(" - ");
    if (dash == std::string_view::npos) continue;
    auto left = split(line.substr(0, dash), ' ');
    auto right = split(line.substr(dash + 3), ' ');
    if (left.size() < 5 || right.size() < 3) continue;
    bool match = v2 ? right[0] == "cgroup2" : right[0] == "cgroup" && has_word(right[2], "memory");
    if (match) return Mount{unescape(left[3]), unescape(left[4])};
  }
  return std::nullopt;
}

/// Path of the process in the hierarchy: of the memory controller (v1) or the unified one.
std::optional<std::string> own_path(std::string_view self_cgroup, bool v2) {
  for (std::string_view line : split(self_cgroup, '\n')) {
    size_t a = line.find(':');
    size_t b = a == std::string_view::npos ? a : line.find(':', a + 1);
    if (b == std::string_view::npos) continue;
    std::string_view controllers = line.substr(a + 1, b - a - 1);
    if (v2 ? line.starts_with("0::") : has_word(controllers, "memory"))
      return std::string(line.substr(b + 1));
  }
  return std::nullopt;
}

void add_levels(const Mount& mount, std::string path, bool v2, std::vector<CgroupLevel>* levels) {
  // A container sees its own cgroup as the root of the mount.
  if (mount.root != "/") {
    if (path.starts_with(mount.root))
      path = path.substr(mount.root.size());
    else
      path.clear();
  }
  // Paths outside the cgroup namespace cannot be followed.
  if (path.starts_with("/..")) path.clear();
  while (path.size() > 1) {
    levels->push_back({mount.point + path, v2});
    path = path.substr(0, path.rfind('/'));
  }
  levels->push_back({mount.point, v2});
}

struct Usage {
  std::optional<Bytes> limit;
  std::optional<Bytes> current;
  Bytes inactive_file = 0;
};

Usage read_level(const HostPaths& paths, const CgroupLevel& level) {
  std::string base = paths.root + level.directory + "/memory.";
  Usage usage;
  auto limit = platform::read_text_file(base + (level.v2 ? "max" : "limit_in_bytes"));
  if (limit) usage.limit = leading_number(*limit);  // "max" is no number: unlimited
  auto current = platform::read_text_file(base + (level.v2 ? "current" : "usage_in_bytes"));
  if (current) usage.current = leading_number(*current);
  auto stat = platform::read_text_file(base + "stat");
  auto inactive =
      stat ? field(*stat, level.v2 ? "inactive_file " : "total_inactive_file ") : std::nullopt;
  usage.inactive_file = inactive.value_or(0);
  return usage;
}

std::vector<CgroupLevel> levels_of(const HostPaths& paths) {
  auto self = platform::read_text_file(paths.root + paths.self_cgroup);
  auto mounts = platform::read_text_file(paths.root + paths.self_mountinfo);
  if (!self || !mounts) return {};
  return cgroup_levels(*self, *mounts);
}

std::string read_meminfo(const HostPaths& paths) {
  auto text = platform::read_text_file(paths.root + paths.meminfo);
  PLIMSOLL_CHECK(text, IoError, "[host_limits] expected to read {}{}; is /proc mounted?",
                 paths.root, paths.meminfo);
  return *text;
}

void tighten(HostLimits* limits, std::optional<Bytes> limit, std::string by) {
  if (!limit || *limit >= limits->tightest) return;
  limits->tightest = *limit;
  limits->decided_by = std::move(by);
}

}  // namespace

std::optional<Bytes> meminfo_field(std::string_view meminfo, std::string_view name) {
  auto kib = field(meminfo, std::string(name) + ":");
  if (!kib) return std::nullopt;
  return *kib * kKiB;
}

std::vector<CgroupLevel> cgroup_levels(std::string_view self_cgroup, std::string_view mountinfo) {
  std::vector<CgroupLevel> levels;
  for (bool v2 : {false, true}) {
    auto mount = find_mount(mountinfo, v2);
    auto path = own_path(self_cgroup, v2);
    if (mount && path) add_levels(*mount, *path, v2, &levels);
  }
  return levels;
}

HostLimits read_host_limits(const HostPaths& paths) {
  HostLimits limits;
  auto total = meminfo_field(read_meminfo(paths), "MemTotal");
  PLIMSOLL_CHECK(total, IoError, "[host_limits] expected MemTotal in {}, got none", paths.meminfo);
  limits.physical = limits.tightest = *total;
  limits.decided_by = "physical RAM";
  for (const CgroupLevel& level : levels_of(paths)) {
    Usage usage = read_level(paths, level);
    // cgroup v1 writes "unlimited" as a number near 2^63.
    if (!usage.limit || *usage.limit >= Bytes{1} << 62) continue;
    if (!limits.cgroup || *usage.limit < *limits.cgroup) {
      limits.cgroup = usage.limit;
      limits.cgroup_path = level.directory;
    }
    tighten(&limits, usage.limit,
            fmt::format("cgroup {} {}", level.v2 ? "v2" : "v1", level.directory));
  }
  limits.rlimit_as = platform::address_space_limit();
  limits.rlimit_data = platform::data_limit();
  tighten(&limits, limits.rlimit_as, "RLIMIT_AS");
  tighten(&limits, limits.rlimit_data, "RLIMIT_DATA");
  limits.default_limit = round_down(limits.tightest / 5 * 4, platform::page_size());
  return limits;
}

Bytes available_now(const HostPaths& paths) {
  std::string meminfo = read_meminfo(paths);
  auto available = meminfo_field(meminfo, "MemAvailable");
  if (!available) available = meminfo_field(meminfo, "MemFree");
  PLIMSOLL_CHECK(available, IoError, "[host_limits] expected MemAvailable in {}, got none",
                 paths.meminfo);
  Bytes least = *available;
  for (const CgroupLevel& level : levels_of(paths)) {
    Usage usage = read_level(paths, level);
    if (!usage.limit || !usage.current) continue;
    Bytes taken = *usage.current - std::min(*usage.current, usage.inactive_file);
    least = std::min(least, *usage.limit > taken ? *usage.limit - taken : 0);
  }
  return least;
}

Bytes MachineRoom::room(Bytes used, std::chrono::milliseconds age) {
  const auto now = std::chrono::steady_clock::now();
  if (!room_ || now - read_ > age) {
    read_ = now;
    try {
      const Bytes available = available_now(paths_);
      room_ = used + available - std::min(available, kMargin);
    } catch (const IoError&) {  // no descriptor is free, as it may be
    }
  }
  return room_ ? std::max(used, *room_) : Ledger::kNoLimit;
}

ProcessMemory process_memory() {
  ProcessMemory memory;
  auto status = platform::read_text_file("/proc/self/status");
  if (!status) return memory;
  auto read = [&](std::string_view name) { return meminfo_field(*status, name).value_or(0); };
  memory.resident = read("VmRSS");
  memory.anonymous = read("RssAnon");
  memory.peak_resident = read("VmHWM");
  memory.address_space = read("VmSize");
  return memory;
}

}  // namespace plimsoll::memory
