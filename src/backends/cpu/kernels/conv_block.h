// What conv.cpp asks of the kernels of one type: copy inputs, pack weights, multiply.
#pragma once

#include <cstddef>
#include <cstdint>

#include "backends/cpu/gemm.h"

namespace plimsoll::cpu::conv {

/// One panel of the sum for some rows and at most one tile of columns. Offsets are in elements.
struct Multiply {
  const std::byte* patch = nullptr;
  const int64_t* a_rows = nullptr;  // of each row in the patch
  const int64_t* c_rows = nullptr;  // of each row from c
  int64_t rows = 0;
  const int64_t* runs = nullptr;  // terms: `count` from each of these on, `step` apart
  int64_t num_runs = 0, count = 0, step = 0;
  const std::byte* weights = nullptr;  // [term][lanes × vectors]
  std::byte* c = nullptr;
  int64_t columns = 0;
  bool add = false;    // to what is at c
  bool lanes = false;  // the patch has a value for each column, contiguous
};

struct Kernels {
  int64_t lanes = 1;    // of a vector of sums
  int64_t vectors = 1;  // in a full tile of columns
  /// dst[i] = widened src[i], src `stride` bytes apart.
  void (*copy)(const std::byte* src, int64_t stride, int64_t n, std::byte* dst) = nullptr;
  /// dst[k][width] = widened weights of `lanes` columns, zeros behind.
  void (*pack)(const std::byte* src, int64_t lane_stride, int64_t k_stride, int64_t lanes,
               int64_t readable, int64_t width, int64_t k, std::byte* dst) = nullptr;
  void (*multiply)(const Multiply& job) = nullptr;
};

Kernels kernels_for(GemmType type);

}  // namespace plimsoll::cpu::conv
