// Attributes of views: another layout of the same bytes, where there is one.
//
//   reshape       shape      row-major order kept
//   transpose     axes       axis i of the result is axis axes[i] of the input
//   broadcast_to  shape      NumPy's broadcasting
//   slice         start, stop, step, shape   element i of an axis is start + i * step; stop is kept
//                            for printing only
//   contiguous    (none)     row-contiguous inputs are their own view
#pragma once

#include <tuple>
#include <utility>

#include "opset/attrs.h"

namespace plimsoll {

struct ShapeAttrs : Attrs<ShapeAttrs> {
  Shape shape;
  ShapeAttrs() = default;
  explicit ShapeAttrs(Shape shape_) : shape(std::move(shape_)) {}
  static constexpr const char* kName = "shape";
  auto fields() const { return std::tie(shape); }
};

struct TransposeAttrs : Attrs<TransposeAttrs> {
  Dims axes;  // a permutation of 0 … ndim-1
  TransposeAttrs() = default;
  explicit TransposeAttrs(Dims axes_) : axes(std::move(axes_)) {}
  static constexpr const char* kName = "transpose";
  auto fields() const { return std::tie(axes); }
};

/// start is in [0, extent), or 0 on an axis that comes out empty; step is not 0.
struct SliceAttrs : Attrs<SliceAttrs> {
  Dims start, stop, step;
  Shape shape;  // of the result
  SliceAttrs() = default;
  SliceAttrs(Dims start_, Dims stop_, Dims step_, Shape shape_)
      : start(std::move(start_)),
        stop(std::move(stop_)),
        step(std::move(step_)),
        shape(std::move(shape_)) {}
  static constexpr const char* kName = "slice";
  auto fields() const { return std::tie(start, stop, step, shape); }
};

}  // namespace plimsoll
