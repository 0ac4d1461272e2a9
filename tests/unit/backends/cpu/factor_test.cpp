#include "backends/cpu/kernels/factor.h"

#include <cmath>

#include "opset/factor.h"
#include "tests/unit/backends/cpu/struct_harness.h"

namespace plimsoll::testing {
namespace {

const device::KernelTable& table() {
  static const device::KernelTable* kTable = [] {
    auto* t = new device::KernelTable;
    cpu::add_factor_kernels(*t);
    return t;
  }();
  return *kTable;
}

// Of `matrices` matrices; odd sizes put each at another alignment.
Call call(const char* op, Dtype t, int64_t matrices, int64_t m, int64_t n,
          std::vector<TensorSpec> outputs, const AttrBase* attrs = nullptr) {
  for (TensorSpec& out : outputs) out.shape.insert(out.shape.begin(), matrices);
  return {&table(), op, {random_values(t, {matrices, m, n}, 3)}, outputs, attrs, matrix_tiling};
}

TEST(Factor, BitsDoNotDependOnWhereInABatchAMatrixLies) {
  const TriangleAttrs lower;
  for (Dtype t : {Dtype::kFloat32, Dtype::kFloat64}) {
    const int64_t m = 19, n = 13;
    const auto u32 = Dtype::kUint32;
    expect_cuts_and_threads_keep_bits(call("cholesky", t, 5, m, m, {{t, {m, m}}}, &lower));
    expect_cuts_and_threads_keep_bits(call("qr", t, 5, m, n, {{t, {m, n}}, {t, {n, n}}}));
    expect_cuts_and_threads_keep_bits(
        call("svd", t, 5, m, n, {{t, {m, m}}, {t, {n}}, {t, {n, n}}}));
    expect_cuts_and_threads_keep_bits(call("singular_values", t, 5, n, m, {{t, {n}}}));
    expect_cuts_and_threads_keep_bits(
        call("lu_factor", t, 5, m, n, {{t, {m, n}}, {u32, {n}}, {u32, {m}}}));
    const auto c = Dtype::kComplex64;
    expect_cuts_and_threads_keep_bits(call("eig", t, 5, m, m, {{c, {m}}, {c, {m, m}}}));
    expect_cuts_and_threads_keep_bits(call("eigvals", t, 5, m, m, {{c, {m}}}));
  }
}

TEST(Factor, CholeskyOfWhatIsNotPositiveIsNan) {
  const TriangleAttrs lower;
  Call c = call("cholesky", Dtype::kFloat32, 1, 2, 2, {{Dtype::kFloat32, {2, 2}}}, &lower);
  c.inputs[0] = make(Dtype::kFloat32, {1, 2, 2}, {1, 0, 2, 1});
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(std::isnan(run_whole(c)[0].get(i).real()));
}

TEST(Factor, GivesNanForNanAndInfinity) {
  const auto f = Dtype::kFloat32, c64 = Dtype::kComplex64;
  for (double bad : {double(NAN), double(INFINITY)}) {
    Call svd = call("singular_values", f, 1, 2, 2, {{f, {2}}});
    Call eig = call("eigvals", f, 1, 2, 2, {{c64, {2}}});
    svd.inputs[0] = eig.inputs[0] = make(f, {1, 2, 2}, {1, bad, 2, 1});
    EXPECT_TRUE(std::isnan(run_whole(svd)[0].get(0).real()));
    EXPECT_TRUE(std::isnan(run_whole(eig)[0].get(1).real()));
  }
}

}  // namespace
}  // namespace plimsoll::testing
