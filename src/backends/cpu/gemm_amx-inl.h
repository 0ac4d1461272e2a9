// One block of a bfloat16 product on AMX tiles; the counterpart of gemm_block-inl.h.
//
// An element is summed by tdpbf16ps, 32 elements of K at a time in ascending order, the last ones
// padded with zeros: a chain of fused multiply-adds for even k and one for odd, the two added, and
// that added to the sum so far. Subnormals count as zero. Panels of K need no sums of their own.
#if defined(PLIMSOLL_GEMM_AMX_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef PLIMSOLL_GEMM_AMX_INL_H_
#undef PLIMSOLL_GEMM_AMX_INL_H_
#else
#define PLIMSOLL_GEMM_AMX_INL_H_
#endif

#include <immintrin.h>

#include <algorithm>

#include "backends/cpu/gemm_block.h"
#include "backends/cpu/gemm_half-inl.h"

#if HWY_TARGET == HWY_AVX3
HWY_BEFORE_NAMESPACE();
namespace plimsoll::cpu::gemm_internal::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// The compiler's own intrinsics for tiles do not say that they read memory.
template <int kTile>
HWY_INLINE void zero_tile() {
  asm volatile("tilezero %%tmm%c0" ::"i"(kTile));
}
template <int kTile>
HWY_INLINE void load_tile(const void* p, int64_t step) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(p), "r"(step), "i"(kTile) : "memory");
}
template <int kTile>
HWY_INLINE void store_tile(void* p, int64_t step) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(p), "r"(step), "i"(kTile) : "memory");
}
template <int kSum, int kA, int kB>
HWY_INLINE void multiply_tile() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kSum), "i"(kA), "i"(kB));
}

/// Every tile register as 16 rows of 64 bytes, for the lifetime of the object.
class ScopedTiles {
 public:
  ScopedTiles() {
    struct alignas(64) {
      uint8_t palette = 1, start_row = 0, reserved[14] = {};
      uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    } const config;
    asm volatile("ldtilecfg %0" ::"m"(config));
  }
  ~ScopedTiles() { asm volatile("tilerelease"); }
  ScopedTiles(const ScopedTiles&) = delete;
  ScopedTiles& operator=(const ScopedTiles&) = delete;
};

struct AmxBlock {
  using Source = PairBF16Source;
  static constexpr int64_t kSide = 16;  // rows of a tile, and 32-bit units (pairs) in one
  static constexpr int64_t kTileUnits = kSide * kSide, kRowBytes = 64;
  static constexpr int64_t kTile = 2 * kSide;  // of the micro-kernel: 2 × 2 tiles of sums
  static constexpr int64_t kRowsPerPack = 192;
  static constexpr int64_t kStagedRows = 512;
  static constexpr int64_t kUnitsAtOnce = 32;
  static constexpr int64_t kStepK = 384;  // 32 columns of B, 32 KB, stay in level 1

  /// A step of K; `padded` units are whole tiles.
  struct Step {
    int64_t k0, len, units, padded;
    bool add;
    bool half() const { return len % 2 != 0; }
  };

  const BlockJob& job;

  /// [k][16 lanes] for units [k, k + n) of the step; lanes and units past the end are zero.
  static void pack_pairs(const Operand& x, int64_t lane, int64_t lanes, const Step& s, int64_t k,
                         int64_t n, uint32_t* out) {
    const int64_t inside = std::min(n, s.units - k);
    pack_tile<Source>({.src = x.data + lane * x.lane_stride + (s.k0 + 2 * k) * x.k_stride,
                       .lane_stride = x.lane_stride,
                       .k_stride = x.k_stride,
                       .lanes = lanes,
                       .readable = x.lanes - lane,
                       .width = kSide,
                       .k = inside,
                       .half = s.half() && k + inside == s.units,
                       .out = out});
    std::fill_n(out + inside * kSide, (n - inside) * kSide, 0);
  }

  /// Two tiles of B, whole lines of memory at a time: `pairs` whole units of K.
  static void pack_lines(const std::byte* x, int64_t k_stride, int64_t pairs, uint32_t* out,
                         uint32_t* next) {
    const __m512i first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
    const __m512i second = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    for (int64_t k = 0; k < pairs; ++k, x += 2 * k_stride) {
      const __m512i even = _mm512_loadu_si512(x), odd = _mm512_loadu_si512(x + k_stride);
      const __m512i low = _mm512_unpacklo_epi16(even, odd);
      const __m512i high = _mm512_unpackhi_epi16(even, odd);
      _mm512_store_si512(out + k * kSide, _mm512_permutex2var_epi64(low, first, high));
      _mm512_store_si512(next + k * kSide, _mm512_permutex2var_epi64(low, second, high));
    }
  }

