// Attributes of the elementwise and random ops that need any: what their tile instruction needs
// besides its operands, and the shape of a result that no operand gives.
//
//   astype       dtype
//   full         dtype, shape           input: the value, broadcast to shape
//   arange       dtype, shape, start, step   no inputs; element i is start + i * step
//   random_bits  dtype (uint32), shape, count_per_key   input: keys [batch…, 2] (uint32)
//
// random_bits. Each key gives a stream of n = count_per_key words of 32 bits, the product of the
// result's axes behind the batch axes. Threefry-2x32 with 20 rounds (Salmon et al., "Parallel
// random numbers: as easy as 1, 2, 3", SC 2011) runs over counter pairs. With h = ceil(n / 2), pair
// p in [0, h) has the counters (p, q), q = p + h, but 0 where p + h = n (n odd); its two result
// words are elements p and p + h of the stream. Checked against the mlx wheel for n = 2 … 2^20.
#pragma once

#include <tuple>
#include <utility>

#include "opset/attrs.h"

namespace plimsoll {

struct TileAttrs : Attrs<TileAttrs> {
  Dtype dtype = Dtype::kFloat32;
  Shape shape;
  double start = 0, step = 0;
  int64_t count_per_key = 0;

  TileAttrs() = default;
  explicit TileAttrs(Dtype dtype_, Shape shape_ = {}, double start_ = 0, double step_ = 0,
                     int64_t count_per_key_ = 0)
      : dtype(dtype_),
        shape(std::move(shape_)),
        start(start_),
        step(step_),
        count_per_key(count_per_key_) {}
  static constexpr const char* kName = "tile";
  auto fields() const { return std::tie(dtype, shape, start, step, count_per_key); }
};

}  // namespace plimsoll
