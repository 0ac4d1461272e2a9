// Discrete Fourier transforms along one axis.
//
//   dft (a)    complex64 → complex64 of the same shape: Σ_j a_j exp(∓2πi jk / n), not scaled
//   rdft (a)   float32 → complex64: the first n / 2 + 1 terms of that, n even; `inverse` is not set
//   irdft (a)  complex64 → float32: the n numbers of n / 2 + 1 terms, which stand for their
//              conjugates, too; n even, not scaled; `inverse` is set
#pragma once

#include <tuple>

#include "opset/attrs.h"
#include "opset/tiling.h"

namespace plimsoll {

struct FftAttrs : Attrs<FftAttrs> {
  int axis = 0;
  bool inverse = false;  // the sign of the exponent is +
  FftAttrs() = default;
  FftAttrs(int axis_, bool inverse_) : axis(axis_), inverse(inverse_) {}
  static constexpr const char* kName = "fft";
  auto fields() const { return std::tie(axis, inverse); }
};

/// All axes but the transform's, unordered.
Tiling fft_tiling(const OpInstance& op);

}  // namespace plimsoll
