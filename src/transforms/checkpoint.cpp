// An output of a checkpointed function is a view of what the function recorded, with the function's
// inputs beside it. Its gradient goes to those inputs through a fresh recording.
#include "base/check.h"
#include "plimsoll/transforms.h"
#include "transforms/trace.h"

namespace plimsoll {
namespace transforms {
namespace {

struct CheckpointAttrs final : AttrBase {
  CheckpointAttrs(std::shared_ptr<const Function> f, size_t i, size_t n)
      : fn(std::move(f)), index(i), count(n) {}
  std::shared_ptr<const Function> fn;
  size_t index, count;  // of the function's outputs
  uint64_t hash() const override { return hash_mix(reinterpret_cast<uintptr_t>(fn.get()), index); }
  bool equals(const AttrBase& other) const override {
    const auto* o = dynamic_cast<const CheckpointAttrs*>(&other);
    return o && o->fn == fn && o->index == index;
  }
  std::string repr() const override { return ""; }
};

Arrays gradient(const graph::VjpArgs& v) {
  const auto& attrs = static_cast<const CheckpointAttrs&>(*v.attrs);
  Arrays primals(v.inputs.begin() + 1, v.inputs.end());
  Arrays cotangents(attrs.count);
  cotangents[attrs.index] = v.cotangents[0];
  // Recomputing waits for the cotangent, and what flows on waits for all gradients of this part:
  // otherwise recomputed values of all parts could be there at once.
  Arrays grads = vjp(*attrs.fn, depends(primals, {v.cotangents[0]}), cotangents).second;
  for (size_t i = 0; i < grads.size(); ++i)
    if (!v.needed[i + 1]) grads[i] = array();
  const Arrays together = grads;
  for (array& g : grads)
    if (g) g = depends({g}, together)[0];
  grads.insert(grads.begin(), array());  // nothing flows through the first recording
  return grads;
}

constinit const graph::OpDef kCheckpoint{
    .name = "checkpoint",
    .kind = graph::Kind::kView,
    .infer = [](const OpInstance& op,
                std::vector<TensorSpec>& out) { out.push_back(op.inputs[0]); },
    .vjp = gradient,
    .vmap = [](const graph::VmapArgs& v) -> graph::VmapResult {
      return {{v.inputs[0]}, {v.axes[0]}};
    },
    .view =
        [](const graph::ViewArgs& v, Layout& out) {
          out = v.in_layout;
          return true;
        },
};

}  // namespace
}  // namespace transforms

Function checkpoint(Function fn) {
  auto shared = std::make_shared<const Function>(std::move(fn));
  return [shared](const Arrays& inputs) {
    Arrays outputs = (*shared)(inputs);
    for (size_t i = 0; i < outputs.size(); ++i) {
      Arrays in{outputs[i]};
      in.insert(in.end(), inputs.begin(), inputs.end());
      outputs[i] = graph::record(
          transforms::kCheckpoint, in,
          std::make_shared<const transforms::CheckpointAttrs>(shared, i, outputs.size()));
    }
    return outputs;
  };
}

}  // namespace plimsoll
