#include "backends/cpu/gemm_plan.h"

#include <algorithm>

namespace plimsoll::cpu::gemm_internal {
namespace {

// A's pack (168 × 384 floats, 258 KB) stays in a level-2 cache of 1 MB while B's tiles pass; B's
// pack (512 × 384 floats, 786 KB) is met again from there or from level 3.
constexpr int64_t kRowsPerPack = 168;
constexpr int64_t kMostRowsPerPack = kRowsPerPack + 14;
constexpr int64_t kBlockRows = 13 * kRowsPerPack;
constexpr int64_t kBlockCols = 512;
// At most this many rows (or columns): B is read once and not packed if its rows are contiguous.
constexpr int64_t kThin = 32;
constexpr int64_t kThinStep = 16;
// Fewer multiplications than this are not worth waking another thread.
constexpr int64_t kSerialWork = 1 << 19;
constexpr int64_t kBlocksPerWorker = 2;
constexpr int64_t kLeastBlock = 128 * 128;
constexpr int64_t kSlack = 64;  // lanes that packing and padding may touch past the end

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
constexpr int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

/// Even blocks of at most `most`, multiples of `grain`.
int64_t even_block(int64_t extent, int64_t most, int64_t grain) {
  return std::max(grain, round_up(ceil_div(extent, ceil_div(extent, most)), grain));
}

int64_t lane_stride(const Plan& plan, const GemmArgs& args) {
  return plan.swapped ? args.a.row_stride : args.b.col_stride;
}

/// Halves blocks until each worker has a few, so that a slow one does not hold up the rest.
void share_out(Plan& plan, int64_t batch, const KernelShape& shape) {
  while (plan.blocks() * batch < kBlocksPerWorker * plan.workers) {
    const bool halve_m = plan.m > kThin && plan.block_m >= plan.block_n;
    int64_t& block = halve_m ? plan.block_m : plan.block_n;
    const int64_t grain = halve_m ? shape.tile_rows : shape.tile_cols;
    const int64_t half = round_up(ceil_div(block, 2), grain);
    const int64_t least = plan.m > kThin ? kLeastBlock : kLeastBlock / 64 * plan.block_m;
    if (half >= block || plan.block_m * plan.block_n < 2 * least) return;
    block = half;
  }
}

}  // namespace

Kernels kernels_for(GemmType type) {
  switch (type) {
    case GemmType::kF64:
      return f64_kernels();
    case GemmType::kC64:
      return c64_kernels();
    case GemmType::kBF16:
      return bf16_kernels();
    case GemmType::kF16:
      return f16_kernels();
    default:
      return f32_kernels();
  }
}

int64_t element_bytes(GemmType type) {
  switch (type) {
    case GemmType::kF32:
      return 4;
    case GemmType::kF64:
    case GemmType::kC64:
      return 8;
    default:
      return 2;
  }
}

int64_t sum_bytes(GemmType type) { return is_half(type) ? 4 : element_bytes(type); }

Scratch scratch_for(GemmType type, int64_t m, int64_t n, int64_t k) {
  const int64_t unit = sum_bytes(type);  // half types are packed as float32 or as pairs
  const KernelShape shape = kernels_for(type).shape;
  const int64_t longest = std::max(m, n);
  const int64_t panel =
      round_up(ceil_div(std::min(gemm_panel(type), k), shape.k_per_unit), shape.unit_grain);
  const bool thin = std::min(m, n) <= kThin;
  const int64_t few = round_up(std::min(m, n), shape.tile_rows);  // rows of a thin product
  const int64_t rows = (thin ? few : std::min(kRowsPerPack, longest)) + kSlack;
  const int64_t cols = std::min(kBlockCols, longest) + kSlack;
  // A chain of complex64 is four real sums, not two.
  const int64_t chain_unit = type == GemmType::kC64 ? 16 : unit;
  int64_t stage_rows = thin && n < m ? few : 0;
  if (is_half(type)) stage_rows = std::max(stage_rows, std::min(shape.staged_rows + kSlack, m));
  Scratch s;
  s.b_pack = round_up(rows * panel * unit, 64);
  s.chain = s.b_pack + round_up(cols * panel * unit, 64);
  s.stage = s.chain + (thin ? round_up(few * cols * chain_unit, 64) : 0);
  s.total = s.stage + round_up(stage_rows * cols * unit, 64);
  return s;
}

Plan plan_product(const GemmArgs& args, int64_t batch, int max_workers) {
  const KernelShape shape = kernels_for(args.type).shape;
  Plan plan;
  plan.m = args.a.rows;
  plan.n = args.b.cols;
  plan.k = args.a.cols;
  plan.scratch = scratch_for(args.type, plan.m, plan.n, plan.k);
  plan.swapped = plan.n < plan.m && plan.n <= kThin;
  if (plan.swapped) std::swap(plan.m, plan.n);
  const bool thin = plan.m <= kThin;
  plan.in_place = thin && !is_half(args.type) && lane_stride(plan, args) == 1;
  plan.staged = plan.swapped || (is_half(args.type) && args.accum == nullptr);
  plan.k_step = plan.in_place ? kThinStep : shape.panel;
  plan.block_m = even_block(plan.m, plan.staged ? shape.staged_rows : kBlockRows, shape.tile_rows);
  plan.block_n = even_block(plan.n, kBlockCols, shape.tile_cols);
  const int64_t work = batch * plan.n * plan.k * std::max<int64_t>(plan.m, 4);
  plan.workers = work < kSerialWork ? 1 : max_workers;
  if (plan.workers > 1) share_out(plan, batch, shape);
  // Even packs: a last one of a few rows would read all of B's pack for little.
  plan.rows_per_pack = ceil_div(plan.block_m, ceil_div(plan.block_m, kMostRowsPerPack));
  plan.workers = static_cast<int>(std::min<int64_t>(plan.workers, plan.blocks() * batch));
  return plan;
}

}  // namespace plimsoll::cpu::gemm_internal
