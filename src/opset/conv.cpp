#include "opset/conv.h"

#include <algorithm>

#include "opset/tile_axis.h"

namespace plimsoll {
namespace {

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// The least equal blocks of at most `most` that an extent is cut into.
int64_t even_block(int64_t extent, int64_t most) {
  if (extent <= 0) return 1;
  return ceil_div(extent, ceil_div(extent, std::max<int64_t>(most, 1)));
}

}  // namespace

ConvPanels conv_panels(const int64_t (&taps)[3], int64_t channels) {
  ConvPanels p;
  int64_t terms = 1;
  for (int d = 2; d >= 0; --d) {
    p.taps[d] = even_block(taps[d], kConvPanel / terms);
    terms *= p.taps[d];
    if (p.taps[d] < taps[d]) return p;
  }
  p.channels = even_block(channels, kConvPanel / terms);
  return p;
}

void conv_taps(const Shape& w, int64_t (&taps)[3]) {
  const size_t spatial = w.size() - 3;
  for (size_t d = 0; d < 3; ++d) taps[d] = d + spatial < 3 ? 1 : w[2 + d + spatial - 3];
}

Tiling conv_tiling(const OpInstance& op) {
  const Shape &x = op.inputs[0].shape, &w = op.inputs[1].shape, &out = op.outputs[0].shape;
  const auto last = static_cast<int8_t>(out.size() - 1);
  TileAxis batch = whole_axis(op, out[0]);
  batch.input_axis[0] = batch.output_axis[0] = 0;
  TileAxis groups = whole_axis(op, out[last - 1]);
  groups.input_axis[0] = groups.output_axis[0] = static_cast<int8_t>(last - 1);
  groups.input_axis[1] = 0;
  TileAxis columns = whole_axis(op, out[last]);
  columns.input_axis[1] = 1;
  columns.output_axis[0] = last;
  TileAxis channels = whole_axis(op, x[last]);
  int64_t taps[3];
  conv_taps(w, taps);
  channels.grain = conv_panels(taps, x[last]).channels;
  channels.ordered = true;
  channels.input_axis[0] = channels.input_axis[1] = last;
  return {batch, groups, columns, channels};
}

}  // namespace plimsoll
