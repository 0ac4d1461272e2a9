// Iota and random bits, whole and in parts.
#include <gtest/gtest.h>

#include <string>

#include "tests/unit/backends/cpu/tile_testing.h"

namespace plimsoll::cpu {
namespace {

using namespace testing;

Dtype bits_dtype(int width) {
  return width == 1 ? Dtype::kUint8 : width == 2 ? Dtype::kUint16 : Dtype::kUint32;
}

TileProgram random_program(int width, int64_t count_per_key) {
  TileProgram p = one_op(TileOp::kRandomBits, Dtype::kUint32, bits_dtype(width), 1);
  p.instrs[0].aux = 0;
  p.random.push_back({width, count_per_key});
  return p;
}

std::vector<uint8_t> random_bytes(std::vector<uint32_t> keys, int width, const Shape& shape,
                                  int64_t per_key, const TileOrigin* origin = nullptr) {
  int64_t n = 1;
  for (int64_t d : shape) n *= d;
  std::vector<uint8_t> r(n * width);
  const auto num_keys = static_cast<int64_t>(keys.size() / 2);
  EXPECT_TRUE(run(random_program(width, per_key),
                  {tensor(keys.data(), Dtype::kUint32, {num_keys, 2})},
                  {tensor(r.data(), bits_dtype(width), shape)}, {.num_threads = 2}, origin));
  return r;
}

std::string hex(const std::vector<uint8_t>& bytes) {
  std::string s;
  for (uint8_t b : bytes) {
    char text[3];
    std::snprintf(text, sizeof(text), "%02x", b);
    s += text;
  }
  return s;
}

// What mlx 0.32.4 gives for random::bits({n}, width) with the key (7, 9), as bytes.
TEST(TileIndex, RandomBitsAreThoseOfMlx) {
  const struct {
    int width;
    int64_t n;
    const char* bytes;
  } cases[] = {
      {1, 1, "ae"},
      {1, 2, "ae87"},
      {1, 5, "3d65cf509b"},
      {1, 7, "3d65cf509bd520"},
      {1, 13, "2544a30e3303ebcd6f564d3db6"},
      {2, 1, "ae87"},
      {2, 2, "ae873174"},
      {2, 5, "2544a30e566deb996f56"},
      {2, 7, "2544a30e3303ebcd6f564d3db684"},
      {2, 13, "403d75bc70ebde6849182cd876ead0ec11e1524dd8749753889f"},
      {4, 1, "ae873174"},
      {4, 2, "3d65cf509bd520dd"},
      {4, 5, "42f2064dbc974559c336c9d1fd238fe0a389692d"},
      {4, 7, "403d75bc70ebde6849182cd876ead0ec11e1524dd8749753889f0de9"},
      {4, 13,
       "9d41fb335a697dc21c70ca7257df79d3e2effa9b4d4cbd691076eb31f0fe6fad8479c53b14f30dbe14ef4925574"
       "b9119d43d1ce3"},
  };
  for (const auto& c : cases)
    EXPECT_EQ(hex(random_bytes({7, 9}, c.width, {c.n}, c.n)), c.bytes)
        << c.width << " bytes, " << c.n;
}

TEST(TileIndex, EveryKeyHasItsOwnStream) {
  const std::vector<uint32_t> keys = {7, 9, 0, 42, 123456, 4000000000u};
  for (int width : {1, 2, 4}) {
    const int64_t n = 1237;
    const std::vector<uint8_t> all = random_bytes(keys, width, {3, n}, n);
    for (int k = 0; k < 3; ++k) {
      const auto one = random_bytes({keys[2 * k], keys[2 * k + 1]}, width, {n}, n);
      EXPECT_EQ(0, std::memcmp(one.data(), all.data() + k * n * width, n * width));
    }
  }
}

// Any window of the whole problem gives the bits that the whole has there.
TEST(TileIndex, PartsHaveTheBitsOfTheWhole) {
  const Shape whole{6, 50, 71};
  const struct {
    Dims begin, shape;
  } parts[] = {{{0, 0, 0}, {6, 50, 71}},  {{2, 10, 0}, {1, 30, 71}}, {{3, 0, 0}, {2, 50, 71}},
               {{1, 4, 13}, {4, 40, 29}}, {{5, 49, 70}, {1, 1, 1}},  {{0, 7, 70}, {6, 1, 1}}};
  for (int width : {1, 2, 4}) {
    const std::vector<uint32_t> keys = {7, 9, 1, 2};
    const auto all = random_bytes(keys, width, whole, 3 * 50 * 71);
    for (const auto& part : parts) {
      const TileOrigin origin{whole, part.begin};
      const auto got = random_bytes(keys, width, part.shape, 3 * 50 * 71, &origin);
      size_t at = 0;
      for (int64_t i = 0; i < part.shape[0]; ++i)
        for (int64_t j = 0; j < part.shape[1]; ++j)
          for (int64_t k = 0; k < part.shape[2]; ++k, at += width) {
            const int64_t flat =
                ((part.begin[0] + i) * 50 + part.begin[1] + j) * 71 + part.begin[2] + k;
            ASSERT_EQ(0, std::memcmp(&got[at], &all[flat * width], width));
          }
    }
  }
}

template <class T>
void expect_iota(Dtype t, double start, double step) {
  TileProgram p = one_op(TileOp::kIota, t, t, 0);
  p.instrs[0].imm[0] = start;
  p.instrs[0].imm[1] = step;
  const Shape whole{40, 50};
  std::vector<T> r(2000);
  EXPECT_TRUE(run(p, {}, {tensor(r.data(), t, whole)}));
  for (int i = 0; i < 2000; ++i) ASSERT_EQ(r[i], static_cast<T>(start + step * i)) << name_of(t);
  const TileOrigin origin{whole, {3, 20}};
  std::vector<T> part(30 * 7);
  EXPECT_TRUE(run(p, {}, {tensor(part.data(), t, {30, 7})}, {}, &origin));
  for (int i = 0; i < 30; ++i)
    for (int j = 0; j < 7; ++j) ASSERT_EQ(part[i * 7 + j], r[(i + 3) * 50 + 20 + j]);
}

TEST(TileIndex, IotaCountsFromItsOrigin) {
  expect_iota<float>(Dtype::kFloat32, 0.5, 0.25);
  expect_iota<double>(Dtype::kFloat64, -3, 0.1);
  expect_iota<int32_t>(Dtype::kInt32, -100, 3);
  expect_iota<int64_t>(Dtype::kInt64, 5, -7);
  expect_iota<uint16_t>(Dtype::kUint16, 1, 2);
}

TEST(TileIndex, IotaFeedsOtherOps) {
  Builder b;
  const uint16_t x = b.input(Dtype::kFloat16);
  const uint16_t i = b.op(TileOp::kIota, Dtype::kFloat16, {});
  b.last().imm[1] = 1;
  const uint16_t sum = b.op(TileOp::kAdd, Dtype::kFloat16, {x, i});
  std::vector<uint16_t> a(2000, 0x3c00), r(2000);  // ones
  EXPECT_TRUE(run(b.output({sum}), {tensor(a.data(), Dtype::kFloat16, {2000})},
                  {tensor(r.data(), Dtype::kFloat16, {2000})}));
  EXPECT_EQ(r[0], 0x3c00);
  EXPECT_EQ(r[1], 0x4000);
  EXPECT_EQ(r[1023], 0x6400);  // 1024
}

}  // namespace
}  // namespace plimsoll::cpu
