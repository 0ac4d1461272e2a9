// Writing elements that integer arrays name; each form is the transpose of one in gather.h.
//
//   scatter_<mode>       (base, indices, updates)     updates = base.shape[:axis] + indices.shape
//                                                               + base.shape[axis+1:]
//   scatter_along_<mode> (base, indices, updates)     updates.shape = indices.shape, rank of base
//   scatter_nd_<mode>    (base, idx0, …, updates)     updates = I + the other axes of base
//
// <mode> is set, add, max, min or prod. out = base, then for every update in ascending (row-major)
// order out[where] = mode(out[where], update). Duplicates therefore apply in ascending order (set:
// the last one wins). float16 and bfloat16 compute in float32 and round after every update, as MLX
// does. bool: add and max are `or`, prod and min are `and`. complex64 has set, add and prod. max
// and min return NaN where either side is NaN.
#pragma once

#include <tuple>
#include <utility>

#include "opset/attrs.h"
#include "opset/tiling.h"

namespace plimsoll {

enum class ScatterMode : uint8_t { kSet, kAdd, kMax, kMin, kProd };

/// "scatter_add" and the like: the op's name in the KernelTable.
const char* scatter_name(ScatterMode mode);
const char* scatter_along_name(ScatterMode mode);
const char* scatter_nd_name(ScatterMode mode);

/// Attributes of scatter_<mode> and scatter_along_<mode>; the mode is in the op's name.
struct ScatterAttrs : Attrs<ScatterAttrs> {
  int axis = 0;  // in [0, ndim of base)
  ScatterAttrs() = default;
  explicit ScatterAttrs(int axis_) : axis(axis_) {}
  static constexpr const char* kName = "scatter";
  auto fields() const { return std::tie(axis); }
};

struct ScatterNdAttrs : Attrs<ScatterNdAttrs> {
  Dims axes;  // indexed axes of base, strictly ascending, one per index array
  ScatterNdAttrs() = default;
  explicit ScatterNdAttrs(Dims axes_) : axes(std::move(axes_)) {}
  static constexpr const char* kName = "scatter_nd";
  auto fields() const { return std::tie(axes); }
};

/// Every axis of the output is an unordered loop (an indexed one applies the updates whose
/// destination falls inside the window); the first index axis is an ordered one that accumulates in
/// the output.
Tiling scatter_tiling(const OpInstance& op);
Tiling scatter_along_tiling(const OpInstance& op);
Tiling scatter_nd_tiling(const OpInstance& op);

}  // namespace plimsoll
