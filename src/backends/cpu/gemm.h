// The packed matrix product C = A·B whose bits depend only on the whole problem (design.md §6 and
// docs/design/0001-matrix-products.md).
//
// K is cut into panels anchored at 0 (gemm_panel). Within a panel an element of C is an ascending
// chain of fused multiply-adds that starts from 0; panels are added in ascending order. Hence the
// bits of C[i, j] are a function of (type, row i of A, column j of B, CPU target) and of nothing
// else: not of M or N cuts, strides, threads, batch, blocking, nor of K windows cut at panel edges.
// Every NaN is the one canonical quiet NaN. Denormals are kept (see the note), whatever the
// caller's MXCSR says; the bfloat16 instruction of AVX-512 flushes them by definition.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace plimsoll::cpu {

/// A matrix in memory. Strides are in elements and may have any sign or be zero; `data` is the
/// address of element [0, 0].
struct MatView {
  const void* data = nullptr;
  int64_t rows = 0, cols = 0;
  int64_t row_stride = 0, col_stride = 0;
};

/// Element types of A, B and C. bfloat16 and float16 are accumulated in float32 and rounded once,
/// after the last panel of K.
enum class GemmType { kF32, kF64, kC64, kBF16, kF16 };

inline constexpr int64_t kPanelK = 384;
inline constexpr int64_t kPanelKBF16 = 1024;

/// A window of K may begin only at a multiple of this, and end only there or at K.
constexpr int64_t gemm_panel(GemmType type) {
  return type == GemmType::kBF16 ? kPanelKBF16 : kPanelK;
}

/// One product, or the part of it over a window of K (then A and B hold just that window).
struct GemmArgs {
  GemmType type = GemmType::kF32;
  MatView a = {};     // M × K
  MatView b = {};     // K × N
  void* c = nullptr;  // M × N, columns contiguous; no overlap with A or B
  int64_t c_row_stride = 0;
  // Not the first window of K: partial sums are in C (bfloat16, float16: in `accum`).
  bool accumulate = false;
  // The last window of K. Otherwise bfloat16 and float16 leave C alone and keep sums in `accum`.
  bool finish = true;
  // bfloat16 and float16 only: M × N float32 partial sums. REQUIRED unless !accumulate && finish;
  // its contents after the last window are unspecified.
  float* accum = nullptr;
  int64_t accum_row_stride = 0;
  std::span<std::byte> workspace = {};  // gemm_workspace() bytes, garbage, any alignment
};

/// Bytes of workspace for so many products of one size: at most about 2.5 MB for each of `threads`
/// threads that has work. With less (but at least the amount for one thread) fewer threads are
/// used.
size_t gemm_workspace(GemmType type, int64_t m, int64_t n, int64_t k, int threads,
                      int64_t products = 1);

/// Computes the product in the current oneTBB arena. K = 0 gives zeros. Throws Error on a workspace
/// that is too small or on views that do not fit together.
void gemm(const GemmArgs& args);

/// Batch axes (outermost first) with the strides of A, B, C in elements; zero broadcasts A or B.
/// `accum` advances like C, scaled by its own strides.
struct GemmBatch {
  std::span<const int64_t> shape = {};
  std::span<const int64_t> a_strides = {}, b_strides = {}, c_strides = {};
  std::span<const int64_t> accum_strides = {};  // empty unless args.accum
};

/// A product for each index of the batch, in parallel over batch × blocks of C. The workspace is
/// that of one product.
void gemm_batched(const GemmArgs& args, const GemmBatch& batch);

}  // namespace plimsoll::cpu
