// Records a function on one element of the batch, then records its operations over the batch.
#include "base/check.h"
#include "ops/batching.h"
#include "plimsoll/ops/view.h"
#include "plimsoll/transforms.h"
#include "transforms/trace.h"

namespace plimsoll {
namespace transforms {
namespace {

using graph::Node;

struct Batched {
  Arrays outputs;  // one, or those of an operation with several
  std::vector<int> axes;
};
using Batches = std::unordered_map<const Node*, Batched>;

int64_t batch_size(const Arrays& inputs, const std::vector<int>& axes) {
  int64_t batch = -1;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (axes[i] < 0) continue;
    int64_t n = inputs[i].shape(axes[i]);
    PLIMSOLL_CHECK(batch < 0 || batch == n, ValueError,
                   "[vmap] expected mapped axes of one length, got {} and {}", batch, n);
    batch = n;
  }
  PLIMSOLL_CHECK(batch >= 0, ValueError, "[vmap] expected at least one mapped axis, got none");
  return batch;
}

Batched batched_input(const Node* node, uint16_t index, const Batches& batches) {
  auto it = batches.find(node);
  if (it == batches.end()) return {{array::share(const_cast<Node*>(node))}, {-1}};
  return {{it->second.outputs[index]}, {it->second.axes[index]}};
}

Batched batch_node(const Node& node, int64_t batch, const Batches& batches) {
  if (node.def->kind == graph::Kind::kProjection)
    return batched_input(node.inputs[0], node.index, batches);
  Arrays inputs;
  std::vector<int> axes;
  for (const Node* in : node.inputs) {
    Batched one = batched_input(in, 0, batches);
    inputs.push_back(one.outputs[0]);
    axes.push_back(one.axes[0]);
  }
  graph::VmapResult r = ops::vmap_op(
      *node.def, {.inputs = inputs, .axes = axes, .attrs = node.attrs.get(), .batch = batch});
  return {std::move(r.outputs), std::move(r.axes)};
}

array place(const Batched& value, int axis, int64_t batch) {
  const array& a = value.outputs[0];
  if (value.axes[0] >= 0 && axis >= 0)
    return value.axes[0] == axis ? a : moveaxis(a, value.axes[0], axis);
  PLIMSOLL_CHECK(value.axes[0] < 0, ValueError,
                 "[vmap] expected an output axis for an output that depends on the batch, got "
                 "None");
  if (axis < 0) return a;
  Shape shape = a.shape();
  shape.insert(shape.begin() + axis, batch);
  return broadcast_to(expand_dims(a, Dims{axis}), shape);
}

}  // namespace
}  // namespace transforms

Arrays vmap(const Function& fn, const Arrays& inputs, const std::vector<int>& in_axes,
            const std::vector<int>& out_axes) {
  using namespace transforms;
  PLIMSOLL_CHECK(inputs.size() == in_axes.size(), ValueError,
                 "[vmap] expected {} axes, one an input, got {}", inputs.size(), in_axes.size());
  int64_t batch = batch_size(inputs, in_axes);
  Batches batches;
  Arrays given, outputs;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (in_axes[i] < 0) {
      given.push_back(inputs[i]);
      continue;
    }
    Shape shape = inputs[i].shape();
    shape.erase(shape.begin() + in_axes[i]);
    given.push_back(placeholder(shape, inputs[i].dtype()));
    batches[given[i].node()] = {{inputs[i]}, {in_axes[i]}};
  }
  {
    TraceScope scope;
    outputs = fn(given);
  }
  PLIMSOLL_CHECK(outputs.size() == out_axes.size(), ValueError,
                 "[vmap] expected {} axes, one an output, got {}", outputs.size(), out_axes.size());
  for (const Node* node : recorded_order(outputs)) {
    if (batches.contains(node) || !node->def) continue;
    bool depends = false;
    for (const Node* in : node->inputs) depends |= batches.contains(in);
    if (depends) batches[node] = batch_node(*node, batch, batches);
  }
  Arrays results;
  for (size_t i = 0; i < outputs.size(); ++i)
    results.push_back(place(batched_input(outputs[i].node(), 0, batches), out_axes[i], batch));
  return results;
}

}  // namespace plimsoll
