// How the iteration space of a tile program is cut into tiles, and the one strided copy that
// gathers an operand's part of a tile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "device/kernel.h"
#include "opset/tile_program.h"

namespace plimsoll::cpu {

inline constexpr int kMaxTileAxes = 12;  // after axes that can be walked as one are merged

/// How the kernels read an input: in place, as one element for all, or from a gathered copy.
enum class TileAccess : uint8_t { kDirect, kSplat, kGather, kKey };

struct TileOperand {
  std::byte* data = nullptr;
  uint32_t size = 0;  // bytes of an element
  TileAccess access = TileAccess::kDirect;
  int64_t strides[kMaxTileAxes];
};

struct TileGrid {
  // kRows: a tile lies within one innermost row. kFlat: it is a run of the row-major order over
  // several short rows. kBlocks: it is a small matrix over block_axis and the innermost axis, for
  // inputs that are contiguous along another axis than the innermost.
  enum class Mode : uint8_t { kRows, kFlat, kBlocks };
  Mode mode = Mode::kRows;
  int ndim = 1;
  int block_axis = 0;
  int64_t dims[kMaxTileAxes];
  int64_t out_strides[kMaxTileAxes];    // row-major
  int64_t index_strides[kMaxTileAxes];  // of the element's index in the whole problem
  int64_t index_base = 0;
  int64_t elements = 0;
  int64_t tiles = 0;
};

/// One tile: `rows` pieces of `cols` consecutive outputs (one piece unless kBlocks).
struct TileRegion {
  int64_t flat = 0;  // row-major position of its first element
  size_t n = 0, rows = 1, cols = 0;
  int64_t coord[kMaxTileAxes];
};

/// Merges axes, decides every operand's access and the mode. `operands` has inputs.size() entries;
/// one whose access is kKey already is left out. `origin` may be null.
TileGrid make_grid(const Shape& shape, std::span<const device::Tensor> inputs,
                   const TileOrigin* origin, TileOperand* operands);

TileRegion tile_region(const TileGrid& grid, int64_t tile);

/// Address of the operand's element at the region's first element.
std::byte* region_address(const TileGrid& grid, const TileOperand& operand,
                          const TileRegion& region);

/// Copies the operand's elements of the region to `dst`, in the region's order.
void gather_tile(const TileGrid& grid, const TileOperand& operand, const TileRegion& region,
                 void* dst);

/// Copies a kBlocks tile to its rows in a row-major array.
void scatter_tile(const TileGrid& grid, const TileRegion& region, const void* src, size_t size,
                  std::byte* out);

/// Calls f(first, count, index, step) for each piece of the region whose elements' indices in the
/// whole problem form an arithmetic sequence.
template <class F>
void for_each_index_run(const TileGrid& grid, const TileRegion& region, F f) {
  const int last = grid.ndim - 1;
  int64_t coord[kMaxTileAxes];
  int64_t index = grid.index_base;
  for (int i = 0; i < grid.ndim; ++i) {
    coord[i] = region.coord[i];
    index += coord[i] * grid.index_strides[i];
  }
  const int64_t step = grid.index_strides[last];
  if (grid.mode == TileGrid::Mode::kBlocks) {
    for (size_t r = 0; r < region.rows; ++r)
      f(r * region.cols, region.cols, index + r * grid.index_strides[grid.block_axis], step);
    return;
  }
  for (size_t done = 0; done < region.n;) {
    const size_t left = static_cast<size_t>(grid.dims[last] - coord[last]);
    const size_t n = left < region.n - done ? left : region.n - done;
    f(done, n, index, step);
    done += n;
    index += n * step;
    coord[last] += n;
    for (int i = last; i > 0 && coord[i] == grid.dims[i]; --i) {
      index += grid.index_strides[i - 1] - grid.dims[i] * grid.index_strides[i];
      coord[i] = 0;
      ++coord[i - 1];
    }
  }
}

}  // namespace plimsoll::cpu
