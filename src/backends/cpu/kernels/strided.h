// Loops over several strided operands, and copies between them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>

#include "base/small_vector.h"
#include "device/kernel.h"

namespace plimsoll::cpu {

/// Nested loops, outermost first, each with a stride (in elements) for every operand.
class StridedLoop {
 public:
  explicit StridedLoop(int operands) : operands_(operands) {}

  void add(int64_t size, std::initializer_list<int64_t> strides) {
    add(size, std::span(strides.begin(), strides.size()));
  }
  void add(int64_t size, std::span<const int64_t> strides);
  /// Drops loops of one turn and merges those that step alike. At least one loop remains.
  void collapse();

  int ndim() const { return static_cast<int>(size_.size()); }
  int64_t size(int d) const { return size_[d]; }
  int64_t stride(int d, int operand) const { return stride_[d * operands_ + operand]; }
  int64_t inner_size() const { return size_.back(); }
  int64_t inner_stride(int operand) const { return stride(ndim() - 1, operand); }
  int64_t count() const;
  /// Splits the innermost loop off: what is left runs over its starts.
  StridedLoop outer() const;

  /// f(offsets, n) for runs along the innermost loop, of at most `most` turns, that cover the flat
  /// turns [begin, end) in ascending order. offsets[k] is operand k's at the first of the n turns.
  template <typename F>
  void runs(int64_t begin, int64_t end, int64_t most, const F& f) const;

 private:
  int operands_;
  SmallVector<int64_t, 8> size_;
  SmallVector<int64_t, 32> stride_;
};

template <typename F>
void StridedLoop::runs(int64_t begin, int64_t end, int64_t most, const F& f) const {
  if (begin >= end) return;
  SmallVector<int64_t, 8> at(size_.size());
  SmallVector<int64_t, 8> offset(static_cast<size_t>(operands_));
  for (int64_t d = ndim() - 1, rest = begin; d >= 0; --d) {
    at[d] = rest % size_[d];
    rest /= size_[d];
    for (int k = 0; k < operands_; ++k) offset[k] += at[d] * stride(static_cast<int>(d), k);
  }
  const int last = ndim() - 1;
  for (int64_t pos = begin; pos < end;) {
    const int64_t n = std::min({size_[last] - at[last], end - pos, most});
    f(static_cast<const int64_t*>(offset.data()), n);
    pos += n;
    at[last] += n;
    for (int k = 0; k < operands_; ++k) offset[k] += n * stride(last, k);
    for (int d = last; d > 0 && at[d] == size_[d]; --d) {
      at[d] = 0;
      ++at[d - 1];
      for (int k = 0; k < operands_; ++k) offset[k] += stride(d - 1, k) - size_[d] * stride(d, k);
    }
  }
}

/// dst[i * dst_stride] = src[i * src_stride] for i < n, elements of `size` (1, 2, 4 or 8) bytes.
void copy_run(std::byte* dst, int64_t dst_stride, const std::byte* src, int64_t src_stride,
              int64_t n, int64_t size);

/// Copies between tensors of one shape and element size, in parallel. They do not overlap.
void copy_tensor(const device::Tensor& dst, const device::Tensor& src);

}  // namespace plimsoll::cpu
