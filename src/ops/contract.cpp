#include "ops/contract.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "core/shape.h"
#include "opset/arg_reduce.h"
#include "opset/attention.h"
#include "opset/attrs_io.h"
#include "opset/concat.h"
#include "opset/conv.h"
#include "opset/diagonal.h"
#include "opset/fft.h"
#include "opset/gather.h"
#include "opset/norm.h"
#include "opset/quantize.h"
#include "opset/reduce.h"
#include "opset/reinterpret.h"
#include "opset/scan.h"
#include "opset/scatter.h"
#include "opset/sort.h"
#include "opset/tile_attrs.h"
#include "opset/view.h"

namespace plimsoll::ops::contract {
namespace {

void require(bool holds, const char* expected) {
  PLIMSOLL_CHECK(holds, ValueError, "expected {}", expected);
}

void inputs(const OpInstance& op, size_t count) {
  PLIMSOLL_CHECK(op.inputs.size() == count, ValueError, "expected {} inputs, got {}", count,
                 op.inputs.size());
}

template <typename A>
const A& attrs_of(const OpInstance& op) {
  return static_cast<const A&>(*op.attrs);
}

const Shape& shape(const OpInstance& op, size_t i) { return op.inputs[i].shape; }

void axis_of(int64_t axis, const Shape& s) {
  require(axis >= 0 && axis < static_cast<int64_t>(s.size()), "an axis of the input");
}

void dims(const Shape& s) {
  require(std::all_of(s.begin(), s.end(), [](int64_t d) { return d >= 0; }),
          "dimensions of at least 0");
}

void one_dtype(const OpInstance& op, size_t begin, size_t end) {
  for (size_t i = begin + 1; i < end; ++i)
    require(op.inputs[i].dtype == op.inputs[begin].dtype, "inputs of one dtype");
}

bool integer(Dtype t) { return is_integral(t) && t != Dtype::kBool; }

void index_dtype(const OpInstance& op, size_t i) {
  require(integer(op.inputs[i].dtype), "indices of an integer dtype");
}

void rank(const OpInstance& op, size_t i, size_t least) {
  require(shape(op, i).size() >= least, "inputs of more dimensions");
}

void ascending_axes(const Dims& axes, const Shape& s) {
  for (size_t i = 0; i < axes.size(); ++i) {
    axis_of(axes[i], s);
    require(i == 0 || axes[i - 1] < axes[i], "ascending axes");
  }
}

bool equal_but(const Shape& a, const Shape& b, int64_t axis) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i)
    if (static_cast<int64_t>(i) != axis && a[i] != b[i]) return false;
  return true;
}

/// Elements start, start + step, … (n of them) are in [0, extent).
void inside(int64_t start, int64_t step, int64_t n, int64_t extent) {
  require(n >= 0 && step != 0, "a slice of at least 0 elements with a step");
  if (n == 0) return;
  __int128 last = static_cast<__int128>(start) + static_cast<__int128>(n - 1) * step;
  require(start >= 0 && start < extent && last >= 0 && last < extent, "a slice inside the input");
}

Shape without_matrix(const Shape& s) { return Shape(s.begin(), s.end() - 2); }

}  // namespace

void one_input(const OpInstance& op) { inputs(op, 1); }

// ---- Views and creation.

void reshape(const OpInstance& op) {
  inputs(op, 1);
  const Shape& to = attrs_of<ShapeAttrs>(op).shape;
  dims(to);
  require(num_elements(to) == num_elements(shape(op, 0)), "as many elements as the input has");
}

void transpose(const OpInstance& op) {
  inputs(op, 1);
  Dims axes = attrs_of<TransposeAttrs>(op).axes;
  std::sort(axes.begin(), axes.end());
  require(axes.size() == shape(op, 0).size(), "an axis of each of the input's");
  ascending_axes(axes, shape(op, 0));
}

void broadcast_to(const OpInstance& op) {
  inputs(op, 1);
  const Shape& to = attrs_of<ShapeAttrs>(op).shape;
  dims(to);
  require(broadcast_shapes(shape(op, 0), to, "broadcast_to") == to, "a shape to broadcast to");
}

void slice(const OpInstance& op) {
  inputs(op, 1);
  const auto& a = attrs_of<SliceAttrs>(op);
  const Shape& in = shape(op, 0);
  require(a.start.size() == in.size() && a.stop.size() == in.size() && a.step.size() == in.size() &&
              a.shape.size() == in.size(),
          "a start, stop and step for each axis");
  for (size_t i = 0; i < in.size(); ++i) inside(a.start[i], a.step[i], a.shape[i], in[i]);
  for (size_t i = 0; i < in.size(); ++i)
    require(a.start[i] >= 0 && a.start[i] <= in[i], "a slice inside the input");
}

