// Small squares transposed between 128-bit vectors.
#if defined(PLIMSOLL_TRANSPOSE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef PLIMSOLL_TRANSPOSE_INL_H_
#undef PLIMSOLL_TRANSPOSE_INL_H_
#else
#define PLIMSOLL_TRANSPOSE_INL_H_
#endif

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace plimsoll::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Transposes 4 × 4 units of 32 bits, or 2 × 2 of 64, between 128-bit vectors.
template <class V>
HWY_INLINE void transpose(V (&v)[4]) {
  const hn::DFromV<V> d;
  const hn::Repartition<uint64_t, decltype(d)> d64;
  const auto a = hn::BitCast(d64, hn::InterleaveLower(d, v[0], v[1]));
  const auto b = hn::BitCast(d64, hn::InterleaveUpper(d, v[0], v[1]));
  const auto e = hn::BitCast(d64, hn::InterleaveLower(d, v[2], v[3]));
  const auto f = hn::BitCast(d64, hn::InterleaveUpper(d, v[2], v[3]));
  v[0] = hn::BitCast(d, hn::InterleaveLower(d64, a, e));
  v[1] = hn::BitCast(d, hn::InterleaveUpper(d64, a, e));
  v[2] = hn::BitCast(d, hn::InterleaveLower(d64, b, f));
  v[3] = hn::BitCast(d, hn::InterleaveUpper(d64, b, f));
}
template <class V>
HWY_INLINE void transpose(V (&v)[2]) {
  const hn::DFromV<V> d;
  const V a = hn::InterleaveLower(d, v[0], v[1]);
  v[1] = hn::InterleaveUpper(d, v[0], v[1]);
  v[0] = a;
}

}  // namespace plimsoll::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // toggle
