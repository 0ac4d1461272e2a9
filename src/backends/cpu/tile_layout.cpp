#include "backends/cpu/tile_layout.h"

#include <xmmintrin.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "backends/cpu/tile_kernels.h"
#include "base/check.h"

namespace plimsoll::cpu {
namespace {

constexpr int64_t kShortRow = 256;  // below it, a tile of one row would be mostly overhead
constexpr int64_t kBlockSide = 32;  // kBlockSide² = kTileElements
static_assert(kBlockSide * kBlockSide == static_cast<int64_t>(kTileElements));

// Drops axes of size 1 and merges neighbours that every operand and the index walk as one.
void merge_axes(const Shape& shape, std::span<const device::Tensor> inputs,
                const int64_t* index_strides, TileGrid* grid, TileOperand* operands) {
  int n = 0;  // axes kept so far
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    if (shape[axis] == 1) continue;
    bool joins = n > 0 && grid->index_strides[n - 1] == index_strides[axis] * shape[axis];
    for (size_t k = 0; k < inputs.size() && joins; ++k) {
      if (operands[k].access == TileAccess::kKey) continue;
      joins = operands[k].strides[n - 1] == inputs[k].strides[axis] * shape[axis];
    }
    if (!joins) {
      PLIMSOLL_CHECK(n < kMaxTileAxes, ValueError,
                     "[tile program] expected at most {} axes that cannot be merged, got more; "
                     "make an input contiguous first",
                     kMaxTileAxes);
      grid->dims[n++] = 1;
    }
    grid->dims[n - 1] *= shape[axis];
    grid->index_strides[n - 1] = index_strides[axis];
    for (size_t k = 0; k < inputs.size(); ++k)
      if (operands[k].access != TileAccess::kKey)
        operands[k].strides[n - 1] = inputs[k].strides[axis];
  }
  if (n == 0) {
    grid->dims[0] = 1;
    grid->index_strides[0] = 1;
    for (size_t k = 0; k < inputs.size(); ++k) operands[k].strides[0] = 1;
    n = 1;
  }
  grid->ndim = n;
}

bool is_zero(const TileOperand& o, int ndim) {
  return std::all_of(o.strides, o.strides + ndim, [](int64_t s) { return s == 0; });
}

bool is_row_major(const TileOperand& o, const TileGrid& grid) {
  return std::equal(o.strides, o.strides + grid.ndim, grid.out_strides);
}

// The axis along which this operand's elements lie close together, where it is not the innermost.
int near_axis(const TileOperand& o, const TileGrid& grid) {
  const int last = grid.ndim - 1;
  if (o.access == TileAccess::kKey || std::abs(o.strides[last]) <= 1) return -1;
  for (int i = 0; i < last; ++i)
    if (std::abs(o.strides[i]) == 1 && grid.dims[i] >= 8 && grid.dims[last] >= 8) return i;
  return -1;
}

void choose_mode(size_t num_inputs, TileOperand* operands, TileGrid* grid) {
  using Mode = TileGrid::Mode;
  const int last = grid->ndim - 1;
  grid->mode = grid->ndim == 1 || grid->dims[last] >= kShortRow ? Mode::kRows : Mode::kFlat;
  for (size_t k = 0; k < num_inputs; ++k) {
    const int axis = near_axis(operands[k], *grid);
    if (axis < 0) continue;
    grid->mode = Mode::kBlocks;
    grid->block_axis = axis;
    break;
  }
  for (size_t k = 0; k < num_inputs; ++k) {
    TileOperand& o = operands[k];
    if (o.access == TileAccess::kKey) continue;
    const int64_t inner = o.strides[last];
    const bool one_row = grid->mode == Mode::kRows;
    if (is_zero(o, grid->ndim) || (one_row && inner == 0))
      o.access = TileAccess::kSplat;
    else if (one_row ? inner == 1 : grid->mode == Mode::kFlat && is_row_major(o, *grid))
      o.access = TileAccess::kDirect;
    else
      o.access = TileAccess::kGather;
  }
}

int64_t pieces(int64_t n, int64_t size) { return (n + size - 1) / size; }

void count_tiles(TileGrid* grid) {
  const int last = grid->ndim - 1;
  int64_t rows = 1;
  for (int i = 0; i < last; ++i) rows *= grid->dims[i];
  switch (grid->mode) {
    case TileGrid::Mode::kRows:
      grid->tiles = rows * pieces(grid->dims[last], kTileElements);
      break;
    case TileGrid::Mode::kFlat:
      grid->tiles = pieces(grid->elements, kTileElements);
      break;
    case TileGrid::Mode::kBlocks:
      grid->tiles = rows / grid->dims[grid->block_axis] *
                    pieces(grid->dims[grid->block_axis], kBlockSide) *
                    pieces(grid->dims[last], kBlockSide);
  }
}

template <class T>
void copy_run(T* dst, const T* src, size_t n, int64_t stride) {
  if (stride == 1) {
    std::memcpy(dst, src, n * sizeof(T));
  } else if (stride == 0) {
    std::fill_n(dst, n, *src);
  } else {
    for (size_t i = 0; i < n; ++i) dst[i] = src[static_cast<int64_t>(i) * stride];
  }
}

// dst[r·cols + c] = src[c·stride + r]: whole 4×4 squares in registers.
void transpose_block(uint32_t* dst, const uint32_t* src, size_t rows, size_t cols, int64_t stride) {
  const size_t r4 = rows / 4 * 4, c4 = cols / 4 * 4;
  for (size_t c = 0; c < c4; c += 4) {
    const auto* from = reinterpret_cast<const float*>(src + static_cast<int64_t>(c) * stride);
    auto* to = reinterpret_cast<float*>(dst + c);
    for (size_t r = 0; r < r4; r += 4) {
      // The next block's rows, a line of each; to level 2, where they share more sets.
      if (r % 16 == 0)
        for (int64_t i = 0; i < 4; ++i)
          __builtin_prefetch(from + (static_cast<int64_t>(cols) + i) * stride + r, 0, 2);
      __m128 a = _mm_loadu_ps(from + r), b = _mm_loadu_ps(from + stride + r);
      __m128 d = _mm_loadu_ps(from + 2 * stride + r), e = _mm_loadu_ps(from + 3 * stride + r);
      _MM_TRANSPOSE4_PS(a, b, d, e);
      _mm_storeu_ps(to + r * cols, a);
      _mm_storeu_ps(to + (r + 1) * cols, b);
      _mm_storeu_ps(to + (r + 2) * cols, d);
      _mm_storeu_ps(to + (r + 3) * cols, e);
    }
  }
  for (size_t c = 0; c < cols; ++c)
    for (size_t r = c < c4 ? r4 : 0; r < rows; ++r)
      dst[r * cols + c] = src[static_cast<int64_t>(c) * stride + static_cast<int64_t>(r)];
}

template <class T>
void copy_block(T* dst, const T* src, size_t rows, size_t cols, int64_t row_stride,
                int64_t col_stride) {
  if constexpr (sizeof(T) == 4) {
    if (row_stride == 1) return transpose_block(dst, src, rows, cols, col_stride);
  }
  if (std::abs(row_stride) < std::abs(col_stride)) {  // read along the lines of memory
    for (size_t c = 0; c < cols; ++c) {
      const T* from = src + static_cast<int64_t>(c) * col_stride;
      for (size_t r = 0; r < rows; ++r)
        dst[r * cols + c] = from[static_cast<int64_t>(r) * row_stride];
    }
  } else {
    for (size_t r = 0; r < rows; ++r)
      copy_run(dst + r * cols, src + static_cast<int64_t>(r) * row_stride, cols, col_stride);
  }
}

template <class T>
void gather(const TileGrid& grid, const TileOperand& operand, const TileRegion& region, T* dst) {
  const int last = grid.ndim - 1;
  const T* src = reinterpret_cast<const T*>(region_address(grid, operand, region));
  const int64_t stride = operand.strides[last];
  if (grid.mode == TileGrid::Mode::kBlocks) {
    copy_block(dst, src, region.rows, region.cols, operand.strides[grid.block_axis], stride);
    return;
  }
  int64_t coord[kMaxTileAxes];
  std::copy_n(region.coord, grid.ndim, coord);
  for (size_t done = 0; done < region.n;) {
    const size_t n = std::min<size_t>(grid.dims[last] - coord[last], region.n - done);
    copy_run(dst + done, src, n, stride);
    done += n;
    coord[last] += n;
    src += static_cast<int64_t>(n) * stride;
    for (int i = last; i > 0 && coord[i] == grid.dims[i]; --i) {
      src += operand.strides[i - 1] - grid.dims[i] * operand.strides[i];
      coord[i] = 0;
      ++coord[i - 1];
    }
  }
}

}  // namespace

