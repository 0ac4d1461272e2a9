#include "backends/cpu/kernels/fft_pass.h"

#include <cmath>
#include <numbers>

#include "backends/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backends/cpu/kernels/fft_pass.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace plimsoll::cpu::fft::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Vectors and single lanes run the same operations, so that an element's bits do not depend on
// where a vector ends; products are rounded apart from sums.
template <class D>
struct Complex {
  hn::Vec<D> re, im;
};

template <class D>
HWY_INLINE Complex<D> operator+(Complex<D> a, Complex<D> b) {
  return {hn::Add(a.re, b.re), hn::Add(a.im, b.im)};
}
template <class D>
HWY_INLINE Complex<D> operator-(Complex<D> a, Complex<D> b) {
  return {hn::Sub(a.re, b.re), hn::Sub(a.im, b.im)};
}
template <class D>
HWY_INLINE Complex<D> times(Complex<D> a, hn::Vec<D> re, hn::Vec<D> im) {
  return {hn::Sub(hn::Mul(a.re, re), hn::Mul(a.im, im)),
          hn::Add(hn::Mul(a.re, im), hn::Mul(a.im, re))};
}
template <class D>
HWY_INLINE Complex<D> scaled(Complex<D> a, float by) {
  const auto s = hn::Set(D(), by);
  return {hn::Mul(a.re, s), hn::Mul(a.im, s)};
}
/// -i a
template <class D>
HWY_INLINE Complex<D> turned(Complex<D> a) {
  return {a.im, hn::Neg(a.re)};
}

/// The transform of R numbers in place. `table`: exp(-2πi t / R).
template <int R, class D>
HWY_INLINE void butterfly(Complex<D> (&x)[R], const float (&table)[2][kMostRadix]) {
  if constexpr (R == 2) {
    const auto a = x[0];
    x[0] = a + x[1];
    x[1] = a - x[1];
  } else if constexpr (R == 4) {
    const auto a = x[0] + x[2], b = x[0] - x[2], c = x[1] + x[3], d = turned(x[1] - x[3]);
    x[0] = a + c;
    x[1] = b + d;
    x[2] = a - c;
    x[3] = b - d;
  } else {  // odd: pairs of terms that are conjugate to each other
    constexpr int H = R / 2;
    Complex<D> sum[H + 1], difference[H + 1];
    Complex<D> out0 = x[0];
    for (int k = 1; k <= H; ++k) {
      sum[k] = x[k] + x[R - k];
      difference[k] = turned(x[k] - x[R - k]);
      out0 = out0 + sum[k];
    }
    const Complex<D> first = x[0];
    for (int j = 1; j <= H; ++j) {
      Complex<D> even = first, odd = scaled(difference[1], -table[1][j % R]);
      even = even + scaled(sum[1], table[0][j % R]);
      for (int k = 2; k <= H; ++k) {
        even = even + scaled(sum[k], table[0][j * k % R]);
        odd = odd + scaled(difference[k], -table[1][j * k % R]);
      }
      x[j] = even + odd;
      x[R - j] = even - odd;
    }
    x[0] = out0;
  }
}

template <int R, class D>
HWY_INLINE void run_lanes(D d, const Pass& t, int64_t p, int64_t q,
                          const float (&table)[2][kMostRadix], const float (&w)[2][R]) {
  Complex<D> x[R];
  const int64_t from = q + t.stride * p, apart = t.stride * t.m;
  for (int k = 0; k < R; ++k)
    x[k] = {hn::LoadU(d, t.in.re + from + k * apart), hn::LoadU(d, t.in.im + from + k * apart)};
  butterfly<R>(x, table);
  const int64_t to = q + t.stride * R * p;
  for (int j = 0; j < R; ++j) {
    const Complex<D> y = j == 0 ? x[0] : times(x[j], hn::Set(d, w[0][j]), hn::Set(d, w[1][j]));
    hn::StoreU(y.re, d, t.out.re + to + j * t.stride);
    hn::StoreU(y.im, d, t.out.im + to + j * t.stride);
  }
}

template <int R>
void run_radix(const Pass& t) {
  const hn::ScalableTag<float> d;
  const hn::CappedTag<float, 1> one;
  const int64_t lanes = HWY_LANES(float);
  float table[2][kMostRadix] = {};
  for (int k = 0; k < R; ++k) {
    table[0][k] = static_cast<float>(std::cos(2 * std::numbers::pi * k / R));
    table[1][k] = static_cast<float>(-std::sin(2 * std::numbers::pi * k / R));
  }
  for (int64_t p = t.p0; p < t.p1; ++p) {
    float w[2][R];
    for (int j = 0; j < R; ++j) {
      w[0][j] = t.roots.re[p * j * t.root_step];
      w[1][j] = t.roots.im[p * j * t.root_step];
    }
    int64_t q = t.q0;
    for (; q + lanes <= t.q1; q += lanes) run_lanes<R>(d, t, p, q, table, w);
    for (; q < t.q1; ++q) run_lanes<R>(one, t, p, q, table, w);
  }
}

void run_pass_here(const Pass& t) {
  switch (t.radix) {
    case 2:
      return run_radix<2>(t);
    case 3:
      return run_radix<3>(t);
    case 4:
      return run_radix<4>(t);
    case 5:
      return run_radix<5>(t);
    case 7:
      return run_radix<7>(t);
    case 11:
      return run_radix<11>(t);
    default:
      return run_radix<13>(t);
  }
}

void multiply_here(Split out, Split a, Split b, int64_t n, int64_t repeat) {
  const hn::ScalableTag<float> d;
  const hn::CappedTag<float, 1> one;
  const int64_t lanes = HWY_LANES(float);
  for (int64_t k = 0; k < n; ++k) {
    const auto product = [&](auto tag, int64_t i) HWY_ATTR {
      const Complex<decltype(tag)> x{hn::LoadU(tag, a.re + i), hn::LoadU(tag, a.im + i)};
      const auto y = times(x, hn::Set(tag, b.re[k]), hn::Set(tag, b.im[k]));
      hn::StoreU(y.re, tag, out.re + i);
      hn::StoreU(y.im, tag, out.im + i);
    };
    int64_t i = k * repeat;
    for (; i + lanes <= (k + 1) * repeat; i += lanes) product(d, i);
    for (; i < (k + 1) * repeat; ++i) product(one, i);
  }
}

}  // namespace plimsoll::cpu::fft::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace plimsoll::cpu::fft {

HWY_EXPORT(run_pass_here);
HWY_EXPORT(multiply_here);
void run_pass(const Pass& pass) { HWY_DYNAMIC_DISPATCH(run_pass_here)(pass); }
void multiply(Split out, Split a, Split b, int64_t n, int64_t repeat) {
  HWY_DYNAMIC_DISPATCH(multiply_here)(out, a, b, n, repeat);
}

}  // namespace plimsoll::cpu::fft
#endif
