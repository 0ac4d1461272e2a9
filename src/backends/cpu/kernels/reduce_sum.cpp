// Leaves of sum and prod. float16, bfloat16 and float32 are accumulated in float32 within a block
// and in double across blocks; float64 sums carry their rounding errors across blocks.
#include "backends/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backends/cpu/kernels/reduce_sum.cpp"
#include <hwy/foreach_target.h>

#include "backends/cpu/kernels/reduce_fold.h"
#include "backends/cpu/kernels/reduce_leaf-inl.h"
#include "backends/cpu/kernels/reduce_leaf.h"

HWY_BEFORE_NAMESPACE();
namespace plimsoll::cpu::HWY_NAMESPACE {

template <typename T>
struct SumOp {
  using Acc = T;
  template <typename U>
  static U identity() {
    return U{};
  }
  template <class D, class V>
  static HWY_INLINE V vec(D, V a, V x) {
    return hn::Add(a, x);
  }
  template <class D, class V>
  static HWY_INLINE V map(D, V x) {
    return x;
  }
  template <typename U>
  static U scalar(U a, U x) {
    return static_cast<U>(a + x);
  }
  template <typename U>
  static U map_scalar(U x) {
    return x;
  }
};

template <typename T>
struct ProdOp : SumOp<T> {
  template <typename U>
  static U identity() {
    if constexpr (std::is_same_v<U, Float16>)
      return U{0x3c00};
    else if constexpr (std::is_same_v<U, Bfloat16>)
      return U{0x3f80};
    else
      return U{1};
  }
  template <class D, class V>
  static HWY_INLINE V vec(D, V a, V x) {
    return hn::Mul(a, x);
  }
  template <typename U>
  static U scalar(U a, U x) {
    return static_cast<U>(a * x);
  }
};

template <class Op, typename TIn>
void set(ReduceLeaves& table, std::initializer_list<Dtype> dtypes) {
  for (Dtype t : dtypes) {
    table[t].rows = Leaf<Op, TIn>::rows;
    table[t].columns = Leaf<Op, TIn>::columns;
  }
}

// Sums and products of integers wrap, so the signed ones use the unsigned lanes.
template <template <typename> class Op>
void set_all(ReduceLeaves& t) {
  set<Op<uint32_t>, uint8_t>(t, {Dtype::kBool, Dtype::kUint8});
  set<Op<uint32_t>, uint16_t>(t, {Dtype::kUint16});
  set<Op<int32_t>, int8_t>(t, {Dtype::kInt8});
  set<Op<int32_t>, int16_t>(t, {Dtype::kInt16});
  set<Op<uint32_t>, uint32_t>(t, {Dtype::kUint32, Dtype::kInt32});
  set<Op<uint64_t>, uint64_t>(t, {Dtype::kUint64, Dtype::kInt64});
  set<Op<float>, Float16>(t, {Dtype::kFloat16});
  set<Op<float>, Bfloat16>(t, {Dtype::kBfloat16});
  set<Op<float>, float>(t, {Dtype::kFloat32});
  set<Op<double>, double>(t, {Dtype::kFloat64});
}

void set_sum(ReduceLeaves& t) { set_all<SumOp>(t); }
void set_prod(ReduceLeaves& t) { set_all<ProdOp>(t); }

}  // namespace plimsoll::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace plimsoll::cpu {

HWY_EXPORT(set_sum);
HWY_EXPORT(set_prod);

namespace {

template <template <typename> class Op, class DoubleCarry>
ReduceLeaves scalar_halves() {
  using U32 = uint32_t;
  using U64 = uint64_t;
  ReduceLeaves t;
  t[Dtype::kBool] = t[Dtype::kUint8] = t[Dtype::kInt8] =
      scalar_leaf<Op<U32>, uint8_t, U32, PlainCarry<U32>, U32>();
  t[Dtype::kUint16] = t[Dtype::kInt16] =
      scalar_leaf<Op<U32>, uint16_t, U32, PlainCarry<U32>, U32>();
  t[Dtype::kUint32] = t[Dtype::kInt32] =
      scalar_leaf<Op<U32>, uint32_t, U32, PlainCarry<U32>, U32>();
  t[Dtype::kUint64] = t[Dtype::kInt64] =
      scalar_leaf<Op<U64>, uint64_t, U64, PlainCarry<U64>, U64>();
  t[Dtype::kFloat16] = scalar_leaf<Op<double>, Float16, float, PlainCarry<double>, Float16>();
  t[Dtype::kBfloat16] = scalar_leaf<Op<double>, Bfloat16, float, PlainCarry<double>, Bfloat16>();
  t[Dtype::kFloat32] = scalar_leaf<Op<double>, float, float, PlainCarry<double>, float>();
  t[Dtype::kFloat64] = scalar_leaf<Op<double>, double, double, DoubleCarry, double>();
  using C = std::complex<float>;
  using Wide = std::complex<double>;
  ReduceLeaf& c = t[Dtype::kComplex64];
  c = scalar_leaf<Op<Wide>, C, C, PlainCarry<Wide>, C>();
  c.rows = ScalarBlocks<Op<C>, C>::rows;
  c.columns = ScalarBlocks<Op<C>, C>::columns;
  return t;
}

}  // namespace

const ReduceLeaf* sum_leaf(Dtype dtype) {
  static const ReduceLeaves table = [] {
    ReduceLeaves t = scalar_halves<N_SSE4::SumOp, CompensatedCarry>();
    HWY_DYNAMIC_DISPATCH(set_sum)(t);
    return t;
  }();
  return table.find(dtype);
}

const ReduceLeaf* prod_leaf(Dtype dtype) {
  static const ReduceLeaves table = [] {
    ReduceLeaves t = scalar_halves<N_SSE4::ProdOp, PlainCarry<double>>();
    HWY_DYNAMIC_DISPATCH(set_prod)(t);
    return t;
  }();
  return table.find(dtype);
}

}  // namespace plimsoll::cpu
#endif
