// The micro-kernel: a tile of R × (V vectors) sums held in registers, k ascending.
#if defined(PLIMSOLL_GEMM_MICRO_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef PLIMSOLL_GEMM_MICRO_INL_H_
#undef PLIMSOLL_GEMM_MICRO_INL_H_
#else
#define PLIMSOLL_GEMM_MICRO_INL_H_
#endif

#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include <array>
#include <limits>
#include <utility>

HWY_BEFORE_NAMESPACE();
namespace plimsoll::cpu::gemm_internal::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Two vectors by as many rows as leave registers for B and one broadcast of A.
inline constexpr int kTileVecs = 2;
#if HWY_TARGET <= HWY_AVX3
inline constexpr int kTileRows = 14;
#else
inline constexpr int kTileRows = 6;
#endif

enum class Finish {
  kChain,  // leave the unfinished chain at `out`
  kStore,  // out = sum
  kAdd,    // out = out + sum
};

template <typename T>
struct MicroArgs {
  const T* a;  // packed: R values for each k
  const T* b;  // V vectors for each k, b_step apart
  int64_t b_step;
  int64_t k;
  const T* resume;  // the unfinished chain to go on with, or null to start from 0
  int64_t resume_step;
  T* out;
  int64_t out_step;
  Finish finish;
};

/// One step of a sum. On targets without FMA (SSE4) MulAdd rounds the product too, so bits are per
/// CPU target.
struct FmaOp {
  template <class V>
  static HWY_INLINE V step(V a, V b, V sum) {
    return hn::MulAdd(a, b, sum);
  }
};

template <class V>
HWY_INLINE V canonical_nan(V v) {
  const hn::DFromV<V> d;
  return hn::IfThenElse(hn::IsNaN(v), hn::Set(d, std::numeric_limits<hn::TFromV<V>>::quiet_NaN()),
                        v);
}

template <class Op, int R, int V, typename T>
HWY_NOINLINE void micro_kernel(const MicroArgs<T>& t) {
  const hn::ScalableTag<T> d;
  using Vec = hn::Vec<decltype(d)>;
  constexpr int kLanes = HWY_LANES(T);
  Vec sum[R][V];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      sum[r][v] = t.resume ? hn::LoadU(d, t.resume + r * t.resume_step + v * kLanes) : hn::Zero(d);
    }
  }
  const T* HWY_RESTRICT a = t.a;
  const T* HWY_RESTRICT b = t.b;
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) hwy::Prefetch(t.out + r * t.out_step + v * kLanes);
  }
  for (int64_t k = t.k; k > 0; --k, a += R, b += t.b_step) {
    Vec bv[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) bv[v] = hn::LoadU(d, b + v * kLanes);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const Vec av = hn::Set(d, a[r]);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) sum[r][v] = Op::step(av, bv[v], sum[r][v]);
    }
  }
  const Finish finish = t.finish;
  T* HWY_RESTRICT row = t.out;
  const int64_t out_step = t.out_step;
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r, row += out_step) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      Vec x = sum[r][v];
      if (finish == Finish::kAdd) x = hn::Add(hn::LoadU(d, row + v * kLanes), x);
      if (finish != Finish::kChain) x = canonical_nan(x);
      hn::StoreU(x, d, row + v * kLanes);
    }
  }
}

template <typename T>
using MicroFn = void (*)(const MicroArgs<T>&);

/// Index (rows - 1) * kTileVecs + (vectors - 1).
template <class Op, typename T>
HWY_INLINE MicroFn<T> micro_kernel_for(int rows, int vecs) {
  static constexpr auto kTable = []<int... I>(std::integer_sequence<int, I...>) {
    return std::array<MicroFn<T>, sizeof...(I)>{
        &micro_kernel<Op, I / kTileVecs + 1, I % kTileVecs + 1, T>...};
  }
  (std::make_integer_sequence<int, kTileRows * kTileVecs>());
  return kTable[(rows - 1) * kTileVecs + vecs - 1];
}

}  // namespace plimsoll::cpu::gemm_internal::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // toggle
