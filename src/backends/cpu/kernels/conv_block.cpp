#include "backends/cpu/kernels/conv_block.h"

#include "backends/cpu/gemm_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backends/cpu/kernels/conv_block.cpp"
#include <hwy/foreach_target.h>

#include "backends/cpu/gemm_half-inl.h"

HWY_BEFORE_NAMESPACE();
namespace plimsoll::cpu::conv::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
namespace packing = plimsoll::cpu::gemm_internal::HWY_NAMESPACE;

#if HWY_TARGET <= HWY_AVX3
constexpr int kVectors = 4;
constexpr int rows_of(int vectors) { return vectors == 4 ? 6 : vectors == 3 ? 8 : 12; }
#else
constexpr int kVectors = 2;
constexpr int rows_of(int) { return 6; }
#endif

/// Rows row … of one tile of V vectors of columns; rows past the last repeat it and are not stored.
template <typename T, int V, bool kByLane>
HWY_NOINLINE void multiply_rows(const Multiply& job, int64_t row) {
  constexpr int R = rows_of(V);
  const hn::ScalableTag<T> d;
  using Vec = hn::Vec<decltype(d)>;
  constexpr int kLanes = HWY_LANES(T);
  Vec sum[R][V];
  const T* a[R];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
    a[r] = reinterpret_cast<const T*>(job.patch) + job.a_rows[std::min(row + r, job.rows - 1)];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) sum[r][v] = hn::Zero(d);
  }
  const T* HWY_RESTRICT b = reinterpret_cast<const T*>(job.weights);
  const int64_t step = job.step;
  for (int64_t run = 0; run < job.num_runs; ++run) {
    int64_t at = job.runs[run];
    for (int64_t k = job.count; k > 0; --k, at += step, b += V * kLanes) {
      Vec bv[V];
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) bv[v] = hn::LoadU(d, b + v * kLanes);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        if constexpr (kByLane) {
#pragma GCC unroll 4
          for (int v = 0; v < V; ++v)
            sum[r][v] = hn::MulAdd(hn::LoadU(d, a[r] + at + v * kLanes), bv[v], sum[r][v]);
        } else {
          const Vec av = hn::Set(d, a[r][at]);
#pragma GCC unroll 4
          for (int v = 0; v < V; ++v) sum[r][v] = hn::MulAdd(av, bv[v], sum[r][v]);
        }
      }
    }
  }
  const int64_t stored = std::min<int64_t>(R, job.rows - row);
  T* c = reinterpret_cast<T*>(job.c);
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
    if (r >= stored) break;
    T* out = c + job.c_rows[row + r];
    if (job.columns == V * kLanes) {
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) {
        Vec x = sum[r][v];
        if (job.add) x = hn::Add(hn::LoadU(d, out + v * kLanes), x);
        hn::StoreU(packing::canonical_nan(x), d, out + v * kLanes);
      }
    } else {
      HWY_ALIGN T part[V * kLanes] = {};
      if (job.add) std::copy_n(out, job.columns, part);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) {
        Vec x = sum[r][v];
        if (job.add) x = hn::Add(hn::Load(d, part + v * kLanes), x);
        hn::Store(packing::canonical_nan(x), d, part + v * kLanes);
      }
      std::copy_n(part, job.columns, out);
    }
  }
}

template <typename T, int V>
void multiply_tile(const Multiply& job) {
  for (int64_t row = 0; row < job.rows; row += rows_of(V)) {
    if (job.lanes)
      multiply_rows<T, V, true>(job, row);
    else
      multiply_rows<T, V, false>(job, row);
  }
}

template <typename T>
void multiply(const Multiply& job) {
  constexpr int64_t kLanes = HWY_LANES(T);
  switch ((job.columns + kLanes - 1) / kLanes) {
    case 1:
      return multiply_tile<T, 1>(job);
    case 2:
      return multiply_tile<T, 2>(job);
#if HWY_TARGET <= HWY_AVX3
    case 3:
      return multiply_tile<T, 3>(job);
    default:
      return multiply_tile<T, 4>(job);
#endif
  }
}

template <class Source>
void copy(const std::byte* src, int64_t stride, int64_t n, std::byte* dst) {
  using U = typename Source::Unit;
  auto* out = reinterpret_cast<U*>(dst);
  int64_t i = 0;
  if (stride == Source::kBytes) {
    const hn::ScalableTag<U> d;
    constexpr int64_t kLanes = HWY_LANES(U);
    for (; i + kLanes <= n; i += kLanes)
      hn::StoreU(Source::load_k(d, src + i * stride), d, out + i);
  }
  for (; i < n; ++i) out[i] = Source::load_one(src + i * stride, 0, true);
}

template <class Source>
void pack(const std::byte* src, int64_t lane_stride, int64_t k_stride, int64_t lanes,
          int64_t readable, int64_t width, int64_t k, std::byte* dst) {
  packing::pack_tile<Source>({.src = src,
                              .lane_stride = lane_stride,
                              .k_stride = k_stride,
                              .lanes = lanes,
                              .readable = readable,
                              .width = width,
                              .k = k,
                              .half = false,
                              .out = reinterpret_cast<typename Source::Unit*>(dst)});
}

template <typename T, class Source>
Kernels kernels_of() {
  return {.lanes = HWY_LANES(T),
          .vectors = kVectors,
          .copy = &copy<Source>,
          .pack = &pack<Source>,
          .multiply = &multiply<T>};
}

Kernels kernels_here(GemmType type) {
  switch (type) {
    case GemmType::kF64:
      return kernels_of<double, packing::PlainSource<uint64_t>>();
    case GemmType::kBF16:
      return kernels_of<float, packing::WideBF16Source>();
    case GemmType::kF16:
      return kernels_of<float, packing::WideF16Source>();
    default:
      return kernels_of<float, packing::PlainSource<uint32_t>>();
  }
}

}  // namespace plimsoll::cpu::conv::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace plimsoll::cpu::conv {

HWY_EXPORT(kernels_here);
Kernels kernels_for(GemmType type) { return HWY_DYNAMIC_DISPATCH(kernels_here)(type); }

}  // namespace plimsoll::cpu::conv
#endif
