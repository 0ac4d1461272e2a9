// Reductions: attributes, result dtype, how they are cut, and the canonical order of a reduction.
//
// Ops: sum, prod, max, min, all, any, logsumexp (kernel name = op name). One input, one output.
#pragma once

#include "opset/tiling.h"

namespace plimsoll {

struct ReduceAttrs : Attrs<ReduceAttrs> {
  ReduceAttrs(Dims a, bool k) : axes(a), keepdims(k) {}
  Dims axes;  // sorted, in [0, ndim), distinct; empty: nothing is reduced
  bool keepdims = false;
  static constexpr const char* kName = "reduce";
  auto fields() const { return std::tie(axes, keepdims); }
};

/// Shape of the result.
Shape reduce_shape(const Shape& shape, const ReduceAttrs& attrs);

/// MLX's dtype of sum and prod: bool, int8, int16 → int32; uint8, uint16 → uint32; else the same.
/// (max, min: the same; all, any: bool; logsumexp: the op casts integers to float32 first.)
Dtype sum_dtype(Dtype t);

/// The kept axes in order, any cut; then the reduced axes up to the outermost one longer than 1.
/// That one is ordered; those before it have length 1 and only keep its place (entry k + i is
/// attrs.axes[i], for k kept axes).
Tiling reduce_tiling(const OpInstance& op);

/// The order in which an output element's inputs are added: a function of whole shape and axes.
///
/// Axes of length 1 do not count and neighbours of one kind are merged. Where the last merged axis
/// is reduced ("rows") a unit is one element; where it is kept ("columns") a unit is one row of
/// `width` columns. Units are cut into runs and runs into blocks of at most `block` units; blocks
/// are reduced on their own and their partials combined in ascending order.
struct ReduceOrder {
  bool rows = true;
  int64_t width = 1;       // columns: product of the kept axes behind the last reduced one
  int fold = 1;            // columns: chains that a block's rows are dealt to (row r to r mod fold)
  int64_t block = 1;       // units of a block
  int axis = -1;           // outermost reduced axis longer than 1; -1: one element is "reduced"
  int64_t axis_units = 1;  // units per index of `axis` where its merged group is the only reduced
                           // one; else units per run
  bool merged = true;      // one reduced group: a run is block-aligned along `axis`
  int64_t grain = 1;       // indices of `axis` between legal cuts
};
ReduceOrder reduce_order(const Shape& whole, const Dims& axes);

}  // namespace plimsoll
