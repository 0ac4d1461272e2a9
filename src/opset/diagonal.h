// A diagonal as a view: axes axis1 and axis2 taken out, the diagonal put behind the others. Its
// element i is element (start1 + i, start2 + i) of the two.
#pragma once

#include <tuple>

#include "opset/attrs.h"

namespace plimsoll {

struct DiagonalAttrs : Attrs<DiagonalAttrs> {
  int64_t offset = 0;
  int axis1 = 0, axis2 = 1;  // in [0, ndim), distinct
  DiagonalAttrs() = default;
  DiagonalAttrs(int64_t offset_, int axis1_, int axis2_)
      : offset(offset_), axis1(axis1_), axis2(axis2_) {}
  static constexpr const char* kName = "diagonal";
  auto fields() const { return std::tie(offset, axis1, axis2); }
};

}  // namespace plimsoll
