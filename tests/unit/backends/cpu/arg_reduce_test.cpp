#include "backends/cpu/kernels/arg_reduce.h"

#include <gtest/gtest.h>

#include "opset/arg_reduce.h"
#include "opset/reduce.h"
#include "tests/unit/backends/cpu/kernel_harness.h"

namespace plimsoll::test {
namespace {

struct ArgReduce {
  ArgReduceAttrs attrs;
  Call call;
  device::KernelTable table;
  ArgReduce(const std::string& op, Data x, int axis, bool keepdims = false)
      : attrs(axis, keepdims) {
    cpu::add_arg_reduce_kernels(table);
    call.row = table.find(op, x.dtype);
    call.attrs = &attrs;
    call.outputs = {{Dtype::kUint32, reduce_shape(x.shape, ReduceAttrs(Dims{axis}, keepdims))}};
    call.inputs = {std::move(x)};
  }
  Data check() {
    return check_bits(call, arg_reduce_tiling,
                      [](bool same, const char* what) { EXPECT_TRUE(same) << what; })[0];
  }
};

bool beats(bool max, long double x, long double best) {
  if (std::isnan(best)) return false;
  return std::isnan(x) || (max ? x > best : x < best);
}

std::vector<int64_t> naive(const Data& x, int axis, bool max) {
  int64_t outer = 1, inner = 1;
  const int64_t n = x.shape[axis];
  for (int i = 0; i < axis; ++i) outer *= x.shape[i];
  for (size_t i = axis + 1; i < x.shape.size(); ++i) inner *= x.shape[i];
  std::vector<int64_t> best(outer * inner, 0);
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t c = 0; c < inner; ++c)
      for (int64_t i = 0, *b = &best[o * inner + c]; i < n; ++i)
        if (beats(max, get(x, (o * n + i) * inner + c), get(x, (o * n + *b) * inner + c))) *b = i;
  return best;
}

struct Case {
  Shape shape;
  int axis;
};
const Case kCases[] = {{{1}, 0},        {{17}, 0},       {{20001}, 0},       {{300000}, 0},
                       {{9, 33}, 1},    {{9, 33}, 0},    {{3, 9001}, 1},     {{5001, 2}, 0},
                       {{700, 129}, 0}, {{6, 70, 5}, 1}, {{6, 300, 130}, 1}, {{5, 1, 4}, 1}};

void expect_naive(const std::string& op, const Data& x, int axis) {
  for (bool keepdims : {false, true}) {
    const Data y = ArgReduce(op, x, axis, keepdims).check();
    const auto want = naive(x, axis, op == "argmax");
    for (int64_t i = 0; i < y.size(); ++i) ASSERT_EQ(y.as<uint32_t>()[i], want[i]) << i;
  }
}

TEST(CpuArgReduce, finds_the_first_extreme_for_every_dtype_cut_and_thread_count) {
  for (Dtype t : device::kAllDtypes)
    for (const Case& c : kCases)
      for (const char* op : {"argmax", "argmin"}) {
        if (t == Dtype::kComplex64) continue;
        SCOPED_TRACE(std::string(op) + std::string(name_of(t)) + to_string(c.shape));
        expect_naive(op, random_data(t, c.shape, 1), c.axis);
      }
}

TEST(CpuArgReduce, first_nan_wins) {
  for (Dtype t : device::kFloatDtypes)
    for (const Case& c : kCases)
      for (const char* op : {"argmax", "argmin"}) {
        Data x = random_data(t, c.shape, 2);
        for (int64_t i = x.size() / 2; i < x.size(); i += 3) set(x, i, NAN);
        SCOPED_TRACE(std::string(op) + std::string(name_of(t)) + to_string(c.shape));
        expect_naive(op, x, c.axis);
      }
}

TEST(CpuArgReduce, constants_infinities_and_signed_zeros_give_the_first_index) {
  for (double v : {0.0, -HUGE_VAL, HUGE_VAL}) {
    Data x(Dtype::kFloat32, {20000});
    for (int i = 0; i < 20000; ++i) set(x, i, v != 0 ? v : i % 2 ? 0.0 : -0.0);
    expect_naive("argmax", x, 0);
    expect_naive("argmin", x, 0);
  }
}

TEST(CpuArgReduce, rising_and_falling_sequences) {
  for (const Case& c : kCases) {
    Data x(Dtype::kFloat32, c.shape);
    for (int64_t i = 0; i < x.size(); ++i) set(x, i, static_cast<double>(i));
    expect_naive("argmax", x, c.axis);
    expect_naive("argmin", x, c.axis);
  }
}

TEST(CpuArgReduce, complex_numbers_are_ordered_by_real_then_imaginary_part) {
  Data x(Dtype::kComplex64, {4});
  auto* z = x.as<std::complex<float>>();
  z[0] = {1, 2}, z[1] = {0, 7}, z[2] = {1, 5}, z[3] = {0, -9};
  EXPECT_EQ(get(ArgReduce("argmax", x, 0).check(), 0), 2);
  EXPECT_EQ(get(ArgReduce("argmin", x, 0).check(), 0), 3);
}

}  // namespace
}  // namespace plimsoll::test
