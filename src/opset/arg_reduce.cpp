#include "opset/arg_reduce.h"

#include "opset/reduce.h"

namespace plimsoll {

Tiling arg_reduce_tiling(const OpInstance& op) {
  const auto& attrs = static_cast<const ArgReduceAttrs&>(*op.attrs);
  const ReduceAttrs reduce(Dims{attrs.axis}, attrs.keepdims);
  return reduce_tiling({op.inputs, op.outputs, &reduce});
}

}  // namespace plimsoll
