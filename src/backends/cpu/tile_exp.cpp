// Exponentials, logarithms and what is made of them, for float32.
#include <algorithm>

#include "backends/cpu/tile_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backends/cpu/tile_exp.cpp"
#include "hwy/foreach_target.h"
// clang-format off
#include "backends/cpu/tile_lanes-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace plimsoll::cpu {
namespace HWY_NAMESPACE {

#define PLIMSOLL_TILE_UNARY(Family, Name, function)                                \
  struct Name {                                                                    \
    static HWY_INLINE Family::V apply(Family::V x) { return Family::function(x); } \
  }
#define PLIMSOLL_TILE_BINARY(Family, Name, function)                                               \
  struct Name {                                                                                    \
    static HWY_INLINE Family::V apply(Family::V x, Family::V y) { return Family::function(x, y); } \
  }
PLIMSOLL_TILE_UNARY(Narrow, Exp, exp);
PLIMSOLL_TILE_UNARY(Narrow, Exp2, exp2);
PLIMSOLL_TILE_UNARY(Narrow, Log, log);
PLIMSOLL_TILE_UNARY(Narrow, Sigmoid, sigmoid);
PLIMSOLL_TILE_UNARY(Narrow, Tanh, tanh);
PLIMSOLL_TILE_UNARY(Narrow, Erf, erf);
PLIMSOLL_TILE_UNARY(Wide, Expm1, expm1);
PLIMSOLL_TILE_UNARY(Wide, Log1p, log1p);
PLIMSOLL_TILE_UNARY(Wide, Log2, log2);
PLIMSOLL_TILE_UNARY(Wide, Log10, log10);
PLIMSOLL_TILE_UNARY(Wide, Sinh, sinh);
PLIMSOLL_TILE_UNARY(Wide, Cosh, cosh);
PLIMSOLL_TILE_UNARY(Wide, Arcsinh, arcsinh);
PLIMSOLL_TILE_UNARY(Wide, Arccosh, arccosh);
PLIMSOLL_TILE_UNARY(Wide, Arctanh, arctanh);
PLIMSOLL_TILE_UNARY(Wide, Erfinv, erfinv);
PLIMSOLL_TILE_BINARY(Wide, LogAddExp, logaddexp);
PLIMSOLL_TILE_BINARY(Wide, Power, power);
#undef PLIMSOLL_TILE_UNARY
#undef PLIMSOLL_TILE_BINARY

void add_exp(TileTable* table) {
  const auto set = [&](TileOp op, TileKernel kernel) { table->set(op, Dtype::kFloat32, kernel); };
  set(TileOp::kExp, unary_lanes<AsFloat, Exp>);
  set(TileOp::kExp2, unary_lanes<AsFloat, Exp2>);
  set(TileOp::kLog, unary_lanes<AsFloat, Log>);
  set(TileOp::kSigmoid, unary_lanes<AsFloat, Sigmoid>);
  set(TileOp::kTanh, unary_lanes<AsFloat, Tanh>);
  set(TileOp::kErf, unary_lanes<AsFloat, Erf>);
  set(TileOp::kExpm1, unary_lanes<AsDouble, Expm1>);
  set(TileOp::kLog1p, unary_lanes<AsDouble, Log1p>);
  set(TileOp::kLog2, unary_lanes<AsDouble, Log2>);
  set(TileOp::kLog10, unary_lanes<AsDouble, Log10>);
  set(TileOp::kSinh, unary_lanes<AsDouble, Sinh>);
  set(TileOp::kCosh, unary_lanes<AsDouble, Cosh>);
  set(TileOp::kArcsinh, unary_lanes<AsDouble, Arcsinh>);
  set(TileOp::kArccosh, unary_lanes<AsDouble, Arccosh>);
  set(TileOp::kArctanh, unary_lanes<AsDouble, Arctanh>);
  set(TileOp::kErfinv, unary_lanes<AsDouble, Erfinv>);
  set(TileOp::kLogAddExp, binary_lanes<AsDouble, LogAddExp>);
  set(TileOp::kPower, binary_lanes<AsDouble, Power>);
}

}  // namespace HWY_NAMESPACE
}  // namespace plimsoll::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace plimsoll::cpu {
HWY_EXPORT(add_exp);
void add_exp_kernels(TileTable* table) { HWY_DYNAMIC_DISPATCH(add_exp)(table); }
}  // namespace plimsoll::cpu
#endif
