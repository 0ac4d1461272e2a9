#include "backends/cpu/kernels/fft_pass.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "backends/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backends/cpu/kernels/fft_pass.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "backends/cpu/transpose-inl.h"

HWY_BEFORE_NAMESPACE();
namespace plimsoll::cpu::fft::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using cpu::HWY_NAMESPACE::transpose;

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
template <class D>
HWY_INLINE Complex<D> conjugate(Complex<D> a) {
  return {a.re, hn::Neg(a.im)};
}
template <class D>
HWY_INLINE Complex<D> load(D d, Split s, int64_t at) {
  return {hn::LoadU(d, s.re + at), hn::LoadU(d, s.im + at)};
}
template <class D>
HWY_INLINE void store(D d, Complex<D> a, Split s, int64_t at) {
  hn::StoreU(a.re, d, s.re + at);
  hn::StoreU(a.im, d, s.im + at);
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
  } else if constexpr (R == 8) {  // of the even and of the odd terms
    Complex<D> even[4] = {x[0], x[2], x[4], x[6]}, odd[4] = {x[1], x[3], x[5], x[7]};
    butterfly<4>(even, table);
    butterfly<4>(odd, table);
    const auto half_root = hn::Set(D(), 0.70710678f);
    const auto eighth = [half_root](Complex<D> a) HWY_ATTR -> Complex<D> {
      return {hn::Mul(hn::Add(a.re, a.im), half_root), hn::Mul(hn::Sub(a.im, a.re), half_root)};
    };
    odd[1] = eighth(odd[1]);
    odd[2] = turned(odd[2]);
    odd[3] = turned(eighth(odd[3]));
    for (int k = 0; k < 4; ++k) {
      x[k] = even[k] + odd[k];
      x[k + 4] = even[k] - odd[k];
    }
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
  for (int k = 0; k < R; ++k) x[k] = load(d, t.in, from + k * apart);
  butterfly<R>(x, table);
  const int64_t to = q + t.stride * R * p;
  for (int j = 0; j < R; ++j) {
    const Complex<D> y = j == 0 ? x[0] : times(x[j], hn::Set(d, w[0][j]), hn::Set(d, w[1][j]));
    store(d, y, t.out, to + j * t.stride);
  }
}

/// Calls f(tag, i) for the lanes of [begin, end), in vectors that get shorter towards its end.
template <class F>
HWY_INLINE void each_lane(int64_t begin, int64_t end, const F& f) {
  const auto all = [&](auto tag) HWY_ATTR {
    const auto lanes = static_cast<int64_t>(hn::Lanes(tag));
    for (; begin + lanes <= end; begin += lanes) f(tag, begin);
  };
  all(hn::ScalableTag<float>());
  all(hn::CappedTag<float, 8>());
  all(hn::CappedTag<float, 4>());
  all(hn::CappedTag<float, 1>());
}

template <int R>
void run_radix(const Pass& t) {
  float table[2][kMostRadix] = {};
  for (int k = 0; R % 2 == 1 && k < R; ++k) {  // others need none
    table[0][k] = static_cast<float>(std::cos(2 * std::numbers::pi * k / R));
    table[1][k] = static_cast<float>(-std::sin(2 * std::numbers::pi * k / R));
  }
  for (int64_t p = t.p0; p < t.p1; ++p) {
    float w[2][R];
    for (int j = 0; j < R; ++j) {
      w[0][j] = t.roots.re[p * j * t.root_step];
      w[1][j] = t.roots.im[p * j * t.root_step];
    }
    each_lane(t.q0, t.q1, [&](auto d, int64_t q) HWY_ATTR { run_lanes<R>(d, t, p, q, table, w); });
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
    case 8:
      return run_radix<8>(t);
    case 7:
      return run_radix<7>(t);
    case 11:
      return run_radix<11>(t);
    default:
      return run_radix<13>(t);
  }
}

