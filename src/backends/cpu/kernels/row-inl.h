// Vector helpers of kernels that work on whole rows: sums in fixed lanes, loads and stores of every
// float dtype. Included once per target.
#if defined(PLIMSOLL_ROW_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef PLIMSOLL_ROW_INL
#undef PLIMSOLL_ROW_INL
#else
#define PLIMSOLL_ROW_INL
#endif

#include <hwy/highway.h>

#include <algorithm>

#include "backends/cpu/kernels/half.h"

HWY_BEFORE_NAMESPACE();
namespace plimsoll::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// The dtype that elements of T are computed in.
template <typename T>
using Compute = std::conditional_t<std::is_same_v<T, double>, double, float>;

template <class D, typename T>
HWY_INLINE hn::Vec<D> load(D d, const T* p) {
  if constexpr (std::is_same_v<hn::TFromD<D>, T>) {
    return hn::LoadU(d, p);
  } else if constexpr (std::is_same_v<T, Float16>) {
#if HWY_TARGET == HWY_SSE4  // Highway's own code for it takes infinities for numbers
    HWY_ALIGN hn::TFromD<D> lanes[HWY_LANES(float)];
    for (size_t i = 0; i < hn::Lanes(d); ++i) lanes[i] = to_float(p[i]);
    return hn::Load(d, lanes);
#else
    const hn::Rebind<hwy::float16_t, D> dh;
    return hn::PromoteTo(d, hn::LoadU(dh, reinterpret_cast<const hwy::float16_t*>(p)));
#endif
  } else {
    const hn::Rebind<uint16_t, D> dh;
    const hn::Rebind<uint32_t, D> du;
    const auto wide = hn::PromoteTo(du, hn::LoadU(dh, reinterpret_cast<const uint16_t*>(p)));
    return hn::BitCast(d, hn::ShiftLeft<16>(wide));
  }
}

template <class D, typename T>
HWY_INLINE void store(D d, hn::Vec<D> v, T* p) {
  if constexpr (std::is_same_v<hn::TFromD<D>, T>) {
    hn::StoreU(v, d, p);
  } else if constexpr (std::is_same_v<T, Float16>) {
#if HWY_TARGET == HWY_SSE4
    HWY_ALIGN float lanes[HWY_LANES(float)];
    hn::Store(v, d, lanes);
    for (size_t i = 0; i < hn::Lanes(d); ++i) p[i] = to_float16(lanes[i]);
#else
    const hn::Rebind<hwy::float16_t, D> dh;
    hn::StoreU(hn::DemoteTo(dh, v), dh, reinterpret_cast<hwy::float16_t*>(p));
#endif
  } else {
    const hn::Rebind<uint32_t, D> du;
    const hn::Rebind<uint16_t, D> dh;
    const auto u = hn::BitCast(du, v);
    const auto odd = hn::And(hn::ShiftRight<16>(u), hn::Set(du, 1u));
    const auto near = hn::ShiftRight<16>(hn::Add(hn::Add(u, hn::Set(du, 0x7fffu)), odd));
    const auto quiet = hn::Or(hn::ShiftRight<16>(u), hn::Set(du, 0x40u));
    const auto half = hn::IfThenElse(hn::RebindMask(du, hn::IsNaN(v)), quiet, near);
    hn::StoreU(hn::DemoteTo(dh, hn::BitCast(hn::RebindToSigned<decltype(du)>(), half)), dh,
               reinterpret_cast<uint16_t*>(p));
  }
}

/// Loads the first `count` lanes, the others become `fill`.
template <class D, typename T>
HWY_INLINE hn::Vec<D> load_part(D d, const T* p, size_t count, hn::TFromD<D> fill) {
  T padded[HWY_LANES(Compute<T>)];
  for (T& v : padded) v = from_lane<T>(fill);
  std::copy_n(p, count, padded);
  return load(d, padded);
}

template <class D, typename T>
HWY_INLINE void store_part(D d, hn::Vec<D> v, T* p, size_t count) {
  T padded[HWY_LANES(Compute<T>)];
  store(d, v, padded);
  std::copy_n(padded, count, p);
}

/// Sums kSums functions of the row at once: f(i, load) returns an array of vectors for elements
/// [i, i + lanes); `part` is the number of valid lanes. Lanes beyond it must give zero.
///
/// Two vectors of lanes take up to 32 additions each before they go to a double.
template <int kSums, typename T, typename F>
HWY_INLINE void row_sums(int64_t n, double* sums, const F& f) {
  using C = Compute<T>;
  const hn::ScalableTag<C> d;
  constexpr int64_t kVec = HWY_LANES(C);
  constexpr int64_t kBlock = 64 * kVec;
  for (int s = 0; s < kSums; ++s) sums[s] = 0;
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t end = std::min(n, begin + kBlock);
    hn::Vec<decltype(d)> a[kSums], b[kSums], v[kSums];
    for (int s = 0; s < kSums; ++s) a[s] = b[s] = hn::Zero(d);
    int64_t i = begin;
    for (; i + 2 * kVec <= end; i += 2 * kVec) {
      f(i, kVec, v);
      for (int s = 0; s < kSums; ++s) a[s] = hn::Add(a[s], v[s]);
      f(i + kVec, kVec, v);
      for (int s = 0; s < kSums; ++s) b[s] = hn::Add(b[s], v[s]);
    }
    for (; i < end; i += kVec) {
      f(i, std::min(kVec, end - i), v);
      for (int s = 0; s < kSums; ++s) a[s] = hn::Add(a[s], v[s]);
    }
    for (int s = 0; s < kSums; ++s) sums[s] += hn::GetLane(hn::SumOfLanes(d, hn::Add(a[s], b[s])));
  }
}

}  // namespace plimsoll::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
