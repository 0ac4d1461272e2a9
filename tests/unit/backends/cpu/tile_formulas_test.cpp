// Accuracy of float32 formulas against long double libm, on every CPU target of this machine.
#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <limits>
#include <random>

#include "tests/unit/backends/cpu/tile_testing.h"

namespace plimsoll::cpu {
namespace {

using namespace testing;
constexpr Dtype kF32 = Dtype::kFloat32;
constexpr float kInf = std::numeric_limits<float>::infinity();

// Runs `body` with the table of each target that this machine has, then restores the best one.
void for_each_target(const std::function<void(const TileTable&)>& body) {
  const int64_t all = hwy::SupportedTargets();
  for (int64_t target : {HWY_SSE4, HWY_AVX2, HWY_AVX3}) {
    if (!(all & target)) continue;
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    const TileTable table = make_tile_table();
    hwy::SetSupportedTargetsForTest(0);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    SCOPED_TRACE(hwy::TargetName(target));
    body(table);
  }
}

// Distance to the exact value in units of the last place that float32 has there.
double ulps(float got, long double exact) {
  const float nearest = static_cast<float>(exact);
  if (std::isnan(got) || std::isnan(nearest))
    return std::isnan(got) && std::isnan(nearest) ? 0 : INFINITY;
  if (std::isinf(got) || std::isinf(nearest)) {
    if (got == nearest) return 0;
    // One step beyond the largest number is as wrong as one step below infinity.
    const float other = std::isinf(got) ? nearest : got;
    return std::fabs(other) == std::numeric_limits<float>::max() ? 1 : INFINITY;
  }
  const int exponent = exact == 0 ? -149 : std::max(-149, std::ilogb(exact) - 23);
  return static_cast<double>(std::fabs(got - exact) / std::ldexp(1.0L, exponent));
}

// Every exponent of [low, high] evenly, both signs where the range has both, and special values.
std::vector<float> samples(float low, float high, size_t count) {
  std::vector<float> v = {0.0f,
                          -0.0f,
                          1.0f,
                          -1.0f,
                          0.5f,
                          -0.5f,
                          2.0f,
                          kInf,
                          -kInf,
                          NAN,
                          1e-45f,
                          -1e-45f,
                          1.17549435e-38f,
                          3.4028235e38f,
                          -3.4028235e38f,
                          0.99999994f,
                          1.0000001f,
                          -0.99999994f,
                          88.72284f,
                          -103.97208f};
  std::mt19937 rng(7);
  while (v.size() < count) {
    float x;
    const uint32_t bits = rng();
    std::memcpy(&x, &bits, 4);
    if (rng() % 2) x = std::uniform_real_distribution<float>(low, high)(rng);
    if (x >= low && x <= high) v.push_back(x);
  }
  return v;
}

std::vector<float> apply(const TileTable& table, TileOp op, const std::vector<float>& a,
                         const std::vector<float>* b = nullptr) {
  const auto n = static_cast<int64_t>(a.size());
  std::vector<float> r(n);
  std::vector<device::Tensor> in{tensor((void*)a.data(), kF32, {n})};
  if (b) in.push_back(tensor((void*)b->data(), kF32, {n}));
  run(one_op(op, kF32, kF32, b ? 2 : 1), in, {tensor(r.data(), kF32, {n})}, {.table = &table});
  return r;
}

using Exact = long double (*)(long double);
struct Unary {
  const char* name;
  TileOp op;
  Exact exact;
  float low, high;
  double bound;
};

long double exact_sigmoid(long double x) { return 1 / (1 + std::exp(-x)); }
// By Newton's method in long double: erf and erfc are the oracle.
long double exact_erfinv(long double x) {
  const long double a = std::fabs(x);
  if (!(a < 1)) return a == 1 ? x * INFINITY : NAN;
  if (a == 0) return x;
  const long double l = std::log1p(-a * a), t = 4.33L + l / 2;
  long double y = std::sqrt(std::sqrt(t * t - l / 0.147L) - t);
  if (a < 1e-6L) y = a * 0.886226925452758013649L;
  for (int i = 0; i < 40; ++i) {
    const long double e = a < 0.5L ? std::erf(y) - a : (1 - a) - std::erfc(y);
    y -= e / (1.12837916709551257390L * std::exp(-y * y));
  }
  return std::copysign(y, x);
}

#define PLIMSOLL_LIBM(f) [](long double x) -> long double { return std::f(x); }
const Unary kUnary[] = {
    {"exp", TileOp::kExp, PLIMSOLL_LIBM(exp), -105, 90, 0.8},
    {"exp2", TileOp::kExp2, PLIMSOLL_LIBM(exp2), -152, 130, 1.0},
    {"expm1", TileOp::kExpm1, PLIMSOLL_LIBM(expm1), -30, 90, 0.51},
    {"log", TileOp::kLog, PLIMSOLL_LIBM(log), 0, kInf, 0.9},
    {"log1p", TileOp::kLog1p, PLIMSOLL_LIBM(log1p), -1, kInf, 0.51},
    {"log2", TileOp::kLog2, PLIMSOLL_LIBM(log2), 0, kInf, 0.51},
    {"log10", TileOp::kLog10, PLIMSOLL_LIBM(log10), 0, kInf, 0.51},
    {"sin", TileOp::kSin, PLIMSOLL_LIBM(sin), -kInf, kInf, 1.4},
    {"sin small", TileOp::kSin, PLIMSOLL_LIBM(sin), -100, 100, 1.4},
    {"cos", TileOp::kCos, PLIMSOLL_LIBM(cos), -kInf, kInf, 1.4},
    {"cos small", TileOp::kCos, PLIMSOLL_LIBM(cos), -100, 100, 1.4},
    {"tan", TileOp::kTan, PLIMSOLL_LIBM(tan), -1e5f, 1e5f, 0.51},
    {"arcsin", TileOp::kArcsin, PLIMSOLL_LIBM(asin), -1, 1, 0.51},
    {"arccos", TileOp::kArccos, PLIMSOLL_LIBM(acos), -1, 1, 0.51},
    {"arctan", TileOp::kArctan, PLIMSOLL_LIBM(atan), -kInf, kInf, 0.51},
    {"sinh", TileOp::kSinh, PLIMSOLL_LIBM(sinh), -90, 90, 0.51},
    {"cosh", TileOp::kCosh, PLIMSOLL_LIBM(cosh), -90, 90, 0.51},
    {"tanh", TileOp::kTanh, PLIMSOLL_LIBM(tanh), -12, 12, 1.6},
    {"arcsinh", TileOp::kArcsinh, PLIMSOLL_LIBM(asinh), -kInf, kInf, 0.51},
    {"arccosh", TileOp::kArccosh, PLIMSOLL_LIBM(acosh), 1, kInf, 0.51},
    {"arctanh", TileOp::kArctanh, PLIMSOLL_LIBM(atanh), -1, 1, 0.51},
    {"erf", TileOp::kErf, PLIMSOLL_LIBM(erf), -5, 5, 1.4},
    {"erfinv", TileOp::kErfinv, exact_erfinv, -1, 1, 0.7},
    {"sigmoid", TileOp::kSigmoid, exact_sigmoid, -110, 110, 1.8},
};

TEST(TileFormulas, UnaryFormulasAreWithinTheirBounds) {
  for_each_target([](const TileTable& table) {
    for (const Unary& u : kUnary) {
      const std::vector<float> x = samples(u.low, u.high, 60000);
      const std::vector<float> r = apply(table, u.op, x);
      double worst = 0;
      float where = 0, got = 0;
      for (size_t i = 0; i < x.size(); ++i) {
        const double e = ulps(r[i], u.exact(x[i]));
        if (!(e <= worst)) worst = e, where = x[i], got = r[i];
      }
      EXPECT_LE(worst, u.bound) << u.name << " at " << where << " gives " << got;
      if (std::getenv("PLIMSOLL_SHOW_ULPS")) printf("%-10s %.3f at %.9g\n", u.name, worst, where);
    }
  });
}

struct Binary {
  const char* name;
  TileOp op;
  long double (*exact)(long double, long double);
  float low, high;  // of the ordinary samples
};
long double exact_logaddexp(long double a, long double b) {
  if (a == b) return a + std::log(2.0L);
  return std::max(a, b) + std::log1p(std::exp(-std::fabs(a - b)));
}
const Binary kBinary[] = {
    {"power", TileOp::kPower, [](long double x, long double y) { return std::pow(x, y); }, -30, 30},
    {"arctan2", TileOp::kArctan2, [](long double y, long double x) { return std::atan2(y, x); },
     -100, 100},
    {"logaddexp", TileOp::kLogAddExp, exact_logaddexp, -100, 100},
};

TEST(TileFormulas, BinaryFormulasAreWithinTheirBounds) {
  // logaddexp cancels where its result is near 0: there its error is absolute.
  for_each_target([](const TileTable& table) {
    for (const Binary& u : kBinary) {
      std::vector<float> x = samples(u.low, u.high, 20000), y = x;
      std::shuffle(y.begin(), y.end(), std::mt19937(3));
      const std::vector<float> specials(x.begin(), x.begin() + 20);
      for (float a : specials)
        for (float b : specials) x.push_back(a), y.push_back(b);
      for (float a : {-3.0f, -2.0f, -0.0f, 0.0f, 0.5f, 2.0f, -kInf, kInf})
        for (float b : {-4.0f, -3.0f, -2.5f, 3.0f, 4.0f, 1e9f, -1e9f, 0.25f})
          x.push_back(a), y.push_back(b);
      const std::vector<float> r = apply(table, u.op, x, &y);
      for (size_t i = 0; i < x.size(); ++i) {
        const long double exact = u.exact(x[i], y[i]);
        if (std::fabs(r[i] - exact) < 1e-10L && u.op == TileOp::kLogAddExp) continue;
        ASSERT_LE(ulps(r[i], exact), 0.51)
            << u.name << "(" << x[i] << ", " << y[i] << ") gives " << r[i];
        if (exact == 0 && u.op != TileOp::kLogAddExp) {
          ASSERT_EQ(std::signbit(r[i]), std::signbit(exact)) << u.name << x[i] << " " << y[i];
        }
      }
    }
  });
}

TEST(TileFormulas, OddFunctionsKeepTheSignOfZero) {
  for_each_target([](const TileTable& table) {
    for (TileOp op : {TileOp::kSin, TileOp::kTan, TileOp::kTanh, TileOp::kErf, TileOp::kSinh,
                      TileOp::kArcsin, TileOp::kArctan, TileOp::kArcsinh, TileOp::kArctanh,
                      TileOp::kErfinv, TileOp::kExpm1, TileOp::kLog1p, TileOp::kSqrt,
                      TileOp::kRound, TileOp::kFloor, TileOp::kTrunc, TileOp::kCeil}) {
      const std::vector<float> r = apply(table, op, {0.0f, -0.0f});
      EXPECT_EQ(r[0], 0) << static_cast<int>(op);
      EXPECT_EQ(r[1], 0) << static_cast<int>(op);
      EXPECT_FALSE(std::signbit(r[0])) << static_cast<int>(op);
      EXPECT_TRUE(std::signbit(r[1])) << static_cast<int>(op);
    }
  });
}

// An element's bits must not depend on where its run begins or ends.
TEST(TileFormulas, TailsHaveTheBitsOfLongRuns) {
  for_each_target([](const TileTable& table) {
    const std::vector<float> x = samples(-3, 3, 160);
    std::vector<float> y(x.rbegin(), x.rend());
    for (int k = static_cast<int>(TileOp::kCopy); k < static_cast<int>(TileOp::kSelect); ++k) {
      const TileKernel kernel = table.find(static_cast<TileOp>(k), kF32);
      if (!kernel) continue;
      std::vector<char> whole(160 * 4), part(71 * 4);
      auto call = [&](size_t begin, size_t n, void* dst) {
        kernel(TileCall{{x.data() + begin, y.data() + begin, nullptr}, dst, n, 0, 0, 1, {}, {}});
      };
      std::fill(whole.begin(), whole.end(), 0x5a);
      call(0, 160, whole.data());
      const bool bytes = whole[200] == 0x5a;  // a bool result
      const size_t size = bytes && whole[639] == 0x5a ? 1 : 4;
      for (size_t begin = 0; begin < 70; ++begin)
        for (size_t n = 1; n <= 70; ++n) {
          std::fill(part.begin(), part.end(), 0x77);
          call(begin, n, part.data());
          ASSERT_EQ(0, std::memcmp(part.data(), whole.data() + begin * size, n * size))
              << "op " << k << " at " << begin << " length " << n;
          ASSERT_EQ(part[n * size], 0x77) << "op " << k << " writes past its end";
        }
    }
  });
}

// Small and large angles are reduced in different ways, whatever lies beside them.
TEST(TileFormulas, AnglesDoNotDependOnTheirNeighbours) {
  for_each_target([](const TileTable& table) {
    std::vector<float> x;
    for (int i = 0; i < 64; ++i)
      x.push_back(i % 3 ? static_cast<float>(i) * 63.7f : static_cast<float>(i) * 4099.3f);
    for (TileOp op : {TileOp::kSin, TileOp::kCos}) {
      const TileKernel kernel = table.find(op, kF32);
      std::vector<float> all(x.size());
      kernel(TileCall{{x.data(), nullptr, nullptr}, all.data(), x.size(), 0, 0, 1, {}, {}});
      for (size_t i = 0; i < x.size(); ++i) {
        float alone = 0;
        kernel(TileCall{{&x[i], nullptr, nullptr}, &alone, 1, 0, 0, 1, {}, {}});
        EXPECT_EQ(std::bit_cast<uint32_t>(alone), std::bit_cast<uint32_t>(all[i])) << x[i];
      }
    }
  });
}

}  // namespace
}  // namespace plimsoll::cpu
