// Leaves of logsumexp: a block gives its maximum m and the sum of exp(x - m); pairs are merged in
// double.
#include "backends/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backends/cpu/kernels/reduce_logsumexp.cpp"
#include <hwy/foreach_target.h>

#include "backends/cpu/kernels/exp-inl.h"
#include "backends/cpu/kernels/reduce_fold.h"
#include "backends/cpu/kernels/reduce_leaf.h"
#include "backends/cpu/kernels/row-inl.h"

#ifndef PLIMSOLL_LOG_SUM
#define PLIMSOLL_LOG_SUM
namespace plimsoll::cpu {

/// Stands for log(sum) + max.
template <typename T>
struct LogSum {
  T max;
  T sum;
};

}  // namespace plimsoll::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace plimsoll::cpu::HWY_NAMESPACE {

template <typename T>
struct LogSumLeaf {
  using C = Compute<T>;
  using D = hn::ScalableTag<C>;
  using V = hn::Vec<D>;
  static constexpr int64_t kVec = HWY_LANES(C);
  static constexpr C kLow = -std::numeric_limits<C>::infinity();

  // What is subtracted before exp: infinities are left to exp itself.
  static C shift_of(C max) { return std::isfinite(max) ? max : C{0}; }

  static C row_max(const T* x, int64_t n) {
    const D d;
    V a = hn::Set(d, kLow), b = a;
    int64_t i = 0;
    for (; i + 2 * kVec <= n; i += 2 * kVec) {
      a = hn::Max(a, load(d, x + i));
      b = hn::Max(b, load(d, x + i + kVec));
    }
    for (; i < n; i += kVec)
      a = hn::Max(a, i + kVec <= n ? load(d, x + i) : load_part(d, x + i, n - i, kLow));
    return hn::GetLane(hn::MaxOfLanes(d, hn::Max(a, b)));
  }

  static void rows(const ReduceBlock& k, void* partial) {
    const D d;
    auto* out = static_cast<LogSum<C>*>(partial);
    for (int64_t r = 0; r < k.count; ++r) {
      const T* x = reinterpret_cast<const T*>(k.x) + r * k.stride;
      const C max = row_max(x, k.units);
      const V m = hn::Set(d, shift_of(max));
      double sum;
      row_sums<1, T>(k.units, &sum, [&](int64_t i, int64_t part, V* v) HWY_ATTR {
        *v = exp_lanes(d,
                       hn::Sub(part == kVec ? load(d, x + i) : load_part(d, x + i, part, kLow), m));
      });
      out[r] = {max, static_cast<C>(sum)};
    }
  }

  static HWY_INLINE void add_max(const T* x, int64_t cols, C* max) {
    const D d;
    int64_t c = 0;
    for (; c + kVec <= cols; c += kVec)
      hn::StoreU(hn::Max(hn::LoadU(d, max + c), load(d, x + c)), d, max + c);
    if (c == cols) return;
    const V m = hn::Max(load_part(d, max + c, cols - c, kLow), load_part(d, x + c, cols - c, kLow));
    store_part(d, m, max + c, cols - c);
  }
  static HWY_INLINE void add_exp(const T* x, int64_t cols, const C* shift, C* sum) {
    const D d;
    int64_t c = 0;
    for (; c + kVec <= cols; c += kVec) {
      const V e = exp_lanes(d, hn::Sub(load(d, x + c), hn::LoadU(d, shift + c)));
      hn::StoreU(hn::Add(hn::LoadU(d, sum + c), e), d, sum + c);
    }
    if (c == cols) return;
    const int64_t part = cols - c;
    const V e =
        exp_lanes(d, hn::Sub(load_part(d, x + c, part, 0), load_part(d, shift + c, part, 0)));
    store_part(d, hn::Add(load_part(d, sum + c, part, 0), e), sum + c, part);
  }

  // Row r of a block adds to chain r mod fold.
  static void columns(const ReduceBlock& k, void* partial) {
    constexpr int64_t kColumns = 1024;
    C max[kColumns], shift[kColumns], sum[kColumns];
    auto* out = static_cast<LogSum<C>*>(partial);
    const int64_t strip = k.fold == 1 ? kColumns : k.count;  // narrow where rows are folded
    for (int64_t c0 = 0; c0 < k.count; c0 += strip) {
      const int64_t cols = std::min(strip, k.count - c0);
      const T* x = reinterpret_cast<const T*>(k.x) + c0;
      std::fill_n(max, cols, kLow);
      for (int64_t r = 0; r < k.units; ++r) add_max(x + r * k.stride, cols, max);
      for (int64_t c = 0; c < cols; ++c) shift[c] = shift_of(max[c]);
      std::fill_n(sum, cols * k.fold, C{0});
      for (int64_t r = 0; r < k.units; ++r)
        add_exp(x + r * k.stride, cols, shift, sum + r % k.fold * cols);
      for (int half = k.fold / 2; half > 0; half /= 2)
        for (int64_t j = 0; j < half * cols; ++j) sum[j] += sum[j + half * cols];
      for (int64_t c = 0; c < cols; ++c) out[c0 + c] = {max[c], sum[c]};
    }
  }
};

template <typename T>
void set(ReduceLeaves& table, Dtype t) {
  table[t].rows = LogSumLeaf<T>::rows;
  table[t].columns = LogSumLeaf<T>::columns;
}

void set_logsumexp(ReduceLeaves& table) {
  set<Float16>(table, Dtype::kFloat16);
  set<Bfloat16>(table, Dtype::kBfloat16);
  set<float>(table, Dtype::kFloat32);
  set<double>(table, Dtype::kFloat64);
}

}  // namespace plimsoll::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace plimsoll::cpu {

HWY_EXPORT(set_logsumexp);

namespace {

struct LogSumCarry {
  LogSum<double> v;
  template <class Op>
  void start() {
    v = {-std::numeric_limits<double>::infinity(), 0};
  }
  template <class Op, typename P>
  void add(P p) {
    const double m = p.max, s = p.sum;
    if (v.sum != v.sum) return;
    if (s != s) {
      v.sum = s;
    } else if (std::isinf(s) || std::isinf(v.sum)) {
      v = {std::numeric_limits<double>::infinity(), std::numeric_limits<double>::infinity()};
    } else if (s == 0) {
      return;
    } else if (v.sum == 0) {
      v = {m, s};
    } else if (m > v.max) {
      v = {m, v.sum * std::exp(v.max - m) + s};
    } else {
      v.sum += s * (m == v.max ? 1 : std::exp(m - v.max));
    }
  }
  double result() const {
    if (v.sum == 0 || std::isinf(v.sum)) return v.sum == 0 ? -HUGE_VAL : HUGE_VAL;
    return canonical(v.max + std::log(v.sum));
  }
};

struct NoOp {};

}  // namespace

const ReduceLeaf* logsumexp_leaf(Dtype dtype) {
  static const ReduceLeaves table = [] {
    ReduceLeaves t;
    t[Dtype::kFloat16] = scalar_leaf<NoOp, Float16, LogSum<float>, LogSumCarry, Float16>();
    t[Dtype::kBfloat16] = scalar_leaf<NoOp, Bfloat16, LogSum<float>, LogSumCarry, Bfloat16>();
    t[Dtype::kFloat32] = scalar_leaf<NoOp, float, LogSum<float>, LogSumCarry, float>();
    t[Dtype::kFloat64] = scalar_leaf<NoOp, double, LogSum<double>, LogSumCarry, double>();
    HWY_DYNAMIC_DISPATCH(set_logsumexp)(t);
    return t;
  }();
  return table.find(dtype);
}

}  // namespace plimsoll::cpu
#endif
