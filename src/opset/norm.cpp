#include "opset/norm.h"

#include <algorithm>

namespace plimsoll {
namespace {

// `is_row(i)` says which inputs have x's shape and follow the axis; the others are needed whole.
template <typename IsRow>
TileAxis row_axis(const OpInstance& op, int8_t axis, IsRow is_row) {
  TileAxis t;
  t.extent = op.inputs[0].shape[axis];
  for (size_t i = 0; i < op.inputs.size(); ++i) t.input_axis.push_back(is_row(i) ? axis : kWhole);
  for (size_t i = 0; i < op.outputs.size(); ++i) t.output_axis.push_back(i == 0 ? axis : kWhole);
  return t;
}

}  // namespace

Tiling norm_tiling(const OpInstance& op) {
  Tiling tiling;
  for (int8_t i = 0; i + 1 < static_cast<int8_t>(op.inputs[0].shape.size()); ++i)
    tiling.push_back(row_axis(op, i, [](size_t k) { return k == 0; }));
  return tiling;
}

Tiling norm_vjp_tiling(const OpInstance& op) {
  const Shape& shape = op.inputs[0].shape;
  const int8_t rank = static_cast<int8_t>(shape.size());
  const auto is_row = [&](size_t k) { return k == 0 || k + 1 == op.inputs.size(); };
  Tiling tiling;
  if (op.outputs.size() == 1) {
    for (int8_t i = 0; i + 1 < rank; ++i) tiling.push_back(row_axis(op, i, is_row));
  } else if (rank > 1) {
    int64_t rows = 1;  // rows per index of axis 0
    for (int8_t i = 1; i + 1 < rank; ++i) rows *= shape[i];
    TileAxis axis = row_axis(op, 0, is_row);
    axis.grain = std::max<int64_t>(1, kNormRowBlock / std::max<int64_t>(rows, 1));
    axis.ordered = true;
    tiling.push_back(axis);
  }
  return tiling;
}

}  // namespace plimsoll