  void pack_b(const Step& s) const {
    auto* out = reinterpret_cast<uint32_t*>(job.b_pack);
    const bool lines = job.b.lane_stride == Source::kBytes;
    const int64_t some = lines ? kUnitsAtOnce : s.padded;
    for (int64_t k = 0; k < s.padded; k += some) {
      const int64_t n = std::min(some, s.padded - k);
      const bool whole = lines && k + n <= s.len / 2;
      for (int64_t j = 0; j < job.n; j += kSide) {
        uint32_t* tile = out + j * s.padded + k * kSide;
        if (whole && j + kTile <= job.n) {
          pack_lines(job.b.data + j * Source::kBytes + (s.k0 + 2 * k) * job.b.k_stride,
                     job.b.k_stride, n, tile, tile + kSide * s.padded);
          j += kSide;
        } else {
          pack_pairs(job.b, j, std::min(kSide, job.n - j), s, k, n, tile);
        }
      }
    }
  }

  /// Rows of A as tiles of [16 rows][16 units], where K is contiguous.
  void copy_rows(int64_t row, int64_t rows, const Step& s, uint32_t* out) const {
    const hn::ScalableTag<uint16_t> d;
    for (int64_t i = 0; i < kSide; ++i) {
      const auto* from = reinterpret_cast<const uint16_t*>(
          job.a.data + (row + i) * job.a.lane_stride + s.k0 * Source::kBytes);
      for (int64_t k = 0; k < s.len; k += 2 * kSide) {
        hwy::Prefetch(from + 4 * job.a.lane_stride / Source::kBytes + k);
        auto* to = reinterpret_cast<uint16_t*>(out + k / 2 * kSide + i * kSide);
        if (i >= rows) {
          hn::Store(hn::Zero(d), d, to);
        } else if (k + 2 * kSide <= s.len) {
          hn::Store(hn::LoadU(d, from + k), d, to);
        } else {
          hn::Store(hn::MaskedLoad(hn::FirstN(d, s.len - k), d, from + k), d, to);
        }
      }
    }
  }

  /// The same where it is not: pairs are gathered, then transposed.
  void gather_rows(int64_t row, int64_t rows, const Step& s, uint32_t* out) const {
    HWY_ALIGN uint32_t pairs[kTileUnits];
    for (int64_t k = 0; k < s.padded; k += kSide) {
      pack_pairs(job.a, row, rows, s, k, kSide, pairs);
      uint32_t* tile = out + k * kSide;
      for (int64_t i = 0; i < kSide; i += 4) {
        for (int64_t j = 0; j < kSide; j += 4) {
          const hn::FixedTag<uint32_t, 4> d;
          hn::Vec<decltype(d)> v[4];
          for (int r = 0; r < 4; ++r) v[r] = hn::Load(d, pairs + (j + r) * kSide + i);
          transpose(v);
          for (int r = 0; r < 4; ++r) hn::Store(v[r], d, tile + (i + r) * kSide + j);
        }
      }
    }
  }

  void pack_a(int64_t m0, int64_t m, const Step& s) const {
    auto* out = reinterpret_cast<uint32_t*>(job.a_pack);
    for (int64_t i = 0; i < m; i += kSide) {
      const int64_t rows = std::min(kSide, m - i);
      if (job.a.k_stride == Source::kBytes) {
        copy_rows(m0 + i, rows, s, out + i * s.padded);
      } else {
        gather_rows(m0 + i, rows, s, out + i * s.padded);
      }
    }
  }

