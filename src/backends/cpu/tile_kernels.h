// The loops behind tile programs: one kernel per op and dtype, over contiguous elements.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "opset/tile_program.h"

namespace plimsoll::cpu {

/// Elements of a tile.
inline constexpr size_t kTileElements = 1024;

/// One kernel call: dst[i] = op(src[0][i], src[1][i], src[2][i]) for i < n, for any n and any
/// alignment. dst may be the very address of a source whose elements are as wide.
struct TileCall {
  const void* src[3];
  void* dst;
  size_t n;
  /// Bit i: src[i] is a single element that stands for all. Never all sources at once.
  uint32_t splat = 0;
  /// For ops of the element's index: that of element 0 in the whole problem, and its increment.
  int64_t index = 0;
  int64_t index_step = 1;
  double imm[2] = {0, 0};
  RandomBits random;
};

using TileKernel = void (*)(const TileCall&);

/// float16 and bfloat16 are computed in float32.
constexpr Dtype compute_dtype(Dtype t) {
  return t == Dtype::kFloat16 || t == Dtype::kBfloat16 ? Dtype::kFloat32 : t;
}

/// Kernels of one CPU target. Null where there is none.
struct TileTable {
  using Row = std::array<TileKernel, kNumDtypes>;
  std::array<Row, static_cast<size_t>(TileOp::kCount)> ops{};  // by dtype of the operands
  std::array<Row, kNumDtypes> casts{};                         // [from][to], compute dtypes
  // Two of add, subtract, multiply of float32 in one loop: of (a, b), then of what comes out and c,
  // or of c and that.
  std::array<TileKernel, 18> pairs{};
  // For float16 and bfloat16: to float32, from float32, and float32 rounded to their precision.
  std::array<TileKernel, kNumDtypes> widen{}, narrow{}, round{};

  void set(TileOp op, Dtype t, TileKernel kernel) {
    ops[static_cast<size_t>(op)][static_cast<size_t>(t)] = kernel;
  }
  TileKernel find(TileOp op, Dtype t) const {
    return ops[static_cast<size_t>(op)][static_cast<size_t>(t)];
  }
  static bool may_pair(TileOp op) {
    return op == TileOp::kAdd || op == TileOp::kSubtract || op == TileOp::kMultiply;
  }
  /// REQUIRES: may_pair of both. `on_right`: the first's result is the second's second operand.
  static size_t pair_index(TileOp first, TileOp second, bool on_right) {
    static_assert(static_cast<int>(TileOp::kMultiply) == static_cast<int>(TileOp::kAdd) + 2);
    const auto at = [](TileOp op) {
      return static_cast<size_t>(op) - static_cast<size_t>(TileOp::kAdd);
    };
    return (at(first) * 3 + at(second)) * 2 + (on_right ? 1 : 0);
  }
  TileKernel cast(Dtype from, Dtype to) const {
    return casts[static_cast<size_t>(from)][static_cast<size_t>(to)];
  }
};

// Each family fills its part for the best target of this machine.
void add_arith_kernels(TileTable* table);
void add_compare_kernels(TileTable* table);
void add_cast_kernels(TileTable* table);
void add_integer_kernels(TileTable* table);
void add_exp_kernels(TileTable* table);
void add_trig_kernels(TileTable* table);
void add_double_kernels(TileTable* table);
void add_complex_kernels(TileTable* table);
void add_index_kernels(TileTable* table);

/// Copies past the cache. Any alignment of dst; ends without a fence: see stream_fence.
void stream_copy(void* dst, const void* src, size_t bytes);
/// Orders streamed stores before later ones; each worker calls it once after its last copy.
void stream_fence();

/// All families, for the best target; a test may narrow the targets first.
TileTable make_tile_table();
/// Made on first use.
const TileTable& tile_table();

}  // namespace plimsoll::cpu
