#include "backends/cpu/kernels/linalg.h"

#include <cmath>

#include "opset/linalg.h"
#include "tests/unit/backends/cpu/struct_harness.h"

namespace plimsoll::testing {
namespace {

using Complex = std::complex<double>;

const device::KernelTable& table() {
  static const device::KernelTable* kTable = [] {
    auto* t = new device::KernelTable;
    cpu::add_linalg_kernels(*t);
    return t;
  }();
  return *kTable;
}

Call eigh_call(HostArray a, const EighAttrs& attrs) {
  Shape values = a.shape;
  values.pop_back();
  const Dtype real = a.dtype == Dtype::kFloat64 ? Dtype::kFloat64 : Dtype::kFloat32;
  const TensorSpec vectors{a.dtype, a.shape};
  return {&table(), "eigh", {std::move(a)}, {{real, values}, vectors}, &attrs, matrix_tiling};
}

// The Hermitian matrix whose `upper` or lower triangle is that of matrix `m`.
Complex element(const HostArray& a, int64_t m, int64_t n, int64_t i, int64_t j, bool upper) {
  const bool read = upper ? i <= j : i >= j;
  const Complex x = a.get((m * n + (read ? i : j)) * n + (read ? j : i));
  if (i == j) return x.real();
  return read ? x : std::conj(x);
}

void check(Dtype dtype, const Shape& shape, bool upper, double tolerance) {
  const HostArray a = random_values(dtype, shape, 1);  // not symmetric: one triangle counts
  const EighAttrs attrs(upper);
  const Call call = eigh_call(a, attrs);
  const auto out = run_whole(call);
  const int64_t n = shape.back(), matrices = n ? a.count() / (n * n) : 0;
  for (int64_t m = 0; m < matrices; ++m) {
    for (int64_t c = 0; c < n; ++c) {
      const double w = out[0].get(m * n + c).real();
      EXPECT_GE(w, c ? out[0].get(m * n + c - 1).real() : -INFINITY);
      auto v = [&](int64_t i, int64_t col) { return out[1].get((m * n + i) * n + col); };
      for (int64_t i = 0; i < n; ++i) {
        Complex sum = -w * v(i, c), dot = 0;
        for (int64_t j = 0; j < n; ++j) sum += element(a, m, n, i, j, upper) * v(j, c);
        for (int64_t j = 0; j < n; ++j) dot += std::conj(v(j, i)) * v(j, c);
        ASSERT_LE(std::abs(sum), tolerance * n) << m << " " << c;
        ASSERT_LE(std::abs(dot - (i == c ? 1.0 : 0.0)), tolerance * n);
      }
    }
  }
  expect_cuts_and_threads_keep_bits(call);
}

TEST(Eigh, DiagonalizesTheTriangleThatIsRead) {
  for (bool upper : {false, true}) {
    for (int64_t n : {0, 1, 2, 7, 40}) {
      check(Dtype::kFloat32, {n, n}, upper, 2e-6);
      check(Dtype::kFloat64, {n, n}, upper, 4e-15);
      check(Dtype::kComplex64, {n, n}, upper, 3e-6);
    }
  }
}

TEST(Eigh, TakesBatchesOneByOne) {
  check(Dtype::kFloat32, {3, 2, 5, 5}, false, 2e-6);
  check(Dtype::kComplex64, {4, 3, 3}, true, 3e-6);
  check(Dtype::kFloat32, {9, 19, 19}, true, 4e-6);  // each aligned in another way
  check(Dtype::kFloat64, {5, 21, 21}, false, 8e-15);
}

TEST(Eigh, GivesNanForNanOrInfinityInTheTriangleThatIsRead) {
  const EighAttrs lower(false), upper(true);
  for (double bad : {double(NAN), double(INFINITY)}) {
    HostArray a = make(Dtype::kFloat32, {2, 2}, {2, bad, 1, 3});  // bad is in the upper triangle
    const auto fine = run_whole(eigh_call(a, lower));
    EXPECT_NEAR(fine[0].get(0).real(), 1.381966, 1e-5);
    const auto out = run_whole(eigh_call(a, upper));
    EXPECT_TRUE(std::isnan(out[0].get(0).real()));
    EXPECT_TRUE(std::isnan(out[1].get(3).real()));
  }
}

TEST(Eigh, DeclaresTheWorkspaceOfLapackAndAPlaceForSmallMatrices) {
  const EighAttrs attrs;
  auto workspace = [&](int64_t n) {
    const std::vector<TensorSpec> in{{Dtype::kFloat32, {n, n}}};
    const std::vector<TensorSpec> out{{Dtype::kFloat32, {n}}, {Dtype::kFloat32, {n, n}}};
    return table().find("eigh", Dtype::kFloat32)->workspace({in, out, &attrs});
  };
  auto lapack = [](size_t n) { return 4 * (1 + 6 * n + 2 * n * n) + 4 * (3 + 5 * n); };
  EXPECT_EQ(workspace(96), 4 * 96 + 4 * 96 * 96 + lapack(96));
  EXPECT_EQ(workspace(1024), 4 * 1024 + lapack(1024));
}

}  // namespace
}  // namespace plimsoll::testing
