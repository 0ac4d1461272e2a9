// Elementwise formulas for float32, as templates over a lane type: a SIMD vector on the CPU, a
// scalar on CUDA. Polynomials are our own fits (tools/fit/formulas.py).
//
// Two families. Narrow formulas compute in float32 lanes: the ones that large models spend their
// time in. Wide ones compute in float64 lanes to some 1e-11 relative, so that one rounding to
// float32 is nearly the only error; they are not accurate enough for float64 itself.
//
// A lane type L (float32: F, float64: W) has V, its vector, M, its mask, and static functions set,
// fma(a, b, c) = a·b + c, abs, sqrt, round, copysign(magnitude, sign), select(mask, a, b),
// lt le eq (masks), both, either, min(a, b) and max(a, b) that give b where either is NaN,
// pow2(n) = 2ⁿ for a whole n in the normal range, and split(x, &m), which returns e with
// x = 2ᵉ·m, √½ ≤ m < √2, for normal x; bit(n, k) is a mask, negate_if takes one. Where fma is two
// roundings (SSE4) the last bits may differ; on one target all bits are fixed.
#if defined(PLIMSOLL_FORMULAS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef PLIMSOLL_FORMULAS_INL_H_
#undef PLIMSOLL_FORMULAS_INL_H_
#else
#define PLIMSOLL_FORMULAS_INL_H_
#endif