void multiply_here(Split out, Split a, Split b, int64_t n, int64_t repeat) {
  for (int64_t k = 0; k < n; ++k)
    each_lane(k * repeat, (k + 1) * repeat, [&](auto d, int64_t i) HWY_ATTR {
      store(d, times(load(d, a, i), hn::Set(d, b.re[k]), hn::Set(d, b.im[k])), out, i);
    });
}

// Lines --------------------------------------------------------------------------------------

// Elements of a line that are read at once, so that both sides stay in level 1.
constexpr int64_t kPart = 32;
constexpr int64_t kSquare = 4;

/// Calls f(i, begin, end) for the lines from `first` on, some elements at a time.
template <class F>
HWY_INLINE void each_part(int64_t first, int64_t count, int64_t n, const F& f) {
  for (int64_t k = 0; k < n; k += kPart)
    for (int64_t i = first; i < count; ++i) f(i, k, std::min(k + kPart, n));
}

/// Line i follows line i - 1 as an element of an array of complex numbers follows another.
bool are_adjacent(const int64_t* start, Lines lines, int64_t count) {
  for (int64_t i = 1; i < count; ++i)
    if (start[i] != start[0] + 2 * i) return false;
  return lines.apart == 1;
}
bool are_contiguous(Lines lines) { return lines.step == 2 && lines.apart == 1; }

void gather_here(const float* from, const int64_t* start, Lines lines, int64_t count, int64_t n,
                 Split to) {
  const hn::ScalableTag<float> d;
  const hn::FixedTag<float, kSquare> d4;
  const int64_t lanes = HWY_LANES(float);
  int64_t rest = 0;  // lines that are read one by one
  if (are_adjacent(start, lines, count) && count >= lanes) {
    rest = count / lanes * lanes;
    for (int64_t k = 0; k < n; ++k) {
      const float* row = from + start[0] + k * lines.step;
      for (int64_t i = 0; i < rest; i += lanes) {
        hn::Vec<decltype(d)> re, im;
        hn::LoadInterleaved2(d, row + 2 * i, re, im);
        hn::StoreU(re, d, to.re + k * count + i);
        hn::StoreU(im, d, to.im + k * count + i);
      }
    }
  } else if (are_contiguous(lines)) {
    rest = count / kSquare * kSquare;
    const int64_t whole = n / kSquare * kSquare;
    for (int64_t k0 = 0; k0 < whole; k0 += kPart) {
      for (int64_t i = 0; i < rest; i += kSquare) {
        for (int64_t k = k0; k < std::min(k0 + kPart, whole); k += kSquare) {
          hn::Vec<decltype(d4)> re[kSquare], im[kSquare];
          for (int64_t r = 0; r < kSquare; ++r)
            hn::LoadInterleaved2(d4, from + start[i + r] + 2 * k, re[r], im[r]);
          transpose(re);
          transpose(im);
          for (int64_t r = 0; r < kSquare; ++r) {
            hn::StoreU(re[r], d4, to.re + (k + r) * count + i);
            hn::StoreU(im[r], d4, to.im + (k + r) * count + i);
          }
        }
      }
    }
    for (int64_t i = 0; i < rest; ++i) {
      for (int64_t k = whole; k < n; ++k) {
        to.re[k * count + i] = from[start[i] + 2 * k];
        to.im[k * count + i] = from[start[i] + 2 * k + 1];
      }
    }
  }
  each_part(rest, count, n, [&](int64_t i, int64_t k, int64_t end) {
    for (; k < end; ++k) {
      const float* at = from + start[i] + k * lines.step;
      to.re[k * count + i] = at[0];
      to.im[k * count + i] = at[lines.apart];
    }
  });
}

