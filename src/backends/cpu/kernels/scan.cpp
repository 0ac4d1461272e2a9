// Vector leaves of float scans, and the table of all scans. Within a vector the scan is Hillis and
// Steele's: log2(lanes) shifted additions.
#include "backends/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backends/cpu/kernels/scan.cpp"
#include <hwy/foreach_target.h>

#include "backends/cpu/kernels/row-inl.h"
#include "backends/cpu/kernels/scan.h"
#include "backends/cpu/kernels/scan_ops.h"
#include "backends/cpu/tile_lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace plimsoll::cpu::HWY_NAMESPACE {

template <class V>
HWY_INLINE V apply(ScanSum, V a, V x) {
  return hn::Add(a, x);
}
template <class V>
HWY_INLINE V apply(ScanProd, V a, V x) {
  return hn::Mul(a, x);
}
template <bool kMax, class V>
HWY_INLINE V apply(ScanExtreme<kMax>, V a, V x) {
  // The instruction gives its second operand where either is NaN: only a NaN in x is lost.
  const V m = kMax ? hn::Max(x, a) : hn::Min(x, a);
  return hn::IfThenElse(hn::IsNaN(x), x, m);
}

HWY_INLINE WideLane::V apply(ScanLogAddExp, WideLane::V a, WideLane::V x) {
  return Wide::logaddexp(a, x);
}

// Loads and stores go through float32 where C, the type of the lanes, is wider than T's own.
template <class D, typename T>
HWY_INLINE hn::Vec<D> load_as(D d, const T* p) {
  if constexpr (sizeof(hn::TFromD<D>) > sizeof(Compute<T>))
    return hn::PromoteTo(d, load(hn::Rebind<float, D>(), p));
  else
    return load(d, p);
}
template <class D, typename T>
HWY_INLINE void store_as(D d, hn::Vec<D> v, T* p) {
  if constexpr (sizeof(hn::TFromD<D>) > sizeof(Compute<T>)) {
    const hn::Rebind<float, D> df;
    store(df, hn::DemoteTo(df, v), p);
  } else {
    store(d, v, p);
  }
}

template <class Op, typename T, typename Carry, typename C = Compute<T>>
struct VectorScan {
  using D = hn::ScalableTag<C>;
  using V = hn::Vec<D>;
  using DI = hn::RebindToSigned<D>;
  static constexpr int64_t kVec = HWY_LANES(C);
  static constexpr int64_t kGroup = 16;

  // Lane i of the result is lane i - kShift; the first kShift lanes are `fill`'s.
  template <int kShift>
  static HWY_INLINE V shift_up(V v, V fill) {
    const D d;
    const DI di;
    const auto lane = hn::Iota(di, 0);
    const auto from = hn::Max(hn::Sub(lane, hn::Set(di, kShift)), hn::Zero(di));
    const V moved = hn::TableLookupLanes(v, hn::IndicesFromVec(d, from));
    return hn::IfThenElse(hn::FirstN(d, kShift), fill, moved);
  }
  static HWY_INLINE V prefix(V v, V none) {
    v = apply(Op(), shift_up<1>(v, none), v);
    if constexpr (kVec > 2) v = apply(Op(), shift_up<2>(v, none), v);
    if constexpr (kVec > 4) v = apply(Op(), shift_up<4>(v, none), v);
    if constexpr (kVec > 8) v = apply(Op(), shift_up<8>(v, none), v);
    return v;
  }
  static HWY_INLINE V last(V v) {
    const D d;
    const DI di;
    return hn::TableLookupLanes(
        v, hn::IndicesFromVec(d, hn::Set(di, static_cast<hn::TFromD<DI>>(kVec - 1))));
  }

  // Vector of kVec steps from p on; in reverse they lie below p.
  static HWY_INLINE V load_steps(const T* p, int64_t step) {
    const D d;
    return step > 0 ? load_as(d, p) : hn::Reverse(d, load_as(d, p - (kVec - 1)));
  }
  static HWY_INLINE void store_steps(V v, T* p, int64_t step) {
    const D d;
    if (step > 0)
      store_as(d, v, p);
    else
      store_as(d, hn::Reverse(d, v), p - (kVec - 1));
  }

