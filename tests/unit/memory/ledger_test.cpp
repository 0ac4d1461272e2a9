#include "memory/ledger.h"

#include <gtest/gtest.h>

#include <random>
#include <thread>
#include <vector>

#include "plimsoll/error.h"

namespace plimsoll::memory {
namespace {

TEST(Ledger, RefusesOneByteMoreThanTheLimit) {
  Ledger ledger(100);
  auto a = ledger.try_reserve(60, Tag::kBuffer);
  ASSERT_TRUE(a);
  EXPECT_FALSE(ledger.try_reserve(41, Tag::kBuffer));
  EXPECT_EQ(ledger.refusals(), 1u);
  EXPECT_EQ(ledger.shortfall(41), 1u);
  auto b = ledger.try_reserve(40, Tag::kStaging);
  ASSERT_TRUE(b);
  EXPECT_EQ(ledger.used(), 100u);
  EXPECT_EQ(ledger.used(Tag::kStaging), 40u);
  EXPECT_EQ(ledger.available(), 0u);
}

TEST(Ledger, RefusesAmountsThatWouldOverflow) {
  Ledger ledger(100);
  auto a = ledger.try_reserve(60, Tag::kBuffer);
  EXPECT_FALSE(ledger.try_reserve(~Bytes{0}, Tag::kBuffer));
  EXPECT_FALSE(ledger.try_reserve(~Bytes{0} - 50, Tag::kBuffer));
  EXPECT_EQ(ledger.used(), 60u);
}

TEST(Ledger, GivesBackWhenTheReservationDies) {
  Ledger ledger(100);
  {
    auto a = ledger.try_reserve(60, Tag::kBuffer);
    Reservation moved = std::move(*a);
    a.reset();
    EXPECT_EQ(ledger.used(), 60u);
  }
  EXPECT_EQ(ledger.used(), 0u);
  EXPECT_EQ(ledger.peak(), 60u);
  EXPECT_EQ(ledger.peak(Tag::kBuffer), 60u);
}

TEST(Ledger, SplitMergeAndRetagKeepTheTotal) {
  Ledger ledger(100);
  Reservation a = *ledger.try_reserve(60, Tag::kBuffer);
  Reservation b = a.split(20);
  b.retag(Tag::kCache);
  EXPECT_EQ(ledger.used(Tag::kBuffer), 40u);
  EXPECT_EQ(ledger.used(Tag::kCache), 20u);
  a.merge(std::move(b));
  EXPECT_EQ(a.bytes(), 60u);
  EXPECT_EQ(b.bytes(), 0u);
  EXPECT_EQ(ledger.used(Tag::kBuffer), 60u);
  EXPECT_EQ(ledger.used(Tag::kCache), 0u);
  EXPECT_THROW((void)a.split(61), Error);
  Reservation empty;
  empty.merge(std::move(a));
  EXPECT_EQ(empty.bytes(), 60u);
  EXPECT_EQ(ledger.used(), 60u);
  empty.release();
  EXPECT_EQ(ledger.used(), 0u);
}

TEST(Ledger, LoweredLimitRefusesUntilEnoughIsGivenBack) {
  Ledger ledger(100);
  Reservation a = *ledger.try_reserve(80, Tag::kBuffer);
  EXPECT_EQ(ledger.set_limit(50), 100u);
  EXPECT_EQ(ledger.available(), 0u);
  EXPECT_FALSE(ledger.try_reserve(1, Tag::kBuffer));
  EXPECT_EQ(ledger.shortfall(1), 31u);
  a.split(31).release();
  EXPECT_TRUE(ledger.try_reserve(1, Tag::kBuffer));
}

TEST(Ledger, ResetPeakStartsAtPresentUse) {
  Ledger ledger(100);
  Reservation a = *ledger.try_reserve(30, Tag::kBuffer);
  ledger.try_reserve(50, Tag::kWorkspace).reset();
  EXPECT_EQ(ledger.peak(), 80u);
  ledger.reset_peak();
  EXPECT_EQ(ledger.peak(), 30u);
  EXPECT_EQ(ledger.peak(Tag::kWorkspace), 0u);
}

TEST(Ledger, FaultPlanRefusesTheKthRequestOnceOrFromThenOn) {
  FaultPlan faults;
  Ledger ledger(100, &faults);
  faults.fail_at(2);
  EXPECT_TRUE(ledger.try_reserve(1, Tag::kBuffer));
  EXPECT_FALSE(ledger.try_reserve(1, Tag::kBuffer));
  EXPECT_TRUE(ledger.try_reserve(1, Tag::kBuffer));
  EXPECT_EQ(faults.injected(), 1u);
  EXPECT_EQ(faults.seen(FaultSite::kReserve), 3u);
  faults.fail_at(2, /*from_then_on=*/true);
  EXPECT_TRUE(ledger.try_reserve(1, Tag::kBuffer));
  EXPECT_FALSE(ledger.try_reserve(1, Tag::kBuffer));
  EXPECT_FALSE(ledger.try_reserve(1, Tag::kBuffer));
  faults.fail_at(1, false, FaultPlan::mask(FaultSite::kFileWrite));
  EXPECT_TRUE(ledger.try_reserve(1, Tag::kBuffer));
  EXPECT_EQ(faults.injected(), 0u);
}

// Threads reserve, retag, split and release at random; a reservation held by nobody else proves by
// its own sum that the total never passed the limit.
TEST(Ledger, ThreadsTogetherNeverPassTheLimit) {
  constexpr Bytes kLimit = 4'000;
  Ledger ledger(kLimit);
  std::atomic<int64_t> held{0};
  std::atomic<bool> passed{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(t);
      std::vector<Reservation> mine;
      for (int i = 0; i < 20'000; ++i) {
        Bytes n = random() % 3000 + 1;
        if (auto r = ledger.try_reserve(n, static_cast<Tag>(random() % kNumTags))) {
          if (held.fetch_add(n) + static_cast<int64_t>(n) > static_cast<int64_t>(kLimit))
            passed = true;
          r->retag(static_cast<Tag>(random() % kNumTags));
          mine.push_back(std::move(*r));
        }
        if (mine.size() > 3 || (!mine.empty() && random() % 2)) {
          held.fetch_sub(mine.back().bytes());
          mine.pop_back();
        }
      }
      for (auto& r : mine) held.fetch_sub(r.bytes());
    });
  }
  for (auto& t : threads) t.join();
  EXPECT_FALSE(passed);
  EXPECT_LE(ledger.peak(), kLimit);
  EXPECT_GT(ledger.refusals(), 0u);
  EXPECT_EQ(ledger.used(), 0u);
  for (int t = 0; t < kNumTags; ++t) EXPECT_EQ(ledger.used(static_cast<Tag>(t)), 0u);
}

}  // namespace
}  // namespace plimsoll::memory
