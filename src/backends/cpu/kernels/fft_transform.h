// Transforms of lines that lie side by side in cache, and the numbers they share.
#pragma once

#include <cstdint>

#include "backends/cpu/kernels/fft_pass.h"
#include "base/small_vector.h"

namespace plimsoll::cpu::fft {

inline constexpr int64_t kMostLines = 16;  // transformed side by side, a lane each

struct Radices {
  SmallVector<int, 40> list;
  int64_t rest = 1;  // what no radix divides
};
Radices radices_of(int64_t n);

/// n complex numbers from `at`, which moves past them.
Split take(float*& at, int64_t n);

/// exp(-2πi k / n), k < n, rounded from double; threads share it.
void fill_roots(Split roots, int64_t n);

/// The passes of a transform of `lines` lines; threads share each where `parallel`. The result is
/// in one of a, b.
Split transform(Split a, Split b, Split roots, int64_t n, int64_t lines, bool parallel);

}  // namespace plimsoll::cpu::fft
