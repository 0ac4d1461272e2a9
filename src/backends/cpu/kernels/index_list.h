// Index arrays of gather and scatter: reading them in any integer dtype, and checking them.
#pragma once

#include <cstdint>
#include <span>

#include "backends/cpu/kernels/strided.h"
#include "device/kernel.h"

namespace plimsoll::cpu {

/// Indices that are resolved at a time, into buffers on the stack.
inline constexpr int64_t kIndexChunk = 512;

/// An index array with the axis that it indexes.
struct IndexList {
  const device::Tensor* tensor = nullptr;
  int axis = 0;        // of the indexed array, for messages
  int64_t extent = 0;  // of that axis in the whole problem
  int64_t begin = 0;   // window of that axis which is present
  int64_t end = 0;
  int64_t stride = 0;  // of that axis in the indexed array, in elements

  /// out[i] = index at offset + i * step, negative ones counted from the end.
  void load(int64_t offset, int64_t step, int64_t n, int64_t* out) const;
};

/// Throws IndexError for the first index outside its axis. Operand k of `loop` is lists[k].
void check_indices(const char* op, const StridedLoop& loop, std::span<const IndexList> lists);

/// Indices that fall inside every window, of one run of at most kIndexChunk turns of a loop.
struct IndexRun {
  int64_t count = 0;
  int64_t turn[kIndexChunk];    // which turn of the run, ascending
  int64_t offset[kIndexChunk];  // in the indexed array's present part, in elements

  /// Operand k of `loop` is lists[k]; `at` and n describe the run.
  void resolve(std::span<const IndexList> lists, const StridedLoop& loop, const int64_t* at,
               int64_t n);
};

}  // namespace plimsoll::cpu
