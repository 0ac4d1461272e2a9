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

/// to[k·count + i] = from[start[i] + k·step], for k < n and i < count.
void gather_lines(const C64* from, const int64_t* start, int64_t step, int64_t count, int64_t n,
                  Split to);
/// The way back.
void scatter_lines(Split from, const int64_t* start, int64_t step, int64_t count, int64_t n,
                   C64* to);

/// x[k·count + i] *= exp(-2πi k·(first + i) / n), for k < rows and i < count ≤ 16.
void twist(Split x, int64_t first, int64_t count, int64_t rows, int64_t n);

/// out = a · b, n complex numbers; b has one for each `repeat` of a.
void multiply(Split out, Split a, Split b, int64_t n, int64_t repeat);

}  // namespace plimsoll::cpu::fft
