#include <algorithm>
#include <cmath>

#include "backends/cpu/kernels/attention_head.h"
#include "backends/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backends/cpu/kernels/attention_vjp.cpp"
#include <hwy/foreach_target.h>

#include "backends/cpu/kernels/attention_block-inl.h"

#ifndef PLIMSOLL_ATTENTION_VJP_SCRATCH_
#define PLIMSOLL_ATTENTION_VJP_SCRATCH_
namespace plimsoll::cpu {

// One head of keys: gradients are summed over blocks in ascending order, heads outermost, then
// keys, then queries, so every sum has one order whatever else is cut.
struct VjpScratch {
  float *dk, *dv;                // keys × padded
  float *dq, *q_rows, *g_rows;   // queries × padded
  float *q_columns, *g_columns;  // blocks of dim × kQueryBlock
  float *lse, *delta;            // queries, up to whole blocks
  float *p, *ds, *mask;          // a block of transposed scores
  float *k_rows, *v_rows;        // a block of keys × padded
  int64_t dim, value_dim, ld, value_ld;
  size_t floats;

  VjpScratch(float* at, int64_t queries, int64_t keys, int64_t dim_, int64_t value_dim_)
      : dim(dim_), value_dim(value_dim_), ld(padded(dim_)), value_ld(padded(value_dim_)) {
    const int64_t rows = (queries + kQueryBlock - 1) / kQueryBlock * kQueryBlock;
    size_t used = 0;
    auto take = [&](int64_t n) {
      float* p = at ? at + used : nullptr;
      used += static_cast<size_t>(padded(n));
      return p;
    };
    dk = take(keys * ld);
    dv = take(keys * value_ld);
    dq = take(rows * ld);
    q_rows = take(rows * ld);
    g_rows = take(rows * value_ld);
    q_columns = take(rows * dim);
    g_columns = take(rows * value_dim);
    lse = take(rows);
    delta = take(rows);
    p = take(kKeyBlock * kQueryBlock);
    ds = take(kKeyBlock * kQueryBlock);
    mask = take(kKeyBlock * kQueryBlock);
    k_rows = take(kKeyBlock * ld);
    v_rows = take(kKeyBlock * value_ld);
    floats = used;
  }
};

}  // namespace plimsoll::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace plimsoll::cpu::attention::HWY_NAMESPACE {

int64_t block_width(int64_t n) { return (n + kLanes - 1) / kLanes * kLanes; }

void load_head(const Head& head, const VjpScratch& w) {
  for (int64_t i = 0; i < head.queries; i += kQueryBlock) {
    const int64_t n = std::min(kQueryBlock, head.queries - i);
    load_rows(head.q, i, n, head.dim, w.q_rows + i * w.ld, w.ld, w.ld);
    load_rows(head.g, i, n, head.value_dim, w.g_rows + i * w.value_ld, w.value_ld, w.value_ld);
    load_transposed(head.q, i, n, head.dim, head.scale, w.q_columns + i * head.dim, kQueryBlock,
                    kQueryBlock);
    load_transposed(head.g, i, n, head.value_dim, 1, w.g_columns + i * head.value_dim, kQueryBlock,
                    kQueryBlock);
    // delta is the row's sum of g · out; out comes through p's block, which is free here.
    std::fill(w.delta + i, w.delta + i + kQueryBlock, 0.0f);
    std::fill(w.lse + i, w.lse + i + kQueryBlock, 0.0f);
    for (int64_t r = 0; r < n; ++r) {
      w.lse[i + r] = *reinterpret_cast<const float*>(head.lse.at(i + r));
      float sum = 0;
      for (int64_t c = 0; c < head.value_dim; c += kQueryBlock) {
        const int64_t cols = std::min(kQueryBlock, head.value_dim - c);
        const HeadMatrix part{head.out.at(i + r, c), head.out.dtype, 0, head.out.col_stride};
        load_rows(part, 0, 1, cols, w.p, cols, cols);
        for (int64_t d = 0; d < cols; ++d) sum += w.p[d] * w.g_rows[(i + r) * w.value_ld + c + d];
      }
      w.delta[i + r] = sum;
    }
  }
}

