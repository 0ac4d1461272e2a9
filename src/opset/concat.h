// Joining arrays along an axis, and replacing a slice of one.
//
//   concatenate  (x0, x1, …)      any number of inputs of one dtype, equal but for `axis`
//   slice_update (base, update)   out = base with out[start:stop:step] = update; the update has the
//                                 slice's shape. A pad is a slice_update of a filled base.
#pragma once

#include <tuple>
#include <utility>

#include "opset/attrs.h"
#include "opset/tiling.h"

namespace plimsoll {

struct ConcatAttrs : Attrs<ConcatAttrs> {
  int axis = 0;  // in [0, ndim)
  ConcatAttrs() = default;
  explicit ConcatAttrs(int axis_) : axis(axis_) {}
  static constexpr const char* kName = "concatenate";
  auto fields() const { return std::tie(axis); }
};

/// Position i of the update goes to start + i * step on each axis; its extent there is
/// ceil((stop - start) / step). Normalised by the op: 0 <= start, start <= stop <= extent where
/// step > 0, -1 <= stop <= start < extent where step < 0.
struct SliceUpdateAttrs : Attrs<SliceUpdateAttrs> {
  Dims start, stop, step;  // one per axis of base
  SliceUpdateAttrs() = default;
  SliceUpdateAttrs(Dims start_, Dims stop_, Dims step_)
      : start(std::move(start_)), stop(std::move(stop_)), step(std::move(step_)) {}
  static constexpr const char* kName = "slice_update";
  auto fields() const { return std::tie(start, stop, step); }
};

/// Every axis but the joined one, unordered.
Tiling concatenate_tiling(const OpInstance& op);
/// Every axis, unordered; the update is cut along the axes that the slice covers whole.
Tiling slice_update_tiling(const OpInstance& op);

}  // namespace plimsoll
