// Normalisation of the last axis, with fused gradients.
#include "plimsoll/ops/norm.h"

#include "ops/common.h"
#include "ops/lists.h"
#include "opset/norm.h"
#include "plimsoll/ops/binary.h"
#include "plimsoll/ops/reduce.h"
#include "plimsoll/ops/scalar.h"
#include "plimsoll/ops/unary.h"
#include "plimsoll/ops/view.h"

namespace plimsoll {
namespace ops {
namespace {

void infer_same(const OpInstance& op, std::vector<TensorSpec>& out) { out.push_back(op.inputs[0]); }

void infer_gradient(const OpInstance& op, std::vector<TensorSpec>& out) {
  const auto& attrs = attrs_as<NormAttrs>(op.attrs);
  const TensorSpec& x = op.inputs[0];
  out.push_back(x);
  for (int i = 0; i < attrs.has_weight + attrs.has_bias; ++i)
    out.push_back({x.dtype, {x.shape.back()}});
}

double flops(const OpInstance& op) {
  return 8.0 * static_cast<double>(num_elements(op.inputs[0].shape));
}

// Inputs of a norm are x, [weight], [bias]; of its gradient x, [weight], g. The gradient's outputs
// are in the order of the norm's inputs.
template <const OpDef& (*Gradient)()>
std::vector<array> norm_vjp(const VjpArgs& v) {
  const auto& attrs = attrs_as<NormAttrs>(v.attrs);
  std::vector<array> in{v.inputs[0]};
  if (attrs.has_weight) in.push_back(v.inputs[1]);
  in.push_back(v.cotangents[0]);
  std::vector<array> out = record_many(Gradient(), in, same_attrs(v.attrs));
  for (size_t i = 0; i < out.size(); ++i)
    if (!v.needed[i]) out[i] = array();
  return out;
}

// Weights are shared by all rows, so only x may carry the batch axis; a batch of weights is split.
template <const OpDef& (*Def)()>
VmapResult norm_vmap(const VmapArgs& v) {
  bool rows_only = true;
  for (size_t i = 1; i < v.axes.size(); ++i) rows_only = rows_only && v.axes[i] < 0;
  std::vector<array> in(v.inputs.begin(), v.inputs.end());
  if (rows_only) {
    in[0] = batch_first(in[0], v.axes[0]);
    return {{record(Def(), in, same_attrs(v.attrs))}, {0}};
  }
  return per_element(v, [&](std::span<const array> one) {
    return std::vector<array>{record(Def(), one, same_attrs(v.attrs))};
  });
}

template <const OpDef& (*Def)()>
VmapResult gradient_vmap(const VmapArgs& v) {
  return per_element(
      v, [&](std::span<const array> one) { return record_many(Def(), one, same_attrs(v.attrs)); });
}

// A row's statistics in plain ops. With y the normalised row and r one over its deviation, the
// gradient by x is P(g * weight), where P(v) = r (v - mean(v) - y mean(v y)) is symmetric; rms_norm
// has no means.
struct Rows {
  array y, r;
  double n;
  bool centred;

