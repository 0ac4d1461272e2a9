// Transforms of lines that lie side by side in cache, and the numbers they share.
#pragma once

#include <cstdint>

#include "backends/cpu/kernels/fft_pass.h"
#include "backends/cpu/kernels/strided.h"
#include "base/small_vector.h"
#include "device/kernel.h"

namespace plimsoll::cpu::fft {

inline constexpr int64_t kMostLines = 16;  // transformed side by side, a lane each

struct Radices {
  SmallVector<int, 40> list;
  int64_t rest = 1;  // what no radix divides
};
Radices radices_of(int64_t n);

/// Floats of an element, and an operand's lines as the form takes them: pairs where it is real.
inline int64_t floats_of(const device::Tensor& t) { return t.dtype == Dtype::kComplex64 ? 2 : 1; }
inline Lines lines_along(const device::Tensor& t, int axis) {
  const int64_t step = t.strides[axis];
  return t.dtype == Dtype::kComplex64 ? Lines::complex(step) : Lines::pairs(step);
}

/// Over the lines of both operands, in floats.
StridedLoop other_axes(const device::Tensor& in, const device::Tensor& out, int axis);

/// n complex numbers from `at`, which moves past them.
Split take(float*& at, int64_t n);

/// exp(-2πi k / n), k < count, rounded from double; threads share it.
void fill_roots(Split roots, int64_t n, int64_t count);
inline void fill_roots(Split roots, int64_t n) { fill_roots(roots, n, n); }

/// What a transform is of, and into: complex numbers both; even counts of real numbers into half
/// of their terms; and back. With pairs of real numbers as complex ones, each is a transform of
/// half the length.
enum class Form { kComplex, kFromReal, kToReal };

/// The passes of a transform of `lines` lines; threads share each where `parallel`. The result is
/// in one of a, b.
Split transform(Split a, Split b, Split roots, int64_t n, int64_t lines, bool parallel);

}  // namespace plimsoll::cpu::fft