TileGrid make_grid(const Shape& shape, std::span<const device::Tensor> inputs,
                   const TileOrigin* origin, TileOperand* operands) {
  TileGrid grid;
  grid.elements = 1;
  for (int64_t d : shape) grid.elements *= d;
  if (grid.elements == 0) return grid;
  Strides index_strides(shape.size());
  int64_t stride = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    index_strides[i] = stride;
    stride *= origin ? origin->whole[i] : shape[i];
    if (origin) grid.index_base += origin->begin[i] * index_strides[i];
  }
  for (size_t k = 0; k < inputs.size(); ++k) {
    operands[k].data = static_cast<std::byte*>(inputs[k].data);
    operands[k].size = static_cast<uint32_t>(size_of(inputs[k].dtype));
  }
  merge_axes(shape, inputs, index_strides.data(), &grid, operands);
  stride = 1;
  for (int i = grid.ndim; i-- > 0;) {
    grid.out_strides[i] = stride;
    stride *= grid.dims[i];
  }
  choose_mode(inputs.size(), operands, &grid);
  count_tiles(&grid);
  return grid;
}

TileRegion tile_region(const TileGrid& grid, int64_t tile) {
  TileRegion region;
  const int last = grid.ndim - 1;
  if (grid.mode == TileGrid::Mode::kFlat) {
    region.flat = tile * static_cast<int64_t>(kTileElements);
    region.n = std::min<int64_t>(kTileElements, grid.elements - region.flat);
    region.cols = region.n;
    int64_t rest = region.flat;
    for (int i = last; i >= 0; --i) {
      region.coord[i] = rest % grid.dims[i];
      rest /= grid.dims[i];
    }
    return region;
  }
  const bool blocks = grid.mode == TileGrid::Mode::kBlocks;
  for (int i = last; i >= 0; --i) {
    const int64_t side = i == last ? (blocks ? kBlockSide : static_cast<int64_t>(kTileElements))
                         : blocks && i == grid.block_axis ? kBlockSide
                                                          : 1;
    int64_t count = side == 1 ? grid.dims[i] : pieces(grid.dims[i], side);
    int64_t at = tile;
    if (i > 0) at = tile % count, tile /= count;
    region.coord[i] = at * side;
    region.flat += region.coord[i] * grid.out_strides[i];
    if (side == 1) continue;
    const size_t extent = std::min(side, grid.dims[i] - region.coord[i]);
    (i == last ? region.cols : region.rows) = extent;
  }
  region.n = region.rows * region.cols;
  return region;
}

