#include "backends/cpu/kernels/linalg.h"

#include <algorithm>
#include <cmath>
#include <complex>
#include <limits>

#define lapack_complex_float std::complex<float>
#define lapack_complex_double std::complex<double>
#include <lapacke.h>

#include "backends/cpu/kernels/strided.h"
#include "opset/linalg.h"

extern "C" void openblas_set_num_threads(int);

namespace plimsoll::cpu {
namespace {

using device::KernelArgs;
using device::Tensor;

constexpr Dtype kDtypes[] = {Dtype::kFloat32, Dtype::kFloat64, Dtype::kComplex64};

constexpr size_t kAlignment = 64;

// LAPACK counts its workspace, 2 n² + …, in 32 bits.
constexpr int64_t kMostRows = 32760;

// What LAPACK's divide-and-conquer drivers ask for, in elements.
struct EighWork {
  int64_t work, real, integers;
  size_t bytes(Dtype t) const {
    const size_t real_size = t == Dtype::kFloat64 ? 8 : 4;
    return static_cast<size_t>(work) * size_of(t) + static_cast<size_t>(real) * real_size +
           static_cast<size_t>(integers) * sizeof(lapack_int);
  }
};

EighWork eigh_work(Dtype t, int64_t n) {
  if (n <= 1) return {2 * n + 1, t == Dtype::kComplex64 ? 1 : 0, 1};
  if (t == Dtype::kComplex64) return {2 * n + n * n, 1 + 5 * n + 2 * n * n, 3 + 5 * n};
  return {1 + 6 * n + 2 * n * n, 0, 3 + 5 * n};
}

// The bits of LAPACK's results depend on how its matrix is aligned. What is large and keeps the
// alignment of its buffer from matrix to matrix is solved in place, else in aligned workspace.
bool in_place(Dtype t, int64_t n) {
  constexpr size_t kLarge = size_t{1} << 20;  // its buffer begins on a page
  const size_t bytes = static_cast<size_t>(n * n) * size_of(t);
  return bytes > kLarge && bytes % kAlignment == 0;
}

// Eigenvalues, then the matrix unless in place, then LAPACK's own.
struct EighPlaces {
  size_t matrix, work, end;
};

EighPlaces places(Dtype t, int64_t n) {
  auto aligned = [](size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; };
  const size_t matrix = aligned(static_cast<size_t>(n) * (t == Dtype::kFloat64 ? 8 : 4));
  const size_t bytes = in_place(t, n) ? 0 : static_cast<size_t>(n * n) * size_of(t);
  const size_t work = matrix + aligned(bytes);
  return {matrix, work, work + eigh_work(t, n).bytes(t)};
}

size_t workspace(const OpInstance& op) {
  return places(op.inputs[0].dtype, op.inputs[0].shape.back()).end;
}

lapack_int solve(char uplo, lapack_int n, float* a, float* w, std::byte* at, const EighWork& size) {
  auto* work = reinterpret_cast<float*>(at);
  return LAPACKE_ssyevd_work(
      LAPACK_COL_MAJOR, 'V', uplo, n, a, n, w, work, static_cast<lapack_int>(size.work),
      reinterpret_cast<lapack_int*>(work + size.work), static_cast<lapack_int>(size.integers));
}
lapack_int solve(char uplo, lapack_int n, double* a, double* w, std::byte* at,
                 const EighWork& size) {
  auto* work = reinterpret_cast<double*>(at);
  return LAPACKE_dsyevd_work(
      LAPACK_COL_MAJOR, 'V', uplo, n, a, n, w, work, static_cast<lapack_int>(size.work),
      reinterpret_cast<lapack_int*>(work + size.work), static_cast<lapack_int>(size.integers));
}
lapack_int solve(char uplo, lapack_int n, std::complex<float>* a, float* w, std::byte* at,
                 const EighWork& size) {
  auto* work = reinterpret_cast<std::complex<float>*>(at);
  auto* real = reinterpret_cast<float*>(work + size.work);
  return LAPACKE_cheevd_work(
      LAPACK_COL_MAJOR, 'V', uplo, n, a, n, w, work, static_cast<lapack_int>(size.work), real,
      static_cast<lapack_int>(size.real), reinterpret_cast<lapack_int*>(real + size.real),
      static_cast<lapack_int>(size.integers));
}

bool finite(std::complex<float> x) { return std::isfinite(x.real()) && std::isfinite(x.imag()); }
bool finite(float x) { return std::isfinite(x); }
bool finite(double x) { return std::isfinite(x); }

// Of the triangle that is read, in columns.
template <typename T>
bool all_finite(const T* a, int64_t n, bool upper) {
  for (int64_t j = 0; j < n; ++j) {
    const T* column = a + j * n;
    if (!std::all_of(column + (upper ? 0 : j), column + (upper ? j + 1 : n),
                     [](T x) { return finite(x); }))
      return false;
  }
  return true;
}

template <typename T>
void transpose_in_place(T* a, int64_t n) {
  constexpr int64_t kBlock = 32;
  for (int64_t i0 = 0; i0 < n; i0 += kBlock)
    for (int64_t j0 = 0; j0 <= i0; j0 += kBlock)
      for (int64_t i = i0; i < std::min(i0 + kBlock, n); ++i)
        for (int64_t j = j0; j < std::min(j0 + kBlock, i); ++j)
          std::swap(a[i * n + j], a[j * n + i]);
}

// LAPACK overwrites the matrix by its eigenvectors, as columns.
template <typename T, typename Real>
void eigh_matrix(const Tensor& in, int64_t in_at, Real* values, T* vectors, bool upper,
                 std::span<std::byte> workspace) {
  const int64_t n = in.shape.back();
  const int rows = static_cast<int>(in.shape.size()) - 2;
  const T* a = in.as<const T>() + in_at;
  const EighPlaces at = places(in.dtype, n);
  T* const result = vectors;
  if (!in_place(in.dtype, n)) vectors = reinterpret_cast<T*>(workspace.data() + at.matrix);
  for (int64_t j = 0; j < n; ++j)
    for (int64_t i = 0; i < n; ++i)
      vectors[j * n + i] = a[i * in.strides[rows] + j * in.strides[rows + 1]];
  if (!all_finite(vectors, n, upper)) {  // LAPACK need not end on these
    constexpr Real kNan = std::numeric_limits<Real>::quiet_NaN();
    std::fill(values, values + n, kNan);
    std::fill(result, result + n * n, T(kNan));
    return;
  }
  auto* w = reinterpret_cast<Real*>(workspace.data());
  const lapack_int info = solve(upper ? 'U' : 'L', static_cast<lapack_int>(n), vectors, w,
                                workspace.data() + at.work, eigh_work(in.dtype, n));
  PLIMSOLL_CHECK(info == 0, Error,
                 "[eigh] expected LAPACK's divide and conquer to converge, got info {}; scale the "
                 "matrix or use float64",
                 info);
  transpose_in_place(vectors, n);
  std::copy(w, w + n, values);
  if (result != vectors) std::copy(vectors, vectors + n * n, result);
}

void eigh(const KernelArgs& args) {
  const Tensor &in = args.inputs[0], &values = args.outputs[0], &vectors = args.outputs[1];
  const bool upper = static_cast<const EighAttrs&>(*args.attrs).upper;
  const int64_t n = in.shape.back();
  PLIMSOLL_CHECK(n <= kMostRows, ValueError,
                 "[eigh] expected at most {} rows, got {}; LAPACK counts in 32 bits", kMostRows, n);
  StridedLoop batch(3);
  for (size_t d = 0; d + 2 < in.shape.size(); ++d)
    batch.add(in.shape[d], {in.strides[d], values.strides[d], vectors.strides[d]});
  batch.collapse();
  if (n == 0) return;
  openblas_set_num_threads(1);  // its bits depend on the number
  batch.runs(0, batch.count(), 1, [&](const int64_t* at, int64_t) {
    auto matrix = [&]<typename T, typename Real>(T, Real) {
      eigh_matrix(in, at[0], values.as<Real>() + at[1], vectors.as<T>() + at[2], upper,
                  args.workspace);
    };
    if (in.dtype == Dtype::kFloat32) return matrix(float{}, float{});
    if (in.dtype == Dtype::kFloat64) return matrix(double{}, double{});
    matrix(std::complex<float>{}, float{});
  });
}

}  // namespace

void add_linalg_kernels(device::KernelTable& table) {
  device::KernelRow row;
  row.run = eigh;
  row.workspace = workspace;
  row.strided_inputs = device::kAllInputs;
  row.can_fail = true;
  table.add("eigh", kDtypes, row);
}

}  // namespace plimsoll::cpu
