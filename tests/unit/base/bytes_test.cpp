#include "base/bytes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plimsoll/error.h"

namespace plimsoll {
namespace {

TEST(Bytes, ParsesDecimalAndBinaryUnits) {
  EXPECT_EQ(parse_bytes("0"), 0u);
  EXPECT_EQ(parse_bytes("1000"), 1000u);
  EXPECT_EQ(parse_bytes("4GB"), 4'000'000'000u);
  EXPECT_EQ(parse_bytes("512MiB"), 512 * kMiB);
  EXPECT_EQ(parse_bytes(" 1.5 GiB "), 3 * kGiB / 2);
  EXPECT_EQ(parse_bytes("64k"), 64'000u);
  EXPECT_EQ(parse_bytes("2tib"), 2048 * kGiB);
  EXPECT_EQ(parse_bytes("0.1kb"), 100u);
  EXPECT_EQ(parse_bytes("18446744073709551615"), ~Bytes{0});
}

TEST(Bytes, RefusesWithTheTextAndTheReason) {
  for (const char* bad : {"", "  ", "GB", "-1", "4 gigs", "1.2.3", ".", "4GB3", "1e9",
                          "18446744073709551616", "99999999TB", "9999999.5 TiB"})
    EXPECT_THROW(parse_bytes(bad), ValueError) << bad;
  try {
    parse_bytes("4 gigs");
    FAIL();
  } catch (const ValueError& e) {
    EXPECT_THAT(e.what(), testing::HasSubstr("got \"4 gigs\": the unit is none of"));
  }
}

TEST(Bytes, FormatsThreeSignificantDigits) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(999), "999 B");
  EXPECT_EQ(format_bytes(1000), "1.00 kB");
  EXPECT_EQ(format_bytes(999'499), "999 kB");
  EXPECT_EQ(format_bytes(999'500), "1.00 MB");
  EXPECT_EQ(format_bytes(6'430'920'704), "6.43 GB");
  EXPECT_EQ(format_bytes(12'340'000), "12.3 MB");
}

TEST(Bytes, RoundsToPowersOfTwo) {
  EXPECT_EQ(round_up(0, 4096), 0u);
  EXPECT_EQ(round_up(1, 4096), 4096u);
  EXPECT_EQ(round_up(4096, 4096), 4096u);
  EXPECT_EQ(round_down(8191, 4096), 4096u);
}

}  // namespace
}  // namespace plimsoll
