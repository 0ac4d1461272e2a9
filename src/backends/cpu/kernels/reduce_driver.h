// Walks a reduction in its canonical order (opset/reduce.h) and calls leaves that know the dtype.
#pragma once

#include "device/kernel.h"
#include "opset/reduce.h"

namespace plimsoll::cpu {

/// Consecutive units of the reduced sequence, for `count` outputs.
struct ReduceBlock {
  const std::byte* x = nullptr;  // first element of output 0
  int64_t units = 0;             // rows: elements of a row; columns: rows
  int64_t stride = 0;            // elements between rows
  int64_t count = 0;             // rows: rows; columns: columns
  int fold = 1;                  // columns: chains
  int64_t begin = 0;             // rank of the first unit in its run of the whole problem
  bool rows = true;
};

/// What an op does for one input dtype. A partial is the result of one block for one output; the
/// carry is what partials are folded into, in ascending order of blocks.
struct ReduceLeaf {
  uint32_t in_size = 0;
  uint32_t partial_size = 0;  // at most 16
  uint32_t carry_size = 0;    // at most 16
  uint32_t out_size = 0;
  /// Writes `count` partials; room for count * fold is given.
  void (*rows)(const ReduceBlock&, void* partial) = nullptr;
  void (*columns)(const ReduceBlock&, void* partial) = nullptr;
  void (*start)(void* carry, int64_t count) = nullptr;
  void (*fold)(void* carry, const void* partial, const ReduceBlock&) = nullptr;
  /// Writes `count` outputs, `stride` elements apart.
  void (*finish)(const void* carry, int64_t count, void* out, int64_t stride) = nullptr;
};

void run_reduction(const ReduceLeaf& leaf, const device::KernelArgs& args, const Dims& axes,
                   bool keepdims);
/// Scratch of one call, whatever the leaf.
size_t reduction_workspace(const OpInstance& op);
/// State of ordered turns for a leaf with that carry.
size_t reduction_carry(const OpInstance& op, uint32_t carry_size);

}  // namespace plimsoll::cpu
