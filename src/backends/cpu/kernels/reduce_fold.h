// How partials of blocks become results: the scalar half of a ReduceLeaf.
#pragma once

#include <cmath>
#include <limits>

#include "backends/cpu/kernels/half.h"
#include "backends/cpu/kernels/reduce_driver.h"

namespace plimsoll::cpu {

/// One bit pattern for every NaN, because which operand's payload survives is the compiler's
/// choice.
template <typename T>
inline T canonical(T v) {
  if constexpr (std::is_floating_point_v<T>)
    return v != v ? std::numeric_limits<T>::quiet_NaN() : v;
  else
    return v;
}

template <typename T>
struct PlainCarry {
  T value;
  template <class Op>
  void start() {
    value = Op::template identity<T>();
  }
  template <class Op, typename P>
  void add(P p) {
    value = Op::scalar(value, static_cast<T>(p));
  }
  T result() const { return canonical(value); }
};

/// A double sum with its rounding errors beside it (Knuth's two-sum).
struct CompensatedCarry {
  double high, low;
  template <class Op>
  void start() {
    high = low = 0;
  }
  template <class Op>
  void add(double p) {
    const double sum = high + p;
    const double back = sum - high;
    low += (high - (sum - back)) + (p - back);
    high = sum;
  }
  double result() const { return canonical(std::isfinite(high) ? high + low : high); }
};

template <class Op, typename Partial, class Carry, typename Out>
struct Fold {
  static void start(void* carry, int64_t count) {
    for (int64_t i = 0; i < count; ++i) static_cast<Carry*>(carry)[i].template start<Op>();
  }
  static void fold(void* carry, const void* partial, const ReduceBlock& block) {
    const auto* p = static_cast<const Partial*>(partial);
    auto* c = static_cast<Carry*>(carry);
    for (int64_t i = 0; i < block.count; ++i) c[i].template add<Op>(p[i]);
  }
  static void finish(const void* carry, int64_t count, void* out, int64_t stride) {
    const auto* c = static_cast<const Carry*>(carry);
    auto* y = static_cast<Out*>(out);
    for (int64_t i = 0; i < count; ++i) y[i * stride] = from_lane<Out>(c[i].result());
  }
};

/// A leaf without its vector half.
template <class Op, typename In, typename Partial, class Carry, typename Out>
ReduceLeaf scalar_leaf() {
  using F = Fold<Op, Partial, Carry, Out>;
  static_assert(sizeof(Partial) <= 16 && sizeof(Carry) <= 16);
  return {sizeof(In), sizeof(Partial), sizeof(Carry), sizeof(Out), nullptr,
          nullptr,    F::start,        F::fold,       F::finish};
}

struct ReduceLeaves {
  ReduceLeaf leaf[kNumDtypes];
  ReduceLeaf& operator[](Dtype t) { return leaf[static_cast<int>(t)]; }
  const ReduceLeaf* find(Dtype t) const {
    const ReduceLeaf& l = leaf[static_cast<int>(t)];
    return l.rows ? &l : nullptr;
  }
};

/// Leaves written as plain loops, for complex numbers.
template <class Op, typename T>
struct ScalarBlocks {
  static constexpr int kLanes = 8;
  static void rows(const ReduceBlock& k, void* partial) {
    const T* x = reinterpret_cast<const T*>(k.x);
    for (int64_t r = 0; r < k.count; ++r, x += k.stride) {
      T lanes[kLanes];
      for (T& l : lanes) l = Op::template identity<T>();
      int64_t i = 0;
      for (; i + kLanes <= k.units; i += kLanes)
        for (int j = 0; j < kLanes; ++j) lanes[j] = Op::scalar(lanes[j], x[i + j]);
      for (int j = 0; i + j < k.units; ++j) lanes[j] = Op::scalar(lanes[j], x[i + j]);
      for (int half = kLanes / 2; half > 0; half /= 2)
        for (int j = 0; j < half; ++j) lanes[j] = Op::scalar(lanes[j], lanes[j + half]);
      static_cast<T*>(partial)[r] = lanes[0];
    }
  }
  static void columns(const ReduceBlock& k, void* partial) {
    const T* x = reinterpret_cast<const T*>(k.x);
    T* acc = static_cast<T*>(partial);
    for (int64_t j = 0; j < k.count * k.fold; ++j) acc[j] = Op::template identity<T>();
    for (int64_t r = 0; r < k.units; ++r) {
      T* a = acc + r % k.fold * k.count;
      for (int64_t c = 0; c < k.count; ++c) a[c] = Op::scalar(a[c], x[r * k.stride + c]);
    }
    for (int half = k.fold / 2; half > 0; half /= 2)
      for (int64_t j = 0; j < half * k.count; ++j)
        acc[j] = Op::scalar(acc[j], acc[j + half * k.count]);
  }
};

}  // namespace plimsoll::cpu
