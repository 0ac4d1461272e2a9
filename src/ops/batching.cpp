#include "ops/batching.h"

#include <algorithm>

#include "ops/common.h"

namespace plimsoll::ops {
namespace {

// All inputs have the batch on one axis and one rank: nothing moves.
bool is_aligned(const VmapArgs& v) {
  for (size_t i = 0; i < v.inputs.size(); ++i)
    if (v.axes[i] < 0 || v.axes[i] != v.axes[0] || v.inputs[i].ndim() != v.inputs[0].ndim())
      return false;
  return true;
}

// Elementwise ops broadcast: the batch goes in front of the highest rank.
VmapResult elementwise(const OpDef& def, const VmapArgs& v) {
  if (is_aligned(v)) return {{record(def, v.inputs, same_attrs(v.attrs))}, {v.axes[0]}};
  int ndim = 0;
  for (size_t i = 0; i < v.inputs.size(); ++i)
    ndim = std::max(ndim, v.inputs[i].ndim() + (v.axes[i] < 0 ? 1 : 0));
  std::vector<array> in;
  for (size_t i = 0; i < v.inputs.size(); ++i)
    in.push_back(batch_first_padded(v.inputs[i], v.axes[i], ndim));
  return {{record(def, in, same_attrs(v.attrs))}, {0}};
}

}  // namespace

VmapResult vmap_op(const OpDef& def, const VmapArgs& args) {
  if (def.vmap) return def.vmap(args);
  PLIMSOLL_CHECK(def.kind == Kind::kElementwise, Error,
                 "[vmap] expected an op that has a batching rule, got {}", def.name);
  return elementwise(def, args);
}

}  // namespace plimsoll::ops
