#include "backends/cpu/kernels/conv_plan.h"

#include <algorithm>
#include <numeric>

#include "backends/cpu/kernels/partition.h"

namespace plimsoll::cpu::conv {
namespace {

// A patch and the weights of a tile (384 × 64 floats, 98 KB) share a level-2 cache of 1 MB.
constexpr int64_t kColumns = 256;
constexpr int64_t kRows = 1024;
constexpr int64_t kLeastRows = 96;
constexpr int64_t kStagedRows = 256;  // rows whose float32 sums are kept apart
constexpr int64_t kPatchBytes = 512 << 10;
constexpr int64_t kTileColumns = 64;  // of the micro-kernel, at most
constexpr int64_t kSlack = 64;        // elements that vectors may touch past the end
constexpr int64_t kBlocksPerWorker = 4;

size_t aligned(int64_t bytes) { return (static_cast<size_t>(bytes) + 63) / 64 * 64; }

int64_t terms(const Problem& p) {
  return p.panels.taps[0] * p.panels.taps[1] * p.panels.taps[2] *
         std::min(p.panels.channels, std::max<int64_t>(p.channels, 1));
}

/// Elements of the patch of a block.
int64_t patch_size(const Problem& p, const Plan& b) {
  int64_t n = b.samples * std::min(p.panels.channels, std::max<int64_t>(p.channels, 1));
  for (int d = 0; d < 3; ++d)
    n *= axis_map(b.out[d], p.panels.taps[d], p.stride[d], p.dilation[d]).count;
  return p.lanes_are_groups ? n * b.columns : n;
}

/// The greatest equal blocks of an extent of which `fits` says yes.
template <typename Fits>
void grow(int64_t& block, int64_t extent, const Fits& fits) {
  for (int64_t pieces = 1; pieces < extent; pieces += std::max<int64_t>(1, pieces / 4)) {
    block = ceil_div(extent, pieces);
    if (fits()) return;
  }
  block = 1;
}

}  // namespace

AxisMap axis_map(int64_t outputs, int64_t taps, int64_t stride, int64_t dilation) {
  AxisMap m;
  m.unit = outputs == 1 ? dilation : taps == 1 ? stride : std::gcd(stride, dilation);
  m.output_step = outputs == 1 ? 1 : stride / m.unit;
  m.tap_step = taps == 1 ? 1 : dilation / m.unit;
  m.count = (outputs - 1) * m.output_step + (taps - 1) * m.tap_step + 1;
  if (outputs * taps < m.count)
    m = {.output_step = taps, .tap_step = 1, .count = outputs * taps, .unit = 1, .product = true};
  return m;
}

Plan plan_conv(const Problem& p, int workers) {
  const int64_t unit = p.type == GemmType::kF64 ? 8 : 4;
  const bool half = p.type == GemmType::kBF16 || p.type == GemmType::kF16;
  const int64_t columns = std::max<int64_t>(p.lanes_are_groups ? p.groups : p.columns, 1);
  const int64_t rows = std::max<int64_t>(p.samples * p.out[0] * p.out[1] * p.out[2], 1);
  Plan b;
  b.columns = ceil_div(columns, ceil_div(columns, kColumns));
  const int64_t column_blocks =
      ceil_div(columns, b.columns) * (p.lanes_are_groups ? 1 : std::max<int64_t>(p.groups, 1));
  const int64_t share =
      ceil_div(rows * column_blocks, std::max<int64_t>(1, kBlocksPerWorker * workers));
  const int64_t most_rows = half ? kStagedRows : kRows;
  const int64_t target = std::clamp(share, std::min(kLeastRows, most_rows), most_rows);
  const auto fits = [&] {
    return b.block_rows() <= target && patch_size(p, b) * unit <= kPatchBytes;
  };
  const int64_t least = patch_size(p, b);
  for (int d = 2; d >= 0; --d) grow(b.out[d], p.out[d], fits);
  grow(b.samples, p.samples, fits);
  // Bounds that grow with every extent, so that parts of a problem fit where the greatest does.
  Plan whole = b;
  whole.samples = p.samples;
  std::copy_n(p.out, 3, whole.out);
  const int64_t patch = std::max(least, std::min(patch_size(p, whole), kPatchBytes / unit));
  const int64_t wide = std::min(kColumns, columns);
  b.weights = aligned((patch + kSlack) * unit);
  b.sums = b.weights + aligned((terms(p) * kTileColumns + kSlack) * unit);
  b.rows = b.sums + (half ? aligned(std::min(rows, kStagedRows) * wide * 4) : 0);
  b.total = b.rows + aligned((2 * std::min(rows, kRows) + kConvPanel) *
                             static_cast<int64_t>(sizeof(int64_t)));
  return b;
}

}  // namespace plimsoll::cpu::conv
