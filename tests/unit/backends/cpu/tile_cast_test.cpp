// Casts between all dtypes, and the 16-bit floats against their definition.
#include <gtest/gtest.h>
#include <hwy/targets.h>
#include <immintrin.h>

#include <cmath>
#include <limits>
#include <random>

#include "tests/unit/backends/cpu/tile_testing.h"

namespace plimsoll::cpu {
namespace {

using namespace testing;
constexpr float kInf = std::numeric_limits<float>::infinity();

template <class A, class R>
std::vector<R> cast(const std::vector<A>& a, Dtype from, Dtype to) {
  const auto n = static_cast<int64_t>(a.size());
  std::vector<R> r(n);
  EXPECT_TRUE(run(one_op(TileOp::kCast, from, to, 1), {tensor((void*)a.data(), from, {n})},
                  {tensor(r.data(), to, {n})}));
  return r;
}

// What mlx 0.32.4 and NumPy 2 give on x86, where they agree with themselves (uint32 is theirs for
// single elements).
TEST(TileCast, FloatsGoToIntegersAsOnX86) {
  const Dtype f = Dtype::kFloat32;
  const std::vector<float> x = {NAN,     kInf,  -kInf, 1e10f, -1e10f, 300.5f,
                                -300.5f, -1.0f, 3e9f,  1e19f, -1e19f, 70000.0f};
  EXPECT_EQ((cast<float, uint8_t>(x, f, Dtype::kUint8)),
            (std::vector<uint8_t>{0, 0, 0, 0, 0, 44, 212, 255, 0, 0, 0, 112}));
  EXPECT_EQ((cast<float, int16_t>(x, f, Dtype::kInt16)),
            (std::vector<int16_t>{0, 0, 0, 0, 0, 300, -300, -1, 0, 0, 0, 4464}));
  constexpr int32_t kLow = std::numeric_limits<int32_t>::min();
  EXPECT_EQ(
      (cast<float, int32_t>(x, f, Dtype::kInt32)),
      (std::vector<int32_t>{kLow, kLow, kLow, kLow, kLow, 300, -300, -1, kLow, kLow, kLow, 70000}));
  EXPECT_EQ((cast<float, uint32_t>(x, f, Dtype::kUint32)),
            (std::vector<uint32_t>{0, 0, 0, 1410065408u, 2884901888u, 300, 4294966996u, 4294967295u,
                                   3000000000u, 0, 0, 70000}));
  constexpr int64_t kLow64 = std::numeric_limits<int64_t>::min();
  EXPECT_EQ((cast<float, int64_t>(x, f, Dtype::kInt64)),
            (std::vector<int64_t>{kLow64, kLow64, kLow64, 10000000000, -10000000000, 300, -300, -1,
                                  3000000000, kLow64, kLow64, 70000}));
  EXPECT_EQ((cast<float, uint64_t>(x, f, Dtype::kUint64)),
            (std::vector<uint64_t>{9223372036854775808u, 0, 9223372036854775808u, 10000000000u,
                                   18446744063709551616u, 300, 18446744073709551316u,
                                   18446744073709551615u, 3000000000u, 9999999980506447872u,
                                   9223372036854775808u, 70000}));
  EXPECT_EQ((cast<float, uint8_t>({0.0f, -0.0f, 0.25f, NAN}, f, Dtype::kBool)),
            (std::vector<uint8_t>{0, 0, 1, 1}));
}

template <class A, class R>
void expect_exact_cast(Dtype from, Dtype to) {
  std::vector<A> a;
  std::mt19937_64 rng(3);
  for (int i = 0; i < 300; ++i) a.push_back(static_cast<A>(from == Dtype::kBool ? i % 2 : rng()));
  const std::vector<R> r = cast<A, R>(a, from, to);
  for (size_t i = 0; i < a.size(); ++i)
    ASSERT_EQ(r[i], to == Dtype::kBool ? static_cast<R>(a[i] != 0) : static_cast<R>(a[i]))
        << name_of(from) << " to " << name_of(to);
}

template <class F>
void for_integers(F f) {
  f(uint8_t{}, Dtype::kBool), f(uint8_t{}, Dtype::kUint8), f(uint16_t{}, Dtype::kUint16);
  f(uint32_t{}, Dtype::kUint32), f(uint64_t{}, Dtype::kUint64), f(int8_t{}, Dtype::kInt8);
  f(int16_t{}, Dtype::kInt16), f(int32_t{}, Dtype::kInt32), f(int64_t{}, Dtype::kInt64);
}

TEST(TileCast, IntegersGoToIntegersAndFloatsAsInC) {
  for_integers([]<class A>(A, Dtype from) {
    for_integers([&]<class R>(R, Dtype to) { expect_exact_cast<A, R>(from, to); });
    expect_exact_cast<A, float>(from, Dtype::kFloat32);
    expect_exact_cast<A, double>(from, Dtype::kFloat64);
  });
}

TEST(TileCast, ComplexKeepsOrDropsItsImaginaryPart) {
  const std::vector<C64> z = {{1.5f, 2}, {-3, 0}, {0, 1}, {0, 0}};
  const Dtype c = Dtype::kComplex64;
  EXPECT_EQ((cast<C64, float>(z, c, Dtype::kFloat32)), (std::vector<float>{1.5f, -3, 0, 0}));
  EXPECT_EQ((cast<C64, int32_t>(z, c, Dtype::kInt32)), (std::vector<int32_t>{1, -3, 0, 0}));
  EXPECT_EQ((cast<C64, uint8_t>(z, c, Dtype::kBool)), (std::vector<uint8_t>{1, 1, 1, 0}));
  EXPECT_EQ((cast<C64, C64>(z, c, c)), z);
  EXPECT_EQ((cast<int8_t, C64>({-2, 7}, Dtype::kInt8, c)), (std::vector<C64>{{-2, 0}, {7, 0}}));
}

// The value of a 16-bit float with `mantissa` fraction bits.
double value_of(uint16_t bits, int mantissa) {
  const int exponent_bits = 15 - mantissa, bias = (1 << (exponent_bits - 1)) - 1;
  const int exponent = bits >> mantissa & ((1 << exponent_bits) - 1);
  const int fraction = bits & ((1 << mantissa) - 1);
  double v;
  if (exponent == (1 << exponent_bits) - 1)
    v = fraction ? NAN : INFINITY;
  else if (exponent == 0)
    v = std::ldexp(fraction, 1 - bias - mantissa);
  else
    v = std::ldexp(fraction + (1 << mantissa), exponent - bias - mantissa);
  return bits & 0x8000 ? -v : v;
}

// To nearest, ties to the even of the two neighbours, by comparing distances in double.
uint16_t nearest(float x, int mantissa) {
  const uint16_t sign = std::signbit(x) ? 0x8000 : 0;
  const uint16_t infinity = static_cast<uint16_t>(((1 << (15 - mantissa)) - 1) << mantissa);
  const double a = std::fabs(static_cast<double>(x));
  uint16_t low = 0, high = infinity;  // value(low) ≤ a ≤ value(high)
  while (high - low > 1) {
    const auto middle = static_cast<uint16_t>((low + high) / 2);
    (value_of(middle, mantissa) <= a ? low : high) = middle;
  }
  if (std::isinf(x)) return sign | infinity;
  const double below = a - value_of(low, mantissa);
  // Past the largest number, infinity stands where the next number would be.
  const double top = high == infinity ? 2 * value_of(low, mantissa) -
                                            value_of(static_cast<uint16_t>(low - 1), mantissa)
                                      : value_of(high, mantissa);
  const double above = top - a;
  const bool up = above < below || (above == below && low % 2);
  return sign | (up ? high : low);
}

void expect_sixteen_bits(Dtype t, int mantissa, const TileTable& table) {
  const auto slot = static_cast<size_t>(t);
  std::vector<uint16_t> bits(65536), back(65536);
  for (int i = 0; i < 65536; ++i) bits[i] = static_cast<uint16_t>(i);
  std::vector<float> wide(65536);
  table.widen[slot](TileCall{{bits.data(), nullptr, nullptr}, wide.data(), 65536, 0, 0, 1, {}, {}});
  for (int i = 0; i < 65536; ++i) {
    const double v = value_of(bits[i], mantissa);
    if (std::isnan(v)) {
      ASSERT_TRUE(std::isnan(wide[i])) << i;
    } else {
      ASSERT_EQ(wide[i], v) << i;
      ASSERT_EQ(std::signbit(wide[i]), std::signbit(v)) << i;
    }
  }
  // Every number, half way to the next, and a little to either side; then at random.
  std::vector<float> x;
  for (int i = 0; i < 65536; ++i) {
    if (std::isnan(wide[i])) continue;
    const float next = static_cast<float>(value_of(static_cast<uint16_t>(i + 1), mantissa));
    const float half = wide[i] / 2 + next / 2;
    for (float v : {wide[i], half, std::nextafter(half, kInf), std::nextafter(half, -kInf)})
      if (!std::isnan(v)) x.push_back(v);
  }
  std::mt19937 rng(9);
  for (int i = 0; i < 100000; ++i) {
    const uint32_t r = rng();
    float v;
    std::memcpy(&v, &r, 4);
    if (!std::isnan(v)) x.push_back(v);
  }
  std::vector<uint16_t> r(x.size());
  std::vector<float> rounded(x.size());
  const TileCall call{{x.data(), nullptr, nullptr}, r.data(), x.size(), 0, 0, 1, {}, {}};
  table.narrow[slot](call);
  TileCall in_float = call;
  in_float.dst = rounded.data();
  table.round[slot](in_float);
  for (size_t i = 0; i < x.size(); ++i) {
    ASSERT_EQ(r[i], nearest(x[i], mantissa)) << std::hexfloat << x[i];
    ASSERT_EQ(rounded[i], value_of(r[i], mantissa)) << x[i];
  }
  const float nan = std::nanf("");
  uint16_t narrow_nan;
  table.narrow[slot](TileCall{{&nan, nullptr, nullptr}, &narrow_nan, 1, 0, 0, 1, {}, {}});
  EXPECT_TRUE(std::isnan(value_of(narrow_nan, mantissa)));
}

TEST(TileCast, SixteenBitFloatsAreExactOnEveryTarget) {
  const int64_t all = hwy::SupportedTargets();
  for (int64_t target : {HWY_SSE4, HWY_AVX2, HWY_AVX3}) {
    if (!(all & target)) continue;
    SCOPED_TRACE(hwy::TargetName(target));
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    const TileTable table = make_tile_table();
    hwy::SetSupportedTargetsForTest(0);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    expect_sixteen_bits(Dtype::kFloat16, 10, table);
    expect_sixteen_bits(Dtype::kBfloat16, 7, table);
  }
}

// Kernels run in one floating-point mode whatever the caller's, and leave the caller's in place.
TEST(TileCast, DenormalsAreKeptWhateverTheCallersMode) {
  const unsigned before = _mm_getcsr();
  const unsigned flushing = before | 0x8040 | 0x6000;  // flush, denormals are zero, toward zero
  const int64_t n = 200000;
  std::vector<float> a(n, 1e-40f), b(n, 3e-41f), r(n);
  const Dtype t = Dtype::kFloat32;
  _mm_setcsr(flushing);
  run(one_op(TileOp::kAdd, t, t, 2), {tensor(a.data(), t, {n}), tensor(b.data(), t, {n})},
      {tensor(r.data(), t, {n})}, {.num_threads = 2});
  const unsigned after = _mm_getcsr();
  _mm_setcsr(before);
  EXPECT_EQ(after & ~0x3fu, flushing & ~0x3fu);
  for (int64_t i = 0; i < n; ++i) ASSERT_EQ(r[i], 1e-40f + 3e-41f);
}

}  // namespace
}  // namespace plimsoll::cpu
