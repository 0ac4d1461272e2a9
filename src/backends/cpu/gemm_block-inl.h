// One block of C: the loops over panels, packs and tiles. A Type says
//   T       float or double, what is summed
//   kUnit   values of T in an element: 2 for complex64, else 1
//   Source  how elements are packed (gemm_pack-inl.h)
//   Op      one step of a sum (gemm_micro-inl.h)
//   kPanel  K elements a panel
//
// complex64 is a product of real numbers: row i of A gives the rows Re, Im; column j of B the
// columns Re, Im; the four sums of an element are put together after each panel.
#if defined(PLIMSOLL_GEMM_BLOCK_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef PLIMSOLL_GEMM_BLOCK_INL_H_
#undef PLIMSOLL_GEMM_BLOCK_INL_H_
#else
#define PLIMSOLL_GEMM_BLOCK_INL_H_
#endif

#include <algorithm>

#include "backends/cpu/gemm_block.h"
#include "backends/cpu/gemm_dot-inl.h"
#include "backends/cpu/gemm_micro-inl.h"
#include "backends/cpu/gemm_pack-inl.h"
#include "backends/cpu/gemm_thin-inl.h"

HWY_BEFORE_NAMESPACE();
namespace plimsoll::cpu::gemm_internal::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// out[h × cols] (+)= the complex numbers of 2h rows of real sums.
template <typename T>
void combine_complex(const T* sums, int64_t sums_step, int64_t h, int64_t cols, T* out,
                     int64_t out_step, bool add) {
  const hn::ScalableTag<T> d;
  const int64_t lanes = HWY_LANES(T);
  for (int64_t i = 0; i < h; ++i, out += out_step) {
    const T* by_re = sums + 2 * i * sums_step;  // re·re, re·im
    const T* by_im = by_re + sums_step;         // im·re, im·im
    for (int64_t j = 0; j < 2 * cols; j += lanes) {
      const auto cross = hn::Shuffle2301(hn::LoadU(d, by_im + j));
      auto x = hn::Add(hn::LoadU(d, by_re + j), hn::OddEven(cross, hn::Neg(cross)));
      const int64_t valid = std::min(lanes, 2 * cols - j);
      HWY_ALIGN T part[HWY_LANES(T)] = {};
      if (add) {
        std::copy_n(out + j, valid, part);
        x = hn::Add(hn::Load(d, part), x);
      }
      hn::Store(canonical_nan(x), d, part);
      std::copy_n(part, valid, out + j);
    }
  }
}

constexpr int64_t kCopiedUnits = 16;

template <class Type>
struct Block {
  using T = typename Type::T;
  using Source = typename Type::Source;
  using Unit = typename Source::Unit;
  static constexpr int64_t kUnit = Type::kUnit;
  static constexpr int64_t kVecCols = HWY_LANES(T) / kUnit;
  static constexpr int64_t kTileN = kTileVecs * kVecCols;
  static constexpr int64_t kTileM = kTileRows / kUnit;

  /// A step of K (units), where it lies in its panel, and what becomes of the sums.
  struct Step {
    int64_t k0, units;
    bool half, first, last, add;
  };

  const BlockJob& job;
  const int64_t chain_step = (job.n + kTileN - 1) / kTileN * kTileN * kUnit;

  static int64_t padded(int64_t cols) { return (cols + kVecCols - 1) / kVecCols * kVecCols; }
  /// Rows are shared out evenly, so that no tile is much lower than the others.
  static int64_t tile_begin(int64_t m, int64_t tiles, int64_t i) { return m * i / tiles; }
  static int64_t tile_count(int64_t m) { return (m + kTileM - 1) / kTileM; }

  bool in_place(int64_t cols) const { return job.b_in_place && cols % kVecCols == 0; }

  /// Packs `units` units of K from unit `k` of the step on; the tile's pack begins at `tile`.
  void pack(const Operand& x, int64_t lane, int64_t lanes, int64_t width, const Step& s, int64_t k,
            int64_t units, Unit* tile) const {
    const int64_t k0 = s.k0 + k * Source::kStepK;
    pack_tile<Source>({.src = x.data + lane * x.lane_stride + k0 * x.k_stride,
                       .lane_stride = x.lane_stride,
                       .k_stride = x.k_stride,
                       .lanes = lanes,
                       .readable = x.lanes - lane,
                       .width = width,
                       .k = units,
                       .half = s.half && k + units == s.units,
                       .out = tile + k * width});
  }

  /// Units of K to pack for all tiles before the next: where lanes are contiguous, a row of them
  /// is read to its end while its page and the lines that tiles share are at hand.
  static int64_t units_at_once(const Operand& x, const Step& s) {
    return x.lane_stride == Source::kBytes ? kCopiedUnits : s.units;
  }

  void pack_b(const Step& s) const {
    Unit* out = reinterpret_cast<Unit*>(job.b_pack);
    const int64_t some = units_at_once(job.b, s);
    for (int64_t k = 0; k < s.units; k += some) {
      for (int64_t j = 0; j < job.n; j += kTileN) {
        const int64_t cols = std::min(kTileN, job.n - j);
        if (in_place(cols)) continue;
        pack(job.b, j, cols, padded(cols), s, k, std::min(some, s.units - k), out + j * s.units);
      }
    }
  }