  Rows(const array& x, float eps, bool with_mean)
      : n(static_cast<double>(x.shape().back())), centred(with_mean) {
    array d = centred ? x - mean(x, Dims{-1}, true) : x;
    r = rsqrt(mean(square(d), Dims{-1}, true) + scalar(double{eps}));
    y = d * r;
  }
  array dot(const array& a, const array& b) const { return sum(a * b, Dims{-1}, true); }
  array project(const array& v) const {
    array out = v - y * dot(v, y) * scalar(1 / n);
    return r * (centred ? out - mean(v, Dims{-1}, true) : out);
  }
  /// The gradient by x of sum(u * P(c)).
  array by_x(const array& u, const array& c) const {
    array uy = dot(u, y), cy = dot(c, y);
    array s = dot(u, c) - uy * cy * scalar(1 / n);
    if (centred) s = s - mean(u, Dims{-1}, true) * sum(c, Dims{-1}, true);
    return -(square(r) * s * y + r * (cy * project(u) + uy * project(c))) * scalar(1 / n);
  }
};

// Of the gradient (x, [weight], g) to dx, [dweight], [dbias].
template <bool Centred>
std::vector<array> gradient_vjp(const VjpArgs& v) {
  const auto& attrs = attrs_as<NormAttrs>(v.attrs);
  const array &x = v.inputs[0], &g = v.inputs.back(), &c = v.cotangents[0];
  Rows rows(x, attrs.eps, Centred);
  array u = attrs.has_weight ? g * v.inputs[1] : g;
  array projected = rows.project(c), by_x = rows.by_x(u, c);
  array by_g = attrs.has_weight ? projected * v.inputs[1] : projected;
  std::vector<array> out(v.inputs.size());
  if (attrs.has_weight) {
    const array& cw = v.cotangents[1];
    by_x = by_x + rows.project(g * cw);
    by_g = by_g + rows.y * cw;
    out[1] = g * projected;  // summed over the rows by the caller
  }
  if (attrs.has_bias) by_g = by_g + v.cotangents[1 + attrs.has_weight];
  out[0] = by_x;
  out.back() = by_g;
  return out;
}

const OpDef& layer_norm_def();
const OpDef& layer_norm_vjp_def();
const OpDef& rms_norm_def();
const OpDef& rms_norm_vjp_def();

constinit const OpDef kLayerNorm{
    .name = "layer_norm",
    .kind = Kind::kRows,
    .attrs = &kAttrsOf<NormAttrs>,
    .check = contract::norm,
    .infer = infer_same,
    .vjp = norm_vjp<layer_norm_vjp_def>,
    .vmap = norm_vmap<layer_norm_def>,
    .tiling = norm_tiling,
    .flops = flops,
    .entry = boxed<&fast::layer_norm>::call,
    .signature =
        "fast.layer_norm(x: array, weight: array | None, bias: array | None, eps: float, "
        "*, stream: None | Stream | Device = None) -> array",
    .doc = R"(Layer normalisation of the last axis (Ba, Kiros, Hinton, 2016).

(x - mean) / sqrt(var + eps) * weight + bias, with the mean and the variance of each row computed in
float32 or better. ``weight`` and ``bias`` have the length of the last axis, or are None. The result
has the promoted float dtype of the operands. Raises ValueError for other shapes and dtypes.

Example:
    >>> mx.fast.layer_norm(mx.array([1.0, 1.0]), None, None, 1e-5)
    array([0, 0], dtype=float32)
)"};

constinit const OpDef kRmsNorm{
    .name = "rms_norm",
    .kind = Kind::kRows,
    .attrs = &kAttrsOf<NormAttrs>,
    .check = contract::norm,
    .infer = infer_same,
    .vjp = norm_vjp<rms_norm_vjp_def>,
    .vmap = norm_vmap<rms_norm_def>,
    .tiling = norm_tiling,
    .flops = flops,
    .entry = boxed<&fast::rms_norm>::call,
    .signature =
        "fast.rms_norm(x: array, weight: array | None, eps: float, *, stream: None | Stream | "
        "Device = None) -> array",
    .doc = R"(Root mean square normalisation of the last axis (Zhang, Sennrich, 2019).

x / sqrt(mean(x * x) + eps) * weight, with the mean of each row computed in float32 or better.
``weight`` has the length of the last axis, or is None. The result has the promoted float dtype of
the operands. Raises ValueError for other shapes and dtypes.

Example:
    >>> mx.fast.rms_norm(mx.array([2.0, 2.0]), None, 0.0)
    array([1, 1], dtype=float32)
)"};

constinit const OpDef kLayerNormVjp{
    .name = "layer_norm_vjp",
    .kind = Kind::kRows,
    .attrs = &kAttrsOf<NormAttrs>,
    .check = contract::norm_vjp,
    .infer = infer_gradient,
    .vjp = gradient_vjp<true>,
    .vmap = gradient_vmap<layer_norm_vjp_def>,
    .tiling = norm_vjp_tiling,
    .flops = flops,
    .num_outputs = 3,
    .doc = "Gradients of layer_norm: (x, [weight], g) to dx, [dweight], [dbias]."};

constinit const OpDef kRmsNormVjp{
    .name = "rms_norm_vjp",
    .kind = Kind::kRows,
    .attrs = &kAttrsOf<NormAttrs>,
    .check = contract::norm_vjp,
    .infer = infer_gradient,
    .vjp = gradient_vjp<false>,
    .vmap = gradient_vmap<rms_norm_vjp_def>,
    .tiling = norm_vjp_tiling,
    .flops = flops,
    .num_outputs = 2,
    .doc = "Gradients of rms_norm: (x, [weight], g) to dx, [dweight]."};

const OpDef& layer_norm_def() { return kLayerNorm; }
const OpDef& layer_norm_vjp_def() { return kLayerNormVjp; }
const OpDef& rms_norm_def() { return kRmsNorm; }
const OpDef& rms_norm_vjp_def() { return kRmsNormVjp; }

array norm(const OpDef& def, const array& x, const std::optional<array>& weight,
           const std::optional<array>& bias, float eps) {
  PLIMSOLL_CHECK(x.ndim() >= 1, ValueError, "[{}] expected at least 1 dimension, got a 0-d array",
                 def.name);
  Dtype t = x.dtype();
  for (const auto* operand : {&weight, &bias}) {
    if (!*operand) continue;
    const array& w = **operand;
    PLIMSOLL_CHECK(w.ndim() == 1 && w.shape()[0] == x.shape().back(), ShapeError,
                   "[{}] expected weight and bias of shape ({},), got {}", def.name,
                   x.shape().back(), to_string(w.shape()));
    t = promote_types(t, w.dtype());
  }
  PLIMSOLL_CHECK(is_floating(t), ValueError, "[{}] expected float dtypes, got {}", def.name,
                 name_of(t));
  std::vector<array> in{cast(x, t)};
  if (weight) in.push_back(cast(*weight, t));
  if (bias) in.push_back(cast(*bias, t));
  return record(def, in, make_attrs(NormAttrs(eps, weight.has_value(), bias.has_value())));
}

}  // namespace

OpList norm_ops() {
  static constexpr const OpDef* kOps[] = {&kLayerNorm, &kRmsNorm, &kLayerNormVjp, &kRmsNormVjp};
  return kOps;
}

}  // namespace ops

namespace fast {

array layer_norm(const array& x, const std::optional<array>& weight,
                 const std::optional<array>& bias, float eps) {
  return ops::norm(ops::kLayerNorm, x, weight, bias, eps);
}

array rms_norm(const array& x, const std::optional<array>& weight, float eps) {
  return ops::norm(ops::kRmsNorm, x, weight, std::nullopt, eps);
}

}  // namespace fast
}  // namespace plimsoll
