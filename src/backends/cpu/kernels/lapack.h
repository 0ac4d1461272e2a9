// LAPACK's routines by element type, and matrices in aligned workspace.
//
// The bits of LAPACK's results depend on how its matrices are aligned and on the number of threads:
// every matrix is solved in columns at the start of a 64-byte line, on one thread.
#pragma once

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

#define lapack_complex_float std::complex<float>
#define lapack_complex_double std::complex<double>
#include <lapacke.h>

#include "backends/cpu/kernels/strided.h"

extern "C" void openblas_set_num_threads(int);

namespace plimsoll::cpu::lapack {

/// LAPACK counts in 32 bits; its workspaces are at most a few times the matrix.
inline constexpr int64_t kMostRows = 16000;

/// Hands out parts of workspace, each from a 64-byte line on. Without workspace it only counts.
class Places {
 public:
  Places() = default;
  explicit Places(std::span<std::byte> workspace) : base_(workspace.data()) {}

  template <typename T>
  T* take(int64_t n) {
    auto* at = reinterpret_cast<T*>(base_ + used_);
    used_ += (static_cast<size_t>(std::max<int64_t>(n, 1)) * sizeof(T) + 63) / 64 * 64;
    return base_ ? at : nullptr;
  }
  size_t used() const { return used_; }

