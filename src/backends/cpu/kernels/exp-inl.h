// exp of one vector, float32 or float64: 2^n * polynomial(r), x = n ln 2 + r, |r| <= ln 2 / 2.
#if defined(PLIMSOLL_EXP_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef PLIMSOLL_EXP_INL
#undef PLIMSOLL_EXP_INL
#else
#define PLIMSOLL_EXP_INL
#endif

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace plimsoll::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class D>
HWY_INLINE hn::Vec<D> exp_lanes(D d, hn::Vec<D> x) {
  using T = hn::TFromD<D>;
  constexpr bool kF32 = sizeof(T) == 4;
  const hn::RebindToSigned<D> di;
  constexpr int kMantissa = kF32 ? 23 : 52;
  constexpr int kBias = kF32 ? 127 : 1023;
  // Beyond these the result is 0 or infinity, and stays so.
  const auto t =
      hn::Min(hn::Max(x, hn::Set(d, T(kF32 ? -104 : -746))), hn::Set(d, T(kF32 ? 89 : 710)));
  const auto n = hn::Round(hn::Mul(t, hn::Set(d, T(1.44269504088896340736))));
  // ln 2 in two parts, the first short enough for n * part to be exact.
  auto r = hn::NegMulAdd(n, hn::Set(d, T(kF32 ? 0.693359375 : 0x1.62e42feep-1)), t);
  r = hn::NegMulAdd(n, hn::Set(d, T(kF32 ? -2.12194440054690581e-4 : 0x1.a39ef35793c76p-33)), r);
  constexpr int kDegree = kF32 ? 7 : 13;
  double c = 1;
  for (int k = 2; k <= kDegree; ++k) c /= k;  // 1 / degree!
  auto p = hn::Set(d, T(c));
#pragma GCC unroll 16
  for (int k = kDegree; k > 1; --k) {
    c *= k;
    p = hn::MulAdd(p, r, hn::Set(d, T(c)));
  }
  p = hn::MulAdd(p, r, hn::Set(d, T(1)));
  // Two factors, because 2^n alone may be subnormal.
  const auto whole = hn::ConvertTo(di, n);
  const auto low = hn::ShiftRight<1>(whole);
  const auto bias = hn::Set(di, kBias);
  const auto f1 = hn::BitCast(d, hn::ShiftLeft<kMantissa>(hn::Add(low, bias)));
  const auto f2 = hn::BitCast(d, hn::ShiftLeft<kMantissa>(hn::Add(hn::Sub(whole, low), bias)));
  return hn::IfThenElse(hn::IsNaN(x), x, hn::Mul(hn::Mul(p, f1), f2));
}

}  // namespace plimsoll::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
