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
        Complex sum = 0;
        for (int64_t j = 0; j < n; ++j) {
          const double angle = 2 * std::numbers::pi * static_cast<double>(j * k % n) /
                               static_cast<double>(n) * (inverse ? 1 : -1);
          sum += call.inputs[0].get((o * n + j) * inner + i) * std::polar(1.0, angle);
        }
        ASSERT_LE(std::abs(got[0].get((o * n + k) * inner + i) - sum),
                  2e-6 * std::sqrt(static_cast<double>(n)) + 1e-6)
            << n << " " << k;
      }
    }
  }
  expect_cuts_and_threads_keep_bits(call);
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
