// Convolutions: one op with groups as an axis; both its gradients are the same op again.
#include "plimsoll/ops/conv.h"

#include "ops/common.h"
#include "ops/lists.h"
#include "opset/conv.h"
#include "plimsoll/ops/view.h"

namespace plimsoll {
namespace ops {
namespace {

int64_t spread(int64_t n, int64_t dilation) { return n > 0 ? (n - 1) * dilation + 1 : 0; }

void infer_conv(const OpInstance& op, std::vector<TensorSpec>& out) {
  const Shape &x = op.inputs[0].shape, &w = op.inputs[1].shape;
  const auto& a = attrs_as<ConvAttrs>(op.attrs);
  Shape shape{x[0]};
  for (size_t d = 0; d + 3 < x.size(); ++d) {
    const int64_t room = spread(x[1 + d], a.input_dilation[d]) + a.low[d] + a.high[d] -
                         spread(w[2 + d], a.dilation[d]);
    shape.push_back(room < 0 ? 0 : room / a.strides[d] + 1);
  }
  shape.push_back(w[0]);
  shape.push_back(w[1]);
  out.push_back({op.inputs[0].dtype, std::move(shape)});
}

const OpDef& conv_def();

array record_conv(const array& x, const array& w, ConvAttrs attrs) {
  return record(conv_def(), {x, w}, make_attrs(std::move(attrs)));
}

/// The spatial axes of w, all taken backwards: a view.
array flipped(const array& w) {
  Dims start(w.ndim(), 0), stop(w.shape().begin(), w.shape().end()), step(w.ndim(), 1);
  for (int d = 2; d + 1 < w.ndim(); ++d) {
    start[d] = w.shape()[d] - 1;
    stop[d] = -w.shape()[d] - 1;
    step[d] = -1;
  }
  return slice(w, start, stop, step);
}

// With x spread by i and taps by d, output o meets input x by tap p where o s + p d - low = x i.
// For the gradient by x that is a convolution of g, spread by s, with the taps backwards.
array gradient_by_input(const VjpArgs& v, const ConvAttrs& a) {
  const array &x = v.inputs[0], &w = v.inputs[1], &g = v.cotangents[0];
  ConvAttrs back(a.input_dilation, a.low, a.high, a.dilation, a.strides);
  for (size_t d = 0; d < a.low.size(); ++d) {
    const int64_t reach = (w.shape()[2 + d] - 1) * a.dilation[d];
    back.low[d] = reach - a.low[d];
    back.high[d] = (x.shape()[1 + d] - 1) * a.input_dilation[d] -
                   (g.shape()[1 + d] - 1) * a.strides[d] + a.low[d];
  }
  return record_conv(g, swapaxes(flipped(w), 1, -1), std::move(back));  // w as [G, C, taps…, O]
}

// The gradient by w is a convolution of x, whose channels are its batch, with g as taps: x as
// [C, in…, G, N] by g as [G, O, out…, N] gives [C, taps…, G, O].
array gradient_by_weight(const VjpArgs& v, const ConvAttrs& a) {
  const array &x = v.inputs[0], &w = v.inputs[1], &g = v.cotangents[0];
  const int ndim = x.ndim();
  ConvAttrs sums(a.dilation, a.low, a.high, a.strides, a.input_dilation);
  Dims taps{ndim - 2, ndim - 1}, back{ndim - 2, ndim - 1};
  for (int d = 0; d < ndim - 3; ++d) {
    sums.high[d] = (w.shape()[2 + d] - 1) * a.dilation[d] + (g.shape()[1 + d] - 1) * a.strides[d] -
                   (x.shape()[1 + d] - 1) * a.input_dilation[d] - a.low[d];
    taps.push_back(1 + d);
    back.push_back(1 + d);
  }
  taps.push_back(0);
  back.push_back(0);
  return transpose(record_conv(swapaxes(x, 0, -1), transpose(g, taps), std::move(sums)), back);
}

std::vector<array> conv_vjp(const VjpArgs& v) {
  const auto& a = attrs_as<ConvAttrs>(v.attrs);
  std::vector<array> out(2);
  if (v.needed[0]) out[0] = gradient_by_input(v, a);
  if (v.needed[1]) out[1] = gradient_by_weight(v, a);
  return out;
}

/// The batch of x and w in front of axis `at` of each, merged with it.
array merged(const array& a, int axis, int at) {
  return flatten(moveaxis(a, axis, at), at, at + 1);
}

// A batch of inputs is more of N; a batch of weights is more output channels; of both, more groups.
VmapResult conv_vmap(const VmapArgs& v) {
  const array &x = v.inputs[0], &w = v.inputs[1];
  const auto again = [&](const array& a, const array& b) {
    return record(conv_def(), {a, b}, same_attrs(v.attrs));
  };
  if (v.axes[1] < 0) {
    array out = again(merged(x, v.axes[0], 0), w);
    return {{unflatten(out, 0, {v.batch, -1})}, {0}};
  }
  const int rank = v.inputs[1].ndim() - 1;
  if (v.axes[0] < 0) {
    array out = again(x, merged(w, v.axes[1], 1));
    return {{unflatten(out, rank - 1, {v.batch, -1})}, {rank - 1}};
  }
  array out = again(merged(x, v.axes[0], rank - 2), merged(w, v.axes[1], 0));
  return {{unflatten(out, rank - 2, {v.batch, -1})}, {rank - 2}};
}

double conv_flops(const OpInstance& op) {
  const Shape& w = op.inputs[1].shape;
  double terms = 2;
  for (size_t d = 2; d < w.size(); ++d) terms *= static_cast<double>(w[d]);
  return terms * static_cast<double>(num_elements(op.outputs[0].shape));
}

constinit const OpDef kConv{
    .name = "conv",
    .kind = Kind::kContraction,
    .attrs = &kAttrsOf<ConvAttrs>,
    .check = contract::conv,
    .infer = infer_conv,
    .vjp = conv_vjp,
    .vmap = conv_vmap,
    .tiling = conv_tiling,
    .flops = conv_flops,
    .doc =
        "Convolution with groups as an axis; see opset/conv.h. Public ones are views around it."};

const OpDef& conv_def() { return kConv; }

constinit const OpDef kConvGeneral = composite(
    "conv_general", boxed<&conv_general>::call,
    "conv_general(input: array, weight: array, /, stride: int | Sequence[int] = 1, padding: int | "
    "Sequence[int] | tuple[Sequence[int], Sequence[int]] = 0, kernel_dilation: int | Sequence[int] "
    "= 1, input_dilation: int | Sequence[int] = 1, groups: int = 1, flip: bool = False, *, stream: "
    "None | Stream | Device = None) -> array",
    R"(Convolution over one to three spatial axes, with everything that can be chosen.

``input`` is [N, spatial…, C], ``weight`` [O, taps…, C / groups]; the result is [N, spatial…, O] with
(spread input + low + high padding - spread taps) // stride + 1 elements an axis, where a dilation of
d spreads n elements over (n - 1) d + 1. ``padding`` is a number, one an axis, or a pair of lists
(low, high). ``groups`` cuts the channels into as many independent convolutions; ``flip`` takes the
taps backwards (convolution proper; without it, cross-correlation). The dtypes are promoted to a
float; float16 and bfloat16 are summed in float32 and rounded once. Raises ValueError for other
dtypes and for shapes that do not fit.

Example:
    >>> x = mx.array([[[1.0], [2.0], [3.0]]])
    >>> mx.conv_general(x, mx.ones((1, 2, 1)), padding=([1], [0]))
    array([[[1],
            [3],
            [5]]], dtype=float32)
)");

constinit const OpDef kConv1d =
    composite("conv1d", boxed<&conv1d>::call,
              "conv1d(input: array, weight: array, /, stride: int = 1, padding: int = 0, dilation: "
              "int = 1, groups: int = 1, *, stream: None | Stream | Device = None) -> array",
              R"(Convolution of [N, L, C] with [O, taps, C / groups], zeros padded at both ends.

Takes dtypes and raises errors as conv_general does.

Example:
    >>> mx.conv1d(mx.array([[[1.0], [2.0], [4.0]]]), mx.ones((1, 2, 1)))
    array([[[3],
            [6]]], dtype=float32)
)");

constinit const OpDef kConv2d =
    composite("conv2d", boxed<&conv2d>::call,
              "conv2d(input: array, weight: array, /, stride: int | tuple[int, int] = 1, padding: "
              "int | tuple[int, int] = 0, dilation: int | tuple[int, int] = 1, groups: int = 1, *, "
              "stream: None | Stream | Device = None) -> array",
              R"(Convolution of [N, H, W, C] with [O, taps, taps, C / groups].

Zeros are padded on all sides; a single number stands for both axes. Takes dtypes and raises errors
as conv_general does.

Example:
    >>> mx.conv2d(mx.ones((1, 3, 3, 1)), mx.ones((1, 3, 3, 1)))
    array([[[[9]]]], dtype=float32)
)");

constinit const OpDef kConv3d =
    composite("conv3d", boxed<&conv3d>::call,
              "conv3d(input: array, weight: array, /, stride: int | tuple[int, int, int] = 1, "
              "padding: int | tuple[int, int, int] = 0, dilation: int | tuple[int, int, int] = 1, "
              "groups: int = 1, *, stream: None | Stream | Device = None) -> array",
              R"(Convolution of [N, D, H, W, C] with [O, taps, taps, taps, C / groups].

Zeros are padded on all sides; a single number stands for all axes. Takes dtypes and raises errors
as conv_general does.

Example:
    >>> mx.conv3d(mx.ones((1, 2, 2, 2, 1)), mx.ones((1, 2, 2, 2, 1)))
    array([[[[[8]]]]], dtype=float32)
)");

constinit const OpDef kConvTranspose1d = composite(
    "conv_transpose1d", boxed<&conv_transpose1d>::call,
    "conv_transpose1d(input: array, weight: array, /, stride: int = 1, padding: int = 0, dilation: "
    "int = 1, output_padding: int = 0, groups: int = 1, *, stream: None | Stream | Device = None) "
    "-> array",
    R"(Transposed convolution of [N, L, C] with [O, taps, C / groups]: conv1d's gradient by its input.

The result has (L - 1) stride - 2 padding + (taps - 1) dilation + 1 + output_padding elements.

Example:
    >>> mx.conv_transpose1d(mx.array([[[1.0], [2.0]]]), mx.ones((1, 2, 1)), stride=2)
    array([[[1],
            [1],
            [2],
            [2]]], dtype=float32)
)");

constinit const OpDef kConvTranspose2d = composite(
    "conv_transpose2d", boxed<&conv_transpose2d>::call,
    "conv_transpose2d(input: array, weight: array, /, stride: int | tuple[int, int] = 1, padding: "
    "int | tuple[int, int] = 0, dilation: int | tuple[int, int] = 1, output_padding: int | "
    "tuple[int, int] = 0, groups: int = 1, *, stream: None | Stream | Device = None) -> array",
    R"(Transposed convolution of [N, H, W, C] with [O, taps, taps, C / groups].

Sizes as conv_transpose1d's, axis by axis.

Example:
    >>> mx.conv_transpose2d(mx.ones((1, 1, 1, 1)), mx.ones((1, 2, 2, 1)))[0, :, :, 0]
    array([[1, 1],
           [1, 1]], dtype=float32)
)");

constinit const OpDef kConvTranspose3d = composite(
    "conv_transpose3d", boxed<&conv_transpose3d>::call,
    "conv_transpose3d(input: array, weight: array, /, stride: int | tuple[int, int, int] = 1, "
    "padding: int | tuple[int, int, int] = 0, dilation: int | tuple[int, int, int] = 1, "
    "output_padding: int | tuple[int, int, int] = 0, groups: int = 1, *, stream: None | Stream | "
    "Device = None) -> array",
    R"(Transposed convolution of [N, D, H, W, C] with [O, taps, taps, taps, C / groups].

Sizes as conv_transpose1d's, axis by axis.

Example:
    >>> mx.conv_transpose3d(mx.ones((1, 1, 1, 1, 1)), mx.ones((1, 1, 1, 2, 1))).shape
    (1, 1, 1, 2, 1)
)");

/// One number an axis.
Dims per_axis(const Dims& given, size_t axes, const char* what, int64_t least) {
  PLIMSOLL_CHECK(given.size() == 1 || given.size() == axes, ValueError,
                 "[conv] expected one {} or one for each of {} spatial axes, got {}", what, axes,
                 to_string(given));
  Dims out;
  for (size_t d = 0; d < axes; ++d) out.push_back(given[given.size() == 1 ? 0 : d]);
  for (int64_t x : out)
    PLIMSOLL_CHECK(x >= least, ValueError, "[conv] expected a {} of at least {}, got {}", what,
                   least, x);
  return out;
}

void check_operands(const array& x, const array& w, int64_t groups) {
  PLIMSOLL_CHECK(x.ndim() >= 3 && x.ndim() <= 5, ValueError,
                 "[conv] expected an input [N, spatial…, C] with 1 to 3 spatial axes, got shape {}",
                 to_string(x.shape()));
  PLIMSOLL_CHECK(w.ndim() == x.ndim(), ValueError,
                 "[conv] expected weights with {} axes, as the input has, got shape {}", x.ndim(),
                 to_string(w.shape()));
  PLIMSOLL_CHECK(groups >= 1, ValueError, "[conv] expected at least 1 group, got {}", groups);
  PLIMSOLL_CHECK(x.shape(-1) == w.shape(-1) * groups, ValueError,
                 "[conv] expected {} input channels in each of {} groups, as the weights have, got "
                 "input {} and weights {}; channels are the last axis",
                 w.shape(-1), groups, to_string(x.shape()), to_string(w.shape()));
  PLIMSOLL_CHECK(w.shape()[0] % groups == 0, ValueError,
                 "[conv] expected output channels that {} groups divide, got {}", groups,
                 w.shape()[0]);
}

void check_room(const array& x, const array& w, const ConvAttrs& a) {
  for (size_t d = 0; d < a.low.size(); ++d) {
    const int64_t room = spread(x.shape()[1 + d], a.input_dilation[d]) + a.low[d] + a.high[d];
    PLIMSOLL_CHECK(w.shape()[1 + d] > 0 && room >= spread(w.shape()[1 + d], a.dilation[d]),
                   ValueError,
                   "[conv] expected an input that holds the taps on spatial axis {}, got {} padded "
                   "elements, input {}, weights {}",
                   d, room, to_string(x.shape()), to_string(w.shape()));
  }
}

array convolve(const array& input, const array& weight, ConvAttrs attrs, int64_t groups,
               bool flip) {
  const Dtype t = result_dtype(input, weight);
  PLIMSOLL_CHECK(
      is_inexact(t) && t != Dtype::kComplex64, ValueError,
      "[conv] expected dtypes that promote to a real float, got {} and {}; cast one with "
      "astype",
      name_of(input.dtype()), name_of(weight.dtype()));
  check_room(input, weight, attrs);
  array x = unflatten(cast(input, t), -1, {groups, weight.shape(-1)});
  array w = unflatten(cast(weight, t), 0, {groups, weight.shape()[0] / groups});
  return flatten(record_conv(x, flip ? flipped(w) : w, std::move(attrs)), -2, -1);
}

/// As conv_general without input dilation, for `axes` spatial axes.
array plain(const array& x, const array& w, const Dims& stride, const Dims& padding,
            const Dims& dilation, int64_t groups, int axes) {
  PLIMSOLL_CHECK(x.ndim() == axes + 2, ValueError,
                 "[conv{}d] expected an input with {} axes, got shape {}", axes, axes + 2,
                 to_string(x.shape()));
  check_operands(x, w, groups);
  const Dims pad = per_axis(padding, axes, "padding", INT64_MIN);
  return conv_general(x, w, stride, pad, dilation, {1}, groups, false);
}

array transposed(const array& x, const array& w, const Dims& stride, const Dims& padding,
                 const Dims& dilation, const Dims& output_padding, int64_t groups, int axes) {
  PLIMSOLL_CHECK(x.ndim() == axes + 2, ValueError,
                 "[conv_transpose{}d] expected an input with {} axes, got shape {}", axes, axes + 2,
                 to_string(x.shape()));
  check_operands(x, w, groups);
  const Dims pad = per_axis(padding, axes, "padding", INT64_MIN);
  const Dims extra = per_axis(output_padding, axes, "output padding", INT64_MIN);
  ConvAttrs a(Dims(axes, 1), pad, pad, per_axis(dilation, axes, "dilation", 1),
              per_axis(stride, axes, "stride", 1));
  for (int d = 0; d < axes; ++d) {
    a.low[d] = (w.shape()[1 + d] - 1) * a.dilation[d] - pad[d];
    a.high[d] = a.low[d] + extra[d];
  }
  return convolve(x, w, std::move(a), groups, true);
}

}  // namespace

OpList conv_ops() {
  static constexpr const OpDef* kOps[] = {
      &kConv,   &kConvGeneral,     &kConv1d,          &kConv2d,
      &kConv3d, &kConvTranspose1d, &kConvTranspose2d, &kConvTranspose3d};
  return kOps;
}

}  // namespace ops

array conv_general(const array& input, const array& weight, const Dims& stride, const Dims& padding,
                   const Dims& kernel_dilation, const Dims& input_dilation, int64_t groups,
                   bool flip) {
  using namespace ops;
  check_operands(input, weight, groups);
  const size_t axes = static_cast<size_t>(input.ndim()) - 2;
  const bool pair = padding.size() == 2 * axes;
  const Dims low(padding.begin(), pair ? padding.begin() + axes : padding.end());
  const Dims high(pair ? padding.begin() + axes : padding.begin(), padding.end());
  return convolve(input, weight,
                  {per_axis(stride, axes, "stride", 1), per_axis(low, axes, "padding", INT64_MIN),
                   per_axis(high, axes, "padding", INT64_MIN),
                   per_axis(kernel_dilation, axes, "kernel dilation", 1),
                   per_axis(input_dilation, axes, "input dilation", 1)},
                  groups, flip);
}

array conv1d(const array& input, const array& weight, int64_t stride, int64_t padding,
             int64_t dilation, int64_t groups) {
  return ops::plain(input, weight, {stride}, {padding}, {dilation}, groups, 1);
}
array conv2d(const array& input, const array& weight, const Dims& stride, const Dims& padding,
             const Dims& dilation, int64_t groups) {
  return ops::plain(input, weight, stride, padding, dilation, groups, 2);
}
array conv3d(const array& input, const array& weight, const Dims& stride, const Dims& padding,
             const Dims& dilation, int64_t groups) {
  return ops::plain(input, weight, stride, padding, dilation, groups, 3);
}

array conv_transpose1d(const array& input, const array& weight, int64_t stride, int64_t padding,
                       int64_t dilation, int64_t output_padding, int64_t groups) {
  return ops::transposed(input, weight, {stride}, {padding}, {dilation}, {output_padding}, groups,
                         1);
}
array conv_transpose2d(const array& input, const array& weight, const Dims& stride,
                       const Dims& padding, const Dims& dilation, const Dims& output_padding,
                       int64_t groups) {
  return ops::transposed(input, weight, stride, padding, dilation, output_padding, groups, 2);
}
array conv_transpose3d(const array& input, const array& weight, const Dims& stride,
                       const Dims& padding, const Dims& dilation, const Dims& output_padding,
                       int64_t groups) {
  return ops::transposed(input, weight, stride, padding, dilation, output_padding, groups, 3);
}

}  // namespace plimsoll
