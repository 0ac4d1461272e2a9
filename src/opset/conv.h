// Convolution over one to three spatial axes, channels last, groups as an axis of their own.
//
//   conv (x, w)  x [N, in…, G, C], w [G, O, taps…, C] → [N, out…, G, O], all of one float dtype:
//
//     out[n, o, g, j] = Σ_p Σ_c x[n, (o·stride + p·dilation − low) / input_dilation, g, c] w[g, j,
//     p, c]
//
//                where terms whose index is outside x or no integer are zero; low and high may be
//                negative. float16 and bfloat16 are summed in float32 and rounded once.
//
// The sum runs over blocks of channels, each over boxes of taps, each over taps, then channels
// (ConvPanels); a box of a block is one ascending chain, and chains are added in ascending order.
#pragma once

#include <tuple>
#include <utility>

#include "opset/attrs.h"
#include "opset/tiling.h"

namespace plimsoll {

struct ConvAttrs : Attrs<ConvAttrs> {
  Dims strides, low, high, dilation, input_dilation;  // one a spatial axis
  ConvAttrs(Dims strides_, Dims low_, Dims high_, Dims dilation_, Dims input_dilation_)
      : strides(std::move(strides_)),
        low(std::move(low_)),
        high(std::move(high_)),
        dilation(std::move(dilation_)),
        input_dilation(std::move(input_dilation_)) {}
  static constexpr const char* kName = "conv";
  auto fields() const { return std::tie(strides, low, high, dilation, input_dilation); }
};

/// Terms of a chain, at most.
inline constexpr int64_t kConvPanel = 384;

/// How a sum is cut: lengths of a chain's box of taps (of three axes, leading ones 1 where there
/// are fewer) and of a block of channels.
struct ConvPanels {
  int64_t taps[3] = {1, 1, 1};
  int64_t channels = 1;
};
/// `taps` and `channels` of the whole problem.
ConvPanels conv_panels(const int64_t (&taps)[3], int64_t channels);

/// Taps of w as three axes.
void conv_taps(const Shape& w, int64_t (&taps)[3]);

/// Batch, groups and output channels unordered; input channels ordered, in blocks.
Tiling conv_tiling(const OpInstance& op);

}  // namespace plimsoll