#include <limits>

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace plimsoll::formulas {
namespace HWY_NAMESPACE {

// c[0] + c[1]·x + …, by Horner's rule.
template <class L, size_t kN, class T>
HWY_INLINE typename L::V poly(typename L::V x, const T (&c)[kN]) {
  typename L::V r = L::set(c[kN - 1]);
  for (size_t i = kN - 1; i-- > 0;) r = L::fma(r, x, L::set(c[i]));
  return r;
}

template <class L>
struct Narrow {
  using V = typename L::V;

  static constexpr float kInf = std::numeric_limits<float>::infinity();
  static constexpr float kLog2e = 1.44269504f;
  // kLn2High has 16 bits: its product with an exponent is exact without fma too.
  static constexpr float kLn2High = 0.693145752f, kLn2Low = 1.42860677e-6f;

  // x = n·ln 2 + r with n whole and |r| ≤ ½ ln 2.
  static HWY_INLINE V reduce(V x, V* n) {
    *n = L::round(x * L::set(kLog2e));
    const V r = L::fma(*n, L::set(-kLn2High), x);
    return L::fma(*n, L::set(-kLn2Low), r);
  }
  // e^(r + low) for |r| ≤ ½ ln 2; what 1 + r rounds off is added last, with r².
  static HWY_INLINE V small_exp(V r, V low) {
    constexpr float kC[] = {0.5f, 0.166665182f, 0.041666206f, 0.00836895406f, 0.00139505998f};
    const V s = L::set(1.0f) + r;
    return s + (L::fma(r * r, poly<L>(r, kC), low) + (r - (s - L::set(1.0f))));
  }
  // p·2ⁿ for n beyond the exponents of normal numbers: in two steps.
  static HWY_INLINE V scale(V p, V n) {
    const V h = L::round(n * L::set(0.5f));
    return p * L::pow2(h) * L::pow2(n - h);
  }

  static HWY_INLINE V exp(V x) {
    x = L::min(L::set(89.0f), L::max(L::set(-104.0f), x));
    const V n = L::round(x * L::set(kLog2e));
    const V t = L::fma(n, L::set(-kLn2High), x);
    const V r = L::fma(n, L::set(-kLn2Low), t);
    return scale(small_exp(r, L::fma(n, L::set(-kLn2Low), t - r)), n);
  }
  static HWY_INLINE V exp2(V x) {
    x = L::min(L::set(129.0f), L::max(L::set(-151.0f), x));
    const V n = L::round(x);
    return scale(small_exp((x - n) * L::set(0.693147181f), L::set(0.0f)), n);
  }
  // eˣ for -80 ≤ x ≤ 0.
  static HWY_INLINE V exp_of_negative(V x) {
    V n;
    const V r = reduce(x, &n);
    return small_exp(r, L::set(0.0f)) * L::pow2(n);
  }

  static HWY_INLINE V log(V x) {
    constexpr float kC[] = {0.333333105f,  -0.249999866f, 0.200022265f,  -0.16669251f, 0.142186582f,
                            -0.123843484f, 0.118729763f,  -0.117898077f, 0.0691536814f};
    const auto tiny = L::lt(x, L::set(std::numeric_limits<float>::min()));
    V m;
    V e = L::split(L::select(tiny, x * L::set(33554432.0f), x), &m);
    e = L::select(tiny, e - L::set(25.0f), e);
    const V f = m - L::set(1.0f);
    const V f2 = f * f;
    V r = L::fma(f2 * f, poly<L>(f, kC), e * L::set(kLn2Low));
    r = L::fma(f2, L::set(-0.5f), r) + f;
    r = L::fma(e, L::set(kLn2High), r);
    return of_log_domain(x, r);
  }
  // Puts in what a logarithm gives for 0, negative numbers, infinity and NaN.
  static HWY_INLINE V of_log_domain(V x, V r) {
    r = L::select(L::lt(x, L::set(kInf)), r, x);
    r = L::select(L::eq(x, L::set(0.0f)), L::set(-kInf), r);
    return L::select(L::lt(x, L::set(0.0f)), L::set(std::numeric_limits<float>::quiet_NaN()), r);
  }

  // With e = e^(-|x|) and q = e / (1 + e): 1 - q, or e - e·q, so that q's error counts little.
  static HWY_INLINE V sigmoid(V x) {
    const V e = exp(L::set(0.0f) - L::abs(x));
    const V q = e / (L::set(1.0f) + e);
    const V below = L::fma(e, L::set(0.0f) - q, e);
    return L::select(L::lt(x, L::set(0.0f)), below, L::set(1.0f) - q);
  }

  // A polynomial near 0; elsewhere 1 - 2e / (1 + e) with e = e^(-2|x|).
  static HWY_INLINE V tanh(V x) {
    constexpr float kC[] = {-0.333333284f, 0.133331329f,    -0.053937465f,
                            0.0216501523f, -0.00805394258f, 0.00203174842f};
    const V a = L::min(L::set(10.0f), L::abs(x));
    const V u = a * a;
    const V near = L::fma(a * u, poly<L>(u, kC), a);
    const V e = exp_of_negative(a * L::set(-2.0f));
    const V far = L::set(1.0f) - (e + e) / (L::set(1.0f) + e);
    return L::copysign(L::select(L::lt(a, L::set(0.65f)), near, far), x);
  }

  // A polynomial in x² near 0; elsewhere 1 - e^(-p(|x|)), where p = -log erfc.
  static HWY_INLINE V erf(V x) {
    constexpr float kSmall[] = {0.128379166f,   -0.376126319f,   0.112836726f,   -0.0268581044f,
                                0.00519779697f, -0.00081059651f, 8.21542344e-05f};
    constexpr float kLarge[] = {-0.00015061369f,  1.12938178f,     0.633663297f,
                                0.107858211f,     -0.0247745123f,  0.00399410119f,
                                -0.000378849654f, 1.13113447e-05f, 7.37456787e-07f};
    const V a = L::min(L::set(4.0f), L::abs(x));
    const V near = L::fma(a, poly<L>(a * a, kSmall), a);
    const V far = L::set(1.0f) - exp_of_negative(L::set(0.0f) - poly<L>(a, kLarge));
    return L::copysign(L::select(L::lt(a, L::set(0.92f)), near, far), x);
  }

  // sin and cos of r, |r| ≤ π/4.
  static HWY_INLINE V small_sin(V r) {
    constexpr float kC[] = {-0.166666672f, 0.00833332911f, -0.000198393274f, 2.71823728e-06f};
    const V u = r * r;
    return L::fma(r * u, poly<L>(u, kC), r);
  }
  static HWY_INLINE V small_cos(V r) {
    constexpr float kC[] = {0.0416666456f, -0.00138873619f, 2.44377279e-05f};
    const V u = r * r;
    return L::set(1.0f) + L::fma(u * u, poly<L>(u, kC), u * L::set(-0.5f));
  }
  // sin and cos of r + n·π/2.
  static HWY_INLINE V turned_sin(V r, V n) {
    const V s = L::select(L::bit(n, 0), small_cos(r), small_sin(r));
    return L::negate_if(L::bit(n, 1), s);
  }
  static HWY_INLINE V turned_cos(V r, V n) {
    const V c = L::select(L::bit(n, 0), small_sin(r), small_cos(r));
    return L::negate_if(L::bit(n + L::set(1.0f), 1), c);
  }
  // For |x| ≤ kMostRadians, or below kFewRadians: x = r + n·π/2, by L::quarter_turns for all and
  // by L::few_quarter_turns for few, with the same r and n for an x that both take.
  static constexpr float kMostRadians = 1048576.0f;
  static constexpr float kFewRadians = L::kFewRadians;
  static HWY_INLINE V sin(V x) {
    V n;
    const V r = L::quarter_turns(x, &n);
    return L::select(L::eq(x, L::set(0.0f)), x, turned_sin(r, n));
  }
  static HWY_INLINE V near_sin(V x) {
    V n;
    const V r = L::few_quarter_turns(x, &n);
    return L::select(L::eq(x, L::set(0.0f)), x, turned_sin(r, n));
  }
  static HWY_INLINE V cos(V x) {
    V n;
    const V r = L::quarter_turns(x, &n);
    return turned_cos(r, n);
  }
  static HWY_INLINE V near_cos(V x) {
    V n;
    const V r = L::few_quarter_turns(x, &n);
    return turned_cos(r, n);
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace plimsoll::formulas
HWY_AFTER_NAMESPACE();

#endif  // PLIMSOLL_FORMULAS_INL_H_
