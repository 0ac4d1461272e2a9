// complex64. Sums and products are float32; quotients and functions go through complex doubles and
// libm. Order is by real, then imaginary part, as in NumPy and MLX.
#include <cmath>
#include <complex>

#include "backends/cpu/tile_libm.h"

namespace plimsoll::cpu {
namespace {

struct C64 {
  float re, im;
};
using Z = std::complex<double>;

C64 narrow(Z z) { return {static_cast<float>(z.real()), static_cast<float>(z.imag())}; }
Z widen(C64 z) { return {z.re, z.im}; }
bool is_nan(C64 a) { return a.re != a.re || a.im != a.im; }
bool less(C64 a, C64 b) { return a.re < b.re || (a.re == b.re && a.im < b.im); }

C64 multiply(C64 a, C64 b) { return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re}; }
// Products and squares of floats neither overflow nor lose digits in double.
C64 divide(C64 a, C64 b) {
  const double c = b.re, d = b.im, norm = c * c + d * d;
  return narrow({(a.re * c + a.im * d) / norm, (a.im * c - a.re * d) / norm});
}
float magnitude(C64 a) { return static_cast<float>(std::hypot(double{a.re}, double{a.im})); }
C64 sign(C64 a) {
  if (a.re == 0 && a.im == 0) return {0, 0};
  const double m = std::hypot(double{a.re}, double{a.im});
  return narrow({a.re / m, a.im / m});
}
// log|1 + z| = log1p(|z|^2 + 2 Re z) / 2 keeps the digits of small z.
Z log1p(Z z) {
  const double x = z.real(), y = z.imag();
  return {0.5 * std::log1p(x * (x + 2) + y * y), std::atan2(y, 1 + x)};
}
C64 power(C64 a, C64 b) {
  if (b.re == 0 && b.im == 0) return {1, 0};
  if (a.re == 0 && a.im == 0 && b.re > 0) return {0, 0};
  return narrow(std::pow(widen(a), widen(b)));
}

template <auto kF>
void map(TileTable* table, TileOp op) {
  table->set(op, Dtype::kComplex64, scalar_unary<C64, C64, kF>);
}
template <class R, auto kF>
void map_to(TileTable* table, TileOp op) {
  table->set(op, Dtype::kComplex64, scalar_unary<C64, R, kF>);
}
template <auto kF>
void combine(TileTable* table, TileOp op) {
  table->set(op, Dtype::kComplex64, scalar_binary<C64, C64, kF>);
}
template <auto kF>
void test(TileTable* table, TileOp op) {
  table->set(op, Dtype::kComplex64, scalar_binary<C64, uint8_t, kF>);
}

void add_parts(TileTable* table) {
  map_to<float, [](C64 a) { return a.re; }>(table, TileOp::kReal);
  map_to<float, [](C64 a) { return a.im; }>(table, TileOp::kImag);
  map_to<float, magnitude>(table, TileOp::kAbs);
  map<[](C64 a) { return C64{a.re, -a.im}; }>(table, TileOp::kConjugate);
  map<[](C64 a) { return C64{-a.re, -a.im}; }>(table, TileOp::kNegative);
  map<sign>(table, TileOp::kSign);
}

void add_predicates(TileTable* table) {
  map_to<uint8_t, [](C64 a) -> uint8_t { return is_nan(a); }>(table, TileOp::kIsNan);
  map_to<uint8_t, [](C64 a) -> uint8_t { return std::isinf(a.re) || std::isinf(a.im); }>(
      table, TileOp::kIsInf);
  map_to<uint8_t, [](C64 a) -> uint8_t { return std::isfinite(a.re) && std::isfinite(a.im); }>(
      table, TileOp::kIsFinite);
  map_to<uint8_t, [](C64 a) -> uint8_t { return a.re == 0 && a.im == 0; }>(table,
                                                                           TileOp::kLogicalNot);
  test<[](C64 a, C64 b) -> uint8_t { return a.re == b.re && a.im == b.im; }>(table, TileOp::kEqual);
  test<[](C64 a, C64 b) -> uint8_t { return a.re != b.re || a.im != b.im; }>(table,
                                                                             TileOp::kNotEqual);
  test<[](C64 a, C64 b) -> uint8_t { return less(a, b); }>(table, TileOp::kLess);
  test<[](C64 a, C64 b) -> uint8_t { return less(b, a); }>(table, TileOp::kGreater);
  test<[](C64 a, C64 b) -> uint8_t { return less(a, b) || (a.re == b.re && a.im == b.im); }>(
      table, TileOp::kLessEqual);
  test<[](C64 a, C64 b) -> uint8_t { return less(b, a) || (a.re == b.re && a.im == b.im); }>(
      table, TileOp::kGreaterEqual);
  test<[](C64 a, C64 b) -> uint8_t {
    return (a.re != 0 || a.im != 0) && (b.re != 0 || b.im != 0);
  }>(table, TileOp::kLogicalAnd);
  test<[](C64 a, C64 b) -> uint8_t { return a.re != 0 || a.im != 0 || b.re != 0 || b.im != 0; }>(
      table, TileOp::kLogicalOr);
}

void add_functions(TileTable* table) {
  map<[](C64 a) { return narrow(std::exp(widen(a))); }>(table, TileOp::kExp);
  map<[](C64 a) { return narrow(std::log(widen(a))); }>(table, TileOp::kLog);
  map<[](C64 a) { return narrow(std::log(widen(a)) / 0.69314718055994530942); }>(table,
                                                                                 TileOp::kLog2);
  map<[](C64 a) { return narrow(std::log10(widen(a))); }>(table, TileOp::kLog10);
  map<[](C64 a) { return narrow(std::sqrt(widen(a))); }>(table, TileOp::kSqrt);
  map<[](C64 a) { return narrow(1.0 / std::sqrt(widen(a))); }>(table, TileOp::kRsqrt);
  map<[](C64 a) { return divide({1, 0}, a); }>(table, TileOp::kReciprocal);
  map<[](C64 a) { return narrow(std::sin(widen(a))); }>(table, TileOp::kSin);
  map<[](C64 a) { return narrow(std::cos(widen(a))); }>(table, TileOp::kCos);
  map<[](C64 a) { return narrow(std::tan(widen(a))); }>(table, TileOp::kTan);
  map<[](C64 a) { return narrow(std::sinh(widen(a))); }>(table, TileOp::kSinh);
  map<[](C64 a) { return narrow(std::cosh(widen(a))); }>(table, TileOp::kCosh);
  map<[](C64 a) { return narrow(std::tanh(widen(a))); }>(table, TileOp::kTanh);
  map<[](C64 a) { return narrow(std::asin(widen(a))); }>(table, TileOp::kArcsin);
  map<[](C64 a) { return narrow(std::acos(widen(a))); }>(table, TileOp::kArccos);
  map<[](C64 a) { return narrow(std::atan(widen(a))); }>(table, TileOp::kArctan);
  map<[](C64 a) { return narrow(std::asinh(widen(a))); }>(table, TileOp::kArcsinh);
  map<[](C64 a) { return narrow(std::acosh(widen(a))); }>(table, TileOp::kArccosh);
  map<[](C64 a) { return narrow(std::atanh(widen(a))); }>(table, TileOp::kArctanh);
  map<[](C64 a) { return narrow(log1p(widen(a))); }>(table, TileOp::kLog1p);
}

void add_arithmetic(TileTable* table) {
  map<[](C64 a) { return multiply(a, a); }>(table, TileOp::kSquare);
  combine<[](C64 a, C64 b) { return C64{a.re + b.re, a.im + b.im}; }>(table, TileOp::kAdd);
  combine<[](C64 a, C64 b) { return C64{a.re - b.re, a.im - b.im}; }>(table, TileOp::kSubtract);
  combine<multiply>(table, TileOp::kMultiply);
  combine<divide>(table, TileOp::kDivide);
  combine<power>(table, TileOp::kPower);
  combine<[](C64 a, C64 b) { return less(b, a) || is_nan(a) ? a : b; }>(table, TileOp::kMaximum);
  combine<[](C64 a, C64 b) { return less(a, b) || is_nan(a) ? a : b; }>(table, TileOp::kMinimum);
}

}  // namespace

void add_complex_kernels(TileTable* table) {
  add_parts(table);
  add_predicates(table);
  add_functions(table);
  add_arithmetic(table);
}

}  // namespace plimsoll::cpu
