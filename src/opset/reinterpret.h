// The same bytes read in another way; both are views.
//
//   view        elements of `from` bytes as elements of dtype: the last axis grows or shrinks
//   as_strided  the last axis of length n as axes of `shape`: element (i, j, ...) is element
//               offset + i * strides[0] + j * strides[1] + ... of it
#pragma once

#include <tuple>
#include <utility>

#include "opset/attrs.h"
#include "plimsoll/dtype.h"

namespace plimsoll {

struct BitViewAttrs : Attrs<BitViewAttrs> {
  Dtype dtype = Dtype::kFloat32;
  int64_t from = 0;  // bytes of an element of the input
  BitViewAttrs() = default;
  BitViewAttrs(Dtype dtype_, int64_t from_) : dtype(dtype_), from(from_) {}
  static constexpr const char* kName = "view";
  auto fields() const { return std::tie(dtype, from); }
};

struct AsStridedAttrs : Attrs<AsStridedAttrs> {
  Dims shape, strides;
  int64_t offset = 0;
  AsStridedAttrs() = default;
  AsStridedAttrs(Dims shape_, Dims strides_, int64_t offset_)
      : shape(std::move(shape_)), strides(std::move(strides_)), offset(offset_) {}
  static constexpr const char* kName = "as_strided";
  auto fields() const { return std::tie(shape, strides, offset); }
};

}  // namespace plimsoll
