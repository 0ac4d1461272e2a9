// Convolutions, channels last.
#pragma once

#include "plimsoll/array.h"

namespace plimsoll {

/// Cross-correlation of `input` [N, spatial…, C] with `weight` [O, taps…, C / groups], one to three
/// spatial axes. Each list has one number for all axes or one an axis; `padding` may also hold all
/// low, then all high paddings. `flip` reverses the taps.
array conv_general(const array& input, const array& weight, const Dims& stride = {1},
                   const Dims& padding = {0}, const Dims& kernel_dilation = {1},
                   const Dims& input_dilation = {1}, int64_t groups = 1, bool flip = false);

array conv1d(const array& input, const array& weight, int64_t stride = 1, int64_t padding = 0,
             int64_t dilation = 1, int64_t groups = 1);
array conv2d(const array& input, const array& weight, const Dims& stride = {1},
             const Dims& padding = {0}, const Dims& dilation = {1}, int64_t groups = 1);
array conv3d(const array& input, const array& weight, const Dims& stride = {1},
             const Dims& padding = {0}, const Dims& dilation = {1}, int64_t groups = 1);

/// Transposed convolutions: `stride` spreads the input; `weight` is [O, taps…, C / groups].
array conv_transpose1d(const array& input, const array& weight, int64_t stride = 1,
                       int64_t padding = 0, int64_t dilation = 1, int64_t output_padding = 0,
                       int64_t groups = 1);
array conv_transpose2d(const array& input, const array& weight, const Dims& stride = {1},
                       const Dims& padding = {0}, const Dims& dilation = {1},
                       const Dims& output_padding = {0}, int64_t groups = 1);
array conv_transpose3d(const array& input, const array& weight, const Dims& stride = {1},
                       const Dims& padding = {0}, const Dims& dilation = {1},
                       const Dims& output_padding = {0}, int64_t groups = 1);

}  // namespace plimsoll
