#include "backends/cpu/kernels/strided.h"

#include <cstring>

#include "backends/cpu/kernels/partition.h"

namespace plimsoll::cpu {

void StridedLoop::add(int64_t size, std::span<const int64_t> strides) {
  size_.push_back(size);
  for (int64_t s : strides) stride_.push_back(s);
}

void StridedLoop::collapse() {
  StridedLoop merged(operands_);
  for (int d = 0; d < ndim(); ++d) {
    if (size_[d] == 1) continue;
    const std::span<const int64_t> step(stride_.data() + d * operands_, operands_);
    bool alike = merged.ndim() > 0;
    for (int k = 0; alike && k < operands_; ++k)
      alike = merged.inner_stride(k) == size_[d] * step[k];
    if (!alike) {
      merged.add(size_[d], step);
      continue;
    }
    merged.size_.back() *= size_[d];
    std::copy(step.begin(), step.end(), merged.stride_.end() - operands_);
  }
  if (merged.ndim() == 0) {
    merged.size_.push_back(1);
    merged.stride_.resize(static_cast<size_t>(operands_), 1);
  }
  *this = merged;
}

int64_t StridedLoop::count() const {
  int64_t n = 1;
  for (int64_t s : size_) n *= s;
  return n;
}

StridedLoop StridedLoop::outer() const {
  StridedLoop rest(operands_);
  for (int d = 0; d + 1 < ndim(); ++d)
    rest.add(size_[d], std::span<const int64_t>(stride_.data() + d * operands_, operands_));
  rest.collapse();
  return rest;
}

namespace {

template <typename T>
void copy_elements(std::byte* dst, int64_t dst_stride, const std::byte* src, int64_t src_stride,
                   int64_t n) {
  T* d = reinterpret_cast<T*>(dst);
  const T* s = reinterpret_cast<const T*>(src);
  if (dst_stride == 1 && src_stride == 0) {
    std::fill(d, d + n, *s);
    return;
  }
  for (int64_t i = 0; i < n; ++i) d[i * dst_stride] = s[i * src_stride];
}

}  // namespace

void copy_run(std::byte* dst, int64_t dst_stride, const std::byte* src, int64_t src_stride,
              int64_t n, int64_t size) {
  if (dst_stride == 1 && src_stride == 1) {
    std::memcpy(dst, src, static_cast<size_t>(n * size));
    return;
  }
  switch (size) {
    case 1:
      return copy_elements<uint8_t>(dst, dst_stride, src, src_stride, n);
    case 2:
      return copy_elements<uint16_t>(dst, dst_stride, src, src_stride, n);
    case 4:
      return copy_elements<uint32_t>(dst, dst_stride, src, src_stride, n);
    default:
      return copy_elements<uint64_t>(dst, dst_stride, src, src_stride, n);
  }
}

void copy_tensor(const device::Tensor& dst, const device::Tensor& src) {
  StridedLoop loop(2);
  for (size_t d = 0; d < dst.shape.size(); ++d)
    loop.add(dst.shape[d], {dst.strides[d], src.strides[d]});
  loop.collapse();
  const int64_t size = static_cast<int64_t>(size_of(dst.dtype));
  const int64_t count = loop.count();
  const int64_t pieces = pieces_for(2 * count * size, 4 * arena_threads());
  std::byte* to = dst.as<std::byte>();
  const std::byte* from = src.as<std::byte>();
  run_tasks(pieces, [&](int64_t i) {
    loop.runs(piece_begin(count, pieces, i), piece_begin(count, pieces, i + 1), count,
              [&](const int64_t* at, int64_t n) {
                copy_run(to + at[0] * size, loop.inner_stride(0), from + at[1] * size,
                         loop.inner_stride(1), n, size);
              });
  });
}

}  // namespace plimsoll::cpu
