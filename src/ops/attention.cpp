// Scaled dot-product attention with a fused gradient.
#include "plimsoll/ops/attention.h"

#include <limits>

#include "ops/common.h"
#include "ops/lists.h"
#include "opset/attention.h"
#include "plimsoll/ops/binary.h"
#include "plimsoll/ops/cast.h"
#include "plimsoll/ops/compare.h"
#include "plimsoll/ops/creation.h"
#include "plimsoll/ops/join.h"
#include "plimsoll/ops/matmul.h"
#include "plimsoll/ops/reduce.h"
#include "plimsoll/ops/select.h"
#include "plimsoll/ops/softmax.h"
#include "plimsoll/ops/unary.h"
#include "plimsoll/ops/view.h"

namespace plimsoll {
namespace ops {
namespace {

void infer_sdpa(const OpInstance& op, std::vector<TensorSpec>& out) {
  Shape q = op.inputs[0].shape, row = q;
  q[3] = op.inputs[2].shape[3];
  row.pop_back();
  out.push_back({op.inputs[0].dtype, std::move(q)});
  out.push_back({Dtype::kFloat32, std::move(row)});
}

void infer_sdpa_vjp(const OpInstance& op, std::vector<TensorSpec>& out) {
  for (int i = 0; i < 3; ++i) out.push_back(op.inputs[i]);
}

double sdpa_flops(const OpInstance& op) {
  const Shape &q = op.inputs[0].shape, &v = op.inputs[2].shape;
  double scores = static_cast<double>(q[0] * q[1] * q[2]) * static_cast<double>(v[2]);
  return scores * (2.0 * static_cast<double>(q[3] + v[3]) + 5);
}

double sdpa_vjp_flops(const OpInstance& op) { return 2.5 * sdpa_flops(op); }

// Keys or values repeated so that each query head has its own.
array repeat_heads(const array& k, int64_t heads) {
  return k.shape()[1] == heads ? k : repeat(k, heads / k.shape()[1], 1);
}

array causal_mask(int64_t queries, int64_t keys) {
  return tri(queries, keys, keys - queries, Dtype::kBool);
}

// Scores of a key head for each query head.
array masked_scores(const array& q, const array& k, const SdpaAttrs& attrs,
                    const std::optional<array>& mask) {
  array scores = matmul(q, swapaxes(k, -1, -2)) * scalar(double{attrs.scale});
  double lowest = -std::numeric_limits<double>::max();
  if (size_of(scores.dtype()) < 8) scores = astype(scores, Dtype::kFloat32);
  if (scores.dtype() == Dtype::kFloat32) lowest = -std::numeric_limits<float>::max();
  array hidden = constant_like(lowest, scores);
  if (attrs.causal) scores = where(causal_mask(q.shape()[2], k.shape()[2]), scores, hidden);
  if (!mask) return scores;
  return mask->dtype() == Dtype::kBool ? where(*mask, scores, hidden) : scores + *mask;
}

// Mask and sinks: the inputs behind the others.
struct Extras {
  std::optional<array> mask, sinks;
};

Extras extras_of(std::span<const array> inputs, const SdpaAttrs& attrs) {
  Extras extras;
  if (attrs.has_sinks) extras.sinks = inputs.back();
  if (attrs.has_mask) extras.mask = inputs[inputs.size() - 1 - attrs.has_sinks];
  return extras;
}

// Softmax over a row's scores and its sink: the keys' weights, and the sink's where there are
// sinks.
struct Weights {
  array keys;
  std::optional<array> sink;
};

Weights weights_of(const array& q, const array& k, const SdpaAttrs& attrs, const Extras& extras) {
  array scores = masked_scores(q, k, attrs, extras.mask);
  if (!extras.sinks) return {softmax(scores, Dims{-1}), std::nullopt};
  Shape column = scores.shape();
  column[3] = 1;
  array sinks = broadcast_to(astype(*extras.sinks, scores.dtype()), column);
  array all = softmax(concatenate({sinks, scores}, -1), Dims{-1});
  return {slice(all, Dims{0, 0, 0, 1}, all.shape()), slice(all, Dims(4, 0), column)};
}

// The heads that one key head served, added.
array sum_groups(const array& a, const array& like) {
  int64_t heads = like.shape()[1];
  if (a.shape()[1] == heads) return astype(a, like.dtype());
  return astype(sum(unflatten(a, 1, {heads, -1}), Dims{2}), like.dtype());
}

array row_sum(const array& a) { return sum(a, Dims{-1}, true); }
array flipped(const array& a) { return swapaxes(a, -1, -2); }

// Gradient of an additive mask: that of the scores, summed to the mask's shape.
array mask_gradient(const VjpArgs& v, const SdpaAttrs& attrs) {
  const array &q = v.inputs[0], &mask = v.inputs[3], &g = v.cotangents[0];
  int64_t heads = q.shape()[1];
  array k = repeat_heads(v.inputs[1], heads), values = repeat_heads(v.inputs[2], heads);
  array scores = astype(matmul(q, flipped(k)), Dtype::kFloat32) * scalar(double{attrs.scale}) +
                 astype(mask, Dtype::kFloat32);
  array p = exp(scores - expand_dims(v.outputs[1], {-1}));
  if (attrs.causal) p = where(causal_mask(q.shape()[2], k.shape()[2]), p, constant_like(0, p));
  array dp = astype(matmul(g, flipped(values)), Dtype::kFloat32);
  array shared = row_sum(astype(g * v.outputs[0], Dtype::kFloat32));
  return astype(sum_to_shape(p * (dp - shared), mask.shape()), mask.dtype());
}

// Of the sinks, whose value is 0.
array sinks_gradient(const VjpArgs& v) {
  const array& sinks = v.inputs.back();
  array shared = row_sum(astype(v.cotangents[0] * v.outputs[0], Dtype::kFloat32));
  array p = exp(sinks - expand_dims(v.outputs[1], {-1}));
  return sum_to_shape(negative(p * shared), sinks.shape());
}

// Adds the gradient of lse, whose cotangent comes from mask_gradient and sinks_gradient when they
// are differentiated again: the weights.
void add_lse_gradient(const VjpArgs& v, const SdpaAttrs& attrs, std::vector<array>& out) {
  const array& q = v.inputs[0];
  array k = repeat_heads(v.inputs[1], q.shape()[1]), c = expand_dims(v.cotangents[1], {-1});
  Weights w = weights_of(q, k, attrs, extras_of(v.inputs, attrs));
  array ds = w.keys * c, scale = scalar(double{attrs.scale});
  auto add_to = [&](size_t i, const array& g) {
    if (v.needed[i]) out[i] = out[i] ? out[i] + g : g;
  };
  add_to(0, astype(matmul(ds, k) * scale, q.dtype()));
  add_to(1, sum_groups(matmul(flipped(ds), q) * scale, v.inputs[1]));
  if (attrs.has_mask && is_floating(v.inputs[3].dtype()))
    add_to(3, astype(sum_to_shape(ds, v.inputs[3].shape()), v.inputs[3].dtype()));
  if (w.sink) add_to(v.inputs.size() - 1, sum_to_shape(*w.sink * c, v.inputs.back().shape()));
}

// Of the gradient, in plain ops: with z the scores, y = softmax(z) and ds the gradient by z,
// dq = scale ds k, dk = scale ds^T q, dv = y^T g. `out` and `lse` follow from the others.
std::vector<array> sdpa_vjp_vjp(const VjpArgs& v) {
  const auto& attrs = attrs_as<SdpaAttrs>(v.attrs);
  const array &q = v.inputs[0], &g = v.inputs[5], &cq = v.cotangents[0];
  int64_t heads = q.shape()[1];
  array k = repeat_heads(v.inputs[1], heads), values = repeat_heads(v.inputs[2], heads);
  array ck = repeat_heads(v.cotangents[1], heads), cv = repeat_heads(v.cotangents[2], heads);
  Extras extras = extras_of(v.inputs, attrs);
  array scale = scalar(double{attrs.scale});
  Weights w = weights_of(q, k, attrs, extras);
  const array& y = w.keys;
  array dy = matmul(g, flipped(values)), off = dy - row_sum(dy * y), ds = y * off;
  array by_ds = (matmul(cq, flipped(k)) + matmul(q, flipped(ck))) * scale;
  array shared = row_sum(by_ds * y), by_dy = y * (by_ds - shared);
  array by_y = by_ds * off - dy * shared + matmul(g, flipped(cv));
  array common = row_sum(by_y * y), by_z = y * (by_y - common);
  std::vector<array> out(v.inputs.size());
  out[0] = astype((matmul(ds, ck) + matmul(by_z, k)) * scale, q.dtype());
  out[1] = sum_groups((matmul(flipped(ds), cq) + matmul(flipped(by_z), q)) * scale, v.inputs[1]);
  out[2] = sum_groups(matmul(flipped(by_dy), g), v.inputs[2]);
  out[5] = astype(matmul(y, cv) + matmul(by_dy, values), g.dtype());
  if (extras.mask && is_floating(extras.mask->dtype()))
    out[kSdpaVjpInputs] = astype(sum_to_shape(by_z, extras.mask->shape()), extras.mask->dtype());
  if (extras.sinks) out.back() = sum_to_shape(negative(*w.sink * common), extras.sinks->shape());
  return out;
}

const OpDef& sdpa_def();
const OpDef& sdpa_vjp_def();

std::vector<array> sdpa_gradient(const VjpArgs& v) {
  const auto& attrs = attrs_as<SdpaAttrs>(v.attrs);
  std::vector<array> out(v.inputs.size());
  if (v.needed[0] || v.needed[1] || v.needed[2]) {
    std::vector<array> in{v.inputs[0],  v.inputs[1],  v.inputs[2],
                          v.outputs[0], v.outputs[1], v.cotangents[0]};
    in.insert(in.end(), v.inputs.begin() + kSdpaInputs, v.inputs.end());
    std::vector<array> grads = record_many(sdpa_vjp_def(), in, same_attrs(v.attrs));
    for (int i = 0; i < 3; ++i)
      if (v.needed[i]) out[i] = grads[i];
  }
  if (attrs.has_mask && v.needed[3] && is_floating(v.inputs[3].dtype()))
    out[3] = mask_gradient(v, attrs);
  if (attrs.has_sinks && v.needed[v.inputs.size() - 1]) out.back() = sinks_gradient(v);
  if (v.flows[1]) add_lse_gradient(v, attrs, out);
  return out;
}

// The batch joins axis 0, which every operand has in full but for mask and sinks, from First on.
template <const OpDef& (*Def)(), int First>
VmapResult sdpa_vmap(const VmapArgs& v) {
  std::vector<array> in;
  int64_t b = 1;
  for (size_t i = 0; i < v.inputs.size(); ++i) {
    array a = batch_or_repeat(v.inputs[i], v.axes[i], v.batch);
    if (i == 0) b = a.shape()[1];
    Shape shape = a.shape();
    shape[1] = b;
    in.push_back(flatten(static_cast<int>(i) >= First ? broadcast_to(a, shape) : a, 0, 1));
  }
  VmapResult out{record_many(Def(), in, same_attrs(v.attrs)), {}};
  for (array& a : out.outputs) {
    a = unflatten(a, 0, {v.batch, b});
    out.axes.push_back(0);
  }
  return out;
}

constinit const OpDef kSdpa{
    .name = "sdpa",
    .kind = Kind::kRows,
    .attrs = &kAttrsOf<SdpaAttrs>,
    .check = contract::sdpa,
    .infer = infer_sdpa,
    .vjp = sdpa_gradient,
    .vmap = sdpa_vmap<sdpa_def, kSdpaInputs>,
    .tiling = sdpa_tiling,
    .flops = sdpa_flops,
    .num_outputs = 2,
    .entry = boxed<&fast::scaled_dot_product_attention>::call,
    .signature =
        "fast.scaled_dot_product_attention(q: array, k: array, v: array, *, scale: float, "
        "mask: None | str | array = None, sinks: array | None = None, force_fused: bool = False, "
        "stream: None | Stream | Device = None) -> array",
    .doc = R"(softmax(scale * q @ k.T + mask) @ v, without the scores ever whole in memory.

``q`` is [B, Hq, Lq, D], ``k`` [B, Hkv, Lk, D], ``v`` [B, Hkv, Lk, Dv], where Hkv divides Hq: query
head h reads key head h // (Hq / Hkv). ``mask`` is None, "causal" (query i sees keys up to i + Lk -
Lq), or an array that broadcasts to [B, Hq, Lq, Lk]: bool (False hides a key) or numbers to be added.
``sinks`` [Hq], of a dtype that promotes to that of the result, are scores of one more key for each
query of a head, whose value is 0: they take weight from the others (Xiao et al., "Efficient streaming
language models with attention sinks", 2024). float dtypes, promoted; scores and sums are in float32
(float64 for float64). The softmax is computed block by block (Dao et al., "FlashAttention", 2022).
``force_fused`` refuses what that kernel does not do, float64. Raises ValueError for other shapes and
dtypes.

Example:
    >>> q = mx.ones((1, 1, 2, 4))
    >>> mx.fast.scaled_dot_product_attention(q, q, q, scale=0.5).shape
    (1, 1, 2, 4)
)"};

constinit const OpDef kSdpaVjp{
    .name = "sdpa_vjp",
    .kind = Kind::kRows,
    .attrs = &kAttrsOf<SdpaAttrs>,
    .check = contract::sdpa_vjp,
    .infer = infer_sdpa_vjp,
    .vjp = sdpa_vjp_vjp,
    .vmap = sdpa_vmap<sdpa_vjp_def, kSdpaVjpInputs>,
    .tiling = sdpa_vjp_tiling,
    .flops = sdpa_vjp_flops,
    .num_outputs = 3,
    .doc = "Gradients of attention: (q, k, v, out, lse, g, [mask], [sinks]) to dq, dk, dv."};

const OpDef& sdpa_def() { return kSdpa; }
const OpDef& sdpa_vjp_def() { return kSdpaVjp; }

void check_operands(const array& q, const array& k, const array& v) {
  const Shape &a = q.shape(), &b = k.shape(), &c = v.shape();
  bool ranks = a.size() == 4 && b.size() == 4 && c.size() == 4;
  PLIMSOLL_CHECK(
      ranks && a[0] == b[0] && a[0] == c[0] && b[1] == c[1] && b[2] == c[2] && a[3] == b[3] &&
          b[1] > 0 && a[1] % b[1] == 0,
      ShapeError,
      "[scaled_dot_product_attention] expected q [B, Hq, Lq, D], k [B, Hkv, Lk, D] and v "
      "[B, Hkv, Lk, Dv] with Hkv dividing Hq, got {}, {} and {}",
      to_string(a), to_string(b), to_string(c));
}

array checked_mask(array mask, const array& q, const array& k, Dtype t) {
  Shape full = q.shape();
  full[3] = k.shape()[2];
  PLIMSOLL_CHECK(mask.ndim() <= 4 &&
                     broadcast_shapes(mask.shape(), full, "scaled_dot_product_attention") == full,
                 ShapeError,
                 "[scaled_dot_product_attention] expected a mask that broadcasts to {}, got {}",
                 to_string(full), to_string(mask.shape()));
  if (mask.dtype() != Dtype::kBool) {
    PLIMSOLL_CHECK(
        promote_types(mask.dtype(), t) == t, ValueError,
        "[scaled_dot_product_attention] expected a bool mask or one that promotes to {}, "
        "got {}",
        name_of(t), name_of(mask.dtype()));
    mask = cast(mask, t);
  }
  Shape padded = mask.shape();
  while (padded.size() < 4) padded.insert(padded.begin(), 1);
  return reshape(mask, padded);
}

// As [1, Hq, 1, 1].
array checked_sinks(const array& sinks, const array& q, Dtype t) {
  int64_t heads = q.shape()[1];
  PLIMSOLL_CHECK(sinks.shape() == Shape{heads}, ShapeError,
                 "[scaled_dot_product_attention] expected sinks of shape [{}], one a query head, "
                 "got {}",
                 heads, to_string(sinks.shape()));
  PLIMSOLL_CHECK(promote_types(sinks.dtype(), t) == t, ValueError,
                 "[scaled_dot_product_attention] expected sinks that promote to {}, got {}",
                 name_of(t), name_of(sinks.dtype()));
  return reshape(cast(sinks, t == Dtype::kFloat64 ? t : Dtype::kFloat32), {1, heads, 1, 1});
}

// The same in plain ops, for float64.
array composite(const array& q, const array& k, const array& v, const SdpaAttrs& attrs,
                const Extras& extras) {
  int64_t heads = q.shape()[1];
  return matmul(weights_of(q, repeat_heads(k, heads), attrs, extras).keys, repeat_heads(v, heads));
}

}  // namespace

OpList attention_ops() {
  static constexpr const OpDef* kOps[] = {&kSdpa, &kSdpaVjp};
  return kOps;
}

}  // namespace ops

namespace fast {

array scaled_dot_product_attention(const array& q, const array& k, const array& v, float scale,
                                   const AttentionMask& mask, const std::optional<array>& sinks,
                                   bool force_fused) {
  using namespace ops;
  check_operands(q, k, v);
  Dtype t = result_dtype({&q, &k, &v});
  PLIMSOLL_CHECK(is_floating(t), ValueError,
                 "[scaled_dot_product_attention] expected float dtypes, got {}, {} and {}",
                 name_of(q.dtype()), name_of(k.dtype()), name_of(v.dtype()));
  const auto* name = std::get_if<std::string>(&mask);
  PLIMSOLL_CHECK(!name || *name == "causal", ValueError,
                 "[scaled_dot_product_attention] expected mask \"causal\" or an array, got \"{}\"",
                 name ? *name : "");
  std::vector<array> in{cast(q, t), cast(k, t), cast(v, t)};
  PLIMSOLL_CHECK(!force_fused || t != Dtype::kFloat64, ValueError,
                 "[scaled_dot_product_attention] expected a dtype with a fused kernel, got {}",
                 name_of(t));
  Extras extras;
  if (const auto* given = std::get_if<array>(&mask)) extras.mask = checked_mask(*given, q, k, t);
  if (sinks) extras.sinks = checked_sinks(*sinks, q, t);
  SdpaAttrs attrs(scale, name != nullptr, extras.mask.has_value(), extras.sinks.has_value());
  if (t == Dtype::kFloat64) return composite(in[0], in[1], in[2], attrs, extras);
  if (extras.mask) in.push_back(*extras.mask);
  if (extras.sinks) in.push_back(*extras.sinks);
  return record_many(kSdpa, in, make_attrs(attrs))[0];
}

}  // namespace fast
}  // namespace plimsoll
