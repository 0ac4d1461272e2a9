// The same bytes, for a reader that is to wait for other arrays: the default order of an
// evaluation computes these first.
#include "plimsoll/transforms.h"
#include "transforms/trace.h"

namespace plimsoll {
namespace transforms {
namespace {

const graph::OpDef& depends_def();

constinit const graph::OpDef kDepends{
    .name = "depends",
    .kind = graph::Kind::kView,
    .infer = [](const OpInstance& op,
                std::vector<TensorSpec>& out) { out.push_back(op.inputs[0]); },
    .vjp = [](const graph::VjpArgs& v) -> Arrays {
      Arrays grads(v.inputs.size());
      grads[0] = v.cotangents[0];
      return grads;
    },
    .vmap = [](const graph::VmapArgs& v) -> graph::VmapResult {
      return {{graph::record(depends_def(), v.inputs)}, {v.axes[0]}};
    },
    .view =
        [](const graph::ViewArgs& v, Layout& out) {
          out = v.in_layout;
          return true;
        },
};

const graph::OpDef& depends_def() { return kDepends; }

}  // namespace
}  // namespace transforms

Arrays depends(const Arrays& inputs, const Arrays& dependencies) {
  Arrays out;
  for (const array& input : inputs) {
    Arrays in{input};
    for (const array& d : dependencies)
      if (d) in.push_back(d);
    out.push_back(graph::record(transforms::kDepends, in));
  }
  return out;
}

}  // namespace plimsoll
