// Highway vectors as the lane types of opset/formulas-inl.h, and loops over them. Whole vectors
// run in place; the rest of a run goes through padded blocks and the same vector code, so the bits
// of an element do not depend on where its run ends.
#if defined(PLIMSOLL_TILE_LANES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef PLIMSOLL_TILE_LANES_INL_H_
#undef PLIMSOLL_TILE_LANES_INL_H_
#else
#define PLIMSOLL_TILE_LANES_INL_H_
#endif

#include <cstring>

#include "backends/cpu/tile_kernels.h"
#include "hwy/highway.h"
#include "opset/formulas-inl.h"
#include "opset/formulas_wide-inl.h"

HWY_BEFORE_NAMESPACE();
namespace plimsoll::cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class T>
struct Lane {
  using D = hn::ScalableTag<T>;
  using DI = hn::RebindToSigned<D>;
  using V = hn::Vec<D>;
  using M = hn::Mask<D>;
  using Int = hn::TFromD<DI>;
  static constexpr int kMantissa = sizeof(T) == 4 ? 23 : 52;
  static constexpr Int kBias = sizeof(T) == 4 ? 127 : 1023;
  // 1.5·2^mantissa: added to a whole number, it leaves that number in the low bits.
  static constexpr T kMagic = static_cast<T>(sizeof(T) == 4 ? 12582912.0 : 6755399441055744.0);

  static HWY_INLINE V set(T x) { return hn::Set(D(), x); }
  static HWY_INLINE V fma(V a, V b, V c) { return hn::MulAdd(a, b, c); }
  static HWY_INLINE V abs(V a) { return hn::Abs(a); }
  static HWY_INLINE V sqrt(V a) { return hn::Sqrt(a); }
  static HWY_INLINE V round(V a) { return hn::Round(a); }
  static HWY_INLINE V min(V a, V b) { return hn::Min(a, b); }
  static HWY_INLINE V max(V a, V b) { return hn::Max(a, b); }
  static HWY_INLINE V copysign(V a, V s) { return hn::CopySign(a, s); }
  static HWY_INLINE V select(M m, V a, V b) { return hn::IfThenElse(m, a, b); }
  static HWY_INLINE M lt(V a, V b) { return hn::Lt(a, b); }
  static HWY_INLINE M le(V a, V b) { return hn::Le(a, b); }
  static HWY_INLINE M eq(V a, V b) { return hn::Eq(a, b); }
  static HWY_INLINE M both(M a, M b) { return hn::And(a, b); }
  static HWY_INLINE M either(M a, M b) { return hn::Or(a, b); }
  static HWY_INLINE M without(M a, M b) { return hn::AndNot(b, a); }
  static HWY_INLINE V pow2(V n) {
    const auto bits = hn::BitCast(DI(), n + set(kMagic));
    return hn::BitCast(D(), hn::ShiftLeft<kMantissa>(hn::Add(bits, hn::Set(DI(), kBias))));
  }
  static HWY_INLINE V split(V x, V* m) {
    const DI di;
    const auto root_half = hn::BitCast(di, set(static_cast<T>(0.70710678118654752)));
    const auto bits = hn::Sub(hn::BitCast(di, x), root_half);
    const auto fraction = hn::And(bits, hn::Set(di, (Int{1} << kMantissa) - 1));
    *m = hn::BitCast(D(), hn::Add(fraction, root_half));
    return hn::ConvertTo(D(), hn::ShiftRight<kMantissa>(bits));
  }
  /// Bit `k` of a whole number.
  static HWY_INLINE M bit(V n, int k) {
    const auto bits = hn::BitCast(DI(), n + set(kMagic));
    const auto one = hn::Set(DI(), Int{1} << k);
    return hn::RebindMask(D(), hn::Eq(hn::And(bits, one), one));
  }
  static HWY_INLINE V negate_if(M m, V a) { return hn::IfThenElse(m, hn::Neg(a), a); }

