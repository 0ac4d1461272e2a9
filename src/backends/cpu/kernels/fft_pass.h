// Transforms of several lines at once: bringing lines side by side and back, and one pass of a
// mixed-radix transform (Stockham's order, which needs no permutation): length n·stride split as
// radix × m, the parts of a butterfly m apart.
#pragma once

#include <complex>
#include <cstdint>

namespace plimsoll::cpu::fft {

using C64 = std::complex<float>;

/// Complex numbers as two arrays.
struct Split {
  float *re = nullptr, *im = nullptr;
  /// An inverse is a transform with real and imaginary parts exchanged, before and after.
  Split exchanged(bool inverse = true) const { return inverse ? Split{im, re} : *this; }
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

/// Lines of complex numbers among floats: the real part of element k is k·step on, the imaginary
/// part `apart` after it. Pairs of real numbers are complex numbers, too.
struct Lines {
  int64_t step = 2, apart = 1;
  static Lines complex(int64_t step) { return {2 * step, 1}; }
  static Lines pairs(int64_t step) { return {2 * step, step}; }
};

/// to[k·count + i] = element k of the line from[start[i]], for k < n and i < count.
void gather_lines(const float* from, const int64_t* start, Lines lines, int64_t count, int64_t n,
                  Split to);
/// The way back.
void scatter_lines(Split from, const int64_t* start, Lines lines, int64_t count, int64_t n,
                   float* to);

/// From the transform of pairs of real numbers, `half` of them, to the first half + 1 terms of the
/// transform of the numbers, for `count` lines side by side. `roots`: exp(-2πi k / (2·half)), for
/// k ≤ half / 2. REQUIRES: `out` and `in` do not overlap.
void untangle(Split in, Split out, Split roots, int64_t half, int64_t count);
/// From half + 1 terms to what an inverse transform of `half` turns into pairs of real numbers.
void tangle(Split in, Split out, Split roots, int64_t half, int64_t count);

/// x[k·count + i] *= exp(-2πi k·(first + i) / n), for k < rows and i < count ≤ 16.
void twist(Split x, int64_t first, int64_t count, int64_t rows, int64_t n);

/// out = a · b, n complex numbers; b has one for each `repeat` of a.
void multiply(Split out, Split a, Split b, int64_t n, int64_t repeat);

}  // namespace plimsoll::cpu::fft