 private:
  std::byte* base_ = nullptr;
  size_t used_ = 0;
};

/// dst, in columns, = the matrix at a.
template <typename T>
void load(const T* a, int64_t row_stride, int64_t column_stride, int64_t rows, int64_t columns,
          T* dst) {
  constexpr int64_t kBlock = 32;
  for (int64_t j0 = 0; j0 < columns; j0 += kBlock)
    for (int64_t i0 = 0; i0 < rows; i0 += kBlock)
      for (int64_t j = j0; j < std::min(j0 + kBlock, columns); ++j)
        for (int64_t i = i0; i < std::min(i0 + kBlock, rows); ++i)
          dst[j * rows + i] = a[i * row_stride + j * column_stride];
}

/// out, in rows, = the first rows and columns of src, in columns `step` apart.
template <typename T, typename Out>
void store(const T* src, int64_t step, int64_t rows, int64_t columns, Out* out) {
  constexpr int64_t kBlock = 32;
  for (int64_t i0 = 0; i0 < rows; i0 += kBlock)
    for (int64_t j0 = 0; j0 < columns; j0 += kBlock)
      for (int64_t i = i0; i < std::min(i0 + kBlock, rows); ++i)
        for (int64_t j = j0; j < std::min(j0 + kBlock, columns); ++j)
          out[i * columns + j] = Out(src[j * step + i]);
}

inline bool finite(float x) { return std::isfinite(x); }
inline bool finite(double x) { return std::isfinite(x); }
inline bool finite(std::complex<float> x) {
  return std::isfinite(x.real()) && std::isfinite(x.imag());
}
template <typename T>
bool all_finite(const T* a, int64_t n) {
  return std::all_of(a, a + n, [](T x) { return finite(x); });
}

template <typename T>
struct RealOf {
  using type = T;
};
template <typename T>
struct RealOf<std::complex<T>> {
  using type = T;
};

using Int = lapack_int;

inline Int potrf(char uplo, Int n, float* a) {
  return LAPACKE_spotrf_work(LAPACK_COL_MAJOR, uplo, n, a, n);
}
inline Int potrf(char uplo, Int n, double* a) {
  return LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, uplo, n, a, n);
}
inline Int getrf(Int m, Int n, float* a, Int* pivots) {
  return LAPACKE_sgetrf_work(LAPACK_COL_MAJOR, m, n, a, std::max(m, 1), pivots);
}
inline Int getrf(Int m, Int n, double* a, Int* pivots) {
  return LAPACKE_dgetrf_work(LAPACK_COL_MAJOR, m, n, a, std::max(m, 1), pivots);
}
inline Int getri(Int n, float* a, const Int* pivots, float* work, Int size) {
  return LAPACKE_sgetri_work(LAPACK_COL_MAJOR, n, a, n, pivots, work, size);
}
inline Int getri(Int n, double* a, const Int* pivots, double* work, Int size) {
  return LAPACKE_dgetri_work(LAPACK_COL_MAJOR, n, a, n, pivots, work, size);
}
inline Int getrs(Int n, Int k, const float* a, const Int* pivots, float* b) {
  return LAPACKE_sgetrs_work(LAPACK_COL_MAJOR, 'N', n, k, a, n, pivots, b, n);
}
inline Int getrs(Int n, Int k, const double* a, const Int* pivots, double* b) {
  return LAPACKE_dgetrs_work(LAPACK_COL_MAJOR, 'N', n, k, a, n, pivots, b, n);
}
inline Int trtri(char uplo, Int n, float* a) {
  return LAPACKE_strtri_work(LAPACK_COL_MAJOR, uplo, 'N', n, a, n);
}
inline Int trtri(char uplo, Int n, double* a) {
  return LAPACKE_dtrtri_work(LAPACK_COL_MAJOR, uplo, 'N', n, a, n);
}
inline Int trtrs(char uplo, Int n, Int k, const float* a, float* b) {
  return LAPACKE_strtrs_work(LAPACK_COL_MAJOR, uplo, 'N', 'N', n, k, a, n, b, n);
}
inline Int trtrs(char uplo, Int n, Int k, const double* a, double* b) {
  return LAPACKE_dtrtrs_work(LAPACK_COL_MAJOR, uplo, 'N', 'N', n, k, a, n, b, n);
}
inline Int geqrf(Int m, Int n, float* a, float* tau, float* work, Int size) {
  return LAPACKE_sgeqrf_work(LAPACK_COL_MAJOR, m, n, a, m, tau, work, size);
}
inline Int geqrf(Int m, Int n, double* a, double* tau, double* work, Int size) {
  return LAPACKE_dgeqrf_work(LAPACK_COL_MAJOR, m, n, a, m, tau, work, size);
}
inline Int orgqr(Int m, Int k, float* a, const float* tau, float* work, Int size) {
  return LAPACKE_sorgqr_work(LAPACK_COL_MAJOR, m, k, k, a, m, tau, work, size);
}
inline Int orgqr(Int m, Int k, double* a, const double* tau, double* work, Int size) {
  return LAPACKE_dorgqr_work(LAPACK_COL_MAJOR, m, k, k, a, m, tau, work, size);
}
inline Int gesdd(char job, Int m, Int n, float* a, float* s, float* u, Int ldu, float* vt,
                 float* work, Int size, float*, Int* integers) {
  return LAPACKE_sgesdd_work(LAPACK_COL_MAJOR, job, m, n, a, m, s, u, ldu, vt, job == 'N' ? 1 : n,
                             work, size, integers);
}
inline Int gesdd(char job, Int m, Int n, double* a, double* s, double* u, Int ldu, double* vt,
                 double* work, Int size, double*, Int* integers) {
  return LAPACKE_dgesdd_work(LAPACK_COL_MAJOR, job, m, n, a, m, s, u, ldu, vt, job == 'N' ? 1 : n,
                             work, size, integers);
}
inline Int gesdd(char job, Int m, Int n, std::complex<float>* a, float* s, std::complex<float>* u,
                 Int ldu, std::complex<float>* vt, std::complex<float>* work, Int size,
                 float* reals, Int* integers) {
  return LAPACKE_cgesdd_work(LAPACK_COL_MAJOR, job, m, n, a, m, s, u, ldu, vt, job == 'N' ? 1 : n,
                             work, size, reals, integers);
}
/// Eigenvalues as real and imaginary parts, or as complex numbers in `w`; vectors in v.
inline Int geev(char job, Int n, float* a, float* w, float* imaginary, float* v, float* work,
                Int size, float*) {
  return LAPACKE_sgeev_work(LAPACK_COL_MAJOR, 'N', job, n, a, n, w, imaginary, nullptr, 1, v,
                            job == 'N' ? 1 : n, work, size);
}
inline Int geev(char job, Int n, double* a, double* w, double* imaginary, double* v, double* work,
                Int size, double*) {
  return LAPACKE_dgeev_work(LAPACK_COL_MAJOR, 'N', job, n, a, n, w, imaginary, nullptr, 1, v,
                            job == 'N' ? 1 : n, work, size);
}
inline Int geev(char job, Int n, std::complex<float>* a, std::complex<float>* w,
                std::complex<float>*, std::complex<float>* v, std::complex<float>* work, Int size,
                float* reals) {
  return LAPACKE_cgeev_work(LAPACK_COL_MAJOR, 'N', job, n, a, n, w, nullptr, 1, v,
                            job == 'N' ? 1 : n, work, size, reals);
}

}  // namespace plimsoll::cpu::lapack
