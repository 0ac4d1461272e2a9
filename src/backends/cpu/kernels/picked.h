// Products of matrices that indices pick, as opset/gather_mm.h and opset/quantize.h define them.
#pragma once

#include "backends/cpu/kernels/partition.h"
#include "base/check.h"

namespace plimsoll::cpu {

/// The position that an index names. Raises IndexError outside.
inline int64_t picked_index(int64_t index, int64_t extent, const char* op, const char* side) {
  PLIMSOLL_CHECK(index >= -extent && index < extent, IndexError,
                 "[{}] expected {} indices in [{}, {}), got {}", op, side, -extent, extent, index);
  return index < 0 ? index + extent : index;
}

/// Calls f(s, n, left, right) for products [s, s + n) of the left matrices from `left` on and the
/// right one at `right` among those present; f returns how many of them it made, at least 1. Where
/// `joins` says so, neighbours that share their right matrix come together: they are one taller
/// product, with the same bits. All indices are checked before the first call of the first turn.
template <typename F>
void for_each_picked(const device::KernelArgs& args, int first_index, const char* op, bool joins,
                     const F& f) {
  const auto* lhs = args.inputs[first_index].as<const int64_t>();
  const auto* rhs = args.inputs[first_index + 1].as<const int64_t>();
  const device::Tensor& out = args.outputs[0];
  const int64_t items = out.shape[0], lefts = args.inputs[0].shape[0];
  const TileWindow present = window_of(args, 3, args.inputs[1].shape[0]);
  const auto left = [&](int64_t s) { return picked_index(lhs[s], lefts, op, "left"); };
  const auto right = [&](int64_t s) { return picked_index(rhs[s], present.extent, op, "right"); };
  for (int64_t s = 0; present.first() && s < items; ++s) {
    left(s);
    right(s);
  }
  if (out.shape[1] == 0 || out.shape[2] == 0) return;
  for (int64_t s = 0, n = 1; s < items; s += n, n = 1) {
    const int64_t i = left(s), j = right(s);
    if (j < present.begin || j >= present.end) continue;
    while (joins && s + n < items && right(s + n) == j && left(s + n) == i + n) ++n;
    n = f(s, n, i, j - present.begin);
  }
}

}  // namespace plimsoll::cpu
