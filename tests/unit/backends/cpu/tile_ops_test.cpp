// Every op and dtype against plain scalar definitions, computed in wider types where there are any.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <complex>
#include <functional>
#include <limits>
#include <random>

#include "tests/unit/backends/cpu/tile_testing.h"

namespace plimsoll::cpu {
namespace {

using namespace testing;
using Wide = __int128;

template <class T>
constexpr Dtype kDtypeOf = Dtype::kBool;
template <>
constexpr Dtype kDtypeOf<uint8_t> = Dtype::kUint8;
template <>
constexpr Dtype kDtypeOf<uint16_t> = Dtype::kUint16;
template <>
constexpr Dtype kDtypeOf<uint32_t> = Dtype::kUint32;
template <>
constexpr Dtype kDtypeOf<uint64_t> = Dtype::kUint64;
template <>
constexpr Dtype kDtypeOf<int8_t> = Dtype::kInt8;
template <>
constexpr Dtype kDtypeOf<int16_t> = Dtype::kInt16;
template <>
constexpr Dtype kDtypeOf<int32_t> = Dtype::kInt32;
template <>
constexpr Dtype kDtypeOf<int64_t> = Dtype::kInt64;
template <>
constexpr Dtype kDtypeOf<float> = Dtype::kFloat32;
template <>
constexpr Dtype kDtypeOf<double> = Dtype::kFloat64;
template <>
constexpr Dtype kDtypeOf<C64> = Dtype::kComplex64;

// Pairs that include every edge of the type and, for divisors, zero and minus one.
template <class T>
void fill_pairs(std::vector<T>* a, std::vector<T>* b) {
  using Limits = std::numeric_limits<T>;
  std::vector<T> edges = {
      0, 1, 2, 3, 7, 8, Limits::max(), Limits::lowest(), static_cast<T>(Limits::max() / 2)};
  for (int bits : {15, 16, 31, 32, 33, 63, 64}) edges.push_back(static_cast<T>(bits));
  if (Limits::is_signed)
    for (int x : {-1, -2, -7, -64}) edges.push_back(static_cast<T>(x));
  if constexpr (std::is_floating_point_v<T>) {
    for (T x : {Limits::infinity(), -Limits::infinity(), Limits::quiet_NaN(), T(-0.0), T(0.5),
                T(2.5), T(-1.5), Limits::denorm_min(), Limits::min()})
      edges.push_back(x);
  }
  std::mt19937_64 rng(5);
  for (T x : edges)
    for (T y : edges) a->push_back(x), b->push_back(y);
  for (int i = 0; i < 500; ++i) {
    if constexpr (std::is_floating_point_v<T>) {
      a->push_back(std::uniform_real_distribution<T>(-50, 50)(rng));
      b->push_back(std::uniform_real_distribution<T>(-5, 5)(rng));
    } else {
      a->push_back(static_cast<T>(rng()));
      b->push_back(static_cast<T>(rng() % 3 ? rng() % 9 : rng()));
    }
  }
}

// Same bits, but for NaNs, which are all alike, and zeros where the sign is left open.
template <class R>
bool same(R x, R y) {
  if constexpr (std::is_floating_point_v<R>) {
    if (std::isnan(x) || std::isnan(y)) return std::isnan(x) && std::isnan(y);
    return x == y;
  } else {
    return x == y;
  }
}

template <class T, class R>
void expect_binary(TileOp op, const std::function<R(T, T)>& exact, Dtype out = kDtypeOf<R>) {
  std::vector<T> a, b;
  fill_pairs(&a, &b);
  const auto n = static_cast<int64_t>(a.size());
  std::vector<R> r(n);
  const Dtype t = kDtypeOf<T>;
  ASSERT_TRUE(supports(op, t, out)) << static_cast<int>(op) << name_of(t);
  EXPECT_TRUE(run(one_op(op, t, out, 2), {tensor(a.data(), t, {n}), tensor(b.data(), t, {n})},
                  {tensor(r.data(), out, {n})}));
  for (int64_t i = 0; i < n; ++i)
    ASSERT_TRUE(same(r[i], exact(a[i], b[i])))
        << "op " << static_cast<int>(op) << " " << name_of(t) << " " << +a[i] << ", " << +b[i]
        << " gives " << +r[i];
  // One operand repeated must give what it gives element by element.
  for (int side : {0, 1}) {
    std::vector<R> s(n);
    EXPECT_TRUE(run(one_op(op, t, out, 2),
                    {tensor(a.data(), t, {n}, {side == 0 ? 0 : 1}),
                     tensor(b.data(), t, {n}, {side == 1 ? 0 : 1})},
                    {tensor(s.data(), out, {n})}));
    for (int64_t i = 0; i < n; ++i)
      ASSERT_TRUE(same(s[i], exact(a[side == 0 ? 0 : i], b[side == 1 ? 0 : i])));
  }
}

template <class T, class R>
void expect_unary(TileOp op, const std::function<R(T)>& exact, Dtype out = kDtypeOf<R>) {
  std::vector<T> a, b;
  fill_pairs(&a, &b);
  const auto n = static_cast<int64_t>(a.size());
  std::vector<R> r(n);
  const Dtype t = kDtypeOf<T>;
  ASSERT_TRUE(supports(op, t, out)) << static_cast<int>(op) << name_of(t);
  EXPECT_TRUE(run(one_op(op, t, out, 1), {tensor(a.data(), t, {n})}, {tensor(r.data(), out, {n})}));
  for (int64_t i = 0; i < n; ++i)
    ASSERT_TRUE(same(r[i], exact(a[i]))) << "op " << static_cast<int>(op) << " " << name_of(t)
                                         << " of " << +a[i] << " gives " << +r[i];
}

template <class F>
void for_integers(F f) {
  f(uint8_t{}), f(uint16_t{}), f(uint32_t{}), f(uint64_t{});
  f(int8_t{}), f(int16_t{}), f(int32_t{}), f(int64_t{});
}

Wide floor_div(Wide a, Wide b) { return a / b - (a % b != 0 && (a < 0) != (b < 0)); }

TEST(TileOps, IntegersWrapAndDivideAsPythonDoes) {
  for_integers([]<class T>(T) {
    auto cut = [](Wide x) { return static_cast<T>(static_cast<unsigned __int128>(x)); };
    expect_binary<T, T>(TileOp::kAdd, [&](T a, T b) { return cut(Wide{a} + b); });
    expect_binary<T, T>(TileOp::kSubtract, [&](T a, T b) { return cut(Wide{a} - b); });
    expect_binary<T, T>(TileOp::kMultiply, [&](T a, T b) { return cut(Wide{a} * b); });
    expect_binary<T, T>(TileOp::kMaximum, [](T a, T b) { return std::max(a, b); });
    expect_binary<T, T>(TileOp::kMinimum, [](T a, T b) { return std::min(a, b); });
    expect_binary<T, T>(TileOp::kFloorDivide,
                        [&](T a, T b) { return b == 0 ? T{0} : cut(floor_div(a, b)); });
    expect_binary<T, T>(TileOp::kRemainder, [&](T a, T b) {
      return b == 0 ? a : cut(Wide{a} - floor_div(a, b) * Wide{b});
    });
    expect_unary<T, T>(TileOp::kNegative, [&](T a) { return cut(-Wide{a}); });
    expect_unary<T, T>(TileOp::kAbs, [&](T a) { return cut(a < 0 ? -Wide{a} : Wide{a}); });
    expect_unary<T, T>(TileOp::kSquare, [&](T a) { return cut(Wide{a} * a); });
    expect_unary<T, T>(TileOp::kSign, [](T a) { return static_cast<T>((a > 0) - (a < 0)); });
    expect_unary<T, T>(TileOp::kRound, [](T a) { return a; });
  });
}

TEST(TileOps, IntegerPowersWrap) {
  for_integers([]<class T>(T) {
    expect_binary<T, T>(TileOp::kPower, [](T a, T b) {
      if (b < 0) return T{0};
      // Square and multiply on the residue modulo 2^64.
      uint64_t r = 1, base = static_cast<uint64_t>(a);
      for (auto e = static_cast<uint64_t>(b); e; e /= 2, base *= base)
        if (e % 2) r *= base;
      return static_cast<T>(r);
    });
  });
}

TEST(TileOps, BitsAndShifts) {
  for_integers([]<class T>(T) {
    constexpr int kBits = 8 * sizeof(T);
    expect_binary<T, T>(TileOp::kBitwiseAnd, [](T a, T b) { return static_cast<T>(a & b); });
    expect_binary<T, T>(TileOp::kBitwiseOr, [](T a, T b) { return static_cast<T>(a | b); });
    expect_binary<T, T>(TileOp::kBitwiseXor, [](T a, T b) { return static_cast<T>(a ^ b); });
    expect_unary<T, T>(TileOp::kBitwiseInvert, [](T a) { return static_cast<T>(~a); });
    expect_binary<T, T>(TileOp::kLeftShift, [](T a, T b) {
      const bool gone = b < 0 || static_cast<uint64_t>(b) >= kBits;
      return gone ? T{0} : static_cast<T>(static_cast<uint64_t>(a) << b);
    });
    expect_binary<T, T>(TileOp::kRightShift, [](T a, T b) {
      const bool gone = b < 0 || static_cast<uint64_t>(b) >= kBits;
      return static_cast<T>(gone ? (a < 0 ? -1 : 0) : Wide{a} >> b);
    });
  });
}

template <class T>
void expect_comparisons() {
  const Dtype b = Dtype::kBool;
  expect_binary<T, uint8_t>(
      TileOp::kEqual, [](T x, T y) { return x == y; }, b);
  expect_binary<T, uint8_t>(
      TileOp::kNotEqual, [](T x, T y) { return x != y; }, b);
  expect_binary<T, uint8_t>(
      TileOp::kLess, [](T x, T y) { return x < y; }, b);
  expect_binary<T, uint8_t>(
      TileOp::kLessEqual, [](T x, T y) { return x <= y; }, b);
  expect_binary<T, uint8_t>(
      TileOp::kGreater, [](T x, T y) { return x > y; }, b);
  expect_binary<T, uint8_t>(
      TileOp::kGreaterEqual, [](T x, T y) { return x >= y; }, b);
  expect_binary<T, uint8_t>(
      TileOp::kLogicalAnd, [](T x, T y) { return x && y; }, b);
  expect_binary<T, uint8_t>(
      TileOp::kLogicalOr, [](T x, T y) { return x || y; }, b);
  expect_unary<T, uint8_t>(
      TileOp::kLogicalNot, [](T x) { return !x; }, b);
  const auto finite = [](T x) { return std::isfinite(static_cast<long double>(x)); };
  expect_unary<T, uint8_t>(TileOp::kIsFinite, finite, b);
  expect_unary<T, uint8_t>(
      TileOp::kIsNan, [](T x) { return x != x; }, b);
  expect_unary<T, uint8_t>(
      TileOp::kIsInf, [=](T x) { return !finite(x) && x == x; }, b);
  expect_unary<T, uint8_t>(
      TileOp::kIsPosInf, [=](T x) { return !finite(x) && x > 0; }, b);
  expect_unary<T, uint8_t>(
      TileOp::kIsNegInf, [=](T x) { return !finite(x) && x < 0; }, b);
}

TEST(TileOps, ComparisonsAndClasses) {
  for_integers([]<class T>(T) { expect_comparisons<T>(); });
  expect_comparisons<float>();
  expect_comparisons<double>();
}

template <class T>
void expect_float_arithmetic() {
  expect_binary<T, T>(TileOp::kAdd, [](T a, T b) { return a + b; });
  expect_binary<T, T>(TileOp::kSubtract, [](T a, T b) { return a - b; });
  expect_binary<T, T>(TileOp::kMultiply, [](T a, T b) { return a * b; });
  expect_binary<T, T>(TileOp::kDivide, [](T a, T b) { return a / b; });
  expect_binary<T, T>(TileOp::kFloorDivide, [](T a, T b) { return std::floor(a / b); });
  expect_binary<T, T>(TileOp::kRemainder, [](T a, T b) {
    const T r = std::fmod(a, b);
    return r != 0 && std::signbit(r) != std::signbit(b) ? r + b : r;
  });
  const auto nan = [](T a, T b) { return std::isnan(a) || std::isnan(b); };
  expect_binary<T, T>(TileOp::kMaximum, [=](T a, T b) { return nan(a, b) ? NAN : std::max(a, b); });
  expect_binary<T, T>(TileOp::kMinimum, [=](T a, T b) { return nan(a, b) ? NAN : std::min(a, b); });
  expect_unary<T, T>(TileOp::kNegative, [](T a) { return -a; });
  expect_unary<T, T>(TileOp::kAbs, [](T a) { return std::fabs(a); });
  expect_unary<T, T>(TileOp::kSign, [](T a) { return a > 0 ? T{1} : a < 0 ? T{-1} : T{0}; });
  expect_unary<T, T>(TileOp::kSqrt, [](T a) { return std::sqrt(a); });
  expect_unary<T, T>(TileOp::kRsqrt, [](T a) { return 1 / std::sqrt(a); });
  expect_unary<T, T>(TileOp::kReciprocal, [](T a) { return 1 / a; });
  expect_unary<T, T>(TileOp::kFloor, [](T a) { return std::floor(a); });
  expect_unary<T, T>(TileOp::kCeil, [](T a) { return std::ceil(a); });
  expect_unary<T, T>(TileOp::kTrunc, [](T a) { return std::trunc(a); });
  expect_unary<T, T>(TileOp::kRound, [](T a) { return std::nearbyint(a); });
}

TEST(TileOps, FloatArithmeticIsThatOfIeee754) {
  expect_float_arithmetic<float>();
  expect_float_arithmetic<double>();
}

TEST(TileOps, DoubleFunctionsAreNearLongDouble) {
  using F = long double (*)(long double);
  const struct {
    TileOp op;
    F exact;
  } cases[] = {
      {TileOp::kExp, [](long double x) { return std::exp(x); }},
      {TileOp::kLog1p, [](long double x) { return std::log1p(x); }},
      {TileOp::kTanh, [](long double x) { return std::tanh(x); }},
      {TileOp::kErf, [](long double x) { return std::erf(x); }},
      {TileOp::kSigmoid, [](long double x) { return 1 / (1 + std::exp(-x)); }},
      {TileOp::kArctan, [](long double x) { return std::atan(x); }},
  };
  std::vector<double> x, y;
  for (double v = -0.99; v < 1; v += 0.013) x.push_back(v);
  const auto n = static_cast<int64_t>(x.size());
  y.resize(n);
  const Dtype t = Dtype::kFloat64;
  for (const auto& c : cases) {
    run(one_op(c.op, t, t, 1), {tensor(x.data(), t, {n})}, {tensor(y.data(), t, {n})});
    for (int64_t i = 0; i < n; ++i)
      ASSERT_NEAR(y[i], static_cast<double>(c.exact(x[i])), 1e-15 * std::fabs(y[i]) + 1e-300);
  }
  run(one_op(TileOp::kErfinv, t, t, 1), {tensor(x.data(), t, {n})}, {tensor(y.data(), t, {n})});
  for (int64_t i = 0; i < n; ++i)
    ASSERT_NEAR(static_cast<double>(std::erf(static_cast<long double>(y[i]))), x[i], 5e-16);
}

TEST(TileOps, SelectAndClamp) {
  std::vector<uint8_t> c = {1, 0, 1, 0, 0};
  std::vector<float> a = {1, 2, NAN, 4, 5}, b = {-1, -2, -3, -4, NAN}, r(5);
  const Dtype t = Dtype::kFloat32;
  run(one_op(TileOp::kSelect, t, t, 3),
      {tensor(c.data(), Dtype::kBool, {5}), tensor(a.data(), t, {5}), tensor(b.data(), t, {5})},
      {tensor(r.data(), t, {5})});
  EXPECT_EQ(r[0], 1);
  EXPECT_EQ(r[1], -2);
  EXPECT_TRUE(std::isnan(r[2]));
  EXPECT_EQ(r[3], -4);
  EXPECT_TRUE(std::isnan(r[4]));
  float low = 2, high = 3;
  run(one_op(TileOp::kClamp, t, t, 3),
      {tensor(a.data(), t, {5}), tensor(&low, t, {5}, {0}), tensor(&high, t, {5}, {0})},
      {tensor(r.data(), t, {5})});
  EXPECT_EQ(r[0], 2);
  EXPECT_EQ(r[1], 2);
  EXPECT_TRUE(std::isnan(r[2]));
  EXPECT_EQ(r[3], 3);
}

TEST(TileOps, ComplexArithmetic) {
  using Z = std::complex<double>;
  std::vector<C64> a, b;
  for (float x : {-2.5f, 0.0f, 0.75f, 3.0f})
    for (float y : {-1.25f, 0.5f, 2.0f})
      for (float u : {-0.5f, 1.5f}) a.push_back({x, y}), b.push_back({u, x - y + 0.3f});
  const auto n = static_cast<int64_t>(a.size());
  const Dtype t = Dtype::kComplex64;
  std::vector<C64> r(n);
  auto check = [&](TileOp op, const std::function<Z(Z, Z)>& exact, int sources) {
    std::vector<device::Tensor> in{tensor(a.data(), t, {n})};
    if (sources == 2) in.push_back(tensor(b.data(), t, {n}));
    run(one_op(op, t, t, sources), in, {tensor(r.data(), t, {n})});
    for (int64_t i = 0; i < n; ++i) {
      const Z e = exact({a[i].re, a[i].im}, {b[i].re, b[i].im});
      ASSERT_LE(std::abs(Z(r[i].re, r[i].im) - e), 2e-7 * std::abs(e) + 1e-30)
          << static_cast<int>(op);
    }
  };
  check(
      TileOp::kAdd, [](Z x, Z y) { return x + y; }, 2);
  check(
      TileOp::kSubtract, [](Z x, Z y) { return x - y; }, 2);
  check(
      TileOp::kMultiply, [](Z x, Z y) { return x * y; }, 2);
  check(
      TileOp::kDivide, [](Z x, Z y) { return x / y; }, 2);
  check(
      TileOp::kPower, [](Z x, Z y) { return std::pow(x, y); }, 2);
  check(
      TileOp::kNegative, [](Z x, Z) { return -x; }, 1);
  check(
      TileOp::kSquare, [](Z x, Z) { return x * x; }, 1);
  check(
      TileOp::kConjugate, [](Z x, Z) { return std::conj(x); }, 1);
  check(
      TileOp::kExp, [](Z x, Z) { return std::exp(x); }, 1);
  check(
      TileOp::kLog, [](Z x, Z) { return std::log(x); }, 1);
  check(
      TileOp::kSqrt, [](Z x, Z) { return std::sqrt(x); }, 1);
  check(
      TileOp::kSin, [](Z x, Z) { return std::sin(x); }, 1);
  check(
      TileOp::kCos, [](Z x, Z) { return std::cos(x); }, 1);
  std::vector<float> f(n);
  run(one_op(TileOp::kAbs, t, Dtype::kFloat32, 1), {tensor(a.data(), t, {n})},
      {tensor(f.data(), Dtype::kFloat32, {n})});
  for (int64_t i = 0; i < n; ++i) ASSERT_FLOAT_EQ(f[i], std::hypot(a[i].re, a[i].im));
}

TEST(TileOps, ManyThreadsGiveTheBitsOfOne) {
  const int64_t n = 400007;
  std::vector<float> a(n), r(n), s(n);
  for (int64_t i = 0; i < n; ++i) a[i] = static_cast<float>(i % 7919) * 0.01f - 30;
  const Dtype t = Dtype::kFloat32, h = Dtype::kFloat16;
  Builder b;
  const uint16_t x = b.input(t), one = b.constant(h, 1);
  const uint16_t y = b.op(TileOp::kCast, t, h, {x});
  const uint16_t z = b.op(TileOp::kTanh, h, {y});
  const uint16_t w = b.op(TileOp::kAdd, h, {z, one});
  const uint16_t back = b.op(TileOp::kCast, h, t, {w});
  const uint16_t e = b.op(TileOp::kMultiply, t, {b.op(TileOp::kErf, t, {x}), back});
  const TileProgram& p = b.output({e});
  EXPECT_TRUE(run(p, {tensor(a.data(), t, {n})}, {tensor(r.data(), t, {n})}, {.num_threads = 1}));
  for (int threads : {2, 3, 8}) {
    std::fill(s.begin(), s.end(), 0.0f);
    EXPECT_TRUE(
        run(p, {tensor(a.data(), t, {n})}, {tensor(s.data(), t, {n})}, {.num_threads = threads}));
    EXPECT_EQ(0, std::memcmp(r.data(), s.data(), n * sizeof(float)));
  }
}

}  // namespace
}  // namespace plimsoll::cpu
