#include "backends/cpu/kernels/norm.h"

#include <gtest/gtest.h>

#include "opset/norm.h"
#include "tests/unit/backends/cpu/kernel_harness.h"

namespace plimsoll::test {
namespace {

using Real = long double;

struct Norm {
  NormAttrs attrs;
  device::KernelTable table;
  Call call;
  bool centred;
  bool backward;
  Norm(const std::string& op, Dtype t, const Shape& shape, bool weight, bool bias)
      : attrs(1e-5f, weight, bias), centred(op[0] == 'l'), backward(op.ends_with("vjp")) {
    cpu::add_norm_kernels(table);
    call.row = table.find(op, t);
    call.attrs = &attrs;
    Data x = random_data(t, shape, 1);
    for (int64_t i = 0; i < x.size(); ++i) set(x, i, static_cast<double>(get(x, i)) * 2 + 1);
    const Shape vector = {shape.back()};
    call.inputs = {x};
    call.outputs = {x.spec()};
    if (weight) call.inputs.push_back(random_data(t, vector, 2));
    if (bias && !backward) call.inputs.push_back(random_data(t, vector, 3));
    if (!backward) return;
    call.inputs.push_back(random_data(t, shape, 4));
    for (int i = 0; i < weight + bias; ++i) call.outputs.push_back({t, vector});
  }
  std::vector<Data> check() {
    return check_bits(call, backward ? norm_vjp_tiling : norm_tiling,
                      [](bool same, const char* what) { EXPECT_TRUE(same) << what; });
  }
};

struct Row {
  std::vector<Real> h;  // normalised
  Real scale;
};

Row normalised(const Norm& t, int64_t row, int64_t n) {
  const Data& x = t.call.inputs[0];
  Real mean = 0, square = 0;
  for (int64_t i = 0; i < n; ++i) mean += get(x, row * n + i) / n;
  if (!t.centred) mean = 0;
  for (int64_t i = 0; i < n; ++i) square += std::pow(get(x, row * n + i) - mean, 2) / n;
  Row r{{}, 1 / std::sqrt(square + static_cast<Real>(t.attrs.eps))};
  for (int64_t i = 0; i < n; ++i) r.h.push_back((get(x, row * n + i) - mean) * r.scale);
  return r;
}

double unit(Dtype t) {
  return t == Dtype::kFloat64    ? 0x1p-53
         : t == Dtype::kFloat16  ? 0x1p-11
         : t == Dtype::kBfloat16 ? 0x1p-8
                                 : 0x1p-24;
}

// One rounding to the dtype plus a few of the computing type, relative to the terms' magnitude.
void expect_close(const Data& y, int64_t i, Real want, Real magnitude) {
  const Real inner = y.dtype == Dtype::kFloat64 ? 0x1p-53 : 0x1p-24;
  const Real bound = 1.01 * unit(y.dtype) * std::fabs(want) + 16 * inner * (magnitude + 1) +
                     (y.dtype == Dtype::kFloat16 ? 0x1p-25L : 0);
  ASSERT_LE(std::fabs(get(y, i) - want), bound) << i;
}

const Shape kShapes[] = {{1},        {7},        {5000},       {3, 16},     {65, 33},
                         {1000, 40}, {3, 70, 9}, {40, 3, 257}, {2, 3, 4, 5}};

void check_forward(const std::string& op, Dtype t, const Shape& shape, bool weight, bool bias) {
  Norm k(op, t, shape, weight, bias);
  const Data y = k.check()[0];
  const int64_t n = shape.back();
  for (int64_t r = 0; r < y.size() / n; ++r) {
    const Row row = normalised(k, r, n);
    for (int64_t i = 0; i < n; ++i) {
      const Real w = weight ? get(k.call.inputs[1], i) : 1;
      const Real b = bias ? get(k.call.inputs[1 + weight], i) : 0;
      expect_close(y, r * n + i, row.h[i] * w + b, std::fabs(row.h[i] * w) + std::fabs(w));
    }
  }
}

void check_backward(const std::string& op, Dtype t, const Shape& shape, bool weight, bool bias) {
  Norm k(op, t, shape, weight, bias);
  const auto out = k.check();
  const Data& g = k.call.inputs.back();
  const int64_t n = shape.back();
  std::vector<Real> dw(n), db(n), dw_size(n), db_size(n);
  for (int64_t r = 0; r < g.size() / n; ++r) {
    const Row row = normalised(k, r, n);
    Real mean = 0, dot = 0, size = 0;
    std::vector<Real> u(n);
    for (int64_t i = 0; i < n; ++i) {
      const Real gi = get(g, r * n + i);
      u[i] = gi * (weight ? get(k.call.inputs[1], i) : 1);
      mean += k.centred ? u[i] / n : 0, dot += u[i] * row.h[i] / n;
      size += std::fabs(u[i]) * (1 + std::fabs(row.h[i])) / n;
      dw[i] += gi * row.h[i], dw_size[i] += std::fabs(gi) * (1 + std::fabs(row.h[i]));
      db[i] += gi, db_size[i] += std::fabs(gi);
    }
    for (int64_t i = 0; i < n; ++i) {
      const Real h = row.h[i];
      expect_close(out[0], r * n + i, row.scale * (u[i] - mean - h * dot),
                   row.scale * (std::fabs(u[i]) + size * (1 + std::fabs(h))));
    }
  }
  for (int64_t i = 0; i < n; ++i) {
    if (weight) expect_close(out[1], i, dw[i], dw_size[i]);
    if (bias) expect_close(out[1 + weight], i, db[i], db_size[i]);
  }
}

TEST(CpuNorm, layer_norm_matches_the_formula) {
  for (Dtype t : device::kFloatDtypes)
    for (const Shape& s : kShapes)
      for (int flags = 0; flags < 4; ++flags) {
        SCOPED_TRACE(std::string(name_of(t)) + to_string(s) + std::to_string(flags));
        check_forward("layer_norm", t, s, flags & 1, flags & 2);
      }
}

TEST(CpuNorm, rms_norm_matches_the_formula) {
  for (Dtype t : device::kFloatDtypes)
    for (const Shape& s : kShapes)
      for (bool weight : {false, true}) {
        SCOPED_TRACE(std::string(name_of(t)) + to_string(s) + std::to_string(weight));
        check_forward("rms_norm", t, s, weight, false);
      }
}

TEST(CpuNorm, layer_norm_vjp_matches_the_formula) {
  for (Dtype t : device::kFloatDtypes)
    for (const Shape& s : kShapes)
      for (int flags = 0; flags < 4; ++flags) {
        SCOPED_TRACE(std::string(name_of(t)) + to_string(s) + std::to_string(flags));
        check_backward("layer_norm_vjp", t, s, flags & 1, flags & 2);
      }
}

TEST(CpuNorm, rms_norm_vjp_matches_the_formula) {
  for (Dtype t : device::kFloatDtypes)
    for (const Shape& s : kShapes)
      for (bool weight : {false, true}) {
        SCOPED_TRACE(std::string(name_of(t)) + to_string(s) + std::to_string(weight));
        check_backward("rms_norm_vjp", t, s, weight, false);
      }
}

TEST(CpuNorm, constant_rows_give_the_bias_and_a_large_mean_does_not_hurt) {
  Norm k("layer_norm", Dtype::kFloat32, {4, 1000}, true, true);
  Data& x = k.call.inputs[0];
  for (int64_t i = 0; i < x.size(); ++i) set(x, i, 12345.0);
  const Data y = k.check()[0];
  for (int64_t i = 0; i < 1000; ++i) ASSERT_EQ(get(y, i), get(k.call.inputs[2], i));
  for (int64_t i = 0; i < x.size(); ++i) set(x, i, 65536.0 + i % 2);
  const Data z = k.check()[0];
  for (int64_t i = 0; i < 1000; ++i) {
    const Real h = (i % 2 - 0.5L) / std::sqrt(0.25L + 1e-5L);
    expect_close(z, i, h * get(k.call.inputs[1], i) + get(k.call.inputs[2], i), 4);
  }
}

TEST(CpuNorm, nan_stays_in_its_row) {
  Norm k("layer_norm", Dtype::kFloat32, {3, 50}, false, false);
  set(k.call.inputs[0], 60, NAN);
  const Data y = k.check()[0];
  for (int64_t i = 0; i < 150; ++i) EXPECT_EQ(std::isnan(get(y, i)), i / 50 == 1) << i;
}

TEST(CpuNorm, no_rows_give_zero_weight_gradients) {
  Norm k("layer_norm_vjp", Dtype::kFloat32, {0, 5}, true, true);
  const auto out = run_whole(k.call);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(get(out[1], i), 0);
    EXPECT_EQ(get(out[2], i), 0);
  }
}

}  // namespace
}  // namespace plimsoll::test