void full(const OpInstance& op) {
  const auto& a = attrs_of<TileAttrs>(op);
  dims(a.shape);
  require(op.inputs[0].dtype == a.dtype, "a value of the result's dtype");
  require(broadcast_shapes(shape(op, 0), a.shape, "full") == a.shape, "a shape to broadcast to");
}

void arange(const OpInstance& op) {
  const auto& a = attrs_of<TileAttrs>(op);
  require(a.shape.size() == 1 && a.dtype != Dtype::kBool, "one axis of numbers");
  dims(a.shape);
  double last = a.start + a.step * static_cast<double>(a.shape[0]);
  require(std::isfinite(a.start) && std::isfinite(a.step), "finite numbers");
  require(!integer(a.dtype) || (std::abs(a.start) < 0x1p63 && std::abs(last) < 0x1p63),
          "numbers of 64 bits");
}

void random_bits(const OpInstance& op) {
  const auto& a = attrs_of<TileAttrs>(op);
  const Shape& keys = shape(op, 0);
  dims(a.shape);
  require(op.inputs[0].dtype == Dtype::kUint32 && a.dtype == Dtype::kUint32, "uint32");
  require(!keys.empty() && keys.back() == 2 && a.shape.size() + 1 >= keys.size() &&
              std::equal(keys.begin(), keys.end() - 1, a.shape.begin()),
          "keys of two words for each batch");
  Shape stream(a.shape.begin() + static_cast<ptrdiff_t>(keys.size() - 1), a.shape.end());
  require(num_elements(stream) == a.count_per_key, "as many words a key as its part has");
}

void bit_view(const OpInstance& op) {
  inputs(op, 1);
  const auto& a = attrs_of<BitViewAttrs>(op);
  auto to = static_cast<int64_t>(size_of(a.dtype));
  require(a.from == static_cast<int64_t>(size_of(op.inputs[0].dtype)), "the input's item size");
  if (to == a.from) return;
  rank(op, 0, 1);
  require(shape(op, 0).back() * a.from % to == 0, "a last axis of whole elements");
}

void as_strided(const OpInstance& op) {
  inputs(op, 1);
  rank(op, 0, 1);
  const auto& a = attrs_of<AsStridedAttrs>(op);
  require(a.shape.size() == a.strides.size(), "as many strides as axes");
  dims(a.shape);
  if (num_elements(a.shape) == 0) return;
  __int128 first = a.offset, last = a.offset;
  for (size_t i = 0; i < a.shape.size(); ++i)
    (a.strides[i] < 0 ? first : last) += static_cast<__int128>(a.shape[i] - 1) * a.strides[i];
  require(first >= 0 && last < shape(op, 0).back(), "elements inside the input");
}

void diagonal(const OpInstance& op) {
  inputs(op, 1);
  const auto& a = attrs_of<DiagonalAttrs>(op);
  axis_of(a.axis1, shape(op, 0));
  axis_of(a.axis2, shape(op, 0));
  require(a.axis1 != a.axis2, "two axes");
}

// ---- Along axes.

void reduction(const OpInstance& op) {
  inputs(op, 1);
  ascending_axes(attrs_of<ReduceAttrs>(op).axes, shape(op, 0));
}

void extreme(const OpInstance& op) {
  reduction(op);
  for (int64_t axis : attrs_of<ReduceAttrs>(op).axes)
    require(shape(op, 0)[axis] != 0, "at least one element on a reduced axis");
}

void position(const OpInstance& op) {
  inputs(op, 1);
  axis_of(attrs_of<ArgReduceAttrs>(op).axis, shape(op, 0));
}

void scan(const OpInstance& op) {
  inputs(op, 1);
  axis_of(attrs_of<ScanAttrs>(op).axis, shape(op, 0));
}

void sort(const OpInstance& op) {
  inputs(op, 1);
  axis_of(attrs_of<SortAttrs>(op).axis, shape(op, 0));
}

void softmax(const OpInstance& op) {
  inputs(op, 1);
  rank(op, 0, 1);
}

void softmax_vjp(const OpInstance& op) {
  inputs(op, 2);
  rank(op, 0, 1);
  one_dtype(op, 0, 2);
  require(shape(op, 0) == shape(op, 1), "a cotangent of the result's shape");
}

