#include "backends/cpu/kernels/softmax.h"

#include <gtest/gtest.h>

#include "opset/softmax.h"
#include "tests/unit/backends/cpu/kernel_harness.h"

namespace plimsoll::test {
namespace {

struct Softmax {
  SoftmaxAttrs attrs{false};
  device::KernelTable table;
  Call call;
  Softmax(const char* op, std::vector<Data> inputs) {
    cpu::add_softmax_kernels(table);
    call.row = table.find(op, inputs[0].dtype);
    call.attrs = &attrs;
    call.outputs = {inputs[0].spec()};
    call.inputs = std::move(inputs);
  }
  Data check() {
    return check_bits(call, softmax_tiling,
                      [](bool same, const char* what) { EXPECT_TRUE(same) << what; })[0];
  }
};

const Shape kShapes[] = {{1},     {5},        {16},       {1000},    {70001},
                         {7, 33}, {300, 129}, {3, 4, 65}, {2, 16385}};

TEST(CpuSoftmax, is_close_to_the_exact_values_and_bits_do_not_depend_on_cuts_or_threads) {
  for (Dtype t : device::kFloatDtypes)
    for (const Shape& shape : kShapes) {
      SCOPED_TRACE(std::string(name_of(t)) + to_string(shape));
      Data x = random_data(t, shape, 1);
      for (int64_t i = 0; i < x.size(); ++i) set(x, i, static_cast<double>(get(x, i)) * 5);
      const Data y = Softmax("softmax", {x}).check();
      const int64_t n = shape.back();
      for (int64_t r = 0; r < x.size() / n; ++r) {
        long double max = -INFINITY, sum = 0;
        for (int64_t i = 0; i < n; ++i) max = std::max(max, get(x, r * n + i));
        for (int64_t i = 0; i < n; ++i) sum += std::exp(get(x, r * n + i) - max);
        for (int64_t i = 0; i < n; ++i) {
          const long double want = std::exp(get(x, r * n + i) - max) / sum;
          if (size_of(t) == 2) {  // one rounding
            ASSERT_LE(ulps(get(y, r * n + i), want, t), 0.51) << r << " " << i;
            continue;
          }
          // In units of rounding: exp 4 (2 with fma), sum 3, reciprocal and product 1 each, and x -
          // max, whose rounding exp turns into a relative error of |x - max| units.
          const long double arg = max - get(x, r * n + i);
          const long double unit = t == Dtype::kFloat64 ? 0x1p-53L : 0x1p-24L;
          ASSERT_LE(std::fabs(get(y, r * n + i) - want), (9 + arg) * unit * want) << r << " " << i;
        }
      }
    }
}

TEST(CpuSoftmax, extreme_inputs) {
  const double inf = HUGE_VAL;
  for (Dtype t : device::kFloatDtypes) {
    Data x(t, {4});
    const auto run = [&](std::vector<double> v) {
      for (int i = 0; i < 4; ++i) set(x, i, v[i]);
      return Softmax("softmax", {x}).check();
    };
    const Data huge = run({60000, 60000, -60000, -inf});
    EXPECT_EQ(get(huge, 0), 0.5);
    EXPECT_EQ(get(huge, 2), 0);
    EXPECT_EQ(get(huge, 3), 0);
    for (const Data& y : {run({-inf, -inf, -inf, -inf}), run({inf, 1, 2, 3}), run({NAN, 1, 2, 3})})
      for (int i = 0; i < 4; ++i) EXPECT_TRUE(std::isnan(get(y, i)));
  }
}

TEST(CpuSoftmax, nan_anywhere_in_a_long_row_fills_it_with_the_same_bits) {
  Data x = random_data(Dtype::kFloat32, {100000}, 3);
  set(x, 77777, NAN);
  const Data y = Softmax("softmax", {x}).check();
  for (int64_t i = 0; i < y.size(); ++i) ASSERT_TRUE(std::isnan(get(y, i)));
}

TEST(CpuSoftmax, empty_arrays_are_left_alone) {
  EXPECT_EQ(run_whole(Softmax("softmax", {Data(Dtype::kFloat32, {3, 0})}).call)[0].size(), 0);
  EXPECT_EQ(run_whole(Softmax("softmax", {Data(Dtype::kFloat32, {0, 3})}).call)[0].size(), 0);
}

TEST(CpuSoftmax, vjp_is_y_times_g_minus_their_dot_product) {
  for (Dtype t : device::kFloatDtypes)
    for (const Shape& shape : kShapes) {
      SCOPED_TRACE(std::string(name_of(t)) + to_string(shape));
      const Data y = run_whole(Softmax("softmax", {random_data(t, shape, 1)}).call)[0];
      const Data g = random_data(t, shape, 2);
      const Data dx = Softmax("softmax_vjp", {y, g}).check();
      const int64_t n = shape.back();
      const double eps = t == Dtype::kFloat64    ? 0x1p-53
                         : t == Dtype::kFloat16  ? 0x1p-11
                         : t == Dtype::kBfloat16 ? 0x1p-8
                                                 : 0x1p-24;
      for (int64_t r = 0; r < y.size() / n; ++r) {
        long double dot = 0;
        for (int64_t i = 0; i < n; ++i) dot += get(y, r * n + i) * get(g, r * n + i);
        for (int64_t i = 0; i < n; ++i) {
          const long double a = get(y, r * n + i), b = get(g, r * n + i);
          const long double tiny = t == Dtype::kFloat16 ? 0x1p-25L : 0;
          ASSERT_LE(std::fabs(get(dx, r * n + i) - a * (b - dot)),
                    tiny + 4 * eps * a * (std::fabs(b) + std::fabs(dot) + 1))
              << r << " " << i;
        }
      }
    }
}

}  // namespace
}  // namespace plimsoll::test
