// Gated delta networks, step by step in plain ops.
#include "plimsoll/ops/gated_delta.h"

#include "ops/common.h"
#include "ops/lists.h"
#include "plimsoll/ops/binary.h"
#include "plimsoll/ops/cast.h"
#include "plimsoll/ops/creation.h"
#include "plimsoll/ops/join.h"
#include "plimsoll/ops/reduce.h"
#include "plimsoll/ops/select.h"
#include "plimsoll/ops/view.h"

namespace plimsoll {
namespace ops {
namespace {

struct Sizes {
  int64_t batch, steps, key_heads, heads, keys, values;
};

Sizes checked_sizes(const array& q, const array& k, const array& v) {
  const Shape &a = q.shape(), &c = v.shape();
  PLIMSOLL_CHECK(
      a.size() == 4 && k.shape() == a && c.size() == 4 && c[0] == a[0] && c[1] == a[1] &&
          a[2] > 0 && c[2] % a[2] == 0,
      ShapeError,
      "[gated_delta_update] expected q and k [B, T, Hk, Dk] and v [B, T, Hv, Dv] with Hk "
      "dividing Hv, got {}, {} and {}",
      to_string(a), to_string(k.shape()), to_string(c));
  return {a[0], a[1], a[2], c[2], a[3], c[3]};
}

void check_shape_of(const char* what, const array& a, const Shape& want) {
  PLIMSOLL_CHECK(a.shape() == want, ShapeError,
                 "[gated_delta_update] expected {} of shape {}, got {}", what, to_string(want),
                 to_string(a.shape()));
}

// Step t of an array whose axis 1 is time.
array step_of(const array& a, int64_t t) {
  Dims start(static_cast<size_t>(a.ndim()), 0), stop = a.shape();
  start[1] = t;
  stop[1] = t + 1;
  return slice(a, start, stop);
}

constinit const OpDef kGatedDelta = composite(
    "gated_delta_update", boxed<&fast::gated_delta_update>::call,
    "fast.gated_delta_update(q: array, k: array, v: array, gamma: array, beta: array, "
    "initial_state: array | None = None, mask: array | None = None, stream: None | Stream | Device "
    "= None) -> list[array]",
    R"(The outputs and the last state of a gated delta network.

The state S of a head, [Dv, Dk], becomes gamma * S + beta * (v - gamma * S @ k) k.T in each step, whose
output is S @ q (Yang et al., "Gated delta networks", 2024). ``q`` and ``k`` are [B, T, Hk, Dk], ``v``
is [B, T, Hv, Dv], where Hk divides Hv: value head h reads head h // (Hv / Hk). ``gamma`` [B, T, Hv] or
[B, T, Hv, Dk] is the decay itself, not its logarithm; ``beta`` is [B, T, Hv]. ``initial_state``
[B, Hv, Dv, Dk] is zeros for None. Steps where ``mask`` [B, T] is false leave the state as it is and
give zeros.

Returns the outputs [B, T, Hv, Dv] in the promoted float dtype of q and k, and the state, in which
everything is computed: float32, float64 where that dtype is. Raises ValueError for complex numbers
and for other shapes.

Example:
    >>> x = mx.ones((1, 3, 1, 2))
    >>> rate = mx.full((1, 3, 1), 0.5)
    >>> out, state = mx.fast.gated_delta_update(x, x, x, rate, rate)
    >>> out.shape, state.shape
    ((1, 3, 1, 2), (1, 1, 2, 2))
)");

}  // namespace

OpList gated_delta_ops() {
  static constexpr const OpDef* kOps[] = {&kGatedDelta};
  return kOps;
}

}  // namespace ops

namespace fast {

std::vector<array> gated_delta_update(const array& q, const array& k, const array& v,
                                      const array& gamma, const array& beta,
                                      const std::optional<array>& initial_state,
                                      const std::optional<array>& mask) {
  using namespace ops;
  const Sizes n = checked_sizes(q, k, v);
  for (const array* a : {&q, &k, &v, &gamma, &beta})
    PLIMSOLL_CHECK(a->dtype() != Dtype::kComplex64, ValueError,
                   "[gated_delta_update] expected real numbers, got {}", name_of(a->dtype()));
  const bool per_key = gamma.ndim() == 4;
  check_shape_of(
      "gamma", gamma,
      per_key ? Shape{n.batch, n.steps, n.heads, n.keys} : Shape{n.batch, n.steps, n.heads});
  check_shape_of("beta", beta, {n.batch, n.steps, n.heads});
  const Shape whole{n.batch, n.heads, n.values, n.keys};
  if (initial_state) check_shape_of("an initial state", *initial_state, whole);
  if (mask) check_shape_of("a mask", *mask, {n.batch, n.steps});

  Dtype t = result_dtype(q, k);
  if (!is_floating(t)) t = Dtype::kFloat32;
  const Dtype wide = t == Dtype::kFloat64 ? t : Dtype::kFloat32;
  // All as [B, T, Hk, Hv / Hk, Dv, Dk], axes of length 1 where they broadcast.
  const int64_t group = n.heads / n.key_heads;
  std::optional<array> kept;
  if (mask) kept = reshape(astype(*mask, Dtype::kBool), {n.batch, n.steps, 1, 1, 1, 1});
  // Masked steps as zeros: their NaNs times a gradient of zero would be NaN.
  auto shaped = [&](const array& a, int64_t g, int64_t values, int64_t keys) {
    array x = reshape(astype(a, wide), {n.batch, n.steps, n.key_heads, g, values, keys});
    return kept ? where(*kept, x, constant_like(0, x)) : x;
  };
  const array queries = shaped(q, 1, 1, n.keys), rows = shaped(k, 1, 1, n.keys);
  const array targets = shaped(v, group, n.values, 1), rates = shaped(beta, group, 1, 1);
  const array decays = shaped(gamma, group, 1, per_key ? n.keys : 1);
  const Shape lanes{n.batch, 1, n.key_heads, group, n.values, n.keys};
  array state = initial_state ? reshape(astype(*initial_state, wide), lanes) : zeros(lanes, wide);

  std::vector<array> outputs;
  for (int64_t i = 0; i < n.steps; ++i) {
    const array key = step_of(rows, i), old = state * step_of(decays, i);
    const array miss = step_of(targets, i) - sum(old * key, Dims{-1}, true);
    array next = old + miss * step_of(rates, i) * key;
    array out = sum(next * step_of(queries, i), Dims{-1}, true);
    if (kept) {
      const array keep = step_of(*kept, i);
      next = where(keep, next, state);
      out = where(keep, out, constant_like(0, out));
    }
    outputs.push_back(astype(out, t));
    state = next;
  }
  const Shape shape{n.batch, n.steps, n.heads, n.values};
  return {n.steps ? reshape(concatenate(outputs, 1), shape) : zeros(shape, t),
          reshape(state, whole)};
}

}  // namespace fast
}  // namespace plimsoll
