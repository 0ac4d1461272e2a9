// The wide half of formulas-inl.h: float64 lanes whose arguments came from float32.
#if defined(PLIMSOLL_FORMULAS_WIDE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef PLIMSOLL_FORMULAS_WIDE_INL_H_
#undef PLIMSOLL_FORMULAS_WIDE_INL_H_
#else
#define PLIMSOLL_FORMULAS_WIDE_INL_H_
#endif

#include <limits>

#include "opset/formulas-inl.h"

HWY_BEFORE_NAMESPACE();
namespace plimsoll::formulas {
namespace HWY_NAMESPACE {

template <class L>
struct Wide {
  using V = typename L::V;

  static constexpr double kInf = std::numeric_limits<double>::infinity();
  static constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  static constexpr double kPi = 3.14159265358979324;
  static constexpr double kLn2 = 0.693147180559945309;

  static HWY_INLINE V one() { return L::set(1.0); }

  // 2ⁿ·(eʳ - 1) + (2ⁿ - 1) is e^(n·ln 2 + r) - 1 without cancellation.
  static HWY_INLINE V small_expm1(V r) {
    constexpr double kC[] = {
        1.0000000000000033,     0.49999999999796596,    0.16666666666584787,
        0.041666666892135454,   0.0083333333799815463,  0.0013888821432824774,
        0.00019841173899585622, 2.4876302857872177e-05, 2.7639575493958526e-06};
    return r * poly<L>(r, kC);
  }
  // Arguments are clamped to where float32 results end.
  static HWY_INLINE V clamp(V x, double most) {
    return L::min(L::set(most), L::max(L::set(-most), x));
  }
  static HWY_INLINE V expm1(V x) {
    x = clamp(x, 200.0);
    const V n = L::round(x * L::set(1.44269504088896341));
    const V r = L::fma(n, L::set(-kLn2), x);
    const V s = L::pow2(n);
    return L::select(L::eq(x, L::set(0.0)), x, L::fma(s, small_expm1(r), s - one()));
  }
  static HWY_INLINE V exp2(V x) {
    x = clamp(x, 300.0);
    const V n = L::round(x);
    return L::fma(L::pow2(n), small_expm1((x - n) * L::set(kLn2)), L::pow2(n));
  }
  static HWY_INLINE V exp(V x) { return exp2(clamp(x, 200.0) * L::set(1.44269504088896341)); }

  // log(1 + f) for √½ ≤ 1 + f < √2.
  static HWY_INLINE V small_log1p(V f) {
    constexpr double kC[] = {0.33333333333330961, 0.20000000005682889,  0.14285712046288288,
                             0.11111433433897962, 0.090700032220854765, 0.083122445016709595};
    const V s = f / (L::set(2.0) + f);
    const V u = s * s;
    const V t = s + s;
    return L::fma(t * u, poly<L>(u, kC), t);
  }
  static HWY_INLINE V of_log_domain(V x, V r) {
    r = L::select(L::lt(x, L::set(kInf)), r, x);
    r = L::select(L::eq(x, L::set(0.0)), L::set(-kInf), r);
    return L::select(L::lt(x, L::set(0.0)), L::set(kNan), r);
  }
  static HWY_INLINE V log_of_finite(V x) {
    V m;
    const V e = L::split(x, &m);
    return L::fma(e, L::set(kLn2), small_log1p(m - one()));
  }
  static HWY_INLINE V log(V x) { return of_log_domain(x, log_of_finite(x)); }
  static HWY_INLINE V log2(V x) { return log(x) * L::set(1.44269504088896341); }
  static HWY_INLINE V log10(V x) { return log(x) * L::set(0.434294481903251828); }
  static HWY_INLINE V log1p(V x) {
    const V y = one() + x;
    V m;
    const V e = L::split(y, &m);
    // Where the exponent is 0, x itself is what 1 + x has rounded.
    const V f = L::select(L::eq(e, L::set(0.0)), x, m - one());
    const V r = of_log_domain(y, L::fma(e, L::set(kLn2), small_log1p(f)));
    return L::select(L::eq(x, L::set(0.0)), x, r);
  }

  static HWY_INLINE V sinh(V x) {
    const V t = expm1(L::abs(x));
    return L::copysign(L::set(0.5) * (t + t / (t + one())), x);
  }
  static HWY_INLINE V cosh(V x) {
    const V e = exp(L::abs(x));
    return L::set(0.5) * (e + one() / e);
  }

  // x = n·π/2 + r for |x| ≤ 2^20: the first part of π/2 has 33 bits, so n times it is exact.
  static HWY_INLINE V quarter_turns(V x, V* n) {
    *n = L::round(x * L::set(0.636619772367581343));
    const V r = x - *n * L::set(1.57079632673412561417);
    return r - *n * L::set(6.07710050650619224932e-11);
  }
  static HWY_INLINE V tan(V x) {
    constexpr double kSin[] = {-0.16666666666663857, 0.0083333333310632567, -0.0001984126690115617,
                               2.7555986072318105e-06, -2.480518163402948e-08};
    constexpr double kCos[] = {0.041666666666664631, -0.0013888888887265837, 2.4801585199558654e-05,
                               -2.7556366190589698e-07, 2.0700272803638759e-09};
    V n;
    const V r = quarter_turns(x, &n);
    const V u = r * r;
    const V s = L::fma(r * u, poly<L>(u, kSin), r);
    const V c = L::fma(u * u, poly<L>(u, kCos), L::fma(u, L::set(-0.5), one()));
    const auto odd = L::bit(n, 0);
    const V t = L::select(odd, L::set(0.0) - c, s) / L::select(odd, s, c);
    return L::select(L::eq(x, L::set(0.0)), x, t);
  }

