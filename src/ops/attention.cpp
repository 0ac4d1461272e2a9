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

// Gradient of an additive mask: that of the scores, summed to the mask's shape.
array mask_gradient(const VjpArgs& v, const SdpaAttrs& attrs) {
  const array &q = v.inputs[0], &mask = v.inputs[3], &g = v.cotangents[0];
  int64_t heads = q.shape()[1];
  array k = repeat_heads(v.inputs[1], heads), values = repeat_heads(v.inputs[2], heads);
  array scores =
      astype(matmul(q, swapaxes(k, -1, -2)), Dtype::kFloat32) * scalar(double{attrs.scale}) +
      astype(mask, Dtype::kFloat32);
  array p = exp(scores - expand_dims(v.outputs[1], {-1}));
  if (attrs.causal) p = where(causal_mask(q.shape()[2], k.shape()[2]), p, constant_like(0, p));
  array dp = astype(matmul(g, swapaxes(values, -1, -2)), Dtype::kFloat32);
  array shared = sum(astype(g * v.outputs[0], Dtype::kFloat32), Dims{-1}, true);
  return astype(sum_to_shape(p * (dp - shared), mask.shape()), mask.dtype());
}

const OpDef& sdpa_def();
const OpDef& sdpa_vjp_def();

std::vector<array> sdpa_gradient(const VjpArgs& v) {
  const auto& attrs = attrs_as<SdpaAttrs>(v.attrs);
  std::vector<array> out(v.inputs.size());
  if (v.needed[0] || v.needed[1] || v.needed[2]) {
    std::vector<array> in{v.inputs[0],  v.inputs[1],  v.inputs[2],
                          v.outputs[0], v.outputs[1], v.cotangents[0]};
    if (attrs.has_mask) in.push_back(v.inputs[3]);
    std::vector<array> grads = record_many(sdpa_vjp_def(), in, same_attrs(v.attrs));
    for (int i = 0; i < 3; ++i)
      if (v.needed[i]) out[i] = grads[i];
  }
  if (attrs.has_mask && v.needed[3] && is_floating(v.inputs[3].dtype()))
    out[3] = mask_gradient(v, attrs);
  return out;
}

// The batch joins axis 0, which every operand but the mask has in full.
template <const OpDef& (*Def)(), int Mask>
VmapResult sdpa_vmap(const VmapArgs& v) {
  std::vector<array> in;
  int64_t b = 1;
  for (size_t i = 0; i < v.inputs.size(); ++i) {
    array a = batch_or_repeat(v.inputs[i], v.axes[i], v.batch);
    if (i == 0) b = a.shape()[1];
    Shape shape = a.shape();
    shape[1] = b;
    in.push_back(flatten(static_cast<int>(i) == Mask ? broadcast_to(a, shape) : a, 0, 1));
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
    .infer = infer_sdpa,
    .vjp = sdpa_gradient,
    .vmap = sdpa_vmap<sdpa_def, 3>,
    .tiling = sdpa_tiling,
    .flops = sdpa_flops,
    .num_outputs = 2,
    .entry = boxed<&fast::scaled_dot_product_attention>::call,
    .signature =
        "fast.scaled_dot_product_attention(q: array, k: array, v: array, *, scale: float, "
        "mask: None | str | array = None, stream: None | Stream | Device = None) -> array",
    .doc = R"(softmax(scale * q @ k.T + mask) @ v, without the scores ever whole in memory.

``q`` is [B, Hq, Lq, D], ``k`` [B, Hkv, Lk, D], ``v`` [B, Hkv, Lk, Dv], where Hkv divides Hq: query
head h reads key head h // (Hq / Hkv). ``mask`` is None, "causal" (query i sees keys up to i + Lk -
Lq), or an array that broadcasts to [B, Hq, Lq, Lk]: bool (False hides a key) or numbers to be added.
float dtypes, promoted; scores and sums are in float32 (float64 for float64). The softmax is computed
block by block (Dao et al., "FlashAttention", 2022). Raises ValueError for other shapes and dtypes.

Example:
    >>> q = mx.ones((1, 1, 2, 4))
    >>> mx.fast.scaled_dot_product_attention(q, q, q, scale=0.5).shape
    (1, 1, 2, 4)
)"};

constinit const OpDef kSdpaVjp{
    .name = "sdpa_vjp",
    .kind = Kind::kRows,
    .infer = infer_sdpa_vjp,
    .vjp = [](const VjpArgs&) -> std::vector<array> {
      no_second_gradient("scaled_dot_product_attention");
    },
    .vmap = sdpa_vmap<sdpa_vjp_def, 6>,
    .tiling = sdpa_vjp_tiling,
    .flops = sdpa_vjp_flops,
    .num_outputs = 3,
    .doc = "Gradients of attention: (q, k, v, out, lse, g, [mask]) to dq, dk, dv."};

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

// The same in plain ops, for float64.
array composite(const array& q, const array& k, const array& v, float scale, bool causal,
                const std::optional<array>& mask) {
  int64_t heads = q.shape()[1];
  array scores = matmul(q, swapaxes(repeat_heads(k, heads), -1, -2)) * scalar(double{scale});
  array hidden = constant_like(-std::numeric_limits<double>::max(), scores);
  if (causal) scores = where(causal_mask(q.shape()[2], k.shape()[2]), scores, hidden);
  if (mask) scores = mask->dtype() == Dtype::kBool ? where(*mask, scores, hidden) : scores + *mask;
  return matmul(softmax(scores, Dims{-1}), repeat_heads(v, heads));
}

}  // namespace

OpList attention_ops() {
  static constexpr const OpDef* kOps[] = {&kSdpa, &kSdpaVjp};
  return kOps;
}

}  // namespace ops

namespace fast {

array scaled_dot_product_attention(const array& q, const array& k, const array& v, float scale,
                                   const AttentionMask& mask) {
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
  std::optional<array> additive;
  if (const auto* given = std::get_if<array>(&mask)) additive = checked_mask(*given, q, k, t);
  if (t == Dtype::kFloat64) return composite(in[0], in[1], in[2], scale, name != nullptr, additive);
  if (additive) in.push_back(*additive);
  return record_many(kSdpa, in,
                     make_attrs(SdpaAttrs(scale, name != nullptr, additive.has_value())))[0];
}

}  // namespace fast
}  // namespace plimsoll
