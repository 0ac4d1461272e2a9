// Sources and roundings of bfloat16 and float16.
#if defined(PLIMSOLL_GEMM_HALF_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef PLIMSOLL_GEMM_HALF_INL_H_
#undef PLIMSOLL_GEMM_HALF_INL_H_
#else
#define PLIMSOLL_GEMM_HALF_INL_H_
#endif

#include "backends/cpu/gemm_block-inl.h"

HWY_BEFORE_NAMESPACE();
namespace plimsoll::cpu::gemm_internal::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Consecutive 16-bit values, zero-extended.
template <class D>
HWY_INLINE hn::Vec<D> load_16(D d, const std::byte* p) {
  const hn::Rebind<uint16_t, D> d16;
  return hn::PromoteTo(d, hn::LoadU(d16, reinterpret_cast<const uint16_t*>(p)));
}

/// bfloat16 widened to float32.
struct WideBF16Source {
  using Unit = uint32_t;
  static constexpr int kStepK = 1, kBytes = 2;
  template <class D>
  static HWY_INLINE hn::Vec<D> load_lanes(D d, const std::byte* p, int64_t) {
    return load_k(d, p);
  }
  template <class D>
  static HWY_INLINE hn::Vec<D> load_k(D d, const std::byte* p) {
    return hn::ShiftLeft<16>(load_16(d, p));
  }
  static HWY_INLINE uint32_t load_one(const std::byte* p, int64_t, bool) {
    return static_cast<uint32_t>(load_as<uint16_t>(p)) << 16;
  }
};

/// Two bfloat16 of consecutive k, the first in the low half, as vdpbf16ps takes them.
struct PairBF16Source {
  using Unit = uint32_t;
  static constexpr int kStepK = 2, kBytes = 2;
  template <class D>
  static HWY_INLINE hn::Vec<D> load_lanes(D d, const std::byte* p, int64_t k_stride) {
    return hn::Or(load_16(d, p), hn::ShiftLeft<16>(load_16(d, p + k_stride)));
  }
  template <class D>
  static HWY_INLINE hn::Vec<D> load_k(D d, const std::byte* p) {
    return hn::LoadU(d, reinterpret_cast<const uint32_t*>(p));
  }
  static HWY_INLINE uint32_t load_one(const std::byte* p, int64_t k_stride, bool half) {
    const uint32_t low = load_as<uint16_t>(p);
    return half ? low : low | static_cast<uint32_t>(load_as<uint16_t>(p + k_stride)) << 16;
  }
};

/// float16 widened to float32. The multiplication is exact, subnormals included; Highway's own
/// conversion mistakes NaN where the CPU has none.
struct WideF16Source {
  using Unit = uint32_t;
  static constexpr int kStepK = 1, kBytes = 2;
  template <class D>
  static HWY_INLINE hn::Vec<D> load_lanes(D d, const std::byte* p, int64_t) {
    return load_k(d, p);
  }
  template <class D>
  static HWY_INLINE hn::Vec<D> load_k(D d, const std::byte* p) {
    const hn::Rebind<float, D> df;
#if HWY_TARGET <= HWY_AVX2  // with F16C
    const hn::Rebind<hwy::float16_t, D> dh;
    return hn::BitCast(
        d, hn::PromoteTo(df, hn::LoadU(dh, reinterpret_cast<const hwy::float16_t*>(p))));
#else
    const auto bits = load_16(d, p);
    const auto magnitude = hn::ShiftLeft<13>(hn::And(bits, hn::Set(d, 0x7FFF)));
    const auto scaled = hn::Mul(hn::BitCast(df, magnitude), hn::Set(df, 0x1p112f));
    const auto special = hn::Gt(magnitude, hn::Set(d, 0x7BFF << 13));
    const auto exponent = hn::IfThenElseZero(special, hn::Set(d, 0x7F800000));
    const auto sign = hn::ShiftLeft<16>(hn::And(bits, hn::Set(d, 0x8000)));
    return hn::Or(hn::Or(hn::BitCast(d, scaled), exponent), sign);
#endif
  }
  static HWY_INLINE uint32_t load_one(const std::byte* p, int64_t, bool) {
    const hn::CappedTag<uint32_t, 1> d;
    return hn::GetLane(load_k(d, p));
  }
};

