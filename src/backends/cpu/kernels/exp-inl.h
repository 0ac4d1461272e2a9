// exp of one vector for softmax and logsumexp: float32 by the formula that every op uses; float64
// as 2^n * polynomial(r), x = n ln 2 + r, |r| <= ln 2 / 2.
#if defined(PLIMSOLL_EXP_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef PLIMSOLL_EXP_INL
#undef PLIMSOLL_EXP_INL
#else
#define PLIMSOLL_EXP_INL
#endif

#include <hwy/highway.h>

#include "backends/cpu/tile_lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace plimsoll::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

HWY_INLINE NarrowLane::V exp_lanes(NarrowLane::D, NarrowLane::V x) { return Narrow::exp(x); }

HWY_INLINE WideLane::V exp_lanes(WideLane::D d, WideLane::V x) {
  const hn::RebindToSigned<WideLane::D> di;
  // Beyond these the result is 0 or infinity, and stays so.
  const auto t = hn::Min(hn::Max(x, hn::Set(d, -746.0)), hn::Set(d, 710.0));
  const auto n = hn::Round(hn::Mul(t, hn::Set(d, 1.44269504088896340736)));
  // ln 2 in two parts, the first short enough for n * part to be exact without fma.
  auto r = hn::NegMulAdd(n, hn::Set(d, 0x1.62e42fee00000p-1), t);
  r = hn::NegMulAdd(n, hn::Set(d, 0x1.a39ef35793c76p-33), r);
  constexpr int kDegree = 13;
  double c = 1;
  for (int k = 2; k <= kDegree; ++k) c /= k;  // 1 / degree!
  auto p = hn::Set(d, c);
#pragma GCC unroll 16
  for (int k = kDegree; k > 0; --k) {
    c *= k;
    p = hn::MulAdd(p, r, hn::Set(d, c));
  }
  // Two factors, because 2^n alone may be subnormal.
  const auto whole = hn::ConvertTo(di, n);
  const auto low = hn::ShiftRight<1>(whole);
  const auto bias = hn::Set(di, int64_t{1023});
  const auto f1 = hn::BitCast(d, hn::ShiftLeft<52>(hn::Add(low, bias)));
  const auto f2 = hn::BitCast(d, hn::ShiftLeft<52>(hn::Add(hn::Sub(whole, low), bias)));
  return hn::IfThenElse(hn::IsNaN(x), x, hn::Mul(hn::Mul(p, f1), f2));
}

}  // namespace plimsoll::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