  static void line(const ScanBlock& k, const void* carry, void* total) {
    const D d;
    const V none = hn::Set(d, Op::template identity<C>());
    const V c = hn::Set(d, static_cast<C>(*static_cast<const Carry*>(carry)));
    const T* x = reinterpret_cast<const T*>(k.x);
    T* y = reinterpret_cast<T*>(k.y);
    // A block's steps go in groups of kGroup vectors, so that chains of additions stay short.
    V base = none, run = none, before = c;
    const auto advance = [&](V v) HWY_ATTR {
      const V scanned = apply(Op(), run, prefix(v, none));
      const V shown = k.inclusive ? scanned : shift_up<1>(scanned, run);
      run = last(scanned);
      return apply(Op(), before, shown);
    };
    int64_t i = 0;
    for (; i + kVec <= k.n; i += kVec) {
      if (i % (kGroup * kVec) == 0) {
        base = apply(Op(), base, run);
        run = none;
        before = apply(Op(), c, base);
      }
      const V v = advance(load_steps(x + i * k.step, k.step));
      if (y) store_steps(v, y + i * k.step, k.step);
    }
    if (i < k.n) {
      T part[kVec];
      for (T& p : part) p = from_lane<T>(Op::template identity<C>());
      for (int64_t j = 0; i + j < k.n; ++j) part[j] = x[(i + j) * k.step];
      const V v = advance(load_as(d, part));
      store_as(d, v, part);
      for (int64_t j = 0; y && i + j < k.n; ++j) y[(i + j) * k.step] = part[j];
    }
    *static_cast<C*>(total) = hn::GetLane(apply(Op(), base, run));
  }

  static void columns(const ScanBlock& k, const void* carry, void* totals) {
    const Carry* c = static_cast<const Carry*>(carry);
    C* acc = static_cast<C*>(totals);
    const T* x = reinterpret_cast<const T*>(k.x);
    T* y = reinterpret_cast<T*>(k.y);
    C before[kColumns];
    for (int64_t j0 = 0; j0 < k.count; j0 += kColumns) {
      const int64_t count = std::min(kColumns, k.count - j0);
      for (int64_t j = 0; j < count; ++j) before[j] = static_cast<C>(c[j0 + j]);
      std::fill_n(acc + j0, count, Op::template identity<C>());
      for (int64_t i = 0; i < k.n; ++i) {
        const int64_t at = i * k.step + j0;
        add_row(x + at, y ? y + at : nullptr, count, k.inclusive, before, acc + j0);
      }
    }
  }

  static ScanLeaf leaf() {
    ScanLeaf l = ScalarScan<Op, T, C, Carry>::leaf();
    l.line = line;
    l.columns = columns;
    return l;
  }

 private:
  static constexpr int64_t kColumns = 1024;

  static HWY_INLINE void add_row(const T* x, T* y, int64_t count, bool inclusive, const C* before,
                                 C* acc) {
    const D d;
    int64_t j = 0;
    for (; j + kVec <= count; j += kVec) {
      const V a = hn::LoadU(d, acc + j);
      const V next = apply(Op(), a, load_as(d, x + j));
      if (y) store_as(d, apply(Op(), hn::LoadU(d, before + j), inclusive ? next : a), y + j);
      hn::StoreU(next, d, acc + j);
    }
    for (; j < count; ++j) {
      const C next = Op::apply(acc[j], to_lane<C>(x[j]));
      if (y) y[j] = from_lane<T>(Op::apply(before[j], inclusive ? next : acc[j]));
      acc[j] = next;
    }
  }
};

template <class Op>
void set_sums(ScanLeaves& t) {
  t[Dtype::kFloat16] = VectorScan<Op, Float16, double>::leaf();
  t[Dtype::kBfloat16] = VectorScan<Op, Bfloat16, double>::leaf();
  t[Dtype::kFloat32] = VectorScan<Op, float, double>::leaf();
  t[Dtype::kFloat64] = VectorScan<Op, double, double>::leaf();
}

template <class Op>
void set_extremes(ScanLeaves& t) {
  t[Dtype::kFloat16] = VectorScan<Op, Float16, float>::leaf();
  t[Dtype::kBfloat16] = VectorScan<Op, Bfloat16, float>::leaf();
  t[Dtype::kFloat32] = VectorScan<Op, float, float>::leaf();
  t[Dtype::kFloat64] = VectorScan<Op, double, double>::leaf();
}

void set_float_scans(ScanLeaves& sum, ScanLeaves& prod, ScanLeaves& max, ScanLeaves& min,
                     ScanLeaves& log_add_exp) {
  using Op = ScanLogAddExp;
  log_add_exp[Dtype::kFloat16] = VectorScan<Op, Float16, double, double>::leaf();
  log_add_exp[Dtype::kBfloat16] = VectorScan<Op, Bfloat16, double, double>::leaf();
  log_add_exp[Dtype::kFloat32] = VectorScan<Op, float, double, double>::leaf();
  set_sums<ScanSum>(sum);
  set_sums<ScanProd>(prod);
  set_extremes<ScanExtreme<true>>(max);
  set_extremes<ScanExtreme<false>>(min);
}

}  // namespace plimsoll::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace plimsoll::cpu {

HWY_EXPORT(set_float_scans);

