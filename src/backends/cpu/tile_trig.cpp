// Circular functions and their inverses, for float32.
#include <algorithm>
#include <cmath>
#include <cstring>

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

// `near` is `apply` for arguments below kNear.
struct Sin {
  static constexpr float kNear = Narrow::kFewRadians;
  static HWY_INLINE Narrow::V near(Narrow::V x) { return Narrow::near_sin(x); }
  static HWY_INLINE Narrow::V apply(Narrow::V x) { return Narrow::sin(x); }
  static double exact(double x) { return std::sin(x); }
};
struct Cos {
  static constexpr float kNear = Narrow::kFewRadians;
  static HWY_INLINE Narrow::V near(Narrow::V x) { return Narrow::near_cos(x); }
  static HWY_INLINE Narrow::V apply(Narrow::V x) { return Narrow::cos(x); }
  static double exact(double x) { return std::cos(x); }
};
struct Tan {
  static constexpr double kNear = Narrow::kMostRadians;
  static HWY_INLINE Wide::V near(Wide::V x) { return Wide::tan(x); }
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
// way an element goes is decided by its value alone.
template <class As, class F>
HWY_NOINLINE void with_far_lanes(const float* a, float* r) {
  alignas(64) float kept[16];
  const size_t lanes = As::lanes();
  std::copy_n(a, lanes, kept);  // r may be a
  As::store(F::apply(As::load(kept)), r);
  for (size_t i = 0; i < lanes; ++i)
    if (!(std::fabs(kept[i]) <= Narrow::kMostRadians)) r[i] = static_cast<float>(F::exact(kept[i]));
}

template <class As, class F>
HWY_INLINE void periodic_vector(const float* a, float* r) {
  const auto x = As::load(a);
  const hn::DFromV<typename As::V> d;
  if (HWY_LIKELY(hn::AllTrue(d, hn::Lt(hn::Abs(x), hn::Set(d, F::kNear)))))
    As::store(F::near(x), r);
  else
    with_far_lanes<As, F>(a, r);
}

template <class As, class F>
void periodic_lanes(const TileCall& c) {
  const auto* a = static_cast<const float*>(c.src[0]);
  auto* r = static_cast<float*>(c.dst);
  const size_t lanes = As::lanes();
  size_t i = 0;
  for (; i + lanes <= c.n; i += lanes) periodic_vector<As, F>(a + i, r + i);
  if (const size_t rest = c.n - i) {
    alignas(64) float block[16] = {};
    std::memcpy(block, a + i, rest * sizeof(float));
    periodic_vector<As, F>(block, block);
    std::memcpy(r + i, block, rest * sizeof(float));
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
