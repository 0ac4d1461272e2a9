// Scalar formulas of scans and the leaves that are plain loops over them.
#pragma once

#include <algorithm>
#include <cmath>
#include <complex>
#include <limits>

#include "backends/cpu/kernels/half.h"
#include "backends/cpu/kernels/scan_driver.h"

namespace plimsoll::cpu {

struct ScanSum {
  template <typename T>
  static T identity() {
    return T{};
  }
  template <typename T>
  static T apply(T a, T x) {
    return static_cast<T>(a + x);
  }
};

struct ScanProd {
  template <typename T>
  static T identity() {
    return T{1};
  }
  template <typename T>
  static T apply(T a, T x) {
    return static_cast<T>(a * x);
  }
};

/// max where kMax, else min; NaN wins and stays; complex numbers by real, then imaginary part.
template <bool kMax>
struct ScanExtreme {
  template <typename T>
  static T identity() {
    using L = std::numeric_limits<T>;
    if constexpr (std::is_same_v<T, Complex64>)
      return {identity<float>(), identity<float>()};
    else if constexpr (L::has_infinity)
      return kMax ? -L::infinity() : L::infinity();
    else
      return kMax ? L::min() : L::max();
  }
  template <typename T>
  static T apply(T a, T x) {
    if constexpr (std::is_same_v<T, Complex64>) {
      if (a.real() != a.real() || a.imag() != a.imag()) return a;
      if (x.real() != x.real() || x.imag() != x.imag()) return x;
      const bool same = x.real() == a.real();
      const float p = same ? x.imag() : x.real(), q = same ? a.imag() : a.real();
      return (kMax ? p > q : p < q) ? x : a;
    } else {
      if (a != a) return a;
      if (x != x) return x;
      return (kMax ? x > a : x < a) ? x : a;
    }
  }
};

/// log(exp(a) + exp(x)).
struct ScanLogAddExp {
  template <typename T>
  static T identity() {
    return -std::numeric_limits<T>::infinity();
  }
  template <typename T>
  static T apply(T a, T x) {
    if (a != a || x != x) return std::numeric_limits<T>::quiet_NaN();
    const T high = std::max(a, x), low = std::min(a, x);
    if (std::isinf(high) || low < high - 40) return high;
    return high + std::log1p(std::exp(low - high));
  }
};

/// In: stored elements; Acc: a block is scanned in; Carry: totals of blocks are gathered in.
template <class Op, typename In, typename Acc, typename Carry>
struct ScalarScan {
  static void columns(const ScanBlock& k, const void* carry, void* totals) {
    const Carry* c = static_cast<const Carry*>(carry);
    Acc* acc = static_cast<Acc*>(totals);
    const In* x = reinterpret_cast<const In*>(k.x);
    In* y = reinterpret_cast<In*>(k.y);
    for (int64_t j = 0; j < k.count; ++j) acc[j] = identity();
    for (int64_t i = 0; i < k.n; ++i, x += k.step)
      for (int64_t j = 0; j < k.count; ++j) {
        const Acc next = Op::apply(acc[j], to_lane<Acc>(x[j]));
        if (y)
          y[i * k.step + j] =
              from_lane<In>(Op::apply(static_cast<Acc>(c[j]), k.inclusive ? next : acc[j]));
        acc[j] = next;
      }
  }
  static void line(const ScanBlock& k, const void* carry, void* total) {
    const Acc c = static_cast<Acc>(*static_cast<const Carry*>(carry));
    const In* x = reinterpret_cast<const In*>(k.x);
    In* y = reinterpret_cast<In*>(k.y);
    Acc a = identity();
    for (int64_t i = 0; i < k.n; ++i) {
      const Acc next = Op::apply(a, to_lane<Acc>(x[i * k.step]));
      if (y) y[i * k.step] = from_lane<In>(Op::apply(c, k.inclusive ? next : a));
      a = next;
    }
    *static_cast<Acc*>(total) = a;
  }
  static void start(void* carry, int64_t count) {
    for (int64_t j = 0; j < count; ++j) static_cast<Carry*>(carry)[j] = Carry(identity());
  }
  static void advance(void* carry, const void* totals, int64_t count) {
    Carry* c = static_cast<Carry*>(carry);
    const Acc* t = static_cast<const Acc*>(totals);
    for (int64_t j = 0; j < count; ++j) c[j] = Op::apply(c[j], Carry(t[j]));
  }
  // The least value of a narrow integer must not be that of its accumulator.
  static Acc identity() {
    if constexpr (std::is_integral_v<In>)
      return static_cast<Acc>(Op::template identity<In>());
    else
      return Op::template identity<Acc>();
  }
  static ScanLeaf leaf() {
    static_assert(sizeof(Acc) <= 8 && sizeof(Carry) <= 16);
    return {sizeof(In), sizeof(Acc), sizeof(Carry), line, columns, start, advance};
  }
};

struct ScanLeaves {
  ScanLeaf leaf[kNumDtypes];
  ScanLeaf& operator[](Dtype t) { return leaf[static_cast<int>(t)]; }
  const ScanLeaf* find(Dtype t) const {
    const ScanLeaf& l = leaf[static_cast<int>(t)];
    return l.line ? &l : nullptr;
  }
};

}  // namespace plimsoll::cpu
