// Scalar loops for tile kernels that are not worth a CPU target each.
#pragma once

#include "backends/cpu/tile_kernels.h"

namespace plimsoll::cpu {

/// F is a captureless callable; splat operands are read at step 0.
template <class A, class R, auto kF>
void scalar_unary(const TileCall& c) {
  const A* a = static_cast<const A*>(c.src[0]);
  R* r = static_cast<R*>(c.dst);
  for (size_t i = 0; i < c.n; ++i) r[i] = kF(a[i]);
}

template <class A, class R, auto kF>
void scalar_binary(const TileCall& c) {
  const A* a = static_cast<const A*>(c.src[0]);
  const A* b = static_cast<const A*>(c.src[1]);
  R* r = static_cast<R*>(c.dst);
  const size_t a_step = c.splat & 1 ? 0 : 1, b_step = c.splat & 2 ? 0 : 1;
  for (size_t i = 0; i < c.n; ++i) r[i] = kF(a[i * a_step], b[i * b_step]);
}

}  // namespace plimsoll::cpu
