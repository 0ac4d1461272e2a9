#include "memory/ledger.h"

#include "base/check.h"

namespace plimsoll::memory {
namespace {

void raise_to(std::atomic<Bytes>& peak, Bytes value) noexcept {
  Bytes seen = peak.load(std::memory_order_relaxed);
  while (seen < value && !peak.compare_exchange_weak(seen, value, std::memory_order_relaxed)) {
  }
}

}  // namespace

std::string_view name_of(Tag tag) {
  constexpr std::string_view kNames[kNumTags] = {"buffer",  "cache",    "workspace",
                                                 "staging", "metadata", "library"};
  return kNames[static_cast<int>(tag)];
}

Reservation& Reservation::operator=(Reservation&& o) noexcept {
  if (this != &o) {
    release();
    ledger_ = o.ledger_;
    bytes_ = std::exchange(o.bytes_, 0);
    tag_ = o.tag_;
  }
  return *this;
}

Reservation Reservation::split(Bytes bytes) {
  PLIMSOLL_ASSERT(bytes <= bytes_);
  bytes_ -= bytes;
  return Reservation(ledger_, bytes, tag_);
}

void Reservation::merge(Reservation&& other) {
  if (other.bytes_ == 0) return;
  if (bytes_ == 0) {
    *this = std::move(other);
    return;
  }
  PLIMSOLL_ASSERT(ledger_ == other.ledger_);
  other.retag(tag_);
  bytes_ += std::exchange(other.bytes_, 0);
}

void Reservation::retag(Tag tag) noexcept {
  if (bytes_ != 0 && tag != tag_) {
    // Out before in, so that no tag's peak passes the total's.
    ledger_->subtract(tag_, bytes_);
    ledger_->add(tag, bytes_);
  }
  tag_ = tag;
}

void Reservation::release() noexcept {
  if (bytes_ != 0) ledger_->give_back(tag_, std::exchange(bytes_, 0));
}

std::optional<Reservation> Ledger::try_reserve(Bytes bytes, Tag tag) noexcept {
  if (bytes == 0) return Reservation(this, 0, tag);
  if (should_fail(faults_, FaultSite::kReserve)) {
    refusals_.fetch_add(1, std::memory_order_relaxed);
    return std::nullopt;
  }
  Bytes used = used_.load(std::memory_order_relaxed);
  do {
    Bytes limit = limit_.load(std::memory_order_relaxed);
    if (used > limit || bytes > limit - used) {
      refusals_.fetch_add(1, std::memory_order_relaxed);
      return std::nullopt;
    }
  } while (!used_.compare_exchange_weak(used, used + bytes, std::memory_order_acq_rel,
                                        std::memory_order_relaxed));
  raise_to(peak_, used + bytes);
  add(tag, bytes);
  return Reservation(this, bytes, tag);
}

Bytes Ledger::available() const noexcept {
  Bytes limit = limit_.load();
  Bytes used = used_.load();
  return used < limit ? limit - used : 0;
}

Bytes Ledger::shortfall(Bytes bytes) const noexcept {
  Bytes limit = limit_.load();
  Bytes wanted = used_.load() + bytes;
  return wanted > limit ? wanted - limit : 0;
}

void Ledger::reset_peak() noexcept {
  peak_.store(used_.load());
  raise_to(peak_, used_.load());
  for (Account& a : tags_) {
    a.peak.store(a.used.load());
    raise_to(a.peak, a.used.load());
  }
}

void Ledger::add(Tag tag, Bytes bytes) noexcept {
  Account& account = tags_[static_cast<int>(tag)];
  Bytes before = account.used.fetch_add(bytes, std::memory_order_relaxed);
  raise_to(account.peak, before + bytes);
}

void Ledger::subtract(Tag tag, Bytes bytes) noexcept {
  tags_[static_cast<int>(tag)].used.fetch_sub(bytes, std::memory_order_relaxed);
}

void Ledger::give_back(Tag tag, Bytes bytes) noexcept {
  subtract(tag, bytes);
  used_.fetch_sub(bytes, std::memory_order_acq_rel);
}

}  // namespace plimsoll::memory
