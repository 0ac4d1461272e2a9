#include "backends/cpu/kernels/solve.h"

#include "opset/solve.h"
#include "plimsoll/error.h"
#include "tests/unit/backends/cpu/struct_harness.h"

namespace plimsoll::testing {
namespace {

const device::KernelTable& table() {
  static const device::KernelTable* kTable = [] {
    auto* t = new device::KernelTable;
    cpu::add_solve_kernels(*t);
    return t;
  }();
  return *kTable;
}

Call call(const char* op, HostArray a, std::vector<HostArray> more, const AttrBase* attrs) {
  const TensorSpec out{a.dtype, more.empty() ? a.shape : more[0].shape};
  std::vector<HostArray> inputs{std::move(a)};
  for (auto& x : more) inputs.push_back(std::move(x));
  return {&table(), op, std::move(inputs), {out}, attrs, matrix_tiling};
}

TEST(Solve, BitsDoNotDependOnWhereInABatchAMatrixLies) {
  const TriangleAttrs upper(true);
  for (Dtype t : {Dtype::kFloat32, Dtype::kFloat64}) {
    const HostArray a = random_values(t, {5, 19, 19}, 1), b = random_values(t, {5, 19, 7}, 2);
    expect_cuts_and_threads_keep_bits(call("inv", a, {}, nullptr));
    expect_cuts_and_threads_keep_bits(call("tri_inv", a, {}, &upper));
    expect_cuts_and_threads_keep_bits(call("solve", a, {b}, nullptr));
    expect_cuts_and_threads_keep_bits(call("solve_triangular", a, {b}, &upper));
  }
}

TEST(Solve, SingularMatricesAreRefusedByName) {
  const TriangleAttrs lower;
  const HostArray zero(Dtype::kFloat32, {1, 2, 2}), b(Dtype::kFloat32, {1, 2, 1});
  EXPECT_THROW(run_whole(call("inv", zero, {}, nullptr), 1), Error);
  EXPECT_THROW(run_whole(call("tri_inv", zero, {}, &lower), 1), Error);
  EXPECT_THROW(run_whole(call("solve", zero, {b}, nullptr), 1), Error);
  EXPECT_THROW(run_whole(call("solve_triangular", zero, {b}, &lower), 1), Error);
}

}  // namespace
}  // namespace plimsoll::testing