/// Calls f(vector of 32-bit lanes) -> vector of 16-bit lanes over n sums.
template <class F>
HWY_INLINE void round_with(const float* src, uint16_t* dst, int64_t n, F f) {
  const hn::ScalableTag<float> d;
  const hn::Rebind<uint16_t, decltype(d)> d16;
  const int64_t lanes = HWY_LANES(float);
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) hn::StoreU(f(hn::LoadU(d, src + i)), d16, dst + i);
  if (i == n) return;
  HWY_ALIGN float in[HWY_LANES(float)] = {};
  HWY_ALIGN uint16_t out[HWY_LANES(float)];
  std::copy_n(src + i, n - i, in);
  hn::Store(f(hn::Load(d, in)), d16, out);
  std::copy_n(out, n - i, dst + i);
}

struct RoundToBF16 {
  template <class V>
  HWY_INLINE auto operator()(V v) const {
    const hn::Repartition<int32_t, hn::DFromV<V>> d;
    const hn::Rebind<uint16_t, decltype(d)> d16;
    const auto bits = hn::BitCast(d, v);
    const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(d, 1));
    const auto up = hn::Add(bits, hn::Add(odd, hn::Set(d, 0x7FFF)));
    const auto nan = hn::Gt(hn::And(bits, hn::Set(d, 0x7FFFFFFF)), hn::Set(d, 0x7F800000));
    const auto kept = hn::IfThenElse(nan, hn::Set(d, 0x7FC00000), up);
    return hn::DemoteTo(d16, hn::And(hn::ShiftRight<16>(kept), hn::Set(d, 0xFFFF)));
  }
};

/// In integers, since Highway's own conversion truncates subnormals where the CPU has none.
struct RoundToF16 {
  template <class V>
  HWY_INLINE auto operator()(V v) const {
    const hn::DFromV<V> df;
    const hn::Repartition<int32_t, decltype(df)> d;
    const auto set = [d](int32_t x) HWY_ATTR { return hn::Set(d, x); };
    const auto bits = hn::BitCast(d, hn::Abs(v));
    const auto odd = hn::And(hn::ShiftRight<13>(bits), set(1));
    const auto rebias = hn::Sub(hn::Add(bits, odd), set((112 << 23) - 0xFFF));
    // Below 2^-14 adding 0.5 rounds at float16's last place; above 65520 all is infinite.
    const auto tiny = hn::BitCast(d, hn::Add(hn::Abs(v), hn::Set(df, 0.5f)));
    auto half = hn::ShiftRight<13>(rebias);
    half = hn::IfThenElse(hn::Lt(bits, set(113 << 23)), hn::Sub(tiny, set(0x3F000000)), half);
    half = hn::IfThenElse(hn::Gt(bits, set(0x477FEFFF)), set(0x7C00), half);
    half = hn::IfThenElse(hn::Gt(bits, set(0x7F800000)), set(0x7E00), half);
    const auto sign = hn::And(hn::ShiftRight<16>(hn::BitCast(d, v)), set(0x8000));
    return hn::DemoteTo(hn::Rebind<uint16_t, decltype(d)>(), hn::Or(half, sign));
  }
};

inline void round_to_bf16(const float* src, uint16_t* dst, int64_t n) {
  round_with(src, dst, n, RoundToBF16());
}
inline void round_to_f16(const float* src, uint16_t* dst, int64_t n) {
  round_with(src, dst, n, RoundToF16());
}

}  // namespace plimsoll::cpu::gemm_internal::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // toggle
