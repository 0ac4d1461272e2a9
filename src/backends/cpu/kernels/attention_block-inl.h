// Small products, masks and exponentials on blocks of transposed scores, for each CPU target.
#if defined(PLIMSOLL_ATTENTION_BLOCK_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef PLIMSOLL_ATTENTION_BLOCK_INL_H_
#undef PLIMSOLL_ATTENTION_BLOCK_INL_H_
#else
#define PLIMSOLL_ATTENTION_BLOCK_INL_H_
#endif

#include <hwy/highway.h>

#include "backends/cpu/kernels/attention_head.h"

HWY_BEFORE_NAMESPACE();
namespace plimsoll::cpu::attention::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using F = hn::ScalableTag<float>;
using I = hn::RebindToSigned<F>;
using V = hn::Vec<F>;

inline constexpr int64_t kLanes = static_cast<int64_t>(hn::MaxLanes(F()));
inline constexpr int kColumns = kLanes >= 16 ? 4 : 2;  // vectors of a product's tile
static_assert(kAttentionPad % kLanes == 0);

/// The left operand of a product: element [m, k] is data[m * row + k * col].
struct Left {
  const float* data;
  int64_t row, col;
};

template <int kRows, int kVectors>
HWY_INLINE void product_tile(int64_t k_size, const Left& a, const float* b, int64_t ldb, float* c,
                             int64_t ldc, bool add) {
  const F f;
  // Unrolled, so that the sums stay in registers.
  V sum[kRows][kVectors];
#pragma GCC unroll 4
  for (int m = 0; m < kRows; ++m) {
#pragma GCC unroll 4
    for (int n = 0; n < kVectors; ++n)
      sum[m][n] = add ? hn::Load(f, c + m * ldc + n * kLanes) : hn::Zero(f);
  }
  for (int64_t k = 0; k < k_size; ++k) {
    V right[kVectors];
#pragma GCC unroll 4
    for (int n = 0; n < kVectors; ++n) right[n] = hn::Load(f, b + k * ldb + n * kLanes);
#pragma GCC unroll 4
    for (int m = 0; m < kRows; ++m) {
      const V left = hn::Set(f, a.data[m * a.row + k * a.col]);
#pragma GCC unroll 4
      for (int n = 0; n < kVectors; ++n) sum[m][n] = hn::MulAdd(left, right[n], sum[m][n]);
    }
  }
#pragma GCC unroll 4
  for (int m = 0; m < kRows; ++m) {
#pragma GCC unroll 4
    for (int n = 0; n < kVectors; ++n) hn::Store(sum[m][n], f, c + m * ldc + n * kLanes);
  }
}

template <int kVectors>
void product_columns(int64_t m_size, int64_t k_size, const Left& a, const float* b, int64_t ldb,
                     float* c, int64_t ldc, bool add) {
  int64_t m = 0;
  for (; m + 4 <= m_size; m += 4)
    product_tile<4, kVectors>(k_size, {a.data + m * a.row, a.row, a.col}, b, ldb, c + m * ldc, ldc,
                              add);
  for (; m < m_size; ++m)
    product_tile<1, kVectors>(k_size, {a.data + m * a.row, a.row, a.col}, b, ldb, c + m * ldc, ldc,
                              add);
}

/// C (+)= A·B over n_size columns, a multiple of kLanes. B and C are aligned to vectors. Every
/// element is one ascending chain of multiply-adds, however it is tiled.
inline void product(int64_t m_size, int64_t n_size, int64_t k_size, const Left& a, const float* b,
                    int64_t ldb, float* c, int64_t ldc, bool add) {
  int64_t n = 0;
  for (; n + kColumns * kLanes <= n_size; n += kColumns * kLanes)
    product_columns<kColumns>(m_size, k_size, a, b + n, ldb, c + n, ldc, add);
  for (; n < n_size; n += kLanes)
    product_columns<1>(m_size, k_size, a, b + n, ldb, c + n, ldc, add);
}

/// e^x within about 1 ulp; 0 below the least normal result; NaN stays. Cody and Waite's reduction,
/// Taylor's polynomial of degree 7 on |r| ≤ ln 2 / 2.
HWY_INLINE V exp_of(V x) {
  const F f;
  const I i;
  const auto under = hn::Lt(x, hn::Set(f, -87.33654f));
  const V n = hn::Round(hn::Mul(x, hn::Set(f, 1.44269504f)));
  V r = hn::NegMulAdd(n, hn::Set(f, 0.693359375f), x);
  r = hn::NegMulAdd(n, hn::Set(f, -2.12194440e-4f), r);
  V p = hn::Set(f, 1.0f / 5040);
  p = hn::MulAdd(p, r, hn::Set(f, 1.0f / 720));
  p = hn::MulAdd(p, r, hn::Set(f, 1.0f / 120));
  p = hn::MulAdd(p, r, hn::Set(f, 1.0f / 24));
  p = hn::MulAdd(p, r, hn::Set(f, 1.0f / 6));
  p = hn::MulAdd(p, r, hn::Set(f, 0.5f));
  p = hn::MulAdd(p, r, hn::Set(f, 1.0f));
  p = hn::MulAdd(p, r, hn::Set(f, 1.0f));
  const auto exponent = hn::Add(hn::ConvertTo(i, n), hn::Set(i, 127));
  const V power = hn::BitCast(f, hn::ShiftLeft<23>(exponent));
  return hn::IfThenZeroElse(under, hn::Mul(p, power));
}

/// Applies the mask and causality to scores of keys [j, j + keys) × queries [i, i + n); `width`
/// columns are computed; mask_block holds the mask's block, transposed.
inline void hide(const Head& head, int64_t i, int64_t width, int64_t j, int64_t keys, float* s,
                 const float* mask_block) {
  const F f;
  const I ii;
  const bool flags = head.mask.data && head.mask.dtype == Dtype::kBool;
  const bool causal = head.causal && j + keys > head.visible(i);
  if (!head.mask.data && !causal) return;
  for (int64_t key = 0; key < keys; ++key) {
    for (int64_t c = 0; c < width; c += kLanes) {
      float* at = s + key * kQueryBlock + c;
      V v = hn::Load(f, at);
      if (head.mask.data) {
        const V m = hn::Load(f, mask_block + key * kQueryBlock + c);
        v = flags ? hn::IfThenElse(hn::Eq(m, hn::Zero(f)), hn::Set(f, kHidden), v) : hn::Add(v, m);
      }
      if (causal) {
        // Column c + lane sees keys before visible(i) + c + lane.
        const int64_t slack = head.visible(i) + c - (j + key);
        const int32_t near = static_cast<int32_t>(slack < -1000 ? -1000 : slack > 1 ? 1 : slack);
        const auto seen = hn::Gt(hn::Iota(ii, near), hn::Zero(ii));
        v = hn::IfThenElse(hn::RebindMask(f, seen), v, hn::Set(f, kHidden));
      }
      hn::Store(v, f, at);
    }
  }
}

}  // namespace plimsoll::cpu::attention::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
