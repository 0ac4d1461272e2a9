// Loops over plain elements, compiled once per CPU target and vectorised by the compiler. They are
// for formulas whose result IEEE 754 or integer arithmetic fixes exactly, so that any vector width
// and any tail give the same bits. An op is a struct with a static `apply`.
#if defined(PLIMSOLL_TILE_LOOPS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef PLIMSOLL_TILE_LOOPS_INL_H_
#undef PLIMSOLL_TILE_LOOPS_INL_H_
#else
#define PLIMSOLL_TILE_LOOPS_INL_H_
#endif

#include <algorithm>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "backends/cpu/tile_kernels.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace plimsoll::cpu {
namespace HWY_NAMESPACE {

struct C64 {
  float re, im;
};

template <Dtype kDtype>
struct DtypeC;
#define PLIMSOLL_TILE_DTYPE(name, T) \
  template <>                        \
  struct DtypeC<Dtype::name> {       \
    using Type = T;                  \
  }
PLIMSOLL_TILE_DTYPE(kBool, uint8_t);
PLIMSOLL_TILE_DTYPE(kUint8, uint8_t);
PLIMSOLL_TILE_DTYPE(kUint16, uint16_t);
PLIMSOLL_TILE_DTYPE(kUint32, uint32_t);
PLIMSOLL_TILE_DTYPE(kUint64, uint64_t);
PLIMSOLL_TILE_DTYPE(kInt8, int8_t);
PLIMSOLL_TILE_DTYPE(kInt16, int16_t);
PLIMSOLL_TILE_DTYPE(kInt32, int32_t);
PLIMSOLL_TILE_DTYPE(kInt64, int64_t);
PLIMSOLL_TILE_DTYPE(kFloat16, uint16_t);
PLIMSOLL_TILE_DTYPE(kBfloat16, uint16_t);
PLIMSOLL_TILE_DTYPE(kFloat32, float);
PLIMSOLL_TILE_DTYPE(kFloat64, double);
PLIMSOLL_TILE_DTYPE(kComplex64, C64);
#undef PLIMSOLL_TILE_DTYPE

/// Calls f.template operator()<kDtype, T>() for each dtype of a list.
template <Dtype... kDtypes, class F>
void for_dtypes(F f) {
  (f.template operator()<kDtypes, typename DtypeC<kDtypes>::Type>(), ...);
}

/// Compilers exchange the operands of sums and products as they like, and of two NaN the first one
/// passes: so that bits do not depend on it, what comes out is this one.
template <class T>
HWY_INLINE T one_nan(T a) {
  if constexpr (std::is_floating_point_v<T>)
    return a == a ? a : std::numeric_limits<T>::quiet_NaN();
  return a;
}

template <class T>
using UnsignedOf =
    std::conditional_t<sizeof(T) == 1, uint8_t,
                       std::conditional_t<sizeof(T) == 2, uint16_t,
                                          std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>>>;

// dst may be src itself, lane for lane: hence ivdep rather than restrict.
template <class Op, class A, class R>
void unary_loop(const TileCall& c) {
  const A* a = static_cast<const A*>(c.src[0]);
  R* r = static_cast<R*>(c.dst);
  const size_t n = c.n;
#pragma GCC ivdep
  for (size_t i = 0; i < n; ++i) r[i] = Op::apply(a[i]);
}

template <class Op, class A, class R>
void binary_loop(const TileCall& c) {
  const A* a = static_cast<const A*>(c.src[0]);
  const A* b = static_cast<const A*>(c.src[1]);
  R* r = static_cast<R*>(c.dst);
  const size_t n = c.n;
  if (c.splat == 0) {
#pragma GCC ivdep
    for (size_t i = 0; i < n; ++i) r[i] = Op::apply(a[i], b[i]);
  } else if (c.splat == 1) {
    const A x = a[0];
#pragma GCC ivdep
    for (size_t i = 0; i < n; ++i) r[i] = Op::apply(x, b[i]);
  } else {
    const A y = b[0];
#pragma GCC ivdep
    for (size_t i = 0; i < n; ++i) r[i] = Op::apply(a[i], y);
  }
}

// Splat operands of three are first repeated into a block on the stack.
template <class Op, class A, class B, class R>
void ternary_loop(const TileCall& c) {
  constexpr size_t kBlock = 256;
  const size_t block = c.splat ? kBlock : c.n;
  alignas(64) A a_fill[kBlock];
  alignas(64) B b_fill[kBlock], c_fill[kBlock];
  const A* a = static_cast<const A*>(c.src[0]);
  const B* b = static_cast<const B*>(c.src[1]);
  const B* d = static_cast<const B*>(c.src[2]);
  const size_t fill = std::min(kBlock, c.n);
  if (c.splat & 1) std::fill_n(a_fill, fill, *a), a = a_fill;
  if (c.splat & 2) std::fill_n(b_fill, fill, *b), b = b_fill;
  if (c.splat & 4) std::fill_n(c_fill, fill, *d), d = c_fill;
  R* r = static_cast<R*>(c.dst);
  for (size_t begin = 0; begin < c.n; begin += block) {
    const size_t n = std::min(block, c.n - begin);
    const A* pa = c.splat & 1 ? a : a + begin;
    const B* pb = c.splat & 2 ? b : b + begin;
    const B* pd = c.splat & 4 ? d : d + begin;
    R* pr = r + begin;
#pragma GCC ivdep
    for (size_t i = 0; i < n; ++i) pr[i] = Op::apply(pa[i], pb[i], pd[i]);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace plimsoll::cpu
HWY_AFTER_NAMESPACE();

#endif  // PLIMSOLL_TILE_LOOPS_INL_H_