void scatter_here(Split from, const int64_t* start, Lines lines, int64_t count, int64_t n,
                  float* to) {
  const hn::ScalableTag<float> d;
  const hn::FixedTag<float, kSquare> d4;
  const int64_t lanes = HWY_LANES(float);
  int64_t rest = 0;
  if (are_adjacent(start, lines, count) && count >= lanes) {
    rest = count / lanes * lanes;
    for (int64_t k = 0; k < n; ++k) {
      float* row = to + start[0] + k * lines.step;
      for (int64_t i = 0; i < rest; i += lanes)
        hn::StoreInterleaved2(hn::LoadU(d, from.re + k * count + i),
                              hn::LoadU(d, from.im + k * count + i), d, row + 2 * i);
    }
  } else if (are_contiguous(lines)) {
    rest = count / kSquare * kSquare;
    const int64_t whole = n / kSquare * kSquare;
    for (int64_t k0 = 0; k0 < whole; k0 += kPart) {
      for (int64_t i = 0; i < rest; i += kSquare) {
        for (int64_t k = k0; k < std::min(k0 + kPart, whole); k += kSquare) {
          hn::Vec<decltype(d4)> re[kSquare], im[kSquare];
          for (int64_t r = 0; r < kSquare; ++r) {
            re[r] = hn::LoadU(d4, from.re + (k + r) * count + i);
            im[r] = hn::LoadU(d4, from.im + (k + r) * count + i);
          }
          transpose(re);
          transpose(im);
          for (int64_t r = 0; r < kSquare; ++r)
            hn::StoreInterleaved2(re[r], im[r], d4, to + start[i + r] + 2 * k);
        }
      }
    }
    for (int64_t i = 0; i < rest; ++i) {
      for (int64_t k = whole; k < n; ++k) {
        to[start[i] + 2 * k] = from.re[k * count + i];
        to[start[i] + 2 * k + 1] = from.im[k * count + i];
      }
    }
  }
  each_part(rest, count, n, [&](int64_t i, int64_t k, int64_t end) {
    for (; k < end; ++k) {
      float* at = to + start[i] + k * lines.step;
      at[0] = from.re[k * count + i];
      at[lines.apart] = from.im[k * count + i];
    }
  });
}

// Halves of a real transform ----------------------------------------------------------------

// Z_k of the pairs is E_k + i O_k of the even and of the odd numbers, and Z_(half - k) is
// conj(E_k) + i conj(O_k); term k is E_k + w^k O_k, term half - k is conj(E_k - w^k O_k).
void untangle_here(Split in, Split out, Split roots, int64_t half, int64_t count) {
  each_lane(0, count, [&](auto d, int64_t i) HWY_ATTR {
    const auto z = load(d, in, i);
    const auto zero = hn::Zero(d);
    store(d, {hn::Add(z.re, z.im), zero}, out, i);
    store(d, {hn::Sub(z.re, z.im), zero}, out, half * count + i);
  });
  for (int64_t k = 1; k <= half - k; ++k) {
    const int64_t low = k * count, high = (half - k) * count;
    each_lane(0, count, [&](auto d, int64_t i) HWY_ATTR {
      const auto a = load(d, in, low + i), b = conjugate(load(d, in, high + i));
      const auto even = scaled(a + b, 0.5f), odd = turned(scaled(a - b, 0.5f));
      const auto turn = times(odd, hn::Set(d, roots.re[k]), hn::Set(d, roots.im[k]));
      store(d, conjugate(even - turn), out, high + i);
      store(d, even + turn, out, low + i);
    });
  }
}

void tangle_here(Split in, Split out, Split roots, int64_t half, int64_t count) {
  each_lane(0, count, [&](auto d, int64_t i) HWY_ATTR {
    const auto first = hn::LoadU(d, in.re + i), last = hn::LoadU(d, in.re + half * count + i);
    store(d, {hn::Add(first, last), hn::Sub(first, last)}, out, i);
  });
  for (int64_t k = 1; k <= half - k; ++k) {
    const int64_t low = k * count, high = (half - k) * count;
    each_lane(0, count, [&](auto d, int64_t i) HWY_ATTR {
      const auto a = load(d, in, low + i), b = conjugate(load(d, in, high + i));
      const auto even = a + b;
      const auto odd = times(a - b, hn::Set(d, roots.re[k]), hn::Set(d, -roots.im[k]));
      const auto other = turned(odd);  // -i odd
      store(d, conjugate(even + other), out, high + i);
      store(d, even - other, out, low + i);
    });
  }
}

