// What the operating system says against what the ledger says: cgroup charge, resident set, address
// space. Each scenario runs in a forked child, so that its pages are the only ones that are seen.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "memory/host_limits.h"
#include "memory/host_resource.h"
#include "memory/pool.h"
#include "memory/spill_store.h"
#include "plimsoll/error.h"

namespace plimsoll::memory {
namespace {

namespace fs = std::filesystem;

// The kernel charges a cgroup 64 pages at a time for each CPU; page tables are charged as well (one
// page for each 2 MiB of small pages), and so are the heap records of the child itself.
constexpr Bytes kSlack = 3 * kMiB / 2;
constexpr int kOutOfTune = 3;

Bytes slack_of(Bytes used) { return kSlack + used / 256; }

/// Named numbers that a child hands to its parent.
using Report = std::map<std::string, Bytes>;

/// A memory cgroup (v1) of our own, or nothing where this machine or user has none.
class Cgroup {
 public:
  Cgroup() {
    fs::path root = "/sys/fs/cgroup/memory";
    std::error_code error;
    if (!fs::exists(root / "memory.usage_in_bytes", error)) return;
    path_ = root / ("plimsoll-test-" + std::to_string(getpid()));
    if (!fs::create_directory(path_, error)) path_.clear();
  }
  ~Cgroup() {
    std::error_code error;
    if (exists()) fs::remove(path_, error);
  }
  bool exists() const { return !path_.empty(); }
  bool enter() const { return write("cgroup.procs", std::to_string(getpid())); }
  bool write(const char* file, const std::string& text) const {
    std::ofstream out(path_ / file);
    out << text << std::flush;
    return out.good();
  }
  Bytes read(const char* file) const {
    Bytes value = 0;
    std::ifstream(path_ / file) >> value;
    return value;
  }
  Bytes usage() const { return read("memory.usage_in_bytes"); }

 private:
  fs::path path_;
};

/// Runs `body` in a child and returns what it reported. The child's exit is a test failure where it
/// is not clean.
Report in_child(const std::function<void(Report&)>& body) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    Report report;
    int code = 0;
    try {
      body(report);
    } catch (const std::exception& e) {
      std::fprintf(stderr, "child: %s\n", e.what());
      code = kOutOfTune;
    }
    std::string text;
    for (auto& [name, value] : report) text += name + " " + std::to_string(value) + "\n";
    ssize_t n = write(ends[1], text.data(), text.size());
    _exit(n == static_cast<ssize_t>(text.size()) ? code : kOutOfTune);
  }
  close(ends[1]);
  std::string text;
  char chunk[4096];
  for (ssize_t n; (n = read(ends[0], chunk, sizeof(chunk))) > 0;) text.append(chunk, n);
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status)) << "killed by signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  Report report;
  std::istringstream lines(text);
  std::string name;
  for (Bytes value; lines >> name >> value;) report[name] = value;
  return report;
}

void touch(const BufferRef& b) {
  Pin pin = b->pin();
  std::memset(pin.data(), 1, b->size());
}

/// Compares at named moments, and keeps the worst excess of the outside over the ledger.
class Comparison {
 public:
  Comparison(const Ledger& ledger, const Cgroup* cgroup)
      : ledger_(ledger), cgroup_(cgroup), rss_base_(process_memory().anonymous) {
    if (cgroup_ != nullptr) usage_base_ = cgroup_->usage();
  }
  void at(const std::string& moment, Report& report) {
    Bytes rss = process_memory().anonymous;
    report[moment + ".ledger"] = ledger_.used();
    report[moment + ".rss"] = rss > rss_base_ ? rss - rss_base_ : 0;
    if (cgroup_ == nullptr) return;
    Bytes usage = cgroup_->usage();
    report[moment + ".cgroup"] = usage > usage_base_ ? usage - usage_base_ : 0;
  }

 private:
  const Ledger& ledger_;
  const Cgroup* cgroup_;
  Bytes rss_base_;
  Bytes usage_base_ = 0;
};

void expect_in_tune(const Report& report, const std::string& moment, const char* witness) {
  Bytes said = report.at(moment + ".ledger");
  Bytes seen = report.at(moment + "." + witness);
  EXPECT_LE(seen, said + slack_of(said)) << moment << ": more is resident than was charged";
  EXPECT_GE(seen + slack_of(said), said) << moment << ": more was charged than is resident";
  testing::Test::RecordProperty(moment + "." + witness + ".ledger", std::to_string(said));
  testing::Test::RecordProperty(moment + "." + witness + ".seen", std::to_string(seen));
}

