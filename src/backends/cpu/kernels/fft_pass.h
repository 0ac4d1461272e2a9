// One pass of a mixed-radix transform of several lines at once (Stockham's order, which needs no
// permutation): length n·stride split as radix × m, the parts of a butterfly m apart.
#pragma once

#include <cstdint>

namespace plimsoll::cpu::fft {

/// Complex numbers as two arrays.
struct Split {
  float *re = nullptr, *im = nullptr;
};

inline constexpr int kMostRadix = 13;

/// out[q + stride·(radix·p + j)] = w^(p·j) Σ_k in[q + stride·(p + m·k)] ω^(jk), for p in [p0, p1)
/// and q in [q0, q1); w and ω are roots of unity, the first taken from `roots` in steps of
/// root_step.
struct Pass {
  Split in, out;
  Split roots;  // exp(-2πi t / N)
  int64_t root_step = 1;
  int64_t m = 1, stride = 1;
  int radix = 2;
  int64_t p0 = 0, p1 = 1, q0 = 0, q1 = 1;
};
void run_pass(const Pass& pass);

/// out = a · b, n complex numbers; b has one for each `repeat` of a.
void multiply(Split out, Split a, Split b, int64_t n, int64_t repeat);

}  // namespace plimsoll::cpu::fft