namespace {
void weights(const OpInstance& op, size_t begin, size_t end) {
  rank(op, 0, 1);
  one_dtype(op, 0, op.inputs.size());
  for (size_t i = begin; i < end; ++i)
    require(shape(op, i) == Shape{shape(op, 0).back()}, "weights as long as the last axis");
}
}  // namespace

void norm(const OpInstance& op) {
  const auto& a = attrs_of<NormAttrs>(op);
  inputs(op, 1 + a.has_weight + a.has_bias);
  weights(op, 1, op.inputs.size());
}

void norm_vjp(const OpInstance& op) {
  const auto& a = attrs_of<NormAttrs>(op);
  inputs(op, 2 + a.has_weight);
  weights(op, 1, 1 + a.has_weight);
  require(shape(op, 0) == op.inputs.back().shape, "a cotangent of the result's shape");
}

void dft(const OpInstance& op) {
  inputs(op, 1);
  axis_of(attrs_of<FftAttrs>(op).axis, shape(op, 0));
  require(shape(op, 0)[attrs_of<FftAttrs>(op).axis] > 0, "at least one element on the axis");
}

void rdft(const OpInstance& op) {
  dft(op);
  require(shape(op, 0)[attrs_of<FftAttrs>(op).axis] % 2 == 0, "an even length of the axis");
  require(!attrs_of<FftAttrs>(op).inverse, "no inverse");
}

void irdft(const OpInstance& op) {
  dft(op);
  require(shape(op, 0)[attrs_of<FftAttrs>(op).axis] > 1, "at least two terms on the axis");
  require(attrs_of<FftAttrs>(op).inverse, "an inverse");
}

// ---- Indices.

void take(const OpInstance& op) {
  inputs(op, 2);
  int axis = attrs_of<TakeAttrs>(op).axis;
  axis_of(axis, shape(op, 0));
  index_dtype(op, 1);
  require(shape(op, 0)[axis] > 0 || num_elements(shape(op, 1)) == 0, "an axis that is not empty");
}

void take_along_axis(const OpInstance& op) {
  inputs(op, 2);
  int axis = attrs_of<TakeAlongAxisAttrs>(op).axis;
  axis_of(axis, shape(op, 0));
  index_dtype(op, 1);
  require(equal_but(shape(op, 0), shape(op, 1), axis), "indices of the input's shape");
}

namespace {
/// Index arrays are inputs 1 … axes.size(), all of one shape.
void indexed(const OpInstance& op, const Dims& axes) {
  require(!axes.empty(), "at least one axis");
  ascending_axes(axes, shape(op, 0));
  for (size_t i = 1; i <= axes.size(); ++i) {
    index_dtype(op, i);
    require(shape(op, i) == shape(op, 1), "indices of one shape");
  }
}

void updates(const OpInstance& op, const Shape& expected) {
  require(op.inputs.back().dtype == op.inputs[0].dtype, "updates of the input's dtype");
  require(op.inputs.back().shape == expected, "updates for each index");
}
}  // namespace

void gather(const OpInstance& op) {
  const Dims& axes = attrs_of<GatherAttrs>(op).axes;
  inputs(op, 1 + axes.size());
  indexed(op, axes);
}

void scatter(const OpInstance& op) {
  inputs(op, 3);
  int axis = attrs_of<ScatterAttrs>(op).axis;
  const Shape& base = shape(op, 0);
  axis_of(axis, base);
  index_dtype(op, 1);
  Shape expected(base.begin(), base.begin() + axis);
  for (int64_t d : shape(op, 1)) expected.push_back(d);
  for (size_t i = static_cast<size_t>(axis) + 1; i < base.size(); ++i) expected.push_back(base[i]);
  updates(op, expected);
}

void scatter_along(const OpInstance& op) {
  inputs(op, 3);
  int axis = attrs_of<ScatterAttrs>(op).axis;
  axis_of(axis, shape(op, 0));
  index_dtype(op, 1);
  require(equal_but(shape(op, 0), shape(op, 1), axis), "indices of the input's shape");
  updates(op, shape(op, 1));
}

void scatter_nd(const OpInstance& op) {
  const Dims& axes = attrs_of<ScatterNdAttrs>(op).axes;
  inputs(op, 2 + axes.size());
  indexed(op, axes);
  Shape expected = shape(op, 1);
  for (int64_t i = 0; i < static_cast<int64_t>(shape(op, 0).size()); ++i)
    if (std::find(axes.begin(), axes.end(), i) == axes.end()) expected.push_back(shape(op, 0)[i]);
  updates(op, expected);
}