// A line's factors are the powers of one, in double, whose errors stay far below a float's.
template <class D>
HWY_INLINE void twist_lanes(D d, Split x, int64_t first, int64_t i, int64_t count, int64_t rows,
                            int64_t n) {
  const hn::Rebind<double, D> dd;
  constexpr size_t kLanes = HWY_MAX_BYTES / sizeof(double);
  HWY_ALIGN double cosine[kLanes], sine[kLanes];
  for (size_t l = 0; l < hn::Lanes(dd); ++l) {
    const auto column = static_cast<double>(first + i + static_cast<int64_t>(l));
    const double angle = -2 * std::numbers::pi * column / static_cast<double>(n);
    cosine[l] = std::cos(angle);
    sine[l] = std::sin(angle);
  }
  const auto c = hn::Load(dd, cosine), s = hn::Load(dd, sine);
  auto re = hn::Set(dd, 1.0), im = hn::Zero(dd);
  for (int64_t k = 0; k < rows; ++k) {
    store(d, times(load(d, x, k * count + i), hn::DemoteTo(d, re), hn::DemoteTo(d, im)), x,
          k * count + i);
    const auto next = hn::Sub(hn::Mul(re, c), hn::Mul(im, s));
    im = hn::Add(hn::Mul(re, s), hn::Mul(im, c));
    re = next;
  }
}

void twist_here(Split x, int64_t first, int64_t count, int64_t rows, int64_t n) {
  const hn::Rebind<float, hn::ScalableTag<double>> d;
  const hn::CappedTag<float, 1> one;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) twist_lanes(d, x, first, i, count, rows, n);
  for (; i < count; ++i) twist_lanes(one, x, first, i, count, rows, n);
}

}  // namespace plimsoll::cpu::fft::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace plimsoll::cpu::fft {

HWY_EXPORT(run_pass_here);
HWY_EXPORT(multiply_here);
HWY_EXPORT(gather_here);
HWY_EXPORT(scatter_here);
HWY_EXPORT(twist_here);
HWY_EXPORT(untangle_here);
HWY_EXPORT(tangle_here);
void run_pass(const Pass& pass) { HWY_DYNAMIC_DISPATCH(run_pass_here)(pass); }
void multiply(Split out, Split a, Split b, int64_t n, int64_t repeat) {
  HWY_DYNAMIC_DISPATCH(multiply_here)(out, a, b, n, repeat);
}
void gather_lines(const float* from, const int64_t* start, Lines lines, int64_t count, int64_t n,
                  Split to) {
  HWY_DYNAMIC_DISPATCH(gather_here)(from, start, lines, count, n, to);
}
void scatter_lines(Split from, const int64_t* start, Lines lines, int64_t count, int64_t n,
                   float* to) {
  HWY_DYNAMIC_DISPATCH(scatter_here)(from, start, lines, count, n, to);
}
void untangle(Split in, Split out, Split roots, int64_t half, int64_t count) {
  HWY_DYNAMIC_DISPATCH(untangle_here)(in, out, roots, half, count);
}
void tangle(Split in, Split out, Split roots, int64_t half, int64_t count) {
  HWY_DYNAMIC_DISPATCH(tangle_here)(in, out, roots, half, count);
}
void twist(Split x, int64_t first, int64_t count, int64_t rows, int64_t n) {
  HWY_DYNAMIC_DISPATCH(twist_here)(x, first, count, rows, n);
}

}  // namespace plimsoll::cpu::fft
#endif
