// Packing: a tile of `width` lanes (rows of A, columns of B) becomes [k][width], ready for the
// micro-kernel. For pairs, the K element past the end is zero. Lanes past `lanes` hold anything
// that is readable; their sums are not stored.
#if defined(PLIMSOLL_GEMM_PACK_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef PLIMSOLL_GEMM_PACK_INL_H_
#undef PLIMSOLL_GEMM_PACK_INL_H_
#else
#define PLIMSOLL_GEMM_PACK_INL_H_
#endif

#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cstring>

#include "backends/cpu/gemm_block.h"
#include "backends/cpu/transpose-inl.h"

HWY_BEFORE_NAMESPACE();
namespace plimsoll::cpu::gemm_internal::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using cpu::HWY_NAMESPACE::transpose;

template <typename T>
HWY_INLINE T load_as(const std::byte* p) {
  T v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

// A Source says how elements in memory become packed units (Unit, moved as bits):
//   load_lanes(d, p, k_stride)  consecutive lanes at one k
//   load_k(d, p)                consecutive k of one lane
//   load_one(p, k_stride)       one unit; `half` when a pair lacks its second element
// kStepK is the number of K elements in a unit, kBytes the size of an element in memory.

/// float32, float64 and complex64 (moved as one 64-bit unit).
template <typename U>
struct PlainSource {
  using Unit = U;
  static constexpr int kStepK = 1, kBytes = sizeof(U);
  template <class D>
  static HWY_INLINE hn::Vec<D> load_lanes(D d, const std::byte* p, int64_t) {
    return hn::LoadU(d, reinterpret_cast<const U*>(p));
  }
  template <class D>
  static HWY_INLINE hn::Vec<D> load_k(D d, const std::byte* p) {
    return hn::LoadU(d, reinterpret_cast<const U*>(p));
  }
  static HWY_INLINE U load_one(const std::byte* p, int64_t, bool) { return load_as<U>(p); }
};

/// Where a tile comes from and goes to. k counts units.
template <class S>
struct PackArgs {
  const std::byte* src;
  int64_t lane_stride, k_stride;
  int64_t lanes, readable;  // lanes of the tile; lanes of the operand from here on
  int64_t width;
  int64_t k;
  bool half;  // the last unit has just one element of K
  typename S::Unit* out;
};

template <class S>
void pack_scalar(const PackArgs<S>& t, int64_t lane_begin, int64_t k_begin) {
  const int64_t unit_stride = t.k_stride * S::kStepK;
  for (int64_t k = k_begin; k < t.k; ++k) {
    const std::byte* p = t.src + k * unit_stride;
    typename S::Unit* out = t.out + k * t.width;
    const bool half = t.half && k == t.k - 1;
    for (int64_t i = lane_begin; i < t.lanes; ++i) {
      out[i] = S::load_one(p + i * t.lane_stride, t.k_stride, half);
    }
  }
}

/// Lanes contiguous in memory: each k is a copy. Whole vectors may write up to a vector past
/// `width` where the next k is written later, so not at the last k.
template <class S>
void pack_copy(const PackArgs<S>& t) {
  using U = typename S::Unit;
  const hn::ScalableTag<U> d;
  const int64_t n = HWY_LANES(U);
  const int64_t inside = t.lanes / n * n;
  const bool past = (t.lanes + n - 1) / n * n <= t.readable;
  const int64_t whole_k = t.k - (t.half ? 1 : 0);
  const int64_t unit_stride = t.k_stride * S::kStepK;
  for (int64_t k = 0; k < whole_k; ++k) {
    const std::byte* p = t.src + k * unit_stride;
    U* out = t.out + k * t.width;
    const int64_t by_vector = past && k < t.k - 1 ? t.lanes : inside;
    for (int64_t i = 0; i < by_vector; i += n) {
      hn::StoreU(S::load_lanes(d, p + i * S::kBytes, t.k_stride), d, out + i);
    }
    for (int64_t i = by_vector; i < t.lanes; ++i) {
      out[i] = S::load_one(p + i * S::kBytes, t.k_stride, false);
    }
  }
  if (t.half) pack_scalar(t, 0, whole_k);
}

// Units of K that a lane is read on before the next: the tile's part of them stays in level 1.
constexpr int64_t kTransposeRun = 128;

/// `kBlocks` blocks of 128 bits along k, of the lanes `first`, `first` + a block's units and so on;
/// lane i is at at(i).
template <class S, int kBlocks, class At>
HWY_INLINE auto load_lanes_at(const At& at, int first) {
  constexpr int kSide = 16 / sizeof(typename S::Unit);
  const hn::FixedTag<typename S::Unit, kBlocks * kSide> d;
  if constexpr (kBlocks == 1) {
    return S::load_k(d, at(first));
  } else {
    const auto low = load_lanes_at<S, kBlocks / 2>(at, first);
    return hn::Combine(d, load_lanes_at<S, kBlocks / 2>(at, first + kBlocks / 2 * kSide), low);
  }
}

/// K contiguous in memory: small squares are transposed in registers. A few lines of a lane are
/// used up at one visit: lanes a power of two apart share few cache sets, and a run is fetched
/// ahead.
template <class S>
void pack_transpose(const PackArgs<S>& t) {
  using U = typename S::Unit;
  constexpr int kSide = 16 / sizeof(U);
  const hn::FixedTag<U, kSide> d;
  const int64_t unit_bytes = S::kBytes * S::kStepK;
  const int64_t square_k = (t.k - (t.half ? 1 : 0)) / kSide * kSide;
  const int64_t square_lanes = t.lanes < kSide ? 0 : t.lanes;
  for (int64_t k0 = 0; k0 < square_k; k0 += kTransposeRun) {
    const int64_t k1 = std::min<int64_t>(k0 + kTransposeRun, square_k);
    for (int64_t lane = 0; lane < square_lanes; lane += kSide) {
      const int64_t i = std::min(lane, square_lanes - kSide);  // the last square may overlap
      const std::byte* p = t.src + i * t.lane_stride;
      for (int64_t k = k0; k < k1; k += kSide) {
        // One line of the next square of lanes: a run is too short for the machine to foresee it.
        hwy::Prefetch(p + (kSide + k / kSide % kSide) * t.lane_stride + k / 16 * 16 * unit_bytes);
        hn::Vec<decltype(d)> v[kSide];
#pragma GCC unroll 4
        for (int r = 0; r < kSide; ++r) {
          v[r] = S::load_k(d, p + r * t.lane_stride + k * unit_bytes);
        }
        transpose(v);
#pragma GCC unroll 4
        for (int r = 0; r < kSide; ++r) hn::StoreU(v[r], d, t.out + (k + r) * t.width + i);
      }
    }
  }
  PackArgs<S> rest = t;
  rest.k = square_k;
  rest.half = false;
  pack_scalar(rest, square_lanes, 0);
  pack_scalar(t, 0, square_k);
}

template <class S>
void pack_tile(const PackArgs<S>& t) {
  if (t.lanes < t.width) std::fill_n(t.out, t.k * t.width, typename S::Unit{0});
  if (t.lane_stride == S::kBytes) {
    pack_copy(t);
  } else if (t.k_stride == S::kBytes) {
    pack_transpose(t);
  } else {
    pack_scalar(t, 0, 0);
  }
}

}  // namespace plimsoll::cpu::gemm_internal::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // toggle
