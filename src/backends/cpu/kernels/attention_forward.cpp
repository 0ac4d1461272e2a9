#include <cmath>

#include "backends/cpu/kernels/attention_head.h"
#include "backends/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backends/cpu/kernels/attention_forward.cpp"
#include <hwy/foreach_target.h>

#include "backends/cpu/kernels/attention_block-inl.h"

HWY_BEFORE_NAMESPACE();
namespace plimsoll::cpu::attention::HWY_NAMESPACE {

// Folds a block of scores into the running maximum and sum of each column; scores become weights,
// and the sums so far are scaled to the new maximum.
void softmax_block(int64_t width, int64_t keys, float* s, float* most, float* sum, float* o,
                   int64_t value_dim) {
  const F f;
  const V lowest = hn::Set(f, -INFINITY);
  for (int64_t c = 0; c < width; c += kLanes) {
    const V old = hn::Load(f, most + c);
    V top = old;
    for (int64_t j = 0; j < keys; ++j) top = hn::Max(top, hn::Load(f, s + j * kQueryBlock + c));
    // Where all is −inf so far, subtracting 0 keeps the weights 0 instead of NaN.
    const V base = hn::IfThenElse(hn::Eq(top, lowest), hn::Zero(f), top);
    const V shrink = exp_of(hn::Sub(old, base));
    V total = hn::Mul(hn::Load(f, sum + c), shrink);
    for (int64_t j = 0; j < keys; ++j) {
      float* at = s + j * kQueryBlock + c;
      const V p = exp_of(hn::Sub(hn::Load(f, at), base));
      total = hn::Add(total, p);
      hn::Store(p, f, at);
    }
    hn::Store(top, f, most + c);
    hn::Store(total, f, sum + c);
    for (int64_t d = 0; d < value_dim; ++d) {
      float* at = o + d * kQueryBlock + c;
      hn::Store(hn::Mul(hn::Load(f, at), shrink), f, at);
    }
  }
}

void finish_block(const Head& head, int64_t i, int64_t n, int64_t width, const float* most,
                  float* sum, float* o) {
  const F f;
  for (int64_t c = 0; c < width; c += kLanes) {
    const V total = hn::Load(f, sum + c);
    for (int64_t d = 0; d < head.value_dim; ++d) {
      float* at = o + d * kQueryBlock + c;
      hn::Store(hn::Div(hn::Load(f, at), total), f, at);
    }
  }
  store_transposed(head.out, i, n, head.value_dim, o, kQueryBlock);
  for (int64_t r = 0; r < n; ++r)
    *reinterpret_cast<float*>(head.lse.at(i + r)) = most[r] + std::log(sum[r]);
}

void forward_here(const Head& head, int64_t i, int64_t n, float* scratch) {
  const F f;
  const int64_t width = (n + kLanes - 1) / kLanes * kLanes;
  float* q = scratch;
  float* s = q + head.dim * kQueryBlock;
  float* mask = s + kKeyBlock * kQueryBlock;
  float* o = mask + kKeyBlock * kQueryBlock;
  float* most = o + head.value_dim * kQueryBlock;
  float* sum = most + kQueryBlock;
  float* k_block = sum + kQueryBlock;
  float* v_block = k_block + kKeyBlock * padded(head.dim);
  load_transposed(head.q, i, n, head.dim, head.scale, q, kQueryBlock, width);
  for (int64_t c = 0; c < width; c += kLanes) {
    hn::Store(hn::Set(f, head.sink), f, most + c);
    hn::Store(hn::Set(f, head.has_sink ? 1.0f : 0.0f), f, sum + c);
    for (int64_t d = 0; d < head.value_dim; ++d) hn::Store(hn::Zero(f), f, o + d * kQueryBlock + c);
  }
  const int64_t end = head.keys_for(i, n);
  const bool widen = head.k.dtype != Dtype::kFloat32;
  for (int64_t j = 0; j < end; j += kKeyBlock) {
    const int64_t keys = end - j < kKeyBlock ? end - j : kKeyBlock;
    Left k{reinterpret_cast<float*>(head.k.at(j)), head.k.row_stride, head.k.col_stride};
    Left v{reinterpret_cast<float*>(head.v.at(j)), head.v.col_stride, head.v.row_stride};
    if (widen) {
      load_rows(head.k, j, keys, head.dim, k_block, padded(head.dim), head.dim);
      load_rows(head.v, j, keys, head.value_dim, v_block, padded(head.value_dim), head.value_dim);
      k = {k_block, padded(head.dim), 1};
      v = {v_block, 1, padded(head.value_dim)};
    }
    if (head.mask.data) {
      const HeadMatrix part{head.mask.at(i, j), head.mask.dtype, head.mask.row_stride,
                            head.mask.col_stride};
      load_transposed(part, 0, n, keys, 1, mask, kQueryBlock, width);
    }
    product(keys, width, head.dim, k, q, kQueryBlock, s, kQueryBlock, false);
    hide(head, i, width, j, keys, s, mask);
    softmax_block(width, keys, s, most, sum, o, head.value_dim);
    product(head.value_dim, width, keys, v, s, kQueryBlock, o, kQueryBlock, true);
  }
  finish_block(head, i, n, width, most, sum, o);
}

}  // namespace plimsoll::cpu::attention::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace plimsoll::cpu {
namespace attention {

HWY_EXPORT(forward_here);
auto forward() { return HWY_DYNAMIC_DISPATCH(forward_here); }

}  // namespace attention

size_t attention_forward_floats(int64_t dim, int64_t value_dim) {
  return static_cast<size_t>((dim + value_dim + 2 * kKeyBlock + 2) * kQueryBlock +
                             kKeyBlock * (padded(dim) + padded(value_dim)));
}

void attention_forward(const Head& head, int64_t i, int64_t n, float* scratch) {
  attention::forward()(head, i, n, scratch);
}

}  // namespace plimsoll::cpu
#endif