void concatenate(const OpInstance& op) {
  require(!op.inputs.empty(), "at least one input");
  rank(op, 0, 1);
  axis_of(attrs_of<ConcatAttrs>(op).axis, shape(op, 0));
  one_dtype(op, 0, op.inputs.size());
}

void slice_update(const OpInstance& op) {
  inputs(op, 2);
  one_dtype(op, 0, 2);
  const auto& a = attrs_of<SliceUpdateAttrs>(op);
  const Shape &base = shape(op, 0), &update = shape(op, 1);
  require(a.start.size() == base.size() && a.stop.size() == base.size() &&
              a.step.size() == base.size() && update.size() == base.size(),
          "a start, stop and step for each axis");
  for (size_t i = 0; i < base.size(); ++i) {
    inside(a.start[i], a.step[i], update[i], base[i]);
    int64_t by = std::abs(a.step[i]),
            room = a.step[i] > 0 ? a.stop[i] - a.start[i] : a.start[i] - a.stop[i];
    require(room >= 0 && (room + by - 1) / by == update[i], "an update of the slice's shape");
  }
}

// ---- Matrices.

void matmul(const OpInstance& op) {
  inputs(op, 2);
  one_dtype(op, 0, 2);
  rank(op, 0, 2);
  const Shape &a = shape(op, 0), &b = shape(op, 1);
  require(a.size() == b.size() && a.back() == b[b.size() - 2], "matrices that fit together");
}

void gather_mm(const OpInstance& op) {
  inputs(op, 4);
  one_dtype(op, 0, 2);
  const Shape &a = shape(op, 0), &b = shape(op, 1);
  require(a.size() == 3 && b.size() == 3 && a[2] == b[1], "matrices that fit together");
  require(shape(op, 2).size() == 1 && shape(op, 2) == shape(op, 3) &&
              op.inputs[2].dtype == Dtype::kInt64 && op.inputs[3].dtype == Dtype::kInt64,
          "as many indices (int64) of both sides");
}

void segmented_mm(const OpInstance& op) {
  inputs(op, 3);
  one_dtype(op, 0, 2);
  const Shape &a = shape(op, 0), &b = shape(op, 1), &s = shape(op, 2);
  require(a.size() == 2 && b.size() == 2 && a[1] == b[0], "matrices that fit together");
  require(s.size() == 2 && s[1] == 2 && op.inputs[2].dtype == Dtype::kInt64,
          "segments of two indices (int64)");
}

namespace {
/// Packed matrices [batch…, N, K * bits / 32] with scales and biases for products with x [..., K].
void packed(const OpInstance& op) {
  const auto& a = attrs_of<QuantizedMatmulAttrs>(op);
  require(a.group == 32 || a.group == 64 || a.group == 128, "groups of 32, 64 or 128");
  require(a.bits >= 1 && a.bits <= 8 && a.bits != 7, "1, 2, 3, 4, 5, 6 or 8 bits");
  require(op.inputs[1].dtype == Dtype::kUint32, "packed numbers of uint32");
  const Dtype t = op.inputs[2].dtype;
  require(t == Dtype::kFloat16 || t == Dtype::kBfloat16 || t == Dtype::kFloat32,
          "scales of at most 32 bits");
  one_dtype(op, 2, 4);
  const Shape &w = shape(op, 1), &scales = shape(op, 2);
  require(w.size() == scales.size(), "packed numbers and scales of one rank");
  const int64_t k = shape(op, 0).back();
  require(k > 0 && num_elements(w) > 0 && k <= attr_detail::kMostInteger / 8 && k % a.group == 0 &&
              w.back() == k * a.bits / 32 && scales.back() == k / a.group,
          "packed numbers and scales for each element");
  require(scales == shape(op, 3) && equal_but(w, scales, static_cast<int64_t>(w.size()) - 1),
          "scales and biases for each row");
}
}  // namespace

void quantized_matmul(const OpInstance& op) {
  inputs(op, 4);
  require(shape(op, 0).size() == 2 && shape(op, 1).size() == 2, "matrices");
  packed(op);
}

