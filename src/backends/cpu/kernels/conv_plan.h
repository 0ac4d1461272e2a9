// How a convolution is cut into blocks and what scratch a worker needs. Bits do not depend on it.
//
// A block is a box of outputs (samples × spatial) by a range of columns (output channels). For one
// panel of the sum its worker copies the box of inputs that the block needs into a patch, with the
// padding in it and halves widened, packs the weights, and lets the micro-kernel walk the patch: a
// row of the product is an address in it, a term of the sum an offset from there.
#pragma once

#include <cstddef>
#include <cstdint>

#include "backends/cpu/gemm.h"
#include "opset/conv.h"

namespace plimsoll::cpu::conv {

/// What lies innermost in a patch.
enum class Inner {
  kChannels,
  kSamples,  // x has its samples closer together than its channels, as in gradients by weights
  kGroups,   // one output channel a group in the whole problem: groups are the kernel's lanes
};

/// A convolution with three spatial axes. Strides are in elements.
struct Problem {
  GemmType type = GemmType::kF32;
  int64_t samples = 1, groups = 1, channels = 1, columns = 1;  // of this part
  int64_t in[3] = {1, 1, 1}, taps[3] = {1, 1, 1}, out[3] = {1, 1, 1};
  int64_t stride[3] = {1, 1, 1}, low[3] = {}, dilation[3] = {1, 1, 1}, spread[3] = {1, 1, 1};
  ConvPanels panels;  // of the whole problem
  bool lanes_are_groups = false;
};

/// How inputs of one spatial axis lie in a patch for `outputs` and `taps` of them: output o and tap
/// p meet index o · output_step + p · tap_step of `count`; index i is coordinate i / taps · stride
/// + i % taps · dilation where `product`, else i · unit.
struct AxisMap {
  int64_t output_step = 1, tap_step = 1, count = 1, unit = 1;
  bool product = false;
};
AxisMap axis_map(int64_t outputs, int64_t taps, int64_t stride, int64_t dilation);

/// Offsets into a worker's scratch, each a multiple of 64.
struct Plan {
  int64_t samples = 1, out[3] = {1, 1, 1}, columns = 1;  // of a block
  size_t weights = 0, sums = 0, rows = 0, total = 0;     // the patch is at 0
  int64_t block_rows() const { return samples * out[0] * out[1] * out[2]; }
};

Plan plan_conv(const Problem& p, int workers);

}  // namespace plimsoll::cpu::conv
