// Circular functions and their inverses, for float32.
#include <algorithm>
#include <cmath>

#include "backends/cpu/tile_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backends/cpu/tile_trig.cpp"
#include "hwy/foreach_target.h"
// clang-format off
#include "backends/cpu/tile_lanes-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace plimsoll::cpu {
namespace HWY_NAMESPACE {

struct Sin {
  static HWY_INLINE Narrow::V apply(Narrow::V x) { return Narrow::sin(x); }
  static double exact(double x) { return std::sin(x); }
};
struct Cos {
  static HWY_INLINE Narrow::V apply(Narrow::V x) { return Narrow::cos(x); }
  static double exact(double x) { return std::cos(x); }
};
struct Tan {
  static HWY_INLINE Wide::V apply(Wide::V x) { return Wide::tan(x); }
  static double exact(double x) { return std::tan(x); }
};
struct Arcsin {
  static HWY_INLINE Wide::V apply(Wide::V x) { return Wide::arcsin(x); }
};
struct Arccos {
  static HWY_INLINE Wide::V apply(Wide::V x) { return Wide::arccos(x); }
};
struct Arctan {
  static HWY_INLINE Wide::V apply(Wide::V x) { return Wide::arctan(x); }
};
struct Arctan2 {
  static HWY_INLINE Wide::V apply(Wide::V y, Wide::V x) { return Wide::arctan2(y, x); }
};

// Elements beyond the vector formula's reduction are left to libm, whose reduction is exact: which
// way an element goes is decided by its value alone. Blocks keep the arguments where dst is src.
template <class As, class F>
void periodic_lanes(const TileCall& c) {
  constexpr size_t kBlock = 256;
  float kept[kBlock];
  const auto* a = static_cast<const float*>(c.src[0]);
  auto* r = static_cast<float*>(c.dst);
  for (size_t begin = 0; begin < c.n; begin += kBlock) {
    const size_t n = std::min(kBlock, c.n - begin);
    std::memcpy(kept, a + begin, n * sizeof(float));
    bool any = false;
    for (size_t i = 0; i < n; ++i) any |= !(__builtin_fabsf(kept[i]) <= Narrow::kMostRadians);
    TileCall part = c;
    part.src[0] = kept;
    part.dst = r + begin;
    part.n = n;
    unary_lanes<As, F>(part);
    if (!any) continue;
    for (size_t i = 0; i < n; ++i)
      if (!(__builtin_fabsf(kept[i]) <= Narrow::kMostRadians))
        r[begin + i] = static_cast<float>(F::exact(kept[i]));
  }
}

void add_trig(TileTable* table) {
  const auto set = [&](TileOp op, TileKernel kernel) { table->set(op, Dtype::kFloat32, kernel); };
  set(TileOp::kSin, periodic_lanes<AsFloat, Sin>);
  set(TileOp::kCos, periodic_lanes<AsFloat, Cos>);
  set(TileOp::kTan, periodic_lanes<AsDouble, Tan>);
  set(TileOp::kArcsin, unary_lanes<AsDouble, Arcsin>);
  set(TileOp::kArccos, unary_lanes<AsDouble, Arccos>);
  set(TileOp::kArctan, unary_lanes<AsDouble, Arctan>);
  set(TileOp::kArctan2, binary_lanes<AsDouble, Arctan2>);
}

}  // namespace HWY_NAMESPACE
}  // namespace plimsoll::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace plimsoll::cpu {
HWY_EXPORT(add_trig);
void add_trig_kernels(TileTable* table) { HWY_DYNAMIC_DISPATCH(add_trig)(table); }
}  // namespace plimsoll::cpu
#endif