void gather_qmm(const OpInstance& op) {
  inputs(op, 6);
  require(shape(op, 0).size() == 3 && shape(op, 1).size() == 3, "batches of matrices");
  packed(op);
  require(shape(op, 4).size() == 1 && shape(op, 4) == shape(op, 5) &&
              op.inputs[4].dtype == Dtype::kInt64 && op.inputs[5].dtype == Dtype::kInt64,
          "as many indices (int64) of both sides");
}

void conv(const OpInstance& op) {
  inputs(op, 2);
  one_dtype(op, 0, 2);
  const auto& a = attrs_of<ConvAttrs>(op);
  const Shape &x = shape(op, 0), &w = shape(op, 1);
  require(x.size() >= 4 && x.size() <= 6 && w.size() == x.size(), "1 to 3 spatial axes");
  const size_t axes = x.size() - 3;
  require(x[axes + 1] == w[0] && x.back() == w.back() && w[0] > 0, "groups and channels that fit");
  constexpr int64_t kMost = int64_t{1} << 30;
  for (const Dims* each : {&a.strides, &a.low, &a.high, &a.dilation, &a.input_dilation}) {
    require(each->size() == axes, "attributes for each spatial axis");
    for (int64_t v : *each) require(v >= -kMost && v <= kMost, "attributes of 30 bits");
  }
  for (size_t d = 0; d < axes; ++d) {
    require(a.strides[d] > 0 && a.dilation[d] > 0 && a.input_dilation[d] > 0, "steps above 0");
    require(w[2 + d] > 0 && w[2 + d] <= kMost && x[1 + d] <= kMost, "taps and a length");
  }
}

namespace {
void heads(const OpInstance& op, size_t count) {
  const auto& a = attrs_of<SdpaAttrs>(op);
  inputs(op, count + a.has_mask + a.has_sinks);
  for (size_t i = 0; i < 3; ++i) require(shape(op, i).size() == 4, "q, k and v of four axes");
  one_dtype(op, 0, 3);
  const Shape &q = shape(op, 0), &k = shape(op, 1), &v = shape(op, 2);
  require(q[0] == k[0] && k[0] == v[0] && k[1] == v[1] && k[2] == v[2] && q[3] == k[3] &&
              k[1] > 0 && q[1] % k[1] == 0,
          "q, k and v that fit together");
  if (a.has_sinks) {
    const TensorSpec& sinks = op.inputs.back();
    require(sinks.dtype == Dtype::kFloat32 && sinks.shape.size() == 4 &&
                (sinks.shape[0] == 1 || sinks.shape[0] == q[0]) &&
                equal_but(sinks.shape, {1, q[1], 1, 1}, 0),
            "a sink (float32) for each head");
  }
  if (!a.has_mask) return;
  const TensorSpec& mask = op.inputs[count];
  const Shape whole{q[0], q[1], q[2], k[2]};
  require(mask.dtype == Dtype::kBool || mask.dtype == Dtype::kFloat32 ||
              mask.dtype == op.inputs[0].dtype,
          "a mask of bool or numbers");
  require(mask.shape.size() == 4 && broadcast_shapes(mask.shape, whole, "sdpa") == whole,
          "a mask that fits the scores");
}
}  // namespace

void sdpa(const OpInstance& op) { heads(op, kSdpaInputs); }

void sdpa_vjp(const OpInstance& op) {
  heads(op, kSdpaVjpInputs);
  const Shape& q = shape(op, 0);
  const Shape out{q[0], q[1], q[2], shape(op, 2)[3]}, row{q[0], q[1], q[2]};
  require(shape(op, 3) == out && shape(op, 5) == out && shape(op, 4) == row,
          "results and a cotangent of attention");
  require(op.inputs[3].dtype == op.inputs[0].dtype && op.inputs[5].dtype == op.inputs[0].dtype &&
              op.inputs[4].dtype == Dtype::kFloat32,
          "results and a cotangent of attention");
}

void matrix(const OpInstance& op) {
  inputs(op, 1);
  rank(op, 0, 2);
}

void square(const OpInstance& op) {
  matrix(op);
  const Shape& a = shape(op, 0);
  require(a.back() == a[a.size() - 2], "square matrices");
}

void system(const OpInstance& op) {
  inputs(op, 2);
  one_dtype(op, 0, 2);
  rank(op, 0, 2);
  const Shape &a = shape(op, 0), &b = shape(op, 1);
  require(a.size() == b.size() && a.back() == a[a.size() - 2] && b[b.size() - 2] == a.back() &&
              without_matrix(a) == without_matrix(b),
          "square matrices and right sides that fit");
}

}  // namespace plimsoll::ops::contract
