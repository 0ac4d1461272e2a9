#include "opset/reduce.h"

#include <algorithm>

namespace plimsoll {
namespace {

constexpr int64_t kRowBlock = 8192;  // elements of a block where the last axis is reduced
constexpr int64_t kChain = 64;       // rows of one chain of additions in a column block
constexpr int64_t kFoldWidth = 64;   // narrower rows are dealt to several chains

bool contains(const Dims& axes, int axis) {
  return std::find(axes.begin(), axes.end(), axis) != axes.end();
}

}  // namespace

Shape reduce_shape(const Shape& shape, const ReduceAttrs& attrs) {
  Shape out;
  for (int i = 0; i < static_cast<int>(shape.size()); ++i) {
    if (!contains(attrs.axes, i))
      out.push_back(shape[i]);
    else if (attrs.keepdims)
      out.push_back(1);
  }
  return out;
}

Dtype sum_dtype(Dtype t) {
  if (t == Dtype::kBool || t == Dtype::kInt8 || t == Dtype::kInt16) return Dtype::kInt32;
  if (t == Dtype::kUint8 || t == Dtype::kUint16) return Dtype::kUint32;
  return t;
}

ReduceOrder reduce_order(const Shape& whole, const Dims& axes) {
  ReduceOrder o;
  int groups = 0;
  int last = -1;  // kind of the last axis longer than 1: 1 reduced, 0 kept
  int64_t group_units = 1;
  for (int i = 0; i < static_cast<int>(whole.size()); ++i) {
    if (whole[i] == 1) continue;
    const int reduced = contains(axes, i);
    if (reduced) {
      if (last != 1) ++groups, group_units = 1;
      if (o.axis < 0)
        o.axis = i;  // counts indices, not units
      else
        group_units *= whole[i];
      o.width = 1;
    } else {
      o.width *= whole[i];
    }
    last = reduced;
  }
  if (o.axis < 0) return o;
  o.rows = last == 1;
  o.merged = groups == 1;
  o.axis_units = group_units;
  if (!o.rows && o.width < kFoldWidth)
    while (o.fold * o.width < kFoldWidth && o.fold < kFoldWidth) o.fold *= 2;
  const int64_t target = o.rows ? kRowBlock : kChain * o.fold;
  o.block = target;
  if (o.merged && o.axis_units <= target) {
    o.grain = o.axis_units <= 1 ? target : target / o.axis_units;
    o.block = o.grain * std::max<int64_t>(o.axis_units, 1);
  }
  if (o.rows) o.width = 1;
  return o;
}

Tiling reduce_tiling(const OpInstance& op) {
  const auto& attrs = static_cast<const ReduceAttrs&>(*op.attrs);
  const Shape& shape = op.inputs[0].shape;
  Tiling tiling;
  int8_t out = 0;
  for (int i = 0; i < static_cast<int>(shape.size()); ++i) {
    if (contains(attrs.axes, i)) {
      out += attrs.keepdims;
      continue;
    }
    tiling.push_back({shape[i], 1, false, {static_cast<int8_t>(i)}, {out++}});
  }
  const ReduceOrder order = reduce_order(shape, attrs.axes);
  for (int64_t a : attrs.axes) {
    const int8_t axis = static_cast<int8_t>(a);
    if (axis > order.axis) break;
    const bool ordered = axis == order.axis;
    tiling.push_back({shape[axis], ordered ? order.grain : 1, ordered, {axis}, {kWhole}});
  }
  return tiling;
}

}  // namespace plimsoll