std::byte* region_address(const TileGrid& grid, const TileOperand& operand,
                          const TileRegion& region) {
  int64_t offset = 0;
  for (int i = 0; i < grid.ndim; ++i) offset += region.coord[i] * operand.strides[i];
  return operand.data + offset * static_cast<int64_t>(operand.size);
}

void gather_tile(const TileGrid& grid, const TileOperand& operand, const TileRegion& region,
                 void* dst) {
  switch (operand.size) {
    case 1:
      return gather(grid, operand, region, static_cast<uint8_t*>(dst));
    case 2:
      return gather(grid, operand, region, static_cast<uint16_t*>(dst));
    case 4:
      return gather(grid, operand, region, static_cast<uint32_t*>(dst));
    default:
      return gather(grid, operand, region, static_cast<uint64_t*>(dst));
  }
}

void scatter_tile(const TileGrid& grid, const TileRegion& region, const void* src, size_t size,
                  std::byte* out) {
  const auto* from = static_cast<const std::byte*>(src);
  const int64_t row = grid.out_strides[grid.block_axis];
  const size_t bytes = region.cols * size;
  for (size_t r = 0; r < region.rows; ++r) {
    auto* to = out + (region.flat + static_cast<int64_t>(r) * row) * static_cast<int64_t>(size);
    for (size_t i = 0; i < bytes; i += 64) __builtin_prefetch(to + bytes + i, 1);
    std::memcpy(to, from + r * bytes, bytes);
  }
}

}  // namespace plimsoll::cpu
