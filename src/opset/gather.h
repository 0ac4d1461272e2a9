// Reading elements that integer arrays name.
//
//   take            (a, indices)        out = a.shape[:axis] + indices.shape + a.shape[axis+1:]
//   take_along_axis (a, indices)        same rank; out = indices.shape
//   gather          (a, idx0, idx1, …)  one index array per axis of `axes`, all of one shape I
//                                       (broadcast by the op); out = I + the other axes of a
//
// x[i, j] is gather with axes (0, 1); x[:, i, j] is gather with axes (1, 2) followed by moving the
// index axes behind axis 0 (a view). Index arrays have any integer dtype but bool; a negative index
// counts from the end; one outside raises IndexError before anything is written.
#pragma once

#include <tuple>
#include <utility>

#include "opset/attrs.h"
#include "opset/tiling.h"

namespace plimsoll {

struct TakeAttrs : Attrs<TakeAttrs> {
  int axis = 0;  // in [0, ndim)
  TakeAttrs() = default;
  explicit TakeAttrs(int axis_) : axis(axis_) {}
  static constexpr const char* kName = "take";
  auto fields() const { return std::tie(axis); }
};

struct TakeAlongAxisAttrs : Attrs<TakeAlongAxisAttrs> {
  int axis = 0;  // in [0, ndim)
  TakeAlongAxisAttrs() = default;
  explicit TakeAlongAxisAttrs(int axis_) : axis(axis_) {}
  static constexpr const char* kName = "take_along_axis";
  auto fields() const { return std::tie(axis); }
};

struct GatherAttrs : Attrs<GatherAttrs> {
  Dims axes;  // indexed axes of a, strictly ascending, one per index array
  GatherAttrs() = default;
  explicit GatherAttrs(Dims axes_) : axes(std::move(axes_)) {}
  static constexpr const char* kName = "gather";
  auto fields() const { return std::tie(axes); }
};

/// Every axis of the output is an unordered loop; every indexed axis of `a` an ordered one, whose
/// turns copy what falls inside the window, so that the source need not be resident whole.
Tiling take_tiling(const OpInstance& op);
Tiling take_along_axis_tiling(const OpInstance& op);
Tiling gather_tiling(const OpInstance& op);

}  // namespace plimsoll