/// Buffers of every kind come, go, shrink and are cut; every page is touched.
void churn(const Cgroup* cgroup, Report& report) {
  HostResource resource;
  Ledger ledger(256 * kMiB);
  Pool pool(ledger, resource);
  std::vector<BufferRef> small, medium, huge;
  Comparison compare(ledger, cgroup);
  for (int i = 0; i < 20'000; ++i) {
    small.push_back(*pool.try_make_resident(700));
    touch(small.back());
  }
  compare.at("small", report);
  for (int i = 0; i < 60; ++i) {
    medium.push_back(*pool.try_make_resident(64 * kKiB + i * 20'011));
    touch(medium.back());
  }
  compare.at("medium", report);
  for (int i = 0; i < 5; ++i) {
    huge.push_back(*pool.try_make_resident(16 * kMiB));
    touch(huge.back());
  }
  compare.at("huge", report);
  // Giving back parts of huge blocks must give back the charge too.
  for (auto& b : huge) b->discard({2 * kMiB, 9 * kMiB});
  compare.at("cut", report);
  medium.clear();
  huge.clear();
  compare.at("cached", report);
  for (int i = 0; i < 30; ++i) {
    medium.push_back(*pool.try_make_resident(70 * kKiB + i * 30'011));
    touch(medium.back());
  }
  compare.at("recycled", report);
  std::mt19937 random(1);
  for (int i = 0; i < 3000; ++i) {
    Bytes size = random() % 4 ? random() % (600 * kKiB) : random() % (12 * kMiB);
    if (auto b = pool.try_make_resident(size)) {
      touch(*b);
      medium.push_back(*b);
    }
    if (medium.size() > 50) {
      std::swap(medium[random() % medium.size()], medium.back());
      medium.pop_back();
    }
  }
  compare.at("churned", report);
  pool.clear_cache();
  compare.at("cleared", report);
  medium.clear();
  small.clear();
  pool.clear_cache();
  compare.at("empty", report);
}

constexpr const char* kMoments[] = {"small",    "medium",  "huge",    "cut",  "cached",
                                    "recycled", "churned", "cleared", "empty"};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif
constexpr char kShadow[] = "the sanitizer's shadow pages are resident too";

TEST(Witness, ResidentSetIsWhatTheLedgerSays) {
  if (kSanitized) GTEST_SKIP() << kShadow;
  Report report = in_child([](Report& r) { churn(nullptr, r); });
  for (const char* moment : kMoments) expect_in_tune(report, moment, "rss");
}

TEST(Witness, CgroupChargeIsWhatTheLedgerSays) {
  if (kSanitized) GTEST_SKIP() << kShadow;
  Cgroup cgroup;
  if (!cgroup.exists()) GTEST_SKIP() << "no memory cgroup v1 that this user may divide";
  Report report = in_child([&](Report& r) {
    if (!cgroup.enter()) throw Error("cannot enter the cgroup");
    churn(&cgroup, r);
  });
  for (const char* moment : kMoments) expect_in_tune(report, moment, "cgroup");
}

// A hard limit of the system, a little above ours: spilling keeps the child alive inside it.
void expect_tiles_inside_a_hard_limit(bool fine, Bytes step) {
  constexpr Bytes kLimit = 64 * kMiB;
  constexpr Bytes kMargin = 8 * kMiB;
  if (kSanitized) GTEST_SKIP() << kShadow;
  Cgroup cgroup;
  if (!cgroup.exists()) GTEST_SKIP() << "no memory cgroup v1 that this user may divide";
  fs::path directory = fs::path("/var/tmp") / ("plimsoll-witness-" + std::to_string(getpid()));
  Report report = in_child([&](Report& r) {
    if (!cgroup.enter()) throw Error("cannot enter the cgroup");
    if (!cgroup.write("memory.limit_in_bytes", std::to_string(kLimit + kMargin)))
      throw Error("cannot limit the cgroup");
    HostResource resource;
    Ledger ledger(kLimit);
    Pool pool(ledger, resource);
    SpillStore::Options options;
    options.directory = directory.string();
    SpillStore store(options);
    auto big = pool.make(4 * kLimit);
    if (!big->set_fine(fine)) throw Error("it is empty");
    for (int pass = 0; pass < 2; ++pass) {
      for (Bytes at = 0; at < big->size(); at += step) {
        ByteRange tile{at, at + step};
        auto charge = pool.try_reserve(big->bytes_missing(tile));
        if (!charge) throw Error("refused");
        if (pass == 0) {
          big->commit(tile, *charge);
        } else {
          Ticket t = store.read(big, tile, *charge);
          store.wait(t);
        }
        Pin pin = big->pin(tile);
        if (pass == 1 && pin.data()[step - 1] != static_cast<std::byte>(at / step))
          throw Error("wrong bytes came back");
        std::memset(pin.data(), static_cast<int>(at / step), step);
        big->mark_written(tile);
        pin.release();
        Ticket t = store.write(big, tile);
        store.wait(t);
        big->evict(tile);
      }
    }
    r["peak.ledger"] = ledger.peak();
    r["peak.cgroup"] = cgroup.read("memory.max_usage_in_bytes");
    r["written"] = store.stats().written;
    r["direct"] = store.stats().direct;
  });
  EXPECT_LE(report["peak.ledger"], fine ? step + kMiB / 2 : kLimit);
  EXPECT_EQ(report["written"], 8 * kLimit);
  // Without O_DIRECT the page cache is charged as well, up to the limit.
  Bytes cache = report["direct"] != 0 ? 0 : kMargin;
  EXPECT_LE(report["peak.cgroup"], report["peak.ledger"] + (fine ? kMiB : kMargin / 2) + cache);
  testing::Test::RecordProperty("peak.ledger", std::to_string(report["peak.ledger"]));
  testing::Test::RecordProperty("peak.cgroup", std::to_string(report["peak.cgroup"]));
  EXPECT_TRUE(fs::is_empty(directory));
  fs::remove(directory);
}

TEST(Witness, SpillingStaysInsideAHardCgroupLimit) {
  expect_tiles_inside_a_hard_limit(/*fine=*/false, 8 * kMiB);
}

TEST(Witness, SpillingInFineTilesStaysInsideAHardCgroupLimit) {
  expect_tiles_inside_a_hard_limit(/*fine=*/true, kMiB);
}

TEST(Witness, RlimitAsIsARefusalAndNotTheEnd) {
  if (kSanitized) GTEST_SKIP() << kShadow;
  Report report = in_child([](Report& r) {
    HostResource resource;
    Ledger ledger(200 * kMiB);
    Pool pool(ledger, resource);
    rlimit limit{};
    getrlimit(RLIMIT_AS, &limit);
    limit.rlim_cur = process_memory().address_space + 300 * kMiB;
    if (setrlimit(RLIMIT_AS, &limit) != 0) throw Error("setrlimit");
    std::mt19937 random(2);
    std::vector<BufferRef> all;
    for (int i = 0; i < 4000; ++i) {
      Bytes size = random() % 3 ? random() % kMiB : random() % (40 * kMiB);
      if (auto b = pool.try_make_resident(size)) {
        touch(*b);
        all.push_back(*b);
      } else {
        ++r["refused"];
      }
      if (random() % 2 && !all.empty()) {
        std::swap(all[random() % all.size()], all.back());
        all.pop_back();
      }
    }
    bool raised = false;
    try {
      (void)pool.make(kGiB);
    } catch (const OutOfMemory&) {
      raised = true;
    }
    r["raised"] = raised;
    all.clear();
    r["large"] = pool.try_make_resident(150 * kMiB).has_value();
    pool.clear_cache();
    r["left"] = pool.stats().address_bytes;
    r["used"] = ledger.used();
  });
  EXPECT_GT(report["refused"], 0u);
  EXPECT_EQ(report["raised"], 1u);
  EXPECT_EQ(report["large"], 1u);
  EXPECT_EQ(report["left"], 0u);
  EXPECT_EQ(report["used"], 0u);
}

TEST(Witness, MappingsStayFew) {
  Report report = in_child([](Report& r) {
    HostResource resource;
    Ledger ledger;
    Pool pool(ledger, resource);
    auto mappings = [] {
      std::ifstream in("/proc/self/maps");
      Bytes n = 0;
      for (std::string line; std::getline(in, line);) ++n;
      return n;
    };
    Bytes before = mappings();
    std::vector<BufferRef> all;
    for (int i = 0; i < 20'000; ++i)
      all.push_back(*pool.try_make_resident(64 * kKiB + i % 7 * 4096));
    for (size_t i = 0; i < all.size(); i += 2) all[i] = BufferRef();
    r["mappings"] = mappings() - before;
  });
  EXPECT_LT(report["mappings"], 100u);  // 2 GB of 20,000 buffers, untouched
}

}  // namespace
}  // namespace plimsoll::memory
