// What gemm.cpp asks of the kernels of one type: pack and multiply one block of C.
#pragma once

#include <cstddef>
#include <cstdint>

namespace plimsoll::cpu::gemm_internal {

/// A or B seen as lanes × K: lanes are the rows of A or the columns of B. Strides are in bytes.
struct Operand {
  const std::byte* data = nullptr;
  int64_t lanes = 0;  // that may be read, from `data` on
  int64_t lane_stride = 0, k_stride = 0;
};

/// How the kernels of a type cut their work. Bits do not depend on any of these.
struct KernelShape {
  int64_t tile_rows = 0, tile_cols = 0;  // of the micro-kernel, in elements
  int64_t panel = 0;                     // K elements a panel
  int64_t k_per_unit = 1;                // K elements in a packed unit: 2 for pairs of bfloat16
  int64_t staged_rows = 336;             // rows of a block whose sums are kept in scratch
  int64_t unit_grain = 1;                // a panel's units are padded to a multiple of this
};

/// One block of C. Sums are of the accumulator type (float for half types), columns contiguous.
struct BlockJob {
  Operand a = {}, b = {};
  int64_t m = 0, n = 0, k = 0;
  void* c = nullptr;
  int64_t ldc = 0;
  bool accumulate = false;
  int64_t rows_per_pack = 0;  // rows of A packed at a time
  int64_t k_step = 0;         // K elements packed at a time: the panel, or less when thin
  bool b_in_place = false;    // read full tiles of B where they are (lane_stride == element size)
  std::byte *a_pack = nullptr, *b_pack = nullptr, *chain = nullptr;  // 64-byte aligned
};

using BlockFn = void (*)(const BlockJob&);
/// Rounds n sums to the half type at dst; NaN becomes the canonical one.
using RoundFn = void (*)(const float* src, uint16_t* dst, int64_t n);

struct Kernels {
  KernelShape shape = {};
  BlockFn block = nullptr;
  RoundFn round = nullptr;
};

/// The kernels for the CPU that runs (Highway keeps the choice).
Kernels f32_kernels();
Kernels f64_kernels();
Kernels c64_kernels();
Kernels bf16_kernels();
Kernels f16_kernels();

}  // namespace plimsoll::cpu::gemm_internal
