#include "backends/cpu/kernels/fft.h"

#include <cmath>
#include <numbers>

#include "opset/fft.h"
#include "tests/unit/backends/cpu/struct_harness.h"

namespace plimsoll::testing {
namespace {

using Complex = std::complex<double>;

const device::KernelTable& table() {
  static const device::KernelTable* kTable = [] {
    auto* t = new device::KernelTable;
    cpu::add_fft_kernels(*t);
    return t;
  }();
  return *kTable;
}

/// Σ_j a_j weight(j) exp(±2πi jk / n), over the line `i` beside `inner` of block `o`, of `reads`.
template <typename Weight>
Complex sum_of(const HostArray& a, int64_t o, int64_t i, int64_t inner, int64_t reads, int64_t k,
               int64_t n, bool inverse, const Weight& weight) {
  Complex sum = 0;
  for (int64_t j = 0; j < reads; ++j) {
    const double angle = 2 * std::numbers::pi * static_cast<double>(j * k % n) /
                         static_cast<double>(n) * (inverse ? 1 : -1);
    sum += a.get((o * reads + j) * inner + i) * std::polar(weight(j), angle);
  }
  return sum;
}

// Lines along the middle one of three axes.
// `every` is the distance of the terms that are compared.
void check(int64_t outer, int64_t n, int64_t inner, bool inverse, int64_t every = 1) {
  const FftAttrs attrs(1, inverse);
  const Shape shape{outer, n, inner};
  const TensorSpec spec{Dtype::kComplex64, shape};
  const Call call{&table(), "dft",  {random_values(Dtype::kComplex64, shape, 1)},
                  {spec},   &attrs, fft_tiling};
  const auto got = run_whole(call);
  for (int64_t o = 0; o < outer; ++o) {
    for (int64_t i = 0; i < inner; ++i) {
      for (int64_t k = 0; k < n; k += every) {
        const Complex sum =
            sum_of(call.inputs[0], o, i, inner, n, k, n, inverse, [](int64_t) { return 1.0; });
        ASSERT_LE(std::abs(got[0].get((o * n + k) * inner + i) - sum),
                  2e-6 * std::sqrt(static_cast<double>(n)) + 1e-6)
            << n << " " << k;
      }
    }
  }
  expect_cuts_and_threads_keep_bits(call);
}

// Real numbers into half of their terms, and terms into the numbers; 2·half along the middle axis.
void check_halves(int64_t outer, int64_t half, int64_t inner, bool inverse, int64_t every = 1) {
  const FftAttrs attrs(1, inverse);
  const int64_t n = 2 * half, terms = half + 1;
  const Shape numbers{outer, n, inner}, spectrum{outer, terms, inner};
  const TensorSpec real{Dtype::kFloat32, numbers}, complex{Dtype::kComplex64, spectrum};
  const TensorSpec in = inverse ? complex : real, out = inverse ? real : complex;
  const Call call{
      &table(),  inverse ? "irdft" : "rdft", {random_values(in.dtype, in.shape, 1)}, {out}, &attrs,
      fft_tiling};
  const auto got = run_whole(call);
  const int64_t reads = inverse ? terms : n, makes = inverse ? n : terms;
  for (int64_t o = 0; o < outer; ++o) {
    for (int64_t i = 0; i < inner; ++i) {
      for (int64_t k = 0; k < makes; k += every) {
        const Complex sum =
            sum_of(call.inputs[0], o, i, inner, reads, k, n, inverse,
                   [&](int64_t j) { return inverse && j != 0 && j != half ? 2.0 : 1.0; });
        const Complex term = got[0].get((o * makes + k) * inner + i);
        const double error = inverse ? std::abs(term.real() - sum.real()) : std::abs(term - sum);
        ASSERT_LE(error, 4e-6 * std::sqrt(static_cast<double>(n)) + 1e-6) << n << " " << k;
      }
    }
  }
  expect_cuts_and_threads_keep_bits(call);
}

TEST(Fft, HalvesOfRealTransformsAgreeWithTheSum) {
  for (int64_t half : {1, 2, 3, 4, 5, 8, 15, 16, 17, 53, 64, 97, 128})
    for (bool inverse : {false, true}) check_halves(3, half, half % 2 ? 1 : 7, inverse);
}

TEST(Fft, LongLinesOfRealNumbersAreMatrices) {
  for (bool inverse : {false, true}) {
    check_halves(1, 1 << 16, 1, inverse, 4999);
    check_halves(2, 73920, 3, inverse, 19999);
    check_halves(1, 40009, 1, inverse, 4999);  // a prime: not long
  }
}

TEST(Fft, AgreesWithTheSumAndKeepsBitsWhateverIsBesideALine) {
  for (int64_t n : {1, 2, 3, 4, 5, 6, 7, 8, 11, 13, 15, 16, 17, 26, 60, 64, 97, 210, 256})
    check(3, n, 7, n % 2 == 0);
}

TEST(Fft, ThreadsShareALongLine) {
  check(1, 1 << 17, 1, false, 4999);
  check(1, 40009, 1, true, 4999);  // a prime
}

TEST(Fft, LongLinesAreMatrices) {
  check(1, 1 << 16, 1, true, 4999);
  check(2, 73920, 3, false, 9999);  // 2^6 3 5 7 11: blocks that are not full
  check(1, 13 * 6561, 17, true, 49999);
  check(17, 65536, 1, false, 49999);
}

}  // namespace
}  // namespace plimsoll::testing
