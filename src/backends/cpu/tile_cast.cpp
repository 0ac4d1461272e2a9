// Casts, the two 16-bit floats, and copies past the cache.
#include <immintrin.h>

#include <cstring>

#include "backends/cpu/tile_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backends/cpu/tile_cast.cpp"
#include "hwy/foreach_target.h"
// clang-format off
#include "backends/cpu/tile_loops-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace plimsoll::cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Floats go to integers as on x86 in C: truncated to int32 (int64 for uint32 and up), then cut to
// the width. NaN and what does not fit that step give its least value, then cut alike.
template <class To>
struct CastTo {
  template <class T>
  static To apply(T a) {
    if constexpr (!std::is_floating_point_v<T> || std::is_floating_point_v<To>) {
      return static_cast<To>(a);
    } else if constexpr (std::is_same_v<To, uint64_t>) {
      constexpr T kHalf = static_cast<T>(9223372036854775808.0);
      const bool high = a >= kHalf;
      const int64_t low = static_cast<int64_t>(high ? a - kHalf : a);
      return static_cast<uint64_t>(low) + (high ? uint64_t{1} << 63 : 0);
    } else if constexpr (std::is_same_v<To, int64_t> || std::is_same_v<To, uint32_t>) {
      return static_cast<To>(static_cast<int64_t>(a));
    } else {
      return static_cast<To>(static_cast<int32_t>(a));
    }
  }
};
struct ToBool {
  template <class T>
  static uint8_t apply(T a) {
    return a != T{0};
  }
};

struct ToComplex {
  static C64 apply(float a) { return {a, 0}; }
};
struct RealPart {
  static float apply(C64 a) { return a.re; }
};
struct ComplexToBool {
  static uint8_t apply(C64 a) { return (a.re != 0) | (a.im != 0); }
};

// Two casts over a block on the stack; Mid lies between.
template <class First, class Second, class A, class Mid, class R>
void cast_via(const TileCall& c) {
  constexpr size_t kBlock = 256;
  alignas(64) Mid mid[kBlock];
  const A* a = static_cast<const A*>(c.src[0]);
  R* r = static_cast<R*>(c.dst);
  for (size_t begin = 0; begin < c.n; begin += kBlock) {
    const size_t n = std::min(kBlock, c.n - begin);
    for (size_t i = 0; i < n; ++i) mid[i] = First::apply(a[begin + i]);
    for (size_t i = 0; i < n; ++i) r[begin + i] = Second::apply(mid[i]);
  }
}

template <Dtype kFrom, class A, Dtype kTo, class R>
void add_cast(TileTable* table) {
  TileKernel& slot = table->casts[static_cast<size_t>(kFrom)][static_cast<size_t>(kTo)];
  constexpr bool kIntegers = std::is_integral_v<A> && std::is_integral_v<R>;
  if constexpr (kTo == Dtype::kBool) {
    using U = std::conditional_t<std::is_floating_point_v<A>, A, UnsignedOf<A>>;
    slot = unary_loop<ToBool, U, uint8_t>;
  } else if constexpr (kIntegers && sizeof(R) <= sizeof(A)) {  // cut: signs do not matter
    slot = unary_loop<CastTo<UnsignedOf<R>>, UnsignedOf<A>, UnsignedOf<R>>;
  } else if constexpr (kIntegers) {
    slot = unary_loop<CastTo<UnsignedOf<R>>, A, UnsignedOf<R>>;
  } else {
    slot = unary_loop<CastTo<R>, A, R>;
  }
}

template <Dtype kReal, class T>
void add_complex_casts(TileTable* table) {
  constexpr auto kC = static_cast<size_t>(Dtype::kComplex64);
  constexpr auto kR = static_cast<size_t>(kReal);
  table->casts[kR][kC] = cast_via<CastTo<float>, ToComplex, T, float, C64>;
  if constexpr (kReal == Dtype::kBool)
    table->casts[kC][kR] = unary_loop<ComplexToBool, C64, uint8_t>;
  else
    table->casts[kC][kR] = cast_via<RealPart, CastTo<T>, C64, float, T>;
}

// ---- float16 and bfloat16 ----

