// What every family uses: recording, promotion, checks of axes, and shorthands for gradients.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "graph/node.h"
#include "graph/op_def.h"
#include "ops/contract.h"
#include "ops/promote.h"
#include "opset/attrs_io.h"
#include "plimsoll/array.h"

namespace plimsoll::ops {

using graph::boxed;
using graph::Kind;
using graph::make_attrs;
using graph::OpDef;
using graph::record;
using graph::record_many;
using graph::VjpArgs;
using graph::VmapArgs;
using graph::VmapResult;
using OpList = std::span<const OpDef* const>;

/// The record of an op that is made of others.
constexpr OpDef composite(const char* name, graph::Entry entry, const char* signature,
                          const char* doc) {
  return {
      .name = name, .kind = Kind::kComposite, .entry = entry, .signature = signature, .doc = doc};
}

/// Axis in [0, ndim); IndexError, as MLX raises for an axis that is not there.
int checked_axis(int64_t axis, int ndim, const char* op);
/// Sorted axes in [0, ndim), distinct; all of them for nullopt.
Dims checked_axes(const std::optional<Dims>& axes, int ndim, const char* op);
/// Throws for a negative dimension.
void check_shape(const Shape& shape, const char* op);

/// The attributes as the op's own struct.
template <typename A>
const A& attrs_as(const AttrBase* attrs) {
  return static_cast<const A&>(*attrs);
}
/// The attributes as they are, for recording the op once more.
inline AttrsPtr same_attrs(const AttrBase* attrs) {
  return attrs ? attrs->shared_from_this() : nullptr;
}

/// `a` with its batched axis first.
array batch_first(const array& a, int axis);
/// As batch_first, an unbatched input repeated `batch` times (a broadcast view).
array batch_or_repeat(const array& a, int axis, int64_t batch);
/// As batch_first with axes of length 1 behind the batch axis until the rank is `ndim`.
array batch_first_padded(const array& a, int axis, int ndim);

/// Indices [batch, S] into n items of each element as indices into all the items, behind each
/// other. One outside [-n, n) becomes batch * n, which is outside, too.
array batched_indices(const array& at, int64_t n);

/// Vmap of last resort: the op once an element of the batch, the results stacked.
VmapResult per_element(const VmapArgs& v,
                       const std::function<std::vector<array>(std::span<const array>)>& op);

/// conj(a) for complex64, else a.
array conj_if_complex(const array& a);

/// Vjp of an op whose gradient is Rule(cotangent, input, output).
template <auto Rule>
std::vector<array> vjp_of_one(const VjpArgs& v) {
  if (!v.needed[0]) return {array()};
  return {Rule(v.cotangents[0], v.inputs[0], v.outputs[0])};
}

}  // namespace plimsoll::ops
