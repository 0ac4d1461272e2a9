#include "backends/cpu/kernels/scatter_apply.h"

#include <algorithm>
#include <complex>
#include <type_traits>

#include "backends/cpu/kernels/half.h"

// Rows are added in vectors; -O2 would leave these loops scalar.
#pragma GCC optimize("O3")

namespace plimsoll::cpu {
namespace {

struct Set {
  template <typename T>
  static T call(T, T b) {
    return b;
  }
};
struct Add {
  template <typename T>
  static T call(T a, T b) {
    return static_cast<T>(a + b);
  }
};
struct Prod {
  template <typename T>
  static T call(T a, T b) {
    // Narrow integers would promote to int and could overflow it.
    if constexpr (std::is_unsigned_v<T> && sizeof(T) < 4)
      return static_cast<T>(static_cast<uint32_t>(a) * b);
    else
      return a * b;
  }
};
struct Max {  // a NaN on either side wins
  template <typename T>
  static T call(T a, T b) {
    return b > a || b != b ? b : a;
  }
};
struct Min {
  template <typename T>
  static T call(T a, T b) {
    return b < a || b != b ? b : a;
  }
};
struct Or {
  static uint8_t call(uint8_t a, uint8_t b) { return a | b; }
};
struct And {
  static uint8_t call(uint8_t a, uint8_t b) { return a & b; }
};

// std::complex's own product has a slow path for NaN that depends on compiler flags.
struct ComplexProd {
  static std::complex<float> call(std::complex<float> a, std::complex<float> b) {
    return {a.real() * b.real() - a.imag() * b.imag(), a.real() * b.imag() + a.imag() * b.real()};
  }
};

// By the real, then the imaginary part, as the tile ops order complex numbers.
template <bool kGreatest>
struct ComplexExtreme {
  using C = std::complex<float>;
  static bool less(C a, C b) {
    return a.real() < b.real() || (a.real() == b.real() && a.imag() < b.imag());
  }
  static C call(C a, C b) {
    bool nan = b.real() != b.real() || b.imag() != b.imag();
    return nan || (kGreatest ? less(a, b) : less(b, a)) ? b : a;
  }
};

template <typename Op>
struct Rounded {
  static Float16 call(Float16 a, Float16 b) {
    return to_float16(Op::call(to_float(a), to_float(b)));
  }
  static Bfloat16 call(Bfloat16 a, Bfloat16 b) {
    return to_bfloat16(Op::call(to_float(a), to_float(b)));
  }
};

// Rows are met in no order that the machine could foresee.
constexpr int64_t kAhead = 8, kMostFetched = 512;
template <typename T>
inline void fetch_row(const T* row, int64_t cols, bool write) {
  const auto* p = reinterpret_cast<const char*>(row);
  const int64_t bytes = std::min<int64_t>(cols * static_cast<int64_t>(sizeof(T)), kMostFetched);
  for (int64_t i = 0; i < bytes; i += 64) {
    if (write)
      __builtin_prefetch(p + i, 1);
    else
      __builtin_prefetch(p + i);
  }
}

template <typename T, typename Op>
void apply(const ScatterRun& r, const IndexRun& run) {
  T* out = reinterpret_cast<T*>(r.out);
  const T* updates = reinterpret_cast<const T*>(r.updates);
  for (int64_t i = 0; i < run.count; ++i) {
    if (i + kAhead < run.count) {
      fetch_row(out + run.offset[i + kAhead], r.out_col == 1 ? r.cols : 1, true);
      if (r.update_col == 1) fetch_row(updates + run.turn[i + kAhead] * r.step, r.cols, false);
    }
    T* d = out + run.offset[i];
    const T* s = updates + run.turn[i] * r.step;
    if (r.cols == 1) {
      *d = Op::call(*d, *s);
    } else if (r.out_col == 1 && r.update_col == 1) {
      for (int64_t c = 0; c < r.cols; ++c) d[c] = Op::call(d[c], s[c]);
    } else {
      for (int64_t c = 0; c < r.cols; ++c)
        d[c * r.out_col] = Op::call(d[c * r.out_col], s[c * r.update_col]);
    }
  }
}

template <typename Op>
ScatterApply by_width(Dtype dtype) {
  switch (size_of(dtype)) {
    case 1:
      return apply<uint8_t, Op>;
    case 2:
      return apply<uint16_t, Op>;
    case 4:
      return apply<uint32_t, Op>;
    default:
      return apply<uint64_t, Op>;
  }
}

template <typename Op>
ScatterApply of_floating(Dtype dtype) {
  switch (dtype) {
    case Dtype::kFloat16:
      return apply<Float16, Rounded<Op>>;
    case Dtype::kBfloat16:
      return apply<Bfloat16, Rounded<Op>>;
    case Dtype::kFloat32:
      return apply<float, Op>;
    default:
      return apply<double, Op>;
  }
}

template <typename Op>
ScatterApply of_ordered(Dtype dtype) {
  switch (dtype) {
    case Dtype::kInt8:
      return apply<int8_t, Op>;
    case Dtype::kInt16:
      return apply<int16_t, Op>;
    case Dtype::kInt32:
      return apply<int32_t, Op>;
    case Dtype::kInt64:
      return apply<int64_t, Op>;
    case Dtype::kComplex64:
      return nullptr;
    default:
      return is_floating(dtype) ? of_floating<Op>(dtype) : by_width<Op>(dtype);
  }
}

}  // namespace

ScatterApply scatter_apply(ScatterMode mode, Dtype dtype) {
  if (mode == ScatterMode::kSet) return by_width<Set>(dtype);
  if (dtype == Dtype::kBool)
    return mode == ScatterMode::kAdd || mode == ScatterMode::kMax ? apply<uint8_t, Or>
                                                                  : apply<uint8_t, And>;
  const bool complex = dtype == Dtype::kComplex64;
  if (mode == ScatterMode::kMax)
    return complex ? apply<std::complex<float>, ComplexExtreme<true>> : of_ordered<Max>(dtype);
  if (mode == ScatterMode::kMin)
    return complex ? apply<std::complex<float>, ComplexExtreme<false>> : of_ordered<Min>(dtype);
  const bool add = mode == ScatterMode::kAdd;
  if (complex)
    return add ? apply<std::complex<float>, Add> : apply<std::complex<float>, ComplexProd>;
  if (is_floating(dtype)) return add ? of_floating<Add>(dtype) : of_floating<Prod>(dtype);
  return add ? by_width<Add>(dtype) : by_width<Prod>(dtype);  // two's complement wraps alike
}

}  // namespace plimsoll::cpu