// p = softmax weights from the scores in p; ds = p (dp − delta) from the dp in ds.
void weights_block(const Head& head, int64_t i, int64_t width, int64_t keys, const VjpScratch& w) {
  const F f;
  const V uniform = hn::Set(f, 1.0f / static_cast<float>(head.keys));
  for (int64_t c = 0; c < width; c += kLanes) {
    const V lse = hn::Load(f, w.lse + i + c);
    const V delta = hn::Load(f, w.delta + i + c);
    // A query that sees nothing weighs all keys alike, and moving its scores changes nothing.
    const auto blind =
        hn::And(hn::Le(lse, hn::Set(f, 0.5f * kHidden)), hn::Ge(lse, hn::Set(f, kHidden)));
    for (int64_t j = 0; j < keys; ++j) {
      float* at = w.p + j * kQueryBlock + c;
      float* ds = w.ds + j * kQueryBlock + c;
      const V p = hn::IfThenElse(blind, uniform, exp_of(hn::Sub(hn::Load(f, at), lse)));
      const V d = hn::Mul(p, hn::Sub(hn::Load(f, ds), delta));
      hn::Store(p, f, at);
      hn::Store(hn::IfThenZeroElse(blind, d), f, ds);
    }
  }
}

void vjp_block(const Head& head, int64_t i, int64_t j, int64_t keys, const VjpScratch& w) {
  const int64_t n = std::min(kQueryBlock, head.queries - i), width = block_width(n);
  if (head.mask.data) {
    const HeadMatrix part{head.mask.at(i, j), head.mask.dtype, head.mask.row_stride,
                          head.mask.col_stride};
    load_transposed(part, 0, n, keys, 1, w.mask, kQueryBlock, width);
  }
  product(keys, width, w.dim, {w.k_rows, w.ld, 1}, w.q_columns + i * w.dim, kQueryBlock, w.p,
          kQueryBlock, false);
  hide(head, i, width, j, keys, w.p, w.mask);
  product(keys, width, w.value_dim, {w.v_rows, w.value_ld, 1}, w.g_columns + i * w.value_dim,
          kQueryBlock, w.ds, kQueryBlock, false);
  weights_block(head, i, width, keys, w);
  product(keys, w.value_ld, n, {w.p, kQueryBlock, 1}, w.g_rows + i * w.value_ld, w.value_ld,
          w.dv + j * w.value_ld, w.value_ld, true);
  product(keys, w.ld, n, {w.ds, kQueryBlock, 1}, w.q_rows + i * w.ld, w.ld, w.dk + j * w.ld, w.ld,
          true);
  product(n, w.ld, keys, {w.ds, 1, kQueryBlock}, w.k_rows, w.ld, w.dq + i * w.ld, w.ld, true);
}

void vjp_here(const Head* heads, int64_t count, float* scratch) {
  const Head& first = heads[0];
  const VjpScratch w(scratch, first.queries, first.keys, first.dim, first.value_dim);
  std::fill(w.dk, w.dk + first.keys * w.ld, 0.0f);
  std::fill(w.dv, w.dv + first.keys * w.value_ld, 0.0f);
  for (int64_t h = 0; h < count; ++h) {
    const Head& head = heads[h];
    load_head(head, w);
    std::fill(w.dq, w.dq + head.queries * w.ld, 0.0f);
    for (int64_t j = 0; j < head.keys; j += kKeyBlock) {
      const int64_t rows = std::min(kKeyBlock, head.keys - j);
      load_rows(head.k, j, rows, head.dim, w.k_rows, w.ld, w.ld);
      load_rows(head.v, j, rows, head.value_dim, w.v_rows, w.value_ld, w.value_ld);
      for (int64_t i = 0; i < head.queries; i += kQueryBlock) {
        const int64_t end = head.keys_for(i, std::min(kQueryBlock, head.queries - i));
        if (end > j) vjp_block(head, i, j, std::min(rows, end - j), w);
      }
    }
    store_rows(head.dq, 0, head.queries, head.dim, head.scale, w.dq, w.ld);
  }
  store_rows(first.dk, 0, first.keys, first.dim, first.scale, w.dk, w.ld);
  store_rows(first.dv, 0, first.keys, first.value_dim, 1, w.dv, w.value_ld);
}

}  // namespace plimsoll::cpu::attention::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace plimsoll::cpu {
namespace attention {

HWY_EXPORT(vjp_here);
auto vjp() { return HWY_DYNAMIC_DISPATCH(vjp_here); }

}  // namespace attention

size_t attention_vjp_floats(int64_t queries, int64_t keys, int64_t dim, int64_t value_dim) {
  return VjpScratch(nullptr, queries, keys, dim, value_dim).floats;
}

void attention_vjp(const Head* heads, int64_t count, float* scratch) {
  attention::vjp()(heads, count, scratch);
}

}  // namespace plimsoll::cpu
#endif