  void pack_a(int64_t m0, int64_t m, const Step& s) const {
    Unit* out = reinterpret_cast<Unit*>(job.a_pack);
    const int64_t tiles = tile_count(m), some = units_at_once(job.a, s);
    for (int64_t k = 0; k < s.units; k += some) {
      for (int64_t i = 0; i < tiles; ++i) {
        const int64_t row = tile_begin(m, tiles, i);
        const int64_t h = tile_begin(m, tiles, i + 1) - row;
        pack(job.a, m0 + row, h, h, s, k, std::min(some, s.units - k), out + row * s.units);
      }
    }
  }

  /// The last step of a panel for a tile that cannot be stored as it is.
  void finish_tile(MicroFn<T> kernel, MicroArgs<T>& t, int64_t h, int64_t cols, T* c,
                   bool add) const {
    HWY_ALIGN T tile[kTileRows * kTileVecs * HWY_LANES(T)];
    const int64_t step = kTileVecs * HWY_LANES(T);
    t.out = tile;
    t.out_step = step;
    if constexpr (kUnit == 2) {
      t.finish = Finish::kChain;
      kernel(t);
      combine_complex(tile, step, h, cols, c, job.ldc * kUnit, add);
    } else {
      if (add) {
        for (int64_t i = 0; i < h; ++i) std::copy_n(c + i * job.ldc, cols, tile + i * step);
      }
      t.finish = add ? Finish::kAdd : Finish::kStore;
      kernel(t);
      for (int64_t i = 0; i < h; ++i) std::copy_n(tile + i * step, cols, c + i * job.ldc);
    }
  }

  void multiply_tile(int64_t row, int64_t h, int64_t j, MicroArgs<T>& t, const Step& s) const {
    const int64_t cols = std::min(kTileN, job.n - j);
    const auto kernel = micro_kernel_for<typename Type::Op, T>(
        static_cast<int>(h * kUnit), static_cast<int>(padded(cols) / kVecCols));
    T* chain = reinterpret_cast<T*>(job.chain) + row * kUnit * chain_step + j * kUnit;
    t.resume = s.first ? nullptr : chain;
    t.resume_step = chain_step;
    T* c = static_cast<T*>(job.c) + (row * job.ldc + j) * kUnit;
    if (!s.last) {
      t.out = chain;
      t.out_step = chain_step;
      t.finish = Finish::kChain;
      kernel(t);
    } else if (kUnit == 2 || cols % kVecCols != 0) {
      finish_tile(kernel, t, h, cols, c, s.add);
    } else {
      t.out = c;
      t.out_step = job.ldc;
      t.finish = s.add ? Finish::kAdd : Finish::kStore;
      kernel(t);
    }
  }

  void multiply(int64_t m0, int64_t m, const Step& s) const {
    const int64_t tiles = tile_count(m);
    for (int64_t j = 0; j < job.n; j += kTileN) {
      const int64_t cols = std::min(kTileN, job.n - j);
      MicroArgs<T> t{};
      t.k = s.units;
      t.b = reinterpret_cast<const T*>(reinterpret_cast<const Unit*>(job.b_pack) + j * s.units);
      t.b_step = padded(cols) * kUnit;
      if (in_place(cols)) {
        t.b =
            reinterpret_cast<const T*>(job.b.data + j * job.b.lane_stride + s.k0 * job.b.k_stride);
        t.b_step = job.b.k_stride / static_cast<int64_t>(sizeof(T));
      }
      for (int64_t i = 0; i < tiles; ++i) {
        const int64_t row = tile_begin(m, tiles, i);
        t.a = reinterpret_cast<const T*>(reinterpret_cast<const Unit*>(job.a_pack) + row * s.units);
        multiply_tile(m0 + row, tile_begin(m, tiles, i + 1) - row, j, t, s);
      }
    }
  }

  void run() const {
    for (int64_t panel = 0; panel < job.k; panel += Type::kPanel) {
      const int64_t panel_end = std::min(panel + Type::kPanel, job.k);
      for (int64_t k = panel; k < panel_end; k += job.k_step) {
        const int64_t len = std::min(job.k_step, panel_end - k);
        const Step s{.k0 = k,
                     .units = (len + Source::kStepK - 1) / Source::kStepK,
                     .half = len % Source::kStepK != 0,
                     .first = k == panel,
                     .last = k + len == panel_end,
                     .add = job.accumulate || panel > 0};
        pack_b(s);
        for (int64_t m0 = 0; m0 < job.m; m0 += job.rows_per_pack) {
          const int64_t m = std::min(job.rows_per_pack, job.m - m0);
          pack_a(m0, m, s);
          multiply(m0, m, s);
        }
      }
    }
  }
};

template <class Type>
void run_block(const BlockJob& job) {
  if (!run_dot_block<Type>(job) && !run_thin_block<Type>(job)) Block<Type>{job}.run();
}

template <class Type>
Kernels kernels_of() {
  using B = Block<Type>;
  return {.shape = {.tile_rows = B::kTileM,
                    .tile_cols = B::kTileN,
                    .panel = Type::kPanel,
                    .k_per_unit = Type::Source::kStepK},
          .block = &run_block<Type>};
}

}  // namespace plimsoll::cpu::gemm_internal::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // toggle
