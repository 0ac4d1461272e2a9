// Products of one row and one column: the chains of several panels side by side, a panel a lane,
// since one after the other they would wait for each addition. The order of sums is
// gemm_block-inl.h's.
#if defined(PLIMSOLL_GEMM_DOT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef PLIMSOLL_GEMM_DOT_INL_H_
#undef PLIMSOLL_GEMM_DOT_INL_H_
#else
#define PLIMSOLL_GEMM_DOT_INL_H_
#endif

#include <algorithm>

#include "backends/cpu/gemm_block.h"
#include "backends/cpu/gemm_micro-inl.h"
#include "backends/cpu/gemm_pack-inl.h"

HWY_BEFORE_NAMESPACE();
namespace plimsoll::cpu::gemm_internal::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class Type>
struct Dot {
  using T = typename Type::T;
  using Source = typename Type::Source;
  using Unit = typename Source::Unit;
  static_assert(sizeof(T) == sizeof(Unit));
  static constexpr int kSide = 16 / sizeof(Unit);
  static constexpr int kMostLanes = HWY_LANES(T);
  static constexpr int64_t kUnitBytes = Source::kBytes * Source::kStepK;
  static constexpr int64_t kPanelBytes = Source::kBytes * Type::kPanel;
  static constexpr int64_t kPanelUnits = Type::kPanel / Source::kStepK;
  static_assert(kPanelUnits % kSide == 0);

  /// Goes on with every lane's chain over units [begin, end), a multiple of kSide of them.
  template <class V, int kBlocks = static_cast<int>(sizeof(V) / 16)>
  static HWY_INLINE V add_units(const std::byte* a, const std::byte* b, const int64_t* offset,
                                int64_t begin, int64_t end, V chain) {
    const hn::DFromV<V> d;
    for (int64_t k = begin; k < end; k += kSide) {
      const std::byte *p = a + k * kUnitBytes, *q = b + k * kUnitBytes;
      V x[kSide], y[kSide];
#pragma GCC unroll 4
      for (int r = 0; r < kSide; ++r) {
        const auto in_a = [&](int i) { return p + offset[i]; };
        const auto in_b = [&](int i) { return q + offset[i]; };
        x[r] = hn::BitCast(d, load_lanes_at<Source, kBlocks>(in_a, r));
        y[r] = hn::BitCast(d, load_lanes_at<Source, kBlocks>(in_b, r));
      }
      transpose(x);
      transpose(y);
#pragma GCC unroll 4
      for (int r = 0; r < kSide; ++r) chain = Type::Op::step(x[r], y[r], chain);
    }
    return chain;
  }

  /// The chains of `count` panels, the last of which has `length` elements.
  template <int kLanes>
  static HWY_INLINE void chains(const std::byte* a, const std::byte* b, int64_t count,
                                int64_t length, T* out) {
    const hn::FixedTag<T, kLanes> d;
    HWY_ALIGN int64_t offset[kLanes];
    for (int64_t i = 0; i < kLanes; ++i) offset[i] = i < count ? i * kPanelBytes : 0;
    const int64_t last = count - 1;
    const int64_t shared = length / Source::kStepK / kSide * kSide;
    auto chain = add_units(a, b, offset, 0, shared, hn::Zero(d));
    hn::Store(chain, d, out);
    T short_chain = out[last];
    if (length < Type::kPanel) {
      short_chain = add_rest(a + offset[last], b + offset[last], shared, length, short_chain);
      offset[last] = 0;
      if (last == 0) {
        out[0] = short_chain;
        return;
      }
    }
    hn::Store(add_units(a, b, offset, shared, kPanelUnits, chain), d, out);
    if (length < Type::kPanel) out[last] = short_chain;
  }

  static T add_rest(const std::byte* a, const std::byte* b, int64_t unit, int64_t length, T chain) {
    const hn::FixedTag<T, kSide> d;
    const hn::FixedTag<Unit, kSide> du;
    auto sum = hn::Set(d, chain);
    for (int64_t k = unit * Source::kStepK; k < length; k += Source::kStepK) {
      const bool half = k + Source::kStepK > length;
      const auto x = hn::Set(du, Source::load_one(a + k * Source::kBytes, Source::kBytes, half));
      const auto y = hn::Set(du, Source::load_one(b + k * Source::kBytes, Source::kBytes, half));
      sum = Type::Op::step(hn::BitCast(d, x), hn::BitCast(d, y), sum);
    }
    return hn::GetLane(sum);
  }

  /// One element of C.
  static void run(const std::byte* a, const std::byte* b, int64_t k, bool accumulate, T* c) {
    const int64_t panels = (k + Type::kPanel - 1) / Type::kPanel;
    T sum = accumulate ? *c : T{0};
    for (int64_t first = 0; first < panels; first += kMostLanes) {
      const int64_t count = std::min<int64_t>(kMostLanes, panels - first);
      const int64_t length = std::min(Type::kPanel, k - (first + count - 1) * Type::kPanel);
      const std::byte *p = a + first * kPanelBytes, *q = b + first * kPanelBytes;
      HWY_ALIGN T chain[kMostLanes];
      if (count <= kSide) {
        chains<kSide>(p, q, count, length, chain);
      } else if (count <= kMostLanes / 2) {
        chains<std::max(kSide, kMostLanes / 2)>(p, q, count, length, chain);
      } else {
        chains<kMostLanes>(p, q, count, length, chain);
      }
      for (int64_t i = 0; i < count; ++i) {
        sum = accumulate || first + i > 0 ? sum + chain[i] : chain[i];
      }
    }
    const hn::FixedTag<T, kSide> d;
    *c = hn::GetLane(canonical_nan(hn::Set(d, sum)));
  }
};

/// True where the block was such a product, and is done.
template <class Type>
bool run_dot_block(const BlockJob& job) {
  if constexpr (Type::kUnit == 1) {
    constexpr int64_t kBytes = Type::Source::kBytes;
    if (job.m != 1 || job.n != 1 || job.a.k_stride != kBytes || job.b.k_stride != kBytes)
      return false;
    Dot<Type>::run(job.a.data, job.b.data, job.k, job.accumulate,
                   static_cast<typename Type::T*>(job.c));
    return true;
  }
  return false;
}

}  // namespace plimsoll::cpu::gemm_internal::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // toggle
