#include "memory/checksum.h"

#include <gtest/gtest.h>

#include <vector>

namespace plimsoll::memory {
namespace {

TEST(Checksum, ShowsEverySingleBitAndLength) {
  std::vector<std::byte> data(203);
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::byte>(i * 31);
  for (size_t length : {0u, 1u, 7u, 8u, 63u, 64u, 65u, 203u}) {
    std::span<const std::byte> part(data.data(), length);
    uint64_t sum = checksum(part);
    for (size_t bit = 0; bit < 8 * length; ++bit) {
      data[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
      EXPECT_NE(checksum(part), sum) << bit;
      data[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    }
    if (length == 0) continue;
    EXPECT_NE(checksum(part.first(length - 1)), sum);
  }
  std::vector<std::byte> zeros(4096);
  EXPECT_NE(checksum(zeros), checksum(std::span(zeros).first(4088)));
}

}  // namespace
}  // namespace plimsoll::memory
