// How an operation can be cut, for the planner: which axes a loop may run over and which part of
// each operand one turn needs.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/small_vector.h"
#include "opset/attrs.h"
#include "plimsoll/dtype.h"

namespace plimsoll {

/// Shape and dtype of an operand of the whole problem.
struct TensorSpec {
  Dtype dtype;
  Shape shape;
};

/// An operation with everything that its cost, workspace and tiles depend on.
struct OpInstance {
  std::span<const TensorSpec> inputs;
  std::span<const TensorSpec> outputs;
  const AttrBase* attrs = nullptr;
};

inline constexpr int8_t kWhole = -1;  // the turn needs this operand whole

struct TileAxis {
  int64_t extent = 0;  // length of the axis in the whole problem
  int64_t grain = 1;   // cuts only at multiples of it, anchored at 0
  // Turns run in ascending order and carry state: K panels of a product, blocks of a reduction or a
  // scan. An output whose axis is kWhole is accumulated and is final after the last turn.
  bool ordered = false;
  SmallVector<int8_t, 6> input_axis;   // axis of each input that the loop cuts, or kWhole
  SmallVector<int8_t, 2> output_axis;  // axis of each output, or kWhole
  /// Each turn passes over all inputs again to make its part of the outputs, as a sort does.
  bool repeats() const {
    return ordered && std::all_of(input_axis.begin(), input_axis.end(),
                                  [](int8_t axis) { return axis == kWhole; });
  }
};

/// Loops that may be nested in any order; unordered ones go outside ordered ones. Bits must not
/// depend on whether or where a loop is cut.
using Tiling = std::vector<TileAxis>;

/// The part of a TileAxis that one kernel call covers.
struct TileWindow {
  int axis = 0;  // index into the op's Tiling
  int64_t begin = 0;
  int64_t end = 0;
  int64_t extent = 0;
  bool first() const { return begin == 0; }
  bool last() const { return end == extent; }
};

}  // namespace plimsoll
