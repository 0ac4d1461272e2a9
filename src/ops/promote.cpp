#include "ops/promote.h"

#include <cmath>
#include <limits>

#include "base/check.h"
#include "core/truncate.h"
#include "plimsoll/ops/cast.h"
#include "plimsoll/ops/scalar.h"

namespace plimsoll {

array scalar(bool value) {
  return graph::constant({.dtype = Dtype::kBool, .real = value ? 1.0 : 0.0, .integer = value},
                         true);
}

array scalar(int64_t value) {
  bool narrow = value == static_cast<int32_t>(value);
  return graph::constant({.dtype = narrow ? Dtype::kInt32 : Dtype::kInt64,
                          .real = static_cast<double>(value),
                          .integer = value},
                         true);
}

array scalar(double value) {
  return graph::constant({.dtype = Dtype::kFloat32, .real = value}, true);
}

array scalar(std::complex<float> value) {
  return graph::constant({.dtype = Dtype::kComplex64, .real = value.real(), .imag = value.imag()},
                         true);
}

namespace ops {
namespace {

int level(Dtype t) {
  switch (kind_of(t)) {
    case DtypeKind::kBool:
      return 0;
    case DtypeKind::kUnsigned:
    case DtypeKind::kSigned:
      return 1;
    case DtypeKind::kFloat:
      return 2;
    default:
      return 3;
  }
}

// Nearest value with `precision` significant bits and least exponent `min_exponent`, ties to even.
double round_to_bits(double v, int precision, int min_exponent, double largest) {
  if (!std::isfinite(v) || v == 0) return v;
  int e;
  std::frexp(v, &e);
  int shift = std::max(e, min_exponent) - precision;
  double r = std::ldexp(std::nearbyint(std::ldexp(v, -shift)), shift);
  return std::fabs(r) > largest ? std::copysign(std::numeric_limits<double>::infinity(), v) : r;
}

double round_to(double v, Dtype t) {
  switch (t) {
    case Dtype::kFloat16:
      return round_to_bits(v, 11, -13, 65504.0);
    case Dtype::kBfloat16:
      return round_to_bits(v, 8, -125, 3.3895313892515355e38);
    case Dtype::kFloat32:
    case Dtype::kComplex64:
      return static_cast<float>(v);
    default:
      return v;
  }
}

bool holds(Dtype t, int64_t v) {
  switch (t) {
    case Dtype::kInt64:
      return true;
    case Dtype::kUint64:
      return v >= 0;
    default: {
      int bits = static_cast<int>(size_of(t)) * 8;
      if (kind_of(t) == DtypeKind::kUnsigned) return v >= 0 && (v >> bits) == 0;
      return v >= -(int64_t{1} << (bits - 1)) && v < (int64_t{1} << (bits - 1));
    }
  }
}

int64_t wrap(int64_t v, Dtype t) {
  switch (t) {
    case Dtype::kUint8:
      return static_cast<uint8_t>(v);
    case Dtype::kUint16:
      return static_cast<uint16_t>(v);
    case Dtype::kUint32:
      return static_cast<uint32_t>(v);
    case Dtype::kInt8:
      return static_cast<int8_t>(v);
    case Dtype::kInt16:
      return static_cast<int16_t>(v);
    case Dtype::kInt32:
      return static_cast<int32_t>(v);
    default:
      return v;
  }
}

int64_t truncate(double v, Dtype t) {
  if (t == Dtype::kUint64) return static_cast<int64_t>(truncate_to<uint64_t>(v));
  if (t == Dtype::kInt64 || t == Dtype::kUint32) return truncate_to<int64_t>(v);
  return truncate_to<int32_t>(v);
}

// A Python float is a double until it meets a dtype; any other constant is rounded already.
double real_of(const TileConstant& c, bool weak) {
  return weak ? c.real : round_to(c.real, c.dtype);
}

TileConstant convert(TileConstant c, Dtype t, bool weak) {
  TileConstant out{.dtype = t};
  if (t == Dtype::kBool) {
    bool v = is_integral(c.dtype) ? c.integer != 0 : c.real != 0 || c.imag != 0;
    out.integer = v;
    out.real = v;
  } else if (is_integral(t)) {
    int64_t v = is_integral(c.dtype) ? c.integer : truncate(real_of(c, weak), t);
    PLIMSOLL_CHECK(!weak || !is_integral(c.dtype) || holds(t, v), ValueError,
                   "[astype] expected a number that {} holds, got {}; cast the array to a wider "
                   "dtype first",
                   name_of(t), v);
    out.integer = wrap(v, t);
    out.real = t == Dtype::kUint64 ? static_cast<double>(static_cast<uint64_t>(out.integer))
                                   : static_cast<double>(out.integer);
  } else {
    out.real = round_to(real_of(c, weak), t);
    out.imag = t == Dtype::kComplex64 ? c.imag : 0;
  }
  return out;
}

}  // namespace

Dtype result_dtype(std::initializer_list<const array*> arrays) {
  bool strong = false, any_weak = false;
  Dtype t = Dtype::kBool, weak = Dtype::kBool;
  for (const array* a : arrays) {
    if (graph::is_weak(*a)) {
      weak = any_weak ? promote_types(weak, a->dtype()) : a->dtype();
      any_weak = true;
    } else {
      t = strong ? promote_types(t, a->dtype()) : a->dtype();
      strong = true;
    }
  }
  if (!any_weak || (strong && level(weak) <= level(t))) return t;
  return weak;
}

array cast(const array& a, Dtype t) {
  const graph::Node* node = a.node();
  if (is_foldable(a)) {
    bool weak = node->is(graph::Node::kWeak);
    if (node->dtype == t && !weak) return a;
    return graph::constant(convert(node->constant, t, weak));
  }
  return node->dtype == t ? a : astype(a, t);
}

array constant_like(double value, const array& like) { return cast(scalar(value), like.dtype()); }

}  // namespace ops
}  // namespace plimsoll
