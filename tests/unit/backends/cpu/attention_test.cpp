#include "backends/cpu/kernels/attention.h"

#include <cmath>
#include <limits>

#include "opset/attention.h"
#include "tests/unit/backends/cpu/struct_harness.h"

namespace plimsoll::testing {
namespace {

const device::KernelTable& table() {
  static const device::KernelTable* kTable = [] {
    auto* t = new device::KernelTable;
    cpu::add_attention_kernels(*t);
    return t;
  }();
  return *kTable;
}

struct Sizes {
  int64_t batch, heads, key_heads, queries, keys, dim, value_dim;
};

struct Case {
  Dtype dtype = Dtype::kFloat32;
  Sizes n;
  bool causal = false;
  HostArray mask = {};  // no bytes: none
  float scale = 0.3f;
  HostArray sinks = {};  // no bytes: none

  bool has_mask() const { return !mask.bytes.empty(); }
  bool has_sinks() const { return !sinks.bytes.empty(); }
};

Call forward_call(const Case& c, const SdpaAttrs& attrs) {
  const Sizes& n = c.n;
  Call call{&table(),
            "sdpa",
            {random_values(c.dtype, {n.batch, n.heads, n.queries, n.dim}, 1),
             random_values(c.dtype, {n.batch, n.key_heads, n.keys, n.dim}, 2),
             random_values(c.dtype, {n.batch, n.key_heads, n.keys, n.value_dim}, 3)},
            {{c.dtype, {n.batch, n.heads, n.queries, n.value_dim}},
             {Dtype::kFloat32, {n.batch, n.heads, n.queries}}},
            &attrs,
            sdpa_tiling};
  if (attrs.has_mask) call.inputs.push_back(c.mask);
  if (attrs.has_sinks) call.inputs.push_back(c.sinks);
  return call;
}

using Values = std::vector<double>;

// Everything in double, with whole rows of weights.
struct Oracle {
  const Case& c;
  const Call& call;
  Values out, lse, weights;  // weights [batch, heads, queries, keys]
  std::vector<char> hidden;

  Oracle(const Case& c_, const Call& call_) : c(c_), call(call_) {
    const Sizes& n = c.n;
    out.resize(n.batch * n.heads * n.queries * n.value_dim);
    lse.resize(n.batch * n.heads * n.queries);
    weights.resize(n.batch * n.heads * n.queries * n.keys);
    hidden.resize(weights.size());
    for (int64_t bh = 0; bh < n.batch * n.heads; ++bh)
      for (int64_t i = 0; i < n.queries; ++i) row(bh, i);
  }

  int64_t key_head(int64_t bh) const {
    const Sizes& n = c.n;
    return bh / n.heads * n.key_heads + bh % n.heads / (n.heads / n.key_heads);
  }
  double q(int64_t bh, int64_t i, int64_t d) const {
    return call.inputs[0].get((bh * c.n.queries + i) * c.n.dim + d).real();
  }
  double k(int64_t bh, int64_t j, int64_t d) const {
    return call.inputs[1].get((key_head(bh) * c.n.keys + j) * c.n.dim + d).real();
  }
  double v(int64_t bh, int64_t j, int64_t d) const {
    return call.inputs[2].get((key_head(bh) * c.n.keys + j) * c.n.value_dim + d).real();
  }
  double mask(int64_t bh, int64_t i, int64_t j) const {
    const Shape& s = c.mask.shape;
    const int64_t b = bh / c.n.heads % s[0], h = bh % c.n.heads % s[1];
    return c.mask.get(((b * s[1] + h) * s[2] + i % s[2]) * s[3] + j % s[3]).real();
  }

