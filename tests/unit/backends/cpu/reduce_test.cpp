#include "backends/cpu/kernels/reduce.h"

#include <gtest/gtest.h>

#include <limits>

#include "opset/reduce.h"
#include "tests/unit/backends/cpu/kernel_harness.h"

namespace plimsoll::test {
namespace {

const device::KernelTable& table() {
  static const device::KernelTable t = [] {
    device::KernelTable k;
    cpu::add_reduce_kernels(k);
    return k;
  }();
  return t;
}

Dtype result_dtype(const std::string& op, Dtype t) {
  if (op == "sum" || op == "prod") return sum_dtype(t);
  return op == "all" || op == "any" ? Dtype::kBool : t;
}

struct Reduce {
  ReduceAttrs attrs;
  Call call;
  Reduce(const std::string& op, Data x, Dims axes, bool keepdims = false) : attrs(axes, keepdims) {
    call.row = table().find(op, x.dtype);
    call.attrs = &attrs;
    call.outputs = {{result_dtype(op, x.dtype), reduce_shape(x.shape, attrs)}};
    call.inputs = {std::move(x)};
  }
  Data run() { return run_whole(call)[0]; }
};

const std::function<void(bool, const char*)> kExpect = [](bool same, const char* what) {
  EXPECT_TRUE(same) << what;
};

// Flat output index of each input element.
std::vector<int64_t> targets(const Shape& shape, const ReduceAttrs& attrs) {
  const Shape out = reduce_shape(shape, ReduceAttrs(attrs.axes, true));
  const Strides os = row_major(out);
  std::vector<int64_t> to(num_elements(shape));
  const Strides is = row_major(shape);
  for (size_t i = 0; i < to.size(); ++i) {
    int64_t rest = i;
    for (size_t a = 0; a < shape.size(); ++a) {
      if (out[a] != 1) to[i] += rest / is[a] * os[a];
      rest %= is[a];
    }
  }
  return to;
}

struct Oracle {
  std::vector<long double> sum, sum_abs, prod, max, min;
  Oracle(const Data& x, const ReduceAttrs& attrs) {
    const size_t n = num_elements(reduce_shape(x.shape, attrs));
    sum.assign(n, 0), sum_abs.assign(n, 0), prod.assign(n, 1);
    max.assign(n, -INFINITY), min.assign(n, INFINITY);
    const auto to = targets(x.shape, attrs);
    for (size_t i = 0; i < to.size(); ++i) {
      const long double v = get(x, i);
      const int64_t o = to[i];
      sum[o] += v, sum_abs[o] += std::fabs(v), prod[o] *= v;
      max[o] = std::isnan(v) || std::isnan(max[o]) ? NAN : std::max(max[o], v);
      min[o] = std::isnan(v) || std::isnan(min[o]) ? NAN : std::min(min[o], v);
    }
  }
};

double epsilon(Dtype t) {
  return t == Dtype::kFloat64    ? 0x1p-53
         : t == Dtype::kFloat16  ? 0x1p-11
         : t == Dtype::kBfloat16 ? 0x1p-8
                                 : 0x1p-24;
}

// A float sum must round its result once and lose at most 8 float32 ulps of the sum of magnitudes.
void expect_sum(const Data& y, const Oracle& o, size_t i) {
  const long double got = get(y, i);
  if (is_integral(y.dtype)) {
    EXPECT_EQ(got, o.sum[i]) << i;
    return;
  }
  const double inner = y.dtype == Dtype::kFloat64 ? 0x1p-53 : 0x1p-24;
  const long double bound =
      1.01 * epsilon(y.dtype) * std::fabs(o.sum[i]) + 8 * inner * o.sum_abs[i];
  EXPECT_LE(std::fabs(got - o.sum[i]), bound) << i << " " << static_cast<double>(o.sum[i]);
}

struct Case {
  Shape shape;
  Dims axes;
};

const Case kCases[] = {
    {{}, {}},
    {{1}, {0}},
    {{16}, {0}},
    {{63}, {0}},
    {{1000}, {0}},
    {{20000}, {0}},
    {{100003}, {0}},
    {{7, 9}, {}},
    {{5, 1, 6}, {1}},
    {{33, 17}, {0}},
    {{33, 17}, {1}},
    {{300, 129}, {0}},
    {{300, 129}, {1}},
    {{300, 129}, {0, 1}},
    {{5001, 2}, {0}},
    {{777, 31}, {0}},
    {{2000, 70}, {0}},
    {{75, 1300}, {0}},
    {{500, 16}, {1}},
    {{3, 9001}, {1}},
    {{3, 9001}, {0, 1}},
    {{9, 40, 31}, {0, 2}},
    {{9, 40, 31}, {1}},
    {{9, 40, 31}, {0, 1}},
    {{9, 40, 31}, {1, 2}},
    {{130, 5, 70}, {0, 2}},
    {{4, 3, 5, 6, 7}, {1, 3}},
    {{4, 3, 5, 6, 7}, {0, 2, 4}},
    {{1, 4, 1, 30}, {0, 2, 3}},
    {{1, 4, 30, 1}, {0, 2}},
};

TEST(CpuReduce, sum_is_accurate_and_bits_do_not_depend_on_cuts_or_threads) {
  for (Dtype t : device::kAllDtypes) {
    if (t == Dtype::kComplex64) continue;
    for (const Case& c : kCases) {
      SCOPED_TRACE(std::string(name_of(t)) + to_string(c.shape) + to_string(c.axes));
      Reduce r("sum", random_data(t, c.shape, 1), c.axes);
      const Data y = check_bits(r.call, reduce_tiling, kExpect)[0];
      const Oracle o(r.call.inputs[0], r.attrs);
      for (int64_t i = 0; i < y.size(); ++i) expect_sum(y, o, i);
    }
  }
}

TEST(CpuReduce, prod_is_accurate_and_bits_do_not_depend_on_cuts_or_threads) {
  for (Dtype t : device::kAllDtypes) {
    if (t == Dtype::kComplex64) continue;
    for (const Case& c : kCases) {
      SCOPED_TRACE(std::string(name_of(t)) + to_string(c.shape) + to_string(c.axes));
      Data x = random_data(t, c.shape, 2);
      int64_t per = 1;
      for (int64_t a : c.axes) per *= c.shape[a];
      for (int64_t i = 0; i < x.size(); ++i) {  // magnitudes near 1 in every partial product
        const double sign = i % 3 == 0 && kind_of(t) >= DtypeKind::kSigned ? -1 : 1;
        set(x, i,
            is_floating(t) ? sign * std::exp2(std::sin(i) / 64) : sign * (i % 11 == 0 ? 3 : 1));
      }
      Reduce r("prod", std::move(x), c.axes);
      const Data y = check_bits(r.call, reduce_tiling, kExpect)[0];
      if (is_integral(t) && per > 30) continue;  // wraps; the oracle does not
      const Oracle o(r.call.inputs[0], r.attrs);
      const double inner = t == Dtype::kFloat64 ? 0x1p-53 : 0x1p-24;
      for (int64_t i = 0; i < y.size(); ++i) {
        const long double bound =
            is_integral(t) ? 0 : (1.01 * epsilon(t) + inner * per) * std::fabs(o.prod[i]);
        EXPECT_LE(std::fabs(get(y, i) - o.prod[i]), bound) << i;
      }
    }
  }
}

TEST(CpuReduce, max_and_min_are_exact_and_nan_wins) {
  for (Dtype t : device::kAllDtypes) {
    if (t == Dtype::kComplex64) continue;
    for (const Case& c : kCases) {
      SCOPED_TRACE(std::string(name_of(t)) + to_string(c.shape) + to_string(c.axes));
      Data x = random_data(t, c.shape, 3);
      if (is_floating(t) && x.size() > 40) {
        set(x, x.size() / 2, NAN);
        set(x, 1, INFINITY);
        set(x, 30, -INFINITY);
      }
      Reduce lo("min", x, c.axes, true), hi("max", x, c.axes, true);
      const Data a = check_bits(lo.call, reduce_tiling, kExpect)[0];
      const Data b = check_bits(hi.call, reduce_tiling, kExpect)[0];
      const Oracle o(x, lo.attrs);
      for (int64_t i = 0; i < a.size(); ++i) {
        EXPECT_EQ(ulps(get(a, i), o.min[i], Dtype::kFloat64), 0) << i;
        EXPECT_EQ(ulps(get(b, i), o.max[i], Dtype::kFloat64), 0) << i;
      }
    }
  }
}

TEST(CpuReduce, all_and_any_see_every_element_of_every_dtype) {
  for (Dtype t : device::kAllDtypes) {
    for (const Case& c : kCases) {
      SCOPED_TRACE(std::string(name_of(t)) + to_string(c.shape) + to_string(c.axes));
      for (double fill : {0.0, 1.0}) {
        Data x(t, c.shape);
        for (int64_t i = 0; i < x.size(); ++i)
          set(x, i, fill != 0 ? 1.0 + i % 7 : is_inexact(t) ? -0.0 : 0.0);
        const int64_t odd = x.size() * 2 / 3;
        set(x, odd, fill != 0 ? 0.0 : (is_floating(t) ? NAN : 1.0));
        const auto to = targets(x.shape, ReduceAttrs(c.axes, false));
        Reduce all("all", x, c.axes), any("any", x, c.axes);
        const Data a = check_bits(all.call, reduce_tiling, kExpect, 2)[0];
        const Data b = check_bits(any.call, reduce_tiling, kExpect, 2)[0];
        for (int64_t i = 0; i < a.size(); ++i) {
          const bool here = i == to[odd];
          int64_t per = x.size() / a.size();
          EXPECT_EQ(get(a, i), fill != 0 ? !here : here && per == 1) << i;
          EXPECT_EQ(get(b, i), fill != 0 ? !here || per > 1 : here) << i;
        }
      }
    }
  }
}

TEST(CpuReduce, logsumexp_is_accurate_and_bits_do_not_depend_on_cuts_or_threads) {
  for (Dtype t : device::kFloatDtypes) {
    for (const Case& c : kCases) {
      SCOPED_TRACE(std::string(name_of(t)) + to_string(c.shape) + to_string(c.axes));
      Data x = random_data(t, c.shape, 6);
      for (int64_t i = 0; i < x.size(); ++i) set(x, i, static_cast<double>(get(x, i)) * 10);
      if (x.size() > 100) set(x, 50, -HUGE_VAL);
      Reduce r("logsumexp", x, c.axes);
      const Data y = check_bits(r.call, reduce_tiling, kExpect)[0];
      const auto to = targets(x.shape, r.attrs);
      std::vector<long double> max(y.size(), -HUGE_VALL), sum(y.size());
      for (int64_t i = 0; i < x.size(); ++i) max[to[i]] = std::max(max[to[i]], get(x, i));
      for (int64_t i = 0; i < x.size(); ++i) sum[to[i]] += std::exp(get(x, i) - max[to[i]]);
      const double inner = t == Dtype::kFloat64 ? 0x1p-53 : 0x1p-24;
      for (int64_t i = 0; i < y.size(); ++i) {
        const long double want = max[i] + std::log(sum[i]);
        // One rounding of the result; exp's argument is off by up to 64 of its units.
        ASSERT_LE(std::fabs(get(y, i) - want), 1.01 * epsilon(t) * std::fabs(want) + 20 * inner);
      }
    }
  }
}

TEST(CpuReduce, logsumexp_of_infinities_and_nan) {
  const double inf = HUGE_VAL;
  const auto run = [](std::initializer_list<double> v) {
    Data x(Dtype::kFloat32, {static_cast<int64_t>(v.size())});
    std::copy(v.begin(), v.end(), x.as<float>());
    return get(Reduce("logsumexp", x, {0}).run(), 0);
  };
  EXPECT_EQ(run({-inf, -inf}), -HUGE_VALL);
  EXPECT_EQ(run({inf, 1}), HUGE_VALL);
  EXPECT_EQ(run({inf, -inf}), HUGE_VALL);
  EXPECT_TRUE(std::isnan(run({inf, NAN})));
  EXPECT_TRUE(std::isnan(run({NAN, -inf})));
  Data x(Dtype::kFloat32, {300, 2});
  for (int64_t i = 0; i < x.size(); ++i) set(x, i, i % 2 ? -inf : i == 200 ? NAN : 1);
  const Data y = Reduce("logsumexp", x, {0}).run();
  EXPECT_TRUE(std::isnan(get(y, 0)));
  EXPECT_EQ(get(y, 1), -HUGE_VALL);
}

TEST(CpuReduce, empty_reductions_give_the_identity) {
  EXPECT_EQ(get(Reduce("sum", Data(Dtype::kFloat32, {0}), {0}).run(), 0), 0);
  EXPECT_EQ(get(Reduce("prod", Data(Dtype::kFloat16, {3, 0}), {1}).run(), 2), 1);
  EXPECT_EQ(get(Reduce("all", Data(Dtype::kInt32, {0, 4}), {0}).run(), 3), 1);
  EXPECT_EQ(get(Reduce("any", Data(Dtype::kInt32, {0, 4}), {0}).run(), 3), 0);
  EXPECT_EQ(Reduce("sum", Data(Dtype::kFloat32, {0, 4}), {1}).run().size(), 0);
}

TEST(CpuReduce, integer_sums_wrap) {
  Data x(Dtype::kInt32, {3});
  set(x, 0, 2147483647), set(x, 1, 1), set(x, 2, 0);
  EXPECT_EQ(get(Reduce("sum", x, {0}).run(), 0), -2147483648.0L);
}

TEST(CpuReduce, nan_and_infinity_pass_through_sums) {
  for (Dtype t : device::kFloatDtypes) {
    for (int64_t n : {5, 3000, 30000}) {
      Data x = random_data(t, {n}, 4);
      set(x, n / 2, INFINITY);
      EXPECT_EQ(get(Reduce("sum", x, {0}).run(), 0), INFINITY);
      set(x, n / 3, -INFINITY);
      EXPECT_TRUE(std::isnan(get(Reduce("sum", x, {0}).run(), 0)));
      set(x, n / 3, NAN);
      EXPECT_TRUE(std::isnan(get(Reduce("sum", x, {0}).run(), 0)));
    }
  }
}

TEST(CpuReduce, half_sums_pass_the_range_of_half_in_between) {
  Data x(Dtype::kFloat16, {4000});
  for (int i = 0; i < 4000; ++i) set(x, i, i < 2000 ? 60000.0 : -60000.0 + (i == 2000));
  EXPECT_LE(std::fabs(get(Reduce("sum", x, {0}).run(), 0)), 32);
}

TEST(CpuReduce, long_float_sums_do_not_drift) {
  Data x(Dtype::kFloat32, {3, 1 << 21});
  for (int64_t i = 0; i < x.size(); ++i) set(x, i, 0.1);
  const long double exact = static_cast<long double>(0.1f) * (1 << 21);
  const Data y = Reduce("sum", x, {1}).run();
  EXPECT_LE(ulps(get(y, 0), exact, Dtype::kFloat32), 2);
  x.shape = {1 << 21, 3};
  EXPECT_LE(ulps(get(Reduce("sum", x, {0}).run(), 2), exact, Dtype::kFloat32), 2);
}

TEST(CpuReduce, complex_sums_and_products) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(to_string(c.shape) + to_string(c.axes));
    Data x = random_data(Dtype::kComplex64, c.shape, 5);
    auto* z = x.as<std::complex<float>>();
    const ReduceAttrs attrs(c.axes, false);
    const auto to = targets(c.shape, attrs);
    const size_t n = num_elements(reduce_shape(c.shape, attrs));
    std::vector<std::complex<double>> sum(n), prod(n, 1);
    for (int64_t i = 0; i < x.size(); ++i) {
      sum[to[i]] += z[i];
      z[i] = std::polar(1.0f, static_cast<float>(i));
      prod[to[i]] *= std::complex<double>(z[i]);
    }
    Reduce p("prod", x, c.axes);
    const Data py = check_bits(p.call, reduce_tiling, kExpect)[0];
    Reduce s("sum", random_data(Dtype::kComplex64, c.shape, 5), c.axes);
    const Data sy = check_bits(s.call, reduce_tiling, kExpect)[0];
    const double per = static_cast<double>(x.size()) / n;
    for (size_t i = 0; i < n; ++i) {
      const std::complex<double> a = sy.as<std::complex<float>>()[i];
      const std::complex<double> b = py.as<std::complex<float>>()[i];
      EXPECT_LE(std::abs(a - sum[i]), 1e-6 * (1 + std::abs(sum[i]) + std::sqrt(per)));
      EXPECT_LE(std::abs(b - prod[i]), 2e-7 * (1 + per));
    }
  }
}

TEST(CpuReduce, complex_extremes_are_lexicographic) {
  Data x(Dtype::kComplex64, {4});
  auto* z = x.as<std::complex<float>>();
  z[0] = {1, 2}, z[1] = {1, 5}, z[2] = {0, 9}, z[3] = {0, -9};
  EXPECT_EQ(Reduce("max", x, {0}).run().as<std::complex<float>>()[0], std::complex<float>(1, 5));
  EXPECT_EQ(Reduce("min", x, {0}).run().as<std::complex<float>>()[0], std::complex<float>(0, -9));
}

}  // namespace
}  // namespace plimsoll::test