namespace {

// Sums and products wrap, so that 32 bits serve every narrower integer.
template <class Op>
void set_wrapping(ScanLeaves& t) {
  t[Dtype::kUint8] = t[Dtype::kInt8] = ScalarScan<Op, uint8_t, uint32_t, uint32_t>::leaf();
  t[Dtype::kUint16] = t[Dtype::kInt16] = ScalarScan<Op, uint16_t, uint32_t, uint32_t>::leaf();
  t[Dtype::kUint32] = t[Dtype::kInt32] = ScalarScan<Op, uint32_t, uint32_t, uint32_t>::leaf();
  t[Dtype::kUint64] = t[Dtype::kInt64] = ScalarScan<Op, uint64_t, uint64_t, uint64_t>::leaf();
  t[Dtype::kComplex64] = ScalarScan<Op, Complex64, Complex64, std::complex<double>>::leaf();
}

template <class Op>
void set_ordered(ScanLeaves& t) {
  t[Dtype::kBool] = t[Dtype::kUint8] = ScalarScan<Op, uint8_t, uint8_t, uint8_t>::leaf();
  t[Dtype::kUint16] = ScalarScan<Op, uint16_t, uint16_t, uint16_t>::leaf();
  t[Dtype::kUint32] = ScalarScan<Op, uint32_t, uint32_t, uint32_t>::leaf();
  t[Dtype::kUint64] = ScalarScan<Op, uint64_t, uint64_t, uint64_t>::leaf();
  t[Dtype::kInt8] = ScalarScan<Op, int8_t, int8_t, int8_t>::leaf();
  t[Dtype::kInt16] = ScalarScan<Op, int16_t, int16_t, int16_t>::leaf();
  t[Dtype::kInt32] = ScalarScan<Op, int32_t, int32_t, int32_t>::leaf();
  t[Dtype::kInt64] = ScalarScan<Op, int64_t, int64_t, int64_t>::leaf();
  t[Dtype::kComplex64] = ScalarScan<Op, Complex64, Complex64, Complex64>::leaf();
}

struct Tables {
  ScanLeaves sum, prod, max, min, log_add_exp;
  Tables() {
    HWY_DYNAMIC_DISPATCH(set_float_scans)(sum, prod, max, min, log_add_exp);
    set_wrapping<ScanSum>(sum);
    set_wrapping<ScanProd>(prod);
    prod[Dtype::kBool] = prod[Dtype::kUint8];
    set_ordered<ScanExtreme<true>>(max);
    set_ordered<ScanExtreme<false>>(min);
    // A false start must not look like a bool of 255.
    min[Dtype::kBool] = ScalarScan<ScanExtreme<false>, bool, bool, bool>::leaf();
    log_add_exp[Dtype::kFloat64] = ScalarScan<ScanLogAddExp, double, double, double>::leaf();
  }
};

const Tables& tables() {
  static const Tables t;
  return t;
}

using LeafOf = const ScanLeaf* (*)(Dtype);

template <LeafOf kLeaf>
void run(const device::KernelArgs& args) {
  run_scan(*kLeaf(args.inputs[0].dtype), args);
}

template <LeafOf kLeaf>
size_t carry(const OpInstance& op) {
  const Shape& shape = op.inputs[0].shape;
  const int64_t n = shape.empty() ? 1 : shape[static_cast<const ScanAttrs&>(*op.attrs).axis];
  return n == 0 ? 0 : num_elements(shape) / n * kLeaf(op.inputs[0].dtype)->carry_size;
}

template <LeafOf kLeaf>
void add(device::KernelTable& table, const char* name) {
  device::KernelRow row;
  row.run = run<kLeaf>;
  row.workspace = scan_workspace;
  row.carry = carry<kLeaf>;
  row.in_place = 1;
  for (Dtype t : device::kAllDtypes)
    if (kLeaf(t)) table.add(name, {&t, 1}, row);
}

}  // namespace

const ScanLeaf* cumsum_leaf(Dtype t) { return tables().sum.find(t); }
const ScanLeaf* cumprod_leaf(Dtype t) { return tables().prod.find(t); }
const ScanLeaf* cummax_leaf(Dtype t) { return tables().max.find(t); }
const ScanLeaf* cummin_leaf(Dtype t) { return tables().min.find(t); }
const ScanLeaf* logcumsumexp_leaf(Dtype t) { return tables().log_add_exp.find(t); }

void add_scan_kernels(device::KernelTable& table) {
  add<cumsum_leaf>(table, "cumsum");
  add<cumprod_leaf>(table, "cumprod");
  add<cummax_leaf>(table, "cummax");
  add<cummin_leaf>(table, "cummin");
  add<logcumsumexp_leaf>(table, "logcumsumexp");
}

}  // namespace plimsoll::cpu
#endif
