// Leaves of max and min. NaN wins; of +0 and -0 the one that comes first in the canonical order.
#include "backends/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backends/cpu/kernels/reduce_minmax.cpp"
#include <hwy/foreach_target.h>

#include "backends/cpu/kernels/reduce_fold.h"
#include "backends/cpu/kernels/reduce_leaf-inl.h"
#include "backends/cpu/kernels/reduce_leaf.h"

HWY_BEFORE_NAMESPACE();
namespace plimsoll::cpu::HWY_NAMESPACE {

// Max where kMax, else min.
template <typename T, bool kMax>
struct ExtremeOp {
  using Acc = T;
  template <typename U>
  static U identity() {
    if constexpr (std::is_same_v<U, Float16>) {
      return U{kMax ? uint16_t{0xfc00} : uint16_t{0x7c00}};
    } else if constexpr (std::is_same_v<U, Bfloat16>) {
      return U{kMax ? uint16_t{0xff80} : uint16_t{0x7f80}};
    } else if constexpr (std::is_floating_point_v<U>) {
      return kMax ? -std::numeric_limits<U>::infinity() : std::numeric_limits<U>::infinity();
    } else {
      return kMax ? std::numeric_limits<U>::min() : std::numeric_limits<U>::max();
    }
  }
  template <class D, class V>
  static HWY_INLINE V vec(D, V a, V x) {
    if constexpr (std::is_floating_point_v<T>) {
      // The instruction gives its second operand where either is NaN: only a NaN in x is lost.
      const V m = kMax ? hn::Max(x, a) : hn::Min(x, a);
      return hn::IfThenElse(hn::IsNaN(x), x, m);
    } else {
      return kMax ? hn::Max(a, x) : hn::Min(a, x);
    }
  }
  template <class D, class V>
  static HWY_INLINE V map(D, V x) {
    return x;
  }
  template <typename U>
  static U scalar(U a, U x) {
    if (x != x) return x;
    return (kMax ? x > a : x < a) ? x : a;
  }
  template <typename U>
  static U map_scalar(U x) {
    return x;
  }
};

template <typename T, bool kMax, typename TIn>
void set(ReduceLeaves& table, Dtype t) {
  table[t].rows = Leaf<ExtremeOp<T, kMax>, TIn>::rows;
  table[t].columns = Leaf<ExtremeOp<T, kMax>, TIn>::columns;
}

template <bool kMax>
void set_all(ReduceLeaves& t) {
  set<uint8_t, kMax, uint8_t>(t, Dtype::kBool);
  set<uint8_t, kMax, uint8_t>(t, Dtype::kUint8);
  set<uint16_t, kMax, uint16_t>(t, Dtype::kUint16);
  set<uint32_t, kMax, uint32_t>(t, Dtype::kUint32);
  set<uint64_t, kMax, uint64_t>(t, Dtype::kUint64);
  set<int8_t, kMax, int8_t>(t, Dtype::kInt8);
  set<int16_t, kMax, int16_t>(t, Dtype::kInt16);
  set<int32_t, kMax, int32_t>(t, Dtype::kInt32);
  set<int64_t, kMax, int64_t>(t, Dtype::kInt64);
  set<float, kMax, Float16>(t, Dtype::kFloat16);
  set<float, kMax, Bfloat16>(t, Dtype::kBfloat16);
  set<float, kMax, float>(t, Dtype::kFloat32);
  set<double, kMax, double>(t, Dtype::kFloat64);
}

void set_max(ReduceLeaves& t) { set_all<true>(t); }
void set_min(ReduceLeaves& t) { set_all<false>(t); }

}  // namespace plimsoll::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace plimsoll::cpu {

HWY_EXPORT(set_max);
HWY_EXPORT(set_min);

namespace {

template <typename T, bool kMax, typename TIn>
ReduceLeaf half() {
  return scalar_leaf<N_SSE4::ExtremeOp<T, kMax>, TIn, T, PlainCarry<T>, TIn>();
}

// Ordered by real, then imaginary part; a number with a NaN wins.
template <bool kMax>
struct ComplexExtreme {
  template <typename U>
  static U identity() {
    const float v = N_SSE4::ExtremeOp<float, kMax>::template identity<float>();
    return {v, v};
  }
  static bool is_nan(Complex64 v) { return v.real() != v.real() || v.imag() != v.imag(); }
  static Complex64 scalar(Complex64 a, Complex64 x) {
    if (is_nan(a)) return a;
    if (is_nan(x)) return x;
    const bool less = x.real() != a.real() ? x.real() < a.real() : x.imag() < a.imag();
    return less != kMax && x != a ? x : a;
  }
};

template <bool kMax>
ReduceLeaves scalar_halves() {
  ReduceLeaves t;
  t[Dtype::kBool] = t[Dtype::kUint8] = half<uint8_t, kMax, uint8_t>();
  t[Dtype::kUint16] = half<uint16_t, kMax, uint16_t>();
  t[Dtype::kUint32] = half<uint32_t, kMax, uint32_t>();
  t[Dtype::kUint64] = half<uint64_t, kMax, uint64_t>();
  t[Dtype::kInt8] = half<int8_t, kMax, int8_t>();
  t[Dtype::kInt16] = half<int16_t, kMax, int16_t>();
  t[Dtype::kInt32] = half<int32_t, kMax, int32_t>();
  t[Dtype::kInt64] = half<int64_t, kMax, int64_t>();
  t[Dtype::kFloat16] = half<float, kMax, Float16>();
  t[Dtype::kBfloat16] = half<float, kMax, Bfloat16>();
  t[Dtype::kFloat32] = half<float, kMax, float>();
  t[Dtype::kFloat64] = half<double, kMax, double>();
  using C = ComplexExtreme<kMax>;
  ReduceLeaf& c = t[Dtype::kComplex64];
  c = scalar_leaf<C, Complex64, Complex64, PlainCarry<Complex64>, Complex64>();
  c.rows = ScalarBlocks<C, Complex64>::rows;
  c.columns = ScalarBlocks<C, Complex64>::columns;
  return t;
}

}  // namespace

const ReduceLeaf* max_leaf(Dtype dtype) {
  static const ReduceLeaves table = [] {
    ReduceLeaves t = scalar_halves<true>();
    HWY_DYNAMIC_DISPATCH(set_max)(t);
    return t;
  }();
  return table.find(dtype);
}

const ReduceLeaf* min_leaf(Dtype dtype) {
  static const ReduceLeaves table = [] {
    ReduceLeaves t = scalar_halves<false>();
    HWY_DYNAMIC_DISPATCH(set_min)(t);
    return t;
  }();
  return table.find(dtype);
}

}  // namespace plimsoll::cpu
#endif