  /// c[32][32] (+)= R × C tiles over a step; tiles of one operand are `units` * 16 apart.
  template <int R, int C>
  static void multiply_tiles(const uint32_t* a, const uint32_t* b, int64_t units, float* c,
                             int64_t ldc, bool add) {
    float* c1 = c + kSide * ldc;
    const int64_t step = ldc * static_cast<int64_t>(sizeof(float));
    if (add) {
      load_tile<0>(c, step);
      if constexpr (C > 1) load_tile<1>(c + kSide, step);
      if constexpr (R > 1) load_tile<2>(c1, step);
      if constexpr (R > 1 && C > 1) load_tile<3>(c1 + kSide, step);
    } else {
      zero_tile<0>();
      if constexpr (C > 1) zero_tile<1>();
      if constexpr (R > 1) zero_tile<2>();
      if constexpr (R > 1 && C > 1) zero_tile<3>();
    }
    const uint32_t *a1 = a + units * kSide, *b1 = b + units * kSide;
    for (int64_t k = 0; k < units * kSide; k += kTileUnits) {
      load_tile<4>(a + k, kRowBytes);
      load_tile<6>(b + k, kRowBytes);
      multiply_tile<0, 4, 6>();
      if constexpr (C > 1) {
        load_tile<7>(b1 + k, kRowBytes);
        multiply_tile<1, 4, 7>();
      }
      if constexpr (R > 1) {
        load_tile<5>(a1 + k, kRowBytes);
        multiply_tile<2, 5, 6>();
      }
      if constexpr (R > 1 && C > 1) multiply_tile<3, 5, 7>();
    }
    store_tile<0>(c, step);
    if constexpr (C > 1) store_tile<1>(c + kSide, step);
    if constexpr (R > 1) store_tile<2>(c1, step);
    if constexpr (R > 1 && C > 1) store_tile<3>(c1 + kSide, step);
  }

  static void multiply_tile_at(int64_t rows, int64_t cols, const uint32_t* a, const uint32_t* b,
                               const Step& s, float* c, int64_t ldc) {
    const auto tiles = cols > kSide
                           ? (rows > kSide ? &multiply_tiles<2, 2> : &multiply_tiles<1, 2>)
                           : (rows > kSide ? &multiply_tiles<2, 1> : &multiply_tiles<1, 1>);
    if (rows % kSide == 0 && cols % kSide == 0) return tiles(a, b, s.padded, c, ldc, s.add);
    HWY_ALIGN float sums[kTile * kTile];
    if (s.add) {
      for (int64_t i = 0; i < rows; ++i) std::copy_n(c + i * ldc, cols, sums + i * kTile);
    }
    tiles(a, b, s.padded, sums, kTile, s.add);
    for (int64_t i = 0; i < rows; ++i) std::copy_n(sums + i * kTile, cols, c + i * ldc);
  }

  void multiply(int64_t m0, int64_t m, const Step& s) const {
    const auto* a = reinterpret_cast<const uint32_t*>(job.a_pack);
    const auto* b = reinterpret_cast<const uint32_t*>(job.b_pack);
    for (int64_t j = 0; j < job.n; j += kTile) {
      for (int64_t i = 0; i < m; i += kTile) {
        multiply_tile_at(std::min(kTile, m - i), std::min(kTile, job.n - j), a + i * s.padded,
                         b + j * s.padded, s, static_cast<float*>(job.c) + (m0 + i) * job.ldc + j,
                         job.ldc);
      }
    }
  }

  void run() const {
    const ScopedTiles tiles;
    for (int64_t k0 = 0; k0 < job.k; k0 += kStepK) {
      const int64_t len = std::min(kStepK, job.k - k0), units = (len + 1) / 2;
      const Step s{.k0 = k0,
                   .len = len,
                   .units = units,
                   .padded = (units + kSide - 1) / kSide * kSide,
                   .add = job.accumulate || k0 > 0};
      pack_b(s);
      for (int64_t m0 = 0; m0 < job.m; m0 += kRowsPerPack) {
        const int64_t m = std::min(kRowsPerPack, job.m - m0);
        pack_a(m0, m, s);
        multiply(m0, m, s);
      }
    }
  }
};

inline void run_amx_block(const BlockJob& job) { AmxBlock{job}.run(); }

inline Kernels amx_kernels() {
  return {.shape = {.tile_rows = AmxBlock::kTile,
                    .tile_cols = AmxBlock::kTile,
                    .panel = kPanelKBF16,
                    .k_per_unit = AmxBlock::Source::kStepK,
                    .staged_rows = AmxBlock::kStagedRows,
                    .unit_grain = AmxBlock::kSide},
          .block = &run_amx_block};
}

}  // namespace plimsoll::cpu::gemm_internal::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // HWY_AVX3

#endif  // toggle
