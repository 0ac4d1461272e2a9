// One head of attention, as the blocks of attention_forward.cpp and attention_vjp.cpp see it.
//
// Scores are kept transposed, a row for each key and a column for each query: keys and values are
// then read by broadcasts from where they lie, and the softmax runs down the columns of vectors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "opset/attention.h"
#include "plimsoll/dtype.h"

namespace plimsoll::cpu {

inline constexpr int64_t kQueryBlock = kSdpaQueryBlock;
inline constexpr int64_t kKeyBlock = kSdpaKeyBlock;
inline constexpr int64_t kAttentionPad = 16;  // floats of the widest vector

/// The score of a hidden key.
inline constexpr float kHidden = std::numeric_limits<float>::lowest();

constexpr int64_t padded(int64_t n) {
  return (n + kAttentionPad - 1) / kAttentionPad * kAttentionPad;
}

/// A matrix in memory, strides in elements.
struct HeadMatrix {
  std::byte* data = nullptr;
  Dtype dtype = Dtype::kFloat32;
  int64_t row_stride = 0, col_stride = 0;

  std::byte* at(int64_t row, int64_t col = 0) const {
    return data + (row * row_stride + col * col_stride) * static_cast<int64_t>(size_of(dtype));
  }
};

struct Head {
  HeadMatrix q, k, v, mask, out, lse;  // mask.data is null where there is none
  HeadMatrix g, dq, dk, dv;            // of the gradient
  int64_t queries = 0;                 // rows of q that are present
  int64_t query_begin = 0;             // number of the first one in the whole problem
  int64_t query_total = 0;
  int64_t keys = 0;
  int64_t dim = 0, value_dim = 0;
  float scale = 1;
  float sink = -std::numeric_limits<float>::infinity();  // score of a key without a value
  bool has_sink = false;
  bool causal = false;

  /// Keys before this are visible to query `i` of the part; may be ≤ 0: none is.
  int64_t visible(int64_t i) const {
    return causal ? query_begin + i + 1 + keys - query_total : keys;
  }
  /// Keys that a block of queries [i, i + n) has to look at. A query that sees nothing averages
  /// all of them, and only without a mask is it known beforehand which ones do.
  int64_t keys_for(int64_t i, int64_t n) const {
    if (mask.data || visible(i) <= 0) return keys;
    return visible(i + n - 1) < keys ? visible(i + n - 1) : keys;
  }
};

/// dst[r * ld + c] = m[row + r][c], zeros up to column `width`.
void load_rows(const HeadMatrix& m, int64_t row, int64_t rows, int64_t cols, float* dst, int64_t ld,
               int64_t width);
/// dst[c * ld + r] = scale * m[row + r][c], zeros up to column `width`.
void load_transposed(const HeadMatrix& m, int64_t row, int64_t rows, int64_t cols, float scale,
                     float* dst, int64_t ld, int64_t width);
/// m[row + r][c] = scale * src[r * ld + c], rounded to m's dtype.
void store_rows(const HeadMatrix& m, int64_t row, int64_t rows, int64_t cols, float scale,
                const float* src, int64_t ld);
/// m[row + r][c] = src[c * ld + r].
void store_transposed(const HeadMatrix& m, int64_t row, int64_t rows, int64_t cols,
                      const float* src, int64_t ld);

/// Floats of scratch for one block of queries.
size_t attention_forward_floats(int64_t dim, int64_t value_dim);
/// Queries [i, i + n), n ≤ kQueryBlock, i a multiple of kQueryBlock. scratch is 64-byte aligned.
void attention_forward(const Head& head, int64_t i, int64_t n, float* scratch);

/// Floats of scratch for one head of keys.
size_t attention_vjp_floats(int64_t queries, int64_t keys, int64_t dim, int64_t value_dim);
/// All heads of queries that read one head of keys, in ascending order.
void attention_vjp(const Head* heads, int64_t count, float* scratch);

}  // namespace plimsoll::cpu