using DF = hn::ScalableTag<float>;
using DU = hn::RebindToUnsigned<DF>;
using DU16 = hn::Rebind<uint16_t, DF>;
using VF = hn::Vec<DF>;
using VU16 = hn::Vec<DU16>;

// To nearest, ties to even. A NaN keeps its sign and upper payload and becomes quiet.
struct Bfloat16 {
  static VU16 narrow(VF v) {
    const DU du;
    const auto bits = hn::BitCast(du, v);
    const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 1));
    const auto rounded = hn::Add(bits, hn::Add(odd, hn::Set(du, 0x7fff)));
    const auto quiet = hn::Or(bits, hn::Set(du, 0x400000));
    const auto is_nan = hn::RebindMask(du, hn::Ne(v, v));
    const auto top = hn::ShiftRight<16>(hn::IfThenElse(is_nan, quiet, rounded));
    return hn::TruncateTo(DU16(), top);
  }
  static VF widen(VU16 v) { return hn::BitCast(DF(), hn::ShiftLeft<16>(hn::PromoteTo(DU(), v))); }
};

struct Float16 {
#if HWY_TARGET <= HWY_AVX2  // F16C does both exactly as the integer code below
  static VU16 narrow(VF v) {
    return hn::BitCast(DU16(), hn::DemoteTo(hn::Rebind<hwy::float16_t, DF>(), v));
  }
  static VF widen(VU16 v) {
    return hn::PromoteTo(DF(), hn::BitCast(hn::Rebind<hwy::float16_t, DF>(), v));
  }
#else
  static VU16 narrow(VF v) {
    const DF df;
    const DU du;
    const auto bits = hn::BitCast(du, v);
    const auto sign = hn::And(bits, hn::Set(du, 0x80000000u));
    const auto mag = hn::Xor(bits, sign);
    // Normal: rebias, round to nearest even on 13 bits; overflow runs into infinity by itself.
    const auto odd = hn::And(hn::ShiftRight<13>(mag), hn::Set(du, 1));
    const auto normal = hn::ShiftRight<13>(hn::Add(hn::Add(mag, hn::Set(du, 0xc8000fffu)), odd));
    // Below 2^-14 the adder rounds: with 0.5 added the last bit kept weighs 2^-24.
    const auto half = hn::Set(df, 0.5f);
    const auto small =
        hn::Sub(hn::BitCast(du, hn::Add(hn::BitCast(df, mag), half)), hn::BitCast(du, half));
    const auto nan =
        hn::Or(hn::Set(du, 0x7e00), hn::And(hn::ShiftRight<13>(mag), hn::Set(du, 0x3ff)));
    auto r = hn::IfThenElse(hn::Lt(mag, hn::Set(du, 0x38800000u)), small, normal);
    r = hn::IfThenElse(hn::Gt(mag, hn::Set(du, 0x477fffffu)), hn::Set(du, 0x7c00), r);
    r = hn::IfThenElse(hn::Gt(mag, hn::Set(du, 0x7f800000u)), nan, r);
    return hn::TruncateTo(DU16(), hn::Or(r, hn::ShiftRight<16>(sign)));
  }
  static VF widen(VU16 v) {
    const DF df;
    const DU du;
    const auto bits = hn::PromoteTo(du, v);
    const auto sign = hn::ShiftLeft<16>(hn::And(bits, hn::Set(du, 0x8000)));
    const auto mag = hn::ShiftLeft<13>(hn::And(bits, hn::Set(du, 0x7fff)));
    const auto is_special = hn::Gt(mag, hn::Set(du, 0x0f7fffffu));
    const auto is_nan = hn::Gt(mag, hn::Set(du, 0x0f800000u));
    // 2^112 rebiases normals and normalises subnormals at once.
    const auto scaled =
        hn::BitCast(du, hn::Mul(hn::BitCast(df, mag), hn::BitCast(df, hn::Set(du, 0x77800000u))));
    auto r = hn::IfThenElse(is_special, hn::Or(mag, hn::Set(du, 0x7f800000u)), scaled);
    r = hn::IfThenElse(is_nan, hn::Or(r, hn::Set(du, 0x400000)), r);
    return hn::BitCast(df, hn::Or(r, sign));
  }
#endif
};

