// Blocks of at most kThinRows rows whose B has K contiguous (a matrix times a few vectors): B is
// read once, where it lies, and transposed in registers. The order of sums is gemm_block-inl.h's.
#if defined(PLIMSOLL_GEMM_THIN_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef PLIMSOLL_GEMM_THIN_INL_H_
#undef PLIMSOLL_GEMM_THIN_INL_H_
#else
#define PLIMSOLL_GEMM_THIN_INL_H_
#endif

#include <algorithm>

#include "backends/cpu/gemm_block.h"
#include "backends/cpu/gemm_micro-inl.h"
#include "backends/cpu/gemm_pack-inl.h"

HWY_BEFORE_NAMESPACE();
namespace plimsoll::cpu::gemm_internal::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

inline constexpr int64_t kThinRows = 4;
inline constexpr int64_t kAheadBytes = 512;  // of each lane, fetched before they are needed

/// To level 2: lanes a power of two apart share too few sets of level 1.
HWY_INLINE void prefetch_far(const std::byte* p) { __builtin_prefetch(p, 0, 2); }

template <class Type, int M>
struct ThinBlock {
  using T = typename Type::T;
  using Source = typename Type::Source;
  using Unit = typename Source::Unit;
  static_assert(sizeof(T) == sizeof(Unit));
  static constexpr int kLanes = HWY_LANES(T);
  static constexpr int kSide = 16 / sizeof(Unit);
  static constexpr int kBlocks = kLanes / kSide;
  static constexpr int64_t kUnitBytes = Source::kBytes * Source::kStepK;
  static constexpr int64_t kPanelUnits = Type::kPanel / Source::kStepK;
  using Tag = hn::ScalableTag<T>;
  using Vec = hn::Vec<Tag>;

  const BlockJob& job;

  /// One step of every row's sum with a unit of the lanes in `b`.
  static HWY_INLINE void add_unit(const Unit* a, Vec b, Vec (&chain)[M]) {
    const hn::ScalableTag<Unit> du;
#pragma GCC unroll 4
    for (int m = 0; m < M; ++m) {
      chain[m] = Type::Op::step(hn::BitCast(Tag(), hn::Set(du, a[m])), b, chain[m]);
    }
  }

  /// The chains of one panel: `units` units from `p` on, the last one perhaps half.
  HWY_INLINE void add_panel(const std::byte* p, const Unit* a, int64_t units, bool half,
                            Vec (&chain)[M]) const {
    const int64_t step = job.b.lane_stride;
    const int64_t whole = (units - (half ? 1 : 0)) / kSide * kSide;
    for (int64_t k = 0; k < whole; k += kSide, a += kSide * M) {
      const std::byte* ahead = p + k / kSide % kBlocks * kSide * step + kAheadBytes;
      Vec v[kSide];
#pragma GCC unroll 4
      for (int r = 0; r < kSide; ++r) {
        prefetch_far(ahead + r * step + k * kUnitBytes);
        const auto lane = [&](int i) { return p + i * step + k * kUnitBytes; };
        v[r] = hn::BitCast(Tag(), load_lanes_at<Source, kBlocks>(lane, r));
      }
      transpose(v);
#pragma GCC unroll 4
      for (int r = 0; r < kSide; ++r) add_unit(a + r * M, v[r], chain);
    }
    for (int64_t k = whole; k < units; ++k, a += M) {
      HWY_ALIGN Unit unit[kLanes];
      for (int i = 0; i < kLanes; ++i) {
        unit[i] =
            Source::load_one(p + i * step + k * kUnitBytes, Source::kBytes, half && k == units - 1);
      }
      add_unit(a, hn::BitCast(Tag(), hn::Load(hn::ScalableTag<Unit>(), unit)), chain);
    }
  }

  /// Columns [j, j + cols) of C over a chunk of K; reads kLanes lanes that end with these.
  void add_columns(int64_t j, int64_t cols, int64_t k0, int64_t len, bool add) const {
    const Tag d;
    const int64_t begin = std::min(j, job.n - kLanes), skip = j - begin;
    const std::byte* p = job.b.data + begin * job.b.lane_stride + k0 * Source::kBytes;
    const Unit* a = reinterpret_cast<const Unit*>(job.a_pack);
    T* c = static_cast<T*>(job.c) + j;
    Vec sum[M];
    for (int m = 0; add && m < M; ++m) {
      HWY_ALIGN T row[kLanes] = {};
      std::copy_n(c + m * job.ldc, cols, row + skip);
      sum[m] = hn::Load(d, row);
    }
    for (int64_t k = 0; k < len; k += Type::kPanel) {
      const int64_t part = std::min(Type::kPanel, len - k);
      Vec chain[M];
      for (int m = 0; m < M; ++m) chain[m] = hn::Zero(d);
      add_panel(p + k * Source::kBytes, a + k / Source::kStepK * M,
                (part + Source::kStepK - 1) / Source::kStepK, part % Source::kStepK != 0, chain);
      for (int m = 0; m < M; ++m) sum[m] = k == 0 && !add ? chain[m] : hn::Add(sum[m], chain[m]);
    }
    for (int m = 0; m < M; ++m) {
      HWY_ALIGN T row[kLanes];
      hn::Store(canonical_nan(sum[m]), d, row);
      std::copy_n(row + skip, cols, c + m * job.ldc);
    }
  }

  void pack_a(int64_t k0, int64_t len) const {
    pack_tile<Source>({.src = job.a.data + k0 * job.a.k_stride,
                       .lane_stride = job.a.lane_stride,
                       .k_stride = job.a.k_stride,
                       .lanes = M,
                       .readable = job.a.lanes,
                       .width = M,
                       .k = (len + Source::kStepK - 1) / Source::kStepK,
                       .half = len % Source::kStepK != 0,
                       .out = reinterpret_cast<Unit*>(job.a_pack)});
  }

  /// Lanes are followed over as many panels as A's pack has room for.
  void run() const {
    const int64_t room = (job.b_pack - job.a_pack) / static_cast<int64_t>(M * sizeof(Unit));
    const int64_t chunk = std::max<int64_t>(1, room / kPanelUnits) * Type::kPanel;
    for (int64_t k = 0; k < job.k; k += chunk) {
      const int64_t len = std::min(chunk, job.k - k);
      pack_a(k, len);
      for (int64_t j = 0; j < job.n; j += kLanes) {
        add_columns(j, std::min<int64_t>(kLanes, job.n - j), k, len, job.accumulate || k > 0);
      }
    }
  }
};

/// True where the block was such a one, and is done.
template <class Type>
bool run_thin_block(const BlockJob& job) {
  if constexpr (Type::kUnit == 1) {
    const bool along_k =
        job.b.k_stride == Type::Source::kBytes && job.b.lane_stride != Type::Source::kBytes;
    if (!along_k || job.m > kThinRows || job.n < HWY_LANES(typename Type::T)) return false;
    if (job.m == 1) ThinBlock<Type, 1>{job}.run();
    if (job.m == 2) ThinBlock<Type, 2>{job}.run();
    if (job.m == 3) ThinBlock<Type, 3>{job}.run();
    if (job.m == 4) ThinBlock<Type, 4>{job}.run();
    return true;
  }
  return false;
}

}  // namespace plimsoll::cpu::gemm_internal::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // toggle
