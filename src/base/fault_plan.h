// The one seam for fault campaigns: every place where the system can say no asks the plan first.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

namespace plimsoll {

enum class FaultSite : uint8_t {
  kReserve,       // Ledger::try_reserve
  kAddress,       // address space asked of the system
  kCommit,        // pages made resident
  kFileAllocate,  // space in a file
  kFileWrite,
  kFileRead,
  kThreadStart,
};
inline constexpr int kNumFaultSites = 7;

/// Owned by a test or a Context and passed by pointer; null means no faults. It counts every site
/// it is asked at, so a campaign iterates k = 1, 2, … until a run ends with injected() == 0.
class FaultPlan {
 public:
  static constexpr uint32_t kAllSites = (1u << kNumFaultSites) - 1;
  static constexpr uint32_t mask(FaultSite site) { return 1u << static_cast<int>(site); }

  /// Fails the k-th question (from 1) among the sites in `mask`, or all from the k-th on. Counters
  /// restart at zero.
  void fail_at(uint64_t k, bool from_then_on = false, uint32_t mask = kAllSites) {
    reset_counters();
    mask_.store(mask, std::memory_order_relaxed);
    from_then_on_.store(from_then_on, std::memory_order_relaxed);
    k_.store(k, std::memory_order_relaxed);
  }
  /// Counts but injects nothing.
  void disarm() { k_.store(0, std::memory_order_relaxed); }

  /// True where the caller must behave as if the system had refused.
  bool should_fail(FaultSite site) noexcept {
    int s = static_cast<int>(site);
    seen_[s].fetch_add(1, std::memory_order_relaxed);
    if (!((mask_.load(std::memory_order_relaxed) >> s) & 1)) return false;
    uint64_t n = asked_.fetch_add(1, std::memory_order_relaxed) + 1;
    uint64_t k = k_.load(std::memory_order_relaxed);
    if (k == 0 || n < k || (n > k && !from_then_on_.load(std::memory_order_relaxed))) return false;
    injected_[s].fetch_add(1, std::memory_order_relaxed);
    return true;
  }

  uint64_t seen(FaultSite s) const { return seen_[static_cast<int>(s)].load(); }
  uint64_t injected(FaultSite s) const { return injected_[static_cast<int>(s)].load(); }
  uint64_t seen() const { return sum(seen_); }
  uint64_t injected() const { return sum(injected_); }

 private:
  using Counters = std::array<std::atomic<uint64_t>, kNumFaultSites>;
  static uint64_t sum(const Counters& c) {
    uint64_t total = 0;
    for (auto& x : c) total += x.load();
    return total;
  }
  void reset_counters() {
    asked_ = 0;
    for (auto& x : seen_) x = 0;
    for (auto& x : injected_) x = 0;
  }

  std::atomic<uint64_t> k_{0};
  std::atomic<uint64_t> asked_{0};
  std::atomic<uint32_t> mask_{kAllSites};
  std::atomic<bool> from_then_on_{false};
  Counters seen_{};
  Counters injected_{};
};

inline bool should_fail(FaultPlan* plan, FaultSite site) noexcept {
  return plan != nullptr && plan->should_fail(site);
}

}  // namespace plimsoll