  // float32 only. Small angles are reduced with π/2 in three parts, the first of which leaves an
  // exact difference; others, and all where there is no fma, in float64 halves. Which way an
  // element goes does not depend on its neighbours.
#if HWY_TARGET <= HWY_AVX2
  static constexpr T kFewRadians = 4096.0f;
  static HWY_INLINE V few_quarter_turns(V x, V* n) {
    *n = round(x * set(0.636619772f));
    const V r = fma(*n, set(4.37113883e-08f), fma(*n, set(-1.57079637f), x));
    return fma(*n, set(1.71512451e-15f), r);
  }
  static HWY_INLINE V quarter_turns(V x, V* n) {
    V near_n, far_n;
    const V near = few_quarter_turns(x, &near_n);
    const V far = quarter_turns_in_halves(x, &far_n);
    const M few = lt(abs(x), set(kFewRadians));
    *n = select(few, near_n, far_n);
    return select(few, near, far);
  }
#else
  static constexpr T kFewRadians = 1048576.0f;
  static HWY_INLINE V few_quarter_turns(V x, V* n) { return quarter_turns_in_halves(x, n); }
  static HWY_INLINE V quarter_turns(V x, V* n) { return quarter_turns_in_halves(x, n); }
#endif
  static HWY_INLINE V quarter_turns_in_halves(V x, V* n) {
    const hn::ScalableTag<double> dd;
    const hn::Half<D> dh;
    using W = formulas::HWY_NAMESPACE::Wide<Lane<double>>;
    hn::Vec<decltype(dd)> n_low, n_high;
    const auto r_low = W::quarter_turns(hn::PromoteTo(dd, hn::LowerHalf(dh, x)), &n_low);
    const auto r_high = W::quarter_turns(hn::PromoteTo(dd, hn::UpperHalf(dh, x)), &n_high);
    *n = hn::Combine(D(), hn::DemoteTo(dh, n_high), hn::DemoteTo(dh, n_low));
    return hn::Combine(D(), hn::DemoteTo(dh, r_high), hn::DemoteTo(dh, r_low));
  }
};
using NarrowLane = Lane<float>;
using WideLane = Lane<double>;
using Narrow = formulas::HWY_NAMESPACE::Narrow<NarrowLane>;
using Wide = formulas::HWY_NAMESPACE::Wide<WideLane>;

// How float32 elements become lanes: as they are, or widened to float64.
struct AsFloat {
  using V = NarrowLane::V;
  static HWY_INLINE V load(const float* p) { return hn::LoadU(NarrowLane::D(), p); }
  static HWY_INLINE V set(float x) { return NarrowLane::set(x); }
  static HWY_INLINE void store(V v, float* p) { hn::StoreU(v, NarrowLane::D(), p); }
  static size_t lanes() { return hn::Lanes(NarrowLane::D()); }
};
struct AsDouble {
  using V = WideLane::V;
  using D32 = hn::Rebind<float, WideLane::D>;
  static HWY_INLINE V load(const float* p) {
    return hn::PromoteTo(WideLane::D(), hn::LoadU(D32(), p));
  }
  static HWY_INLINE V set(float x) { return WideLane::set(x); }
  static HWY_INLINE void store(V v, float* p) { hn::StoreU(hn::DemoteTo(D32(), v), D32(), p); }
  static size_t lanes() { return hn::Lanes(WideLane::D()); }
};

// F has `static V apply(V)`.
template <class As, class F>
void unary_lanes(const TileCall& c) {
  const auto* a = static_cast<const float*>(c.src[0]);
  auto* r = static_cast<float*>(c.dst);
  const size_t lanes = As::lanes();
  size_t i = 0;
  for (; i + lanes <= c.n; i += lanes) As::store(F::apply(As::load(a + i)), r + i);
  if (const size_t rest = c.n - i) {
    alignas(64) float block[16] = {};
    std::memcpy(block, a + i, rest * sizeof(float));
    As::store(F::apply(As::load(block)), block);
    std::memcpy(r + i, block, rest * sizeof(float));
  }
}

// F has `static V apply(V, V)`.
template <class As, class F>
void binary_lanes(const TileCall& c) {
  const auto* a = static_cast<const float*>(c.src[0]);
  const auto* b = static_cast<const float*>(c.src[1]);
  auto* r = static_cast<float*>(c.dst);
  const size_t lanes = As::lanes();
  alignas(64) float x[16], y[16];
  std::fill_n(x, 16, *a);
  std::fill_n(y, 16, *b);
  const bool one_a = c.splat & 1, one_b = c.splat & 2;
  size_t i = 0;
  for (; i + lanes <= c.n; i += lanes)
    As::store(F::apply(As::load(one_a ? x : a + i), As::load(one_b ? y : b + i)), r + i);
  if (const size_t rest = c.n - i) {
    if (!one_a) std::memcpy(x, a + i, rest * sizeof(float));
    if (!one_b) std::memcpy(y, b + i, rest * sizeof(float));
    As::store(F::apply(As::load(x), As::load(y)), x);
    std::memcpy(r + i, x, rest * sizeof(float));
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace plimsoll::cpu
HWY_AFTER_NAMESPACE();

#endif  // PLIMSOLL_TILE_LANES_INL_H_