  // atan(t) for t ≥ 0, infinity included.
  static HWY_INLINE V positive_arctan(V t) {
    constexpr double kC[] = {-0.33333333333331044,  0.19999999997932429,   -0.14285713943274339,
                             0.11111090238263273,   -0.090902691689920379, 0.076812062440060683,
                             -0.065519943783257178, 0.051726556081929706,  -0.027287428664011529};
    const auto large = L::lt(one(), t);
    const V a = L::select(large, one() / t, t);
    const auto middle = L::lt(L::set(0.41421356237309505), a);
    const V b = L::select(middle, (a - one()) / (a + one()), a);
    const V u = b * b;
    V r = L::fma(b * u, poly<L>(u, kC), b);
    r = L::select(middle, L::set(kPi / 4) + r, r);
    return L::select(large, L::set(kPi / 2) - r, r);
  }
  static HWY_INLINE V arctan(V x) { return L::copysign(positive_arctan(L::abs(x)), x); }
  static HWY_INLINE V arcsin(V x) {
    const V a = L::abs(x);
    return L::copysign(positive_arctan(a / L::sqrt((one() - a) * (one() + a))), x);
  }
  static HWY_INLINE V arccos(V x) {
    const V a = L::abs(x);
    const V r = positive_arctan(L::sqrt((one() - a) * (one() + a)) / a);
    return L::select(L::lt(x, L::set(0.0)), L::set(kPi) - r, r);
  }
  static HWY_INLINE V arctan2(V y, V x) {
    const V a = L::abs(y), b = L::abs(x);
    V t = a / b;  // 0/0 and inf/inf: the angle is that of the signs
    t = L::select(L::both(L::eq(a, L::set(0.0)), L::eq(b, L::set(0.0))), L::set(0.0), t);
    t = L::select(L::both(L::eq(a, L::set(kInf)), L::eq(b, L::set(kInf))), one(), t);
    V r = positive_arctan(t);
    r = L::select(L::lt(L::copysign(one(), x), L::set(0.0)), L::set(kPi) - r, r);
    return L::copysign(r, y);
  }

  static HWY_INLINE V arcsinh(V x) {
    const V a = L::abs(x);
    const V u = a * a;
    const V r = log1p(a + u / (one() + L::sqrt(u + one())));
    return L::copysign(L::select(L::lt(a, L::set(kInf)), r, a), x);
  }
  static HWY_INLINE V arccosh(V x) {
    const V t = x - one();
    const V r = log1p(t + L::sqrt(t * (x + one())));
    return L::select(L::lt(x, one()), L::set(kNan), r);
  }
  static HWY_INLINE V arctanh(V x) {
    const V a = L::abs(x);
    return L::copysign(L::set(0.5) * log1p((a + a) / (one() - a)), x);
  }

  // By w = -log(1 - x²), in which erfinv(x)/x is smooth.
  static HWY_INLINE V erfinv(V x) {
    constexpr double kCentral[] = {
        1.6235420065140864,      0.2416304037122381,     -0.0057381358219294751,
        -0.00083618016846814564, 0.00019506247075618856, -1.2718089843782998e-05,
        -1.7487970673180013e-06, 4.507559305853688e-07,  -2.3434245231536087e-08,
        -5.65240292595371e-09,   1.0710089514114045e-09, -7.1029767707459121e-12,
        -1.4660215043304823e-11, 1.006834999275709e-12};
    constexpr double kTail[] = {
        3.0838855942678807,     1.0052583142255562,     0.0053716926708166938,
        -0.0037386806405203463, 0.0024839455021679652,  -0.0017525552571697762,
        0.00098476425249107856, -0.0002348630242973999, -3.8123767916249761e-05};
    const V w = L::set(0.0) - log_of_finite((one() - x) * (one() + x));
    const V central = poly<L>(w - L::set(3.0), kCentral);
    const V tail = poly<L>(L::sqrt(w) - L::set(3.25), kTail);
    V r = x * L::select(L::lt(w, L::set(6.0)), central, tail);
    r = L::select(L::eq(L::abs(x), one()), L::copysign(L::set(kInf), x), r);
    return L::select(L::le(L::abs(x), one()), r, L::set(kNan));
  }

  static HWY_INLINE V logaddexp(V a, V b) {
    const V most = L::select(L::lt(a, b), b, a);
    const V d = L::select(L::eq(a, b), L::set(0.0), L::abs(a - b));
    return most + log1p(exp(L::set(0.0) - d));
  }

  static HWY_INLINE V power(V x, V y) {
    const V a = L::abs(x);
    const V zero = L::set(0.0), inf = L::set(kInf);
    // An infinite y behaves as a huge even one.
    const V h = clamp(y, 1e30);
    V r = exp2(h * (log_of_finite(a) * L::set(1.44269504088896341)));
    const auto rises = L::lt(zero, y);
    r = L::select(L::eq(a, zero), L::select(rises, zero, inf), r);
    r = L::select(L::eq(a, inf), L::select(rises, inf, zero), r);
    const V half = h * L::set(0.5);
    const auto whole = L::eq(L::round(h), h);
    const auto even = L::eq(L::round(half), half);
    const auto negative = L::lt(L::copysign(one(), x), zero);
    r = L::negate_if(L::both(negative, L::without(whole, even)), r);
    const auto finite_negative = L::both(L::lt(x, zero), L::lt(L::set(-kInf), x));
    r = L::select(L::without(finite_negative, whole), L::set(kNan), r);
    r = L::select(L::eq(x, x), r, x);
    r = L::select(L::eq(y, y), r, y);
    r = L::select(L::either(L::eq(y, zero), L::eq(x, one())), one(), r);
    return r;
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace plimsoll::formulas
HWY_AFTER_NAMESPACE();

#endif  // PLIMSOLL_FORMULAS_WIDE_INL_H_
