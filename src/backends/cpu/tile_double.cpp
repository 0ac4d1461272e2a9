// Transcendental functions of float64: libm, an element at a time. Their bits are those of the C
// library that is loaded (glibc: below 1 ulp for most), the same for every tile and thread.
#include <cmath>
#include <limits>

#include "backends/cpu/tile_libm.h"

namespace plimsoll::cpu {
namespace {

double sigmoid(double x) {
  const double e = std::exp(-std::fabs(x));
  return (x >= 0 ? 1.0 : e) / (1.0 + e);
}

double logaddexp(double a, double b) {
  if (a == b) return a + 0.69314718055994530942;
  const double most = a > b ? a : b;
  return most + std::log1p(std::exp(-std::fabs(a - b)));
}

// Winitzki's closed form, within 2e-3, then Halley's steps on erf, or on erfc where erf is near 1.
double erfinv(double x) {
  const double a = std::fabs(x);
  if (!(a < 1)) return a == 1 ? x * std::numeric_limits<double>::infinity() : std::nan("");
  if (a < 1e-9) return x * 0.88622692545275801365;
  const double log_rest = std::log((1 - a) * (1 + a));
  const double t = 4.3307467508 + log_rest / 2;  // 2/(π·0.147)
  double y = std::sqrt(std::sqrt(t * t - log_rest / 0.147) - t);
  for (int step = 0; step < 3; ++step) {
    const double error = a < 0.5 ? std::erf(y) - a : (1 - a) - std::erfc(y);
    const double newton = error / (1.1283791670955125739 * std::exp(-y * y));
    y -= newton / (1 + y * newton);
  }
  return std::copysign(y, x);
}

template <double (*kF)(double)>
void set(TileTable* table, TileOp op) {
  table->set(op, Dtype::kFloat64, scalar_unary<double, double, kF>);
}

}  // namespace

void add_double_kernels(TileTable* table) {
  set<std::exp>(table, TileOp::kExp);
  set<std::expm1>(table, TileOp::kExpm1);
  set<std::exp2>(table, TileOp::kExp2);
  set<std::log>(table, TileOp::kLog);
  set<std::log1p>(table, TileOp::kLog1p);
  set<std::log2>(table, TileOp::kLog2);
  set<std::log10>(table, TileOp::kLog10);
  set<std::sin>(table, TileOp::kSin);
  set<std::cos>(table, TileOp::kCos);
  set<std::tan>(table, TileOp::kTan);
  set<std::asin>(table, TileOp::kArcsin);
  set<std::acos>(table, TileOp::kArccos);
  set<std::atan>(table, TileOp::kArctan);
  set<std::sinh>(table, TileOp::kSinh);
  set<std::cosh>(table, TileOp::kCosh);
  set<std::tanh>(table, TileOp::kTanh);
  set<std::asinh>(table, TileOp::kArcsinh);
  set<std::acosh>(table, TileOp::kArccosh);
  set<std::atanh>(table, TileOp::kArctanh);
  set<std::erf>(table, TileOp::kErf);
  set<erfinv>(table, TileOp::kErfinv);
  set<sigmoid>(table, TileOp::kSigmoid);
  constexpr auto kPower = [](double x, double y) { return std::pow(x, y); };
  constexpr auto kArctan2 = [](double y, double x) { return std::atan2(y, x); };
  table->set(TileOp::kPower, Dtype::kFloat64, scalar_binary<double, double, kPower>);
  table->set(TileOp::kArctan2, Dtype::kFloat64, scalar_binary<double, double, kArctan2>);
  table->set(TileOp::kLogAddExp, Dtype::kFloat64, scalar_binary<double, double, logaddexp>);
}

}  // namespace plimsoll::cpu
