#include "memory/spill_space.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <random>
#include <utility>
#include <vector>

#include "plimsoll/error.h"

namespace plimsoll::memory {
namespace {

constexpr Bytes kExtent = 4 * kKiB;

TEST(SpillSpace, IsCutIntoFragmentsAndJoinedAgain) {
  auto file = open_scratch("/var/tmp", false);
  SpillSpace space(16 * kExtent);
  Bytes none = 0;
  std::vector<Fragments> taken;
  for (int i = 0; i < 16; ++i) taken.push_back(space.take(*file, kExtent, &none));
  EXPECT_THROW((void)space.take(*file, kExtent, &none), IoError);
  for (int i = 0; i < 16; i += 2) space.give(taken[i]);
  Fragments scattered = space.take(*file, 5 * kExtent, &none);
  EXPECT_EQ(scattered.size(), 5u);
  EXPECT_EQ(space.free(), 3 * kExtent);
  space.give(scattered);
  for (int i = 1; i < 16; i += 2) space.give(taken[i]);
  EXPECT_EQ(space.take(*file, 16 * kExtent, &none).size(), 1u);
}

TEST(SpillSpace, KeepsItsInvariantUnderRandomUse) {
  auto file = open_scratch("/var/tmp", false);
  std::mt19937 random(5);
  SpillSpace space(200 * kExtent);
  std::vector<Fragments> taken;
  Bytes promise = 0;
  for (int step = 0; step < 5000; ++step) {
    int what = random() % 5;
    try {
      if (what == 0 && promise < 50 * kExtent) {
        space.promise(*file, 3 * kExtent);
        promise += 3 * kExtent;
      } else if (what <= 2) {
        taken.push_back(space.take(*file, (random() % 9 + 1) * kExtent, &promise));
      } else if (!taken.empty()) {
        std::swap(taken[random() % taken.size()], taken.back());
        space.give(taken.back());
        taken.pop_back();
      }
    } catch (const IoError& e) {
      ASSERT_EQ(e.error_number(), ENOSPC);
    }
    if (step % 50 == 0) space.shrink(*file);
    ASSERT_GE(space.free(), space.promised());
    ASSERT_EQ(space.promised(), promise);
    ASSERT_LE(space.length(), 200 * kExtent);
    Bytes sum = 0;
    std::vector<bool> owned(200);
    for (auto& fragments : taken) {
      for (auto& f : fragments) {
        sum += f.size;
        for (Bytes at = f.offset; at < f.offset + f.size; at += kExtent) {
          ASSERT_LT(at, space.length());
          ASSERT_FALSE(owned[at / kExtent]);
          owned[at / kExtent] = true;
        }
      }
    }
    ASSERT_EQ(space.used(), sum);
  }
}

}  // namespace
}  // namespace plimsoll::memory
