#include "backends/cpu/kernels/scan.h"

#include <gtest/gtest.h>

#include "opset/scan.h"
#include "tests/unit/backends/cpu/kernel_harness.h"

namespace plimsoll::test {
namespace {

using Real = long double;

struct Scan {
  ScanAttrs attrs;
  device::KernelTable table;
  Call call;
  Scan(const std::string& op, Data x, int axis, bool reverse = false, bool inclusive = true)
      : attrs(axis, reverse, inclusive) {
    cpu::add_scan_kernels(table);
    call.row = table.find(op, x.dtype);
    call.attrs = &attrs;
    call.outputs = {x.spec()};
    call.inputs = {std::move(x)};
  }
  Data check(int cuts = 2) {
    return check_bits(
        call, scan_tiling, [](bool same, const char* what) { EXPECT_TRUE(same) << what; }, cuts)[0];
  }
};

const char* const kOps[] = {"cumsum", "cumprod", "cummax", "cummin", "logcumsumexp"};

struct Case {
  Shape shape;
  int axis;
};
const Case kCases[] = {{{1}, 0},        {{19}, 0},       {{5000}, 0},       {{100003}, 0},
                       {{5, 37}, 1},    {{5, 37}, 0},    {{3, 9001}, 1},    {{3001, 2}, 0},
                       {{700, 65}, 0},  {{3, 70, 5}, 1}, {{2, 600, 33}, 1}, {{6, 1, 4}, 1},
                       {{50, 1100}, 0}, {{4, 30, 1}, 1}};

Real identity(const std::string& op, Dtype t) {
  if (op == "cumsum") return 0;
  if (op == "cumprod") return 1;
  if (is_floating(t)) return op == "cummin" ? HUGE_VALL : -HUGE_VALL;
  if (t == Dtype::kBool) return op == "cummin";
  const int bits = static_cast<int>(8 * size_of(t));
  const bool is_signed = kind_of(t) == DtypeKind::kSigned;
  if (op == "cummax") return is_signed ? -std::ldexp(1.0L, bits - 1) : 0;
  return std::ldexp(1.0L, is_signed ? bits - 1 : bits) - 1;
}

Real apply(const std::string& op, Real a, Real x) {
  if (std::isnan(a) || std::isnan(x)) return NAN;
  if (op == "cumsum") return a + x;
  if (op == "cumprod") return a * x;
  if (op == "cummax") return std::max(a, x);
  if (op == "cummin") return std::min(a, x);
  const Real m = std::max(a, x);
  return std::isinf(m) ? m : m + std::log1p(std::exp(std::min(a, x) - m));
}

double unit(Dtype t) {
  return t == Dtype::kFloat64    ? 0x1p-53
         : t == Dtype::kFloat16  ? 0x1p-11
         : t == Dtype::kBfloat16 ? 0x1p-8
                                 : 0x1p-24;
}

// Wraps to the integer dtype, as the kernels do.
Real wrapped(Real v, Dtype t) {
  Data d(t, {1});
  set(d, 0, static_cast<double>(v));
  return get(d, 0);
}

void check_values(const std::string& op, const Scan& s, const Data& y) {
  const Data& x = s.call.inputs[0];
  const Dtype t = x.dtype;
  const int64_t n = x.shape[s.attrs.axis];
  int64_t inner = 1;
  for (size_t i = s.attrs.axis + 1; i < x.shape.size(); ++i) inner *= x.shape[i];
  const Real inner_unit = t == Dtype::kFloat64 ? 0x1p-53L : 0x1p-24L;
  for (int64_t line = 0; line < x.size() / n; ++line) {
    const int64_t base = line / inner * n * inner + line % inner;
    Real a = identity(op, t), size = 0;
    for (int64_t i = 0; i < n; ++i) {
      const int64_t at = base + (s.attrs.reverse ? n - 1 - i : i) * inner;
      const Real v = get(x, at);
      const Real next = is_integral(t) ? wrapped(apply(op, a, v), t) : apply(op, a, v);
      size += op == "cumsum" ? std::fabs(v) : 1;
      const Real want = s.attrs.inclusive ? next : a;
      a = next;
      if (is_integral(t) || op == "cummax" || op == "cummin") {
        ASSERT_EQ(ulps(get(y, at), want, Dtype::kFloat64), 0) << at;
        continue;
      }
      // Sums: 8 roundings of the magnitudes' sum. Products: one a step. logcumsumexp works in
      // double and rounds once a step, which adds up like a random walk.
      const Real steps = std::sqrt(static_cast<Real>(i + 1));
      const Real error = op == "cumsum"    ? inner_unit * 8 * size
                         : op == "cumprod" ? inner_unit * std::fabs(want) * (i + 1)
                                           : 0x1p-53L * 4 * steps * (std::fabs(want) + 1);
      const Real bound =
          1.01 * unit(t) * std::fabs(want) + error + (t == Dtype::kFloat16 ? 0x1p-25L : 0);
      if (std::isinf(want))
        ASSERT_EQ(get(y, at), want) << at;
      else
        ASSERT_LE(std::fabs(get(y, at) - want), bound) << at << " " << static_cast<double>(want);
    }
  }
}

Data scan_input(const std::string& op, Dtype t, const Shape& shape) {
  Data x = random_data(t, shape, 1);
  if (op == "cumprod")
    for (int64_t i = 0; i < x.size(); ++i)
      set(x, i, is_floating(t) ? (i % 3 ? 1 : -1) * std::exp2(std::sin(i) / 64) : 1 + (i % 5 == 0));
  if (op == "cumprod" && t == Dtype::kBool) set(x, x.size() * 2 / 3, 0);
  if (t == Dtype::kInt64 || t == Dtype::kUint64)  // the oracle's wrapping goes through double
    for (int64_t i = 0; op == "cumprod" && i < x.size(); ++i) set(x, i, 1 + (i == x.size() / 2));
  if (op == "cumprod" && (t == Dtype::kUint32 || t == Dtype::kInt32))
    for (int64_t i = 0; i < x.size(); ++i) set(x, i, 1 + (i % 1000 == 7));
  return x;
}

TEST(CpuScan, matches_the_naive_scan_for_every_dtype_cut_and_thread_count) {
  for (const std::string op : kOps)
    for (Dtype t : device::kAllDtypes) {
      if (t == Dtype::kComplex64 || (op == "logcumsumexp" && !is_floating(t))) continue;
      if (op == "cumsum" && t == Dtype::kBool) continue;
      for (const Case& c : kCases)
        for (int flags = 0; flags < 4; ++flags) {
          SCOPED_TRACE(op + std::string(name_of(t)) + to_string(c.shape) + std::to_string(flags));
          const int64_t size = num_elements(c.shape);  // the long ones: one dtype and op
          if (size > 20000 && (t != Dtype::kFloat32 || (op != "cumsum" && flags != 3))) continue;
          Scan s(op, scan_input(op, t, c.shape), c.axis, flags & 1, flags & 2);
          check_values(op, s, s.check(flags == 2 ? 3 : 1));
        }
    }
}

TEST(CpuScan, nan_stays_from_its_place_on) {
  for (const std::string op : kOps)
    for (Dtype t : device::kFloatDtypes)
      for (const Case& c : {Case{{9000}, 0}, Case{{600, 3}, 0}}) {
        Data x = random_data(t, c.shape, 2);
        const int64_t at = x.size() * 5 / 9;
        set(x, at, NAN);
        const Data y = Scan(op, x, 0).check();
        const int64_t inner = x.size() / c.shape[0];
        for (int64_t i = 0; i < y.size(); ++i)
          ASSERT_EQ(std::isnan(get(y, i)), i >= at && i % inner == at % inner) << op << i;
      }
}

TEST(CpuScan, log_cumsum_exp_of_minus_infinity_stays_minus_infinity) {
  Data x(Dtype::kFloat32, {4});
  set(x, 0, -HUGE_VAL), set(x, 1, -HUGE_VAL), set(x, 2, 1), set(x, 3, HUGE_VAL);
  const Data y = Scan("logcumsumexp", x, 0).check();
  EXPECT_EQ(get(y, 1), -HUGE_VALL);
  EXPECT_EQ(get(y, 2), 1);
  EXPECT_EQ(get(y, 3), HUGE_VALL);
}

TEST(CpuScan, long_float_sums_do_not_drift) {
  Data x(Dtype::kFloat32, {1 << 22});
  for (int64_t i = 0; i < x.size(); ++i) set(x, i, 0.1);
  const Data y = run_whole(Scan("cumsum", x, 0).call)[0];
  for (int64_t i : {4095, 4096, 100000, (1 << 22) - 1})
    EXPECT_LE(ulps(get(y, i), static_cast<Real>(0.1f) * (i + 1), Dtype::kFloat32), 8) << i;
}

TEST(CpuScan, complex_scans) {
  Data x = random_data(Dtype::kComplex64, {300, 3}, 4);
  const auto* z = x.as<std::complex<float>>();
  const Data y = Scan("cumsum", x, 0).check();
  std::complex<double> sum[3] = {};
  for (int64_t i = 0; i < x.size(); ++i) {
    sum[i % 3] += z[i];
    const std::complex<double> got = y.as<std::complex<float>>()[i];
    ASSERT_LE(std::abs(got - sum[i % 3]), 1e-5) << i;
  }
  Data few(Dtype::kComplex64, {4});
  auto* f = few.as<std::complex<float>>();
  f[0] = {1, 2}, f[1] = {1, -3}, f[2] = {1, 5}, f[3] = {2, 0};
  const Data m = Scan("cummax", few, 0).check();
  EXPECT_EQ(m.as<std::complex<float>>()[1], (std::complex<float>(1, 2)));
  EXPECT_EQ(m.as<std::complex<float>>()[2], (std::complex<float>(1, 5)));
  EXPECT_EQ(m.as<std::complex<float>>()[3], (std::complex<float>(2, 0)));
}

TEST(CpuScan, scalars_and_empty_arrays) {
  Data one(Dtype::kFloat32, {});
  set(one, 0, 3);
  EXPECT_EQ(get(run_whole(Scan("cumsum", one, 0).call)[0], 0), 3);
  EXPECT_EQ(run_whole(Scan("cumsum", Data(Dtype::kFloat32, {4, 0}), 1).call)[0].size(), 0);
}

}  // namespace
}  // namespace plimsoll::test
