#include "backends/cpu/kernels/matmul.h"

#include <cmath>

#include "opset/matmul.h"
#include "tests/unit/backends/cpu/struct_harness.h"

namespace plimsoll::testing {
namespace {

const device::KernelTable& table() {
  static const device::KernelTable* kTable = [] {
    auto* t = new device::KernelTable;
    cpu::add_matmul_kernels(*t);
    return t;
  }();
  return *kTable;
}

Call matmul_call(Dtype dtype, const Shape& a, const Shape& b) {
  Shape out = a;
  for (size_t d = 0; d + 2 < a.size(); ++d) out[d] = std::max(a[d], b[d]);
  out.back() = b.back();
  return {&table(),       "matmul", {random_values(dtype, a, 1), random_values(dtype, b, 2)},
          {{dtype, out}}, nullptr,  matmul_tiling};
}

// Relative to the sum of the magnitudes: what K rounded terms may lose.
void expect_near_naive(const Call& call, const HostArray& got) {
  const Shape &a = call.inputs[0].shape, &b = call.inputs[1].shape, &out = got.shape;
  const size_t nd = out.size();
  const int64_t m = out[nd - 2], n = out[nd - 1], k = a[nd - 1];
  const double unit = got.dtype == Dtype::kFloat64    ? 0x1p-53
                      : got.dtype == Dtype::kBfloat16 ? 0x1p-8
                      : got.dtype == Dtype::kFloat16  ? 0x1p-11
                                                      : 0x1p-24;
  for (int64_t i = 0; i < got.count(); ++i) {
    int64_t rest = i / n / m, a_at = 0, b_at = 0, a_step = 1, b_step = 1;
    for (int64_t d = static_cast<int64_t>(nd) - 3; d >= 0; rest /= out[d--]) {
      a_at += a[d] == 1 ? 0 : rest % out[d] * a_step;
      b_at += b[d] == 1 ? 0 : rest % out[d] * b_step;
      a_step *= a[d];
      b_step *= b[d];
    }
    std::complex<double> sum = 0;
    double magnitude = 0;
    for (int64_t p = 0; p < k; ++p) {
      const auto term = call.inputs[0].get((a_at * m + i / n % m) * k + p) *
                        call.inputs[1].get((b_at * k + p) * n + i % n);
      sum += term;
      magnitude += std::abs(term);
    }
    const double float_part = got.dtype == Dtype::kFloat64 ? 0 : 0x1p-24 * 2 * std::sqrt(k + 1);
    ASSERT_LE(
        std::abs(got.get(i) - sum),
        unit * std::abs(sum) + (float_part + 2 * unit * unit * k + 0x1p-50) * magnitude + 1e-7)
        << i;
  }
}

TEST(Matmul, AgreesWithNaiveAndKeepsBitsUnderEveryCut) {
  for (Dtype dtype :
       {Dtype::kFloat32, Dtype::kFloat64, Dtype::kComplex64, Dtype::kFloat16, Dtype::kBfloat16}) {
    for (const auto& [a, b] : {std::pair<Shape, Shape>{{19, 23}, {23, 37}},
                               {{1, 50}, {50, 9}},
                               {{3, 2, 5, 7}, {3, 2, 7, 11}},
                               {{2, 1, 5, 7}, {1, 3, 7, 4}}}) {
      const Call call = matmul_call(dtype, a, b);
      expect_near_naive(call, run_whole(call)[0]);
      expect_cuts_and_threads_keep_bits(call);
    }
  }
}

TEST(Matmul, AddsLongKInPanelsWhereverItIsCut) {
  for (Dtype dtype : {Dtype::kFloat32, Dtype::kBfloat16, Dtype::kFloat16}) {
    const Call call = matmul_call(dtype, {2, 9, 2600}, {2, 2600, 13});
    expect_near_naive(call, run_whole(call)[0]);
    expect_cuts_and_threads_keep_bits(call);
  }
}

TEST(Matmul, ReadsTransposedInputsInPlace) {
  Call call = matmul_call(Dtype::kFloat32, {4, 6}, {6, 5});
  const HostArray want = run_whole(call)[0];
  HostArray at(Dtype::kFloat32, {6, 4}), bt(Dtype::kFloat32, {5, 6});
  for (int64_t i = 0; i < 24; ++i) at.set(i % 6 * 4 + i / 6, call.inputs[0].get(i));
  for (int64_t i = 0; i < 30; ++i) bt.set(i % 5 * 6 + i / 5, call.inputs[1].get(i));
  HostArray got(Dtype::kFloat32, {4, 5});
  const std::vector<device::Tensor> in{{at.bytes.data(), at.dtype, {4, 6}, {1, 4}},
                                       {bt.bytes.data(), bt.dtype, {6, 5}, {1, 6}}};
  const std::vector<device::Tensor> out{got.tensor()};
  const device::KernelRow* row = table().find("matmul", Dtype::kFloat32);
  const std::vector<TensorSpec> in_specs{{at.dtype, {4, 6}}, {bt.dtype, {6, 5}}};
  std::vector<std::byte> work(row->workspace({in_specs, call.outputs, nullptr}) + 64);
  row->run({in, out, work, {}, nullptr, {}});
  expect_same_bits({got}, {want}, "matmul");
}

TEST(Matmul, GivesZerosWhereThereIsNothingToAdd) {
  const Call call = matmul_call(Dtype::kFloat32, {3, 0}, {0, 4});
  expect_same_bits(run_whole(call), {HostArray(Dtype::kFloat32, {3, 4})}, "matmul");
  EXPECT_EQ(run_whole(matmul_call(Dtype::kFloat32, {0, 3}, {3, 4}))[0].count(), 0);
}

TEST(Matmul, HasNoKernelForIntegers) {
  for (Dtype t : device::kAllDtypes) EXPECT_EQ(table().find("matmul", t) != nullptr, is_inexact(t));
}

}  // namespace
}  // namespace plimsoll::testing
