// Leaves of all and any: on the elements' bits without the sign of floats (-0 is false, NaN true).
#include "backends/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backends/cpu/kernels/reduce_logical.cpp"
#include <hwy/foreach_target.h>

#include "backends/cpu/kernels/reduce_fold.h"
#include "backends/cpu/kernels/reduce_leaf-inl.h"
#include "backends/cpu/kernels/reduce_leaf.h"

HWY_BEFORE_NAMESPACE();
namespace plimsoll::cpu::HWY_NAMESPACE {

template <typename T, T kMask, bool kAll>
struct LogicalOp {
  using Acc = T;
  template <typename U>
  static U identity() {
    return kAll ? static_cast<U>(~U{0}) : U{0};
  }
  template <class D, class V>
  static HWY_INLINE V vec(D, V a, V x) {
    return kAll ? hn::And(a, x) : hn::Or(a, x);
  }
  template <class D, class V>
  static HWY_INLINE V map(D d, V x) {
    if constexpr (kMask != static_cast<T>(~T{0})) x = hn::And(x, hn::Set(d, kMask));
    if constexpr (kAll) x = hn::VecFromMask(d, hn::Ne(x, hn::Zero(d)));
    return x;
  }
  template <typename U>
  static U scalar(U a, U x) {
    return kAll ? a & x : a | x;
  }
  static T map_scalar(T x) {
    x &= kMask;
    return kAll ? (x != 0 ? static_cast<T>(~T{0}) : T{0}) : x;
  }
};

template <typename T, T kMask, bool kAll>
void set(ReduceLeaves& table, std::initializer_list<Dtype> dtypes) {
  using L = Leaf<LogicalOp<T, kMask, kAll>, T>;
  for (Dtype t : dtypes) {
    table[t].rows = L::rows;
    table[t].columns = L::columns;
  }
}

template <bool kAll>
void set_all(ReduceLeaves& t) {
  set<uint8_t, 0xff, kAll>(t, {Dtype::kBool, Dtype::kUint8, Dtype::kInt8});
  set<uint16_t, 0xffff, kAll>(t, {Dtype::kUint16, Dtype::kInt16});
  set<uint16_t, 0x7fff, kAll>(t, {Dtype::kFloat16, Dtype::kBfloat16});
  set<uint32_t, ~0u, kAll>(t, {Dtype::kUint32, Dtype::kInt32});
  set<uint32_t, ~0u / 2, kAll>(t, {Dtype::kFloat32});
  set<uint64_t, ~0ull, kAll>(t, {Dtype::kUint64, Dtype::kInt64});
  set<uint64_t, ~0ull / 2, kAll>(t, {Dtype::kFloat64});
  set<uint64_t, 0x7fffffff7fffffffull, kAll>(t, {Dtype::kComplex64});
}

void set_all_op(ReduceLeaves& t) { set_all<true>(t); }
void set_any_op(ReduceLeaves& t) { set_all<false>(t); }

}  // namespace plimsoll::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace plimsoll::cpu {

HWY_EXPORT(set_all_op);
HWY_EXPORT(set_any_op);

namespace {

template <bool kAll>
struct BoolOp {
  template <typename U>
  static U identity() {
    return kAll;
  }
  static bool scalar(bool a, bool x) { return kAll ? a && x : a || x; }
};

template <bool kAll>
ReduceLeaves scalar_halves() {
  ReduceLeaves t;
  for (Dtype d : device::kAllDtypes) {
    const size_t size = size_of(d);
    if (size == 1)
      t[d] = scalar_leaf<BoolOp<kAll>, uint8_t, uint8_t, PlainCarry<bool>, bool>();
    else if (size == 2)
      t[d] = scalar_leaf<BoolOp<kAll>, uint16_t, uint16_t, PlainCarry<bool>, bool>();
    else if (size == 4)
      t[d] = scalar_leaf<BoolOp<kAll>, uint32_t, uint32_t, PlainCarry<bool>, bool>();
    else
      t[d] = scalar_leaf<BoolOp<kAll>, uint64_t, uint64_t, PlainCarry<bool>, bool>();
  }
  return t;
}

}  // namespace

const ReduceLeaf* all_leaf(Dtype dtype) {
  static const ReduceLeaves table = [] {
    ReduceLeaves t = scalar_halves<true>();
    HWY_DYNAMIC_DISPATCH(set_all_op)(t);
    return t;
  }();
  return table.find(dtype);
}

const ReduceLeaf* any_leaf(Dtype dtype) {
  static const ReduceLeaves table = [] {
    ReduceLeaves t = scalar_halves<false>();
    HWY_DYNAMIC_DISPATCH(set_any_op)(t);
    return t;
  }();
  return table.find(dtype);
}

}  // namespace plimsoll::cpu
#endif