  void row(int64_t bh, int64_t i) {
    const Sizes& n = c.n;
    double* w = &weights[(bh * n.queries + i) * n.keys];
    double most = -INFINITY, sum = 0;
    for (int64_t j = 0; j < n.keys; ++j) {
      w[j] = 0;
      for (int64_t d = 0; d < n.dim; ++d) w[j] += c.scale * q(bh, i, d) * k(bh, j, d);
      bool hide = c.causal && j > i + n.keys - n.queries;
      if (c.has_mask() && c.mask.dtype == Dtype::kBool)
        hide |= mask(bh, i, j) == 0;
      else if (c.has_mask())
        w[j] += mask(bh, i, j);
      if (hide) w[j] = std::numeric_limits<float>::lowest();
      hidden[(bh * n.queries + i) * n.keys + j] = hide;
      most = std::max(most, w[j]);
    }
    if (c.has_sinks()) {
      const double sink = c.sinks.get(bh % c.sinks.count()).real();
      most = std::max(most, sink);
      sum = std::exp(sink - most);
    }
    for (int64_t j = 0; j < n.keys; ++j) sum += w[j] = std::exp(w[j] - most);
    lse[bh * n.queries + i] = most + std::log(sum);
    for (int64_t j = 0; j < n.keys; ++j) {
      w[j] /= sum;
      for (int64_t d = 0; d < n.value_dim; ++d)
        out[(bh * n.queries + i) * n.value_dim + d] += w[j] * v(bh, j, d);
    }
  }
};

double tolerance(Dtype t) {
  return t == Dtype::kFloat32 ? 3e-6 : t == Dtype::kFloat16 ? 1e-3 : 8e-3;
}

void expect_near(const HostArray& got, const Values& want, double tolerance, const char* what) {
  ASSERT_EQ(got.count(), static_cast<int64_t>(want.size()));
  for (int64_t i = 0; i < got.count(); ++i)
    ASSERT_NEAR(got.get(i).real(), want[i], tolerance * (1 + std::fabs(want[i])))
        << what << " element " << i;
}

Call vjp_call(const Case& c, const Call& forward, const std::vector<HostArray>& results) {
  const Sizes& n = c.n;
  Call call{&table(),
            "sdpa_vjp",
            {forward.inputs[0], forward.inputs[1], forward.inputs[2], results[0], results[1],
             random_values(c.dtype, {n.batch, n.heads, n.queries, n.value_dim}, 9)},
            {{c.dtype, forward.inputs[0].shape},
             {c.dtype, forward.inputs[1].shape},
             {c.dtype, forward.inputs[2].shape}},
            forward.attrs,
            sdpa_vjp_tiling};
  if (c.has_mask()) call.inputs.push_back(c.mask);
  if (c.has_sinks()) call.inputs.push_back(c.sinks);
  return call;
}

void check_vjp(const Case& c, const Call& forward, const Oracle& o,
               const std::vector<HostArray>& results) {
  const Sizes& n = c.n;
  const Call call = vjp_call(c, forward, results);
  Values dq(call.inputs[0].count()), dk(call.inputs[1].count()), dv(call.inputs[2].count());
  for (int64_t bh = 0; bh < n.batch * n.heads; ++bh) {
    for (int64_t i = 0; i < n.queries; ++i) {
      const int64_t row = bh * n.queries + i;
      const double* w = &o.weights[row * n.keys];
      Values dw(n.keys);
      double mean = 0;
      bool blind = true;
      for (int64_t j = 0; j < n.keys; ++j) {
        for (int64_t d = 0; d < n.value_dim; ++d) {
          const double g = call.inputs[5].get(row * n.value_dim + d).real();
          dw[j] += g * o.v(bh, j, d);
          dv[(o.key_head(bh) * n.keys + j) * n.value_dim + d] += w[j] * g;
        }
        mean += w[j] * dw[j];
        blind &= o.hidden[row * n.keys + j] != 0;
      }
      for (int64_t j = 0; j < n.keys && !blind; ++j) {
        const double ds = c.scale * w[j] * (dw[j] - mean);
        for (int64_t d = 0; d < n.dim; ++d) {
          dq[row * n.dim + d] += ds * o.k(bh, j, d);
          dk[(o.key_head(bh) * n.keys + j) * n.dim + d] += ds * o.q(bh, i, d);
        }
      }
    }
  }
  const auto got = run_whole(call);
  const double slack = 10 * tolerance(c.dtype);
  expect_near(got[0], dq, slack, "dq");
  expect_near(got[1], dk, slack, "dk");
  expect_near(got[2], dv, slack, "dv");
  expect_cuts_and_threads_keep_bits(call);
}

void check(const Case& c) {
  const SdpaAttrs attrs(c.scale, c.causal, c.has_mask(), c.has_sinks());
  const Call call = forward_call(c, attrs);
  const Oracle oracle(c, call);
  const auto got = run_whole(call);
  SCOPED_TRACE(call.inputs[0].shape[2] * 1000 + call.inputs[1].shape[2]);
  expect_near(got[0], oracle.out, tolerance(c.dtype), "out");
  expect_near(got[1], oracle.lse, 3e-6, "lse");
  expect_cuts_and_threads_keep_bits(call);
  check_vjp(c, call, oracle, got);
}

TEST(Attention, AgreesWithNaiveForOddSizes) {
  for (Dtype dtype : {Dtype::kFloat32, Dtype::kFloat16, Dtype::kBfloat16}) {
    for (bool causal : {false, true}) {
      check({dtype, {2, 3, 3, 70, 70, 20, 20}, causal});
      check({dtype, {1, 2, 2, 5, 131, 7, 33}, causal});
      check({dtype, {1, 1, 1, 1, 1, 1, 1}, causal});
    }
  }
  check({Dtype::kFloat32, {1, 2, 2, 200, 200, 64, 64}, true});
}

TEST(Attention, SharesKeyHeadsAmongGroupsOfQueryHeads) {
  check({Dtype::kFloat32, {2, 6, 2, 66, 80, 16, 16}, true});
  check({Dtype::kFloat32, {1, 4, 1, 3, 9, 8, 8}, false});
  check({Dtype::kBfloat16, {2, 4, 2, 10, 12, 8, 8}, false});
}

TEST(Attention, AppliesMasksOfEveryBroadcastShape) {
  for (const Shape& shape : {Shape{2, 3, 67, 71}, {1, 1, 67, 71}, {2, 1, 1, 71}, {1, 3, 67, 1}}) {
    const Sizes n{2, 3, 3, 67, 71, 8, 8};
    HostArray flags = random_ints(Dtype::kBool, shape, 0, 1, 5);
    check({Dtype::kFloat32, n, false, flags});
    check({Dtype::kFloat32, n, true, flags});
    check({Dtype::kFloat32, n, false, random_values(Dtype::kFloat32, shape, 6)});
    check({Dtype::kFloat16, n, false, random_values(Dtype::kFloat16, shape, 6)});
  }
}

TEST(Attention, AveragesAllValuesForQueriesThatSeeNothing) {
  check({Dtype::kFloat32, {1, 2, 2, 70, 9, 8, 8}, true});  // the first 61 queries precede all keys
  check({Dtype::kFloat32, {1, 1, 1, 3, 100, 4, 4}, false, HostArray(Dtype::kBool, {1, 1, 1, 1})});
}

TEST(Attention, SkipsKeysOfMinusInfinityAndGivesNanWhereAllAre) {
  HostArray mask(Dtype::kFloat32, {1, 1, 2, 150});
  for (int64_t j = 0; j < 150; ++j) {
    mask.set(j, j < 130 ? -INFINITY : 0);  // whole blocks before the first finite score
    mask.set(150 + j, -INFINITY);
  }
  const Case c{Dtype::kFloat32, {1, 1, 1, 2, 150, 4, 4}, false, mask};
  const SdpaAttrs attrs(c.scale, false, true);
  const Call call = forward_call(c, attrs);
  const HostArray out = run_whole(call)[0];
  const Oracle oracle(c, call);
  for (int64_t d = 0; d < 4; ++d) {
    EXPECT_NEAR(out.get(d).real(), oracle.out[d], 1e-5);
    EXPECT_TRUE(std::isnan(out.get(4 + d).real()));
  }
}

TEST(Attention, PropagatesNanToItsRowsOnly) {
  const Case c{Dtype::kFloat32, {1, 1, 1, 3, 5, 4, 4}, false};
  const SdpaAttrs attrs(c.scale, false, false);
  Call call = forward_call(c, attrs);
  call.inputs[0].set(4, NAN);
  const HostArray out = run_whole(call)[0];
  for (int64_t i = 0; i < 12; ++i) EXPECT_EQ(std::isnan(out.get(i).real()), i / 4 == 1);
}

TEST(Attention, GivesSinksAShareOfTheWeight) {
  const Sizes n{2, 3, 3, 70, 131, 8, 8};
  const HostArray shared = random_values(Dtype::kFloat32, {1, 3, 1, 1}, 7);
  const HostArray batched = random_values(Dtype::kFloat32, {2, 3, 1, 1}, 7);
  check({Dtype::kFloat32, n, false, {}, 0.3f, shared});
  check({Dtype::kFloat32, n, true, {}, 0.3f, batched});
  check({Dtype::kFloat16, n, false, random_values(Dtype::kFloat16, {1, 1, 70, 131}, 6), 0.3f,
         shared});
  check({Dtype::kBfloat16,
         {1, 6, 2, 9, 5, 4, 4},
         true,
         {},
         0.3f,
         random_values(Dtype::kFloat32, {1, 6, 1, 1}, 7)});
}

TEST(Attention, GivesNothingWhereOnlyTheSinkIsSeen) {
  const HostArray hidden(Dtype::kBool, {1, 1, 1, 1}), sinks(Dtype::kFloat32, {1, 1, 1, 1});
  const Case c{Dtype::kFloat32, {1, 1, 1, 3, 100, 4, 4}, false, hidden, 0.3f, sinks};
  check(c);
  const SdpaAttrs attrs(c.scale, false, true, true);
  const HostArray out = run_whole(forward_call(c, attrs))[0];
  for (int64_t i = 0; i < out.count(); ++i) EXPECT_EQ(out.get(i).real(), 0);
}

TEST(Attention, StaysFiniteForLargeScores) {
  check({Dtype::kFloat32, {1, 1, 1, 4, 130, 16, 4}, false, {}, 60.0f});
}

}  // namespace
}  // namespace plimsoll::testing
