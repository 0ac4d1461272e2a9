// The account of every byte in one memory space. No bytes without a Reservation.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "base/fault_plan.h"

namespace plimsoll::memory {

/// What bytes are for. The total over all tags is what the limit bounds.
enum class Tag : uint8_t { kBuffer, kCache, kWorkspace, kStaging, kMetadata, kLibrary };
inline constexpr int kNumTags = 6;
std::string_view name_of(Tag tag);

class Ledger;

/// The right to `bytes()` of the ledger; gives them back when destroyed. Move-only.
class Reservation {
 public:
  Reservation() = default;
  Reservation(Reservation&& o) noexcept : ledger_(o.ledger_), bytes_(o.bytes_), tag_(o.tag_) {
    o.bytes_ = 0;
  }
  Reservation& operator=(Reservation&& o) noexcept;
  ~Reservation() { release(); }

  Bytes bytes() const { return bytes_; }
  Tag tag() const { return tag_; }
  bool empty() const { return bytes_ == 0; }

  /// Takes `bytes` of this one away into another. REQUIRES: bytes ≤ this->bytes() (raises Error).
  [[nodiscard]] Reservation split(Bytes bytes);
  /// Adds `other` (of the same ledger), whose bytes take this tag. Merging into an empty
  /// reservation takes over the other's ledger and tag.
  void merge(Reservation&& other);
  void retag(Tag tag) noexcept;
  void release() noexcept;

 private:
  friend class Ledger;
  Reservation(Ledger* ledger, Bytes bytes, Tag tag) : ledger_(ledger), bytes_(bytes), tag_(tag) {}

  Ledger* ledger_ = nullptr;
  Bytes bytes_ = 0;
  Tag tag_ = Tag::kBuffer;
};

/// Thread-safe, allocation-free. Outlives its reservations.
class Ledger {
 public:
  static constexpr Bytes kNoLimit = std::numeric_limits<Bytes>::max() / 2;

  explicit Ledger(Bytes limit = kNoLimit, FaultPlan* faults = nullptr)
      : limit_(limit), faults_(faults) {}
  Ledger(const Ledger&) = delete;
  Ledger& operator=(const Ledger&) = delete;

  /// Null where used() + bytes would pass the limit. used() never passes the limit that was in
  /// force when its last byte was reserved, whatever the number of threads.
  [[nodiscard]] std::optional<Reservation> try_reserve(Bytes bytes, Tag tag) noexcept;

  /// Returns the previous limit. A limit below used() refuses every reservation until enough has
  /// been given back; evicting is the caller's work.
  Bytes set_limit(Bytes limit) noexcept { return limit_.exchange(limit); }
  Bytes limit() const noexcept { return limit_.load(); }
  Bytes used() const noexcept { return used_.load(); }
  Bytes used(Tag tag) const noexcept { return tags_[static_cast<int>(tag)].used.load(); }
  /// What could be reserved now (0 where the limit was lowered below used()).
  Bytes available() const noexcept;
  /// What must be given back before `bytes` fit (0 where they fit now).
  Bytes shortfall(Bytes bytes) const noexcept;
  /// High-water marks since construction or reset_peak(), which restarts all at the present use.
  Bytes peak() const noexcept { return peak_.load(); }
  Bytes peak(Tag tag) const noexcept { return tags_[static_cast<int>(tag)].peak.load(); }
  void reset_peak() noexcept;
  /// try_reserve calls that were refused, injected faults included.
  uint64_t refusals() const noexcept { return refusals_.load(); }

 private:
  friend class Reservation;
  struct Account {
    std::atomic<Bytes> used{0};
    std::atomic<Bytes> peak{0};
  };
  void add(Tag tag, Bytes bytes) noexcept;
  void subtract(Tag tag, Bytes bytes) noexcept;
  void give_back(Tag tag, Bytes bytes) noexcept;

  std::atomic<Bytes> limit_;
  std::atomic<Bytes> used_{0};
  std::atomic<Bytes> peak_{0};
  std::array<Account, kNumTags> tags_;
  std::atomic<uint64_t> refusals_{0};
  FaultPlan* faults_;
};

}  // namespace plimsoll::memory
