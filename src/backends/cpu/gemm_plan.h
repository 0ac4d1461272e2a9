// How a product is cut into blocks of C and what scratch a worker needs. Bits do not depend on it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "backends/cpu/gemm.h"
#include "backends/cpu/gemm_block.h"

namespace plimsoll::cpu::gemm_internal {

Kernels kernels_for(GemmType type);
/// Bytes of an element of A, B, C; and of a partial sum.
int64_t element_bytes(GemmType type);
int64_t sum_bytes(GemmType type);
constexpr bool is_half(GemmType t) { return t == GemmType::kBF16 || t == GemmType::kF16; }

/// Offsets into a worker's scratch, each a multiple of 64.
struct Scratch {
  size_t b_pack = 0, chain = 0, stage = 0, total = 0;  // A's pack is at 0
};

/// Sums between the end of a staged row and the next one.
inline constexpr int64_t kStagePad = 16;

/// Enough for any product of this size, however its operands lie.
Scratch scratch_for(GemmType type, int64_t m, int64_t n, int64_t k);

/// The problem as the blocks see it: possibly transposed, so that a thin side is always M.
struct Plan {
  bool swapped = false;   // A and B exchanged, C transposed
  bool staged = false;    // sums are kept in scratch and written to C at the end
  bool in_place = false;  // B is read where it is
  int64_t m = 0, n = 0, k = 0;
  int64_t block_m = 0, block_n = 0;
  int64_t rows_per_pack = 0, k_step = 0;
  int workers = 1;
  Scratch scratch = {};

  int64_t blocks_m() const { return (m + block_m - 1) / block_m; }
  int64_t blocks_n() const { return (n + block_n - 1) / block_n; }
  int64_t blocks() const { return blocks_m() * blocks_n(); }
};

/// Plans for at most `max_workers` workers and `batch` products.
Plan plan_product(const GemmArgs& args, int64_t batch, int max_workers);

}  // namespace plimsoll::cpu::gemm_internal