// Calls f(src, dst) on whole vectors, the last one through padded blocks.
template <class A, class R, class F>
void vector_loop(const TileCall& c, F f) {
  const size_t lanes = hn::Lanes(DF());
  const A* a = static_cast<const A*>(c.src[0]);
  R* r = static_cast<R*>(c.dst);
  size_t i = 0;
  for (; i + lanes <= c.n; i += lanes) f(a + i, r + i);
  if (const size_t rest = c.n - i) {
    alignas(64) A in[64 / sizeof(float)] = {};
    alignas(64) R out[64 / sizeof(float)];
    std::memcpy(in, a + i, rest * sizeof(A));
    f(in, out);
    std::memcpy(r + i, out, rest * sizeof(R));
  }
}

template <class Format>
void widen_loop(const TileCall& c) {
  vector_loop<uint16_t, float>(c, [](const uint16_t* a, float* r) HWY_ATTR {
    hn::StoreU(Format::widen(hn::LoadU(DU16(), a)), DF(), r);
  });
}
template <class Format>
void narrow_loop(const TileCall& c) {
  vector_loop<float, uint16_t>(c, [](const float* a, uint16_t* r) HWY_ATTR {
    hn::StoreU(Format::narrow(hn::LoadU(DF(), a)), DU16(), r);
  });
}
template <class Format>
void round_loop(const TileCall& c) {
  vector_loop<float, float>(c, [](const float* a, float* r) HWY_ATTR {
    hn::StoreU(Format::widen(Format::narrow(hn::LoadU(DF(), a))), DF(), r);
  });
}

void stream(void* dst, const void* src, size_t bytes) {
  const hn::ScalableTag<uint8_t> d;
  const size_t lanes = hn::Lanes(d);
  auto* out = static_cast<uint8_t*>(dst);
  const auto* in = static_cast<const uint8_t*>(src);
  const size_t head = std::min(bytes, -reinterpret_cast<uintptr_t>(out) % lanes);
  if (head) std::memcpy(out, in, head);
  size_t i = head;
  for (; i + lanes <= bytes; i += lanes) hn::Stream(hn::LoadU(d, in + i), d, out + i);
  if (i < bytes) std::memcpy(out + i, in + i, bytes - i);
}

void add_casts(TileTable* table) {
  using enum Dtype;
  for_dtypes<kBool, kUint8, kUint16, kUint32, kUint64, kInt8, kInt16, kInt32, kInt64, kFloat32,
             kFloat64>([&]<Dtype kFrom, class A>() {
    for_dtypes<kBool, kUint8, kUint16, kUint32, kUint64, kInt8, kInt16, kInt32, kInt64, kFloat32,
               kFloat64>([&]<Dtype kTo, class R>() { add_cast<kFrom, A, kTo, R>(table); });
    add_complex_casts<kFrom, A>(table);
  });
  constexpr auto kC = static_cast<size_t>(kComplex64);
  table->casts[kC][kC] = table->casts[static_cast<size_t>(kUint64)][static_cast<size_t>(kUint64)];
  const auto h = static_cast<size_t>(kFloat16), b = static_cast<size_t>(kBfloat16);
  table->widen[h] = widen_loop<Float16>, table->widen[b] = widen_loop<Bfloat16>;
  table->narrow[h] = narrow_loop<Float16>, table->narrow[b] = narrow_loop<Bfloat16>;
  table->round[h] = round_loop<Float16>, table->round[b] = round_loop<Bfloat16>;
}

}  // namespace HWY_NAMESPACE
}  // namespace plimsoll::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace plimsoll::cpu {
HWY_EXPORT(add_casts);
HWY_EXPORT(stream);
void add_cast_kernels(TileTable* table) { HWY_DYNAMIC_DISPATCH(add_casts)(table); }
void stream_copy(void* dst, const void* src, size_t bytes) {
  HWY_DYNAMIC_DISPATCH(stream)(dst, src, bytes);
}
void stream_fence() { _mm_sfence(); }
}  // namespace plimsoll::cpu
#endif
