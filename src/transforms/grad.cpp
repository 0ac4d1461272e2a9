// Reverse mode over what a function records, and forward mode as its transpose.
#include <algorithm>

#include "base/check.h"
#include "plimsoll/ops/binary.h"
#include "plimsoll/ops/creation.h"
#include "plimsoll/ops/view.h"
#include "plimsoll/transforms.h"
#include "transforms/trace.h"

namespace plimsoll {
namespace transforms {
namespace {

using graph::Node;

class Pullback {
 public:
  Pullback(const Arrays& outputs, const Arrays& tracers, bool to_transpose)
      : tracers_(tracers), to_transpose_(to_transpose), order_(recorded_order(outputs)) {
    for (const array& t : tracers) depends_[t.node()] = true;
    for (const Node* node : order_) {
      bool stops = depends_.contains(node) || node->is(Node::kBarrier) || !node->def ||
                   !node->def->differentiable;
      if (!stops)
        depends_[node] = std::any_of(node->inputs.begin(), node->inputs.end(),
                                     [&](const Node* in) { return depends(in); });
    }
  }

  void seed(const array& output, const array& cotangent) {
    if (cotangent) add_to(output.node(), cotangent);
  }

  Arrays run() {
    for (size_t i = order_.size(); i-- > 0;) {
      Node* node = order_[i];
      if (!depends(node) || is_tracer(node)) continue;
      if (node->def->kind == graph::Kind::kProjection)
        gather_projection(node);
      else
        pull(node);
    }
    Arrays grads;
    for (const array& t : tracers_) {
      auto it = cotangents_.find(t.node());
      grads.push_back(it == cotangents_.end() ? zeros(t.shape(), t.dtype()) : it->second);
    }
    return grads;
  }

 private:
  struct Several {
    Arrays outputs, cotangents;
    SmallVector<bool, 4> flows;
    const graph::OpDef* projection = nullptr;
  };

  bool depends(const Node* node) const {
    auto it = depends_.find(node);
    return it != depends_.end() && it->second;
  }
  bool is_tracer(const Node* node) const {
    return std::any_of(tracers_.begin(), tracers_.end(),
                       [&](const array& t) { return t.node() == node; });
  }

  void add_to(const Node* node, const array& g) {
    auto [it, fresh] = cotangents_.try_emplace(node, g);
    if (!fresh) it->second = add(it->second, g);
  }

  void gather_projection(Node* node) {
    auto it = cotangents_.find(node);
    if (it == cotangents_.end()) return;
    Several& s = several_[node->inputs[0]];
    size_t n = node->inputs[0]->specs->size();
    s.outputs.resize(n);
    s.cotangents.resize(n);
    s.projection = node->def;
    s.outputs[node->index] = array::share(node);
    array& g = s.cotangents[node->index];
    g = g ? add(g, it->second) : it->second;
    cotangents_.erase(it);
  }

  // Fills in the outputs that nothing flowed back to.
  void complete(Node* node, Several& s) {
    array tuple = array::share(node);
    for (size_t i = 0; i < s.outputs.size(); ++i) {
      s.flows.push_back(static_cast<bool>(s.cotangents[i]));
      if (!s.outputs[i]) s.outputs[i] = project(tuple, static_cast<uint16_t>(i), s.projection);
      if (!s.cotangents[i]) s.cotangents[i] = zeros(s.outputs[i].shape(), s.outputs[i].dtype());
    }
  }

  void pull(Node* node) {
    Several s;
    if (auto it = several_.find(node); it != several_.end()) {
      s = std::move(it->second);
      complete(node, s);
    } else if (auto one = cotangents_.find(node); one != cotangents_.end()) {
      s.outputs.push_back(array::share(node));
      s.cotangents.push_back(one->second);
      s.flows.push_back(true);
      cotangents_.erase(one);
    } else {
      return;
    }
    Arrays inputs;
    SmallVector<bool, 8> needed;
    for (Node* in : node->inputs) {
      inputs.push_back(array::share(in));
      needed.push_back(depends(in));
    }
    PLIMSOLL_CHECK(node->def->vjp, Error, "[grad] expected an op that has a gradient, got {}",
                   node->def->name);
    TransposeScope scope(to_transpose_);
    Arrays grads = node->def->vjp({.inputs = inputs,
                                   .outputs = s.outputs,
                                   .cotangents = s.cotangents,
                                   .attrs = node->attrs.get(),
                                   .needed = {needed.data(), needed.size()},
                                   .flows = {s.flows.data(), s.flows.size()}});
    for (size_t i = 0; i < grads.size(); ++i)
      if (needed[i] && grads[i])
        add_to(inputs[i].node(), ops::sum_to_shape(grads[i], inputs[i].shape()));
  }

  const Arrays& tracers_;
  const bool to_transpose_;
  std::vector<Node*> order_;
  std::unordered_map<const Node*, bool> depends_;
  std::unordered_map<const Node*, array> cotangents_;
  std::unordered_map<const Node*, Several> several_;
};

// `cotangents_of` sees the outputs, and gives an empty array where nothing flows back.
std::pair<Arrays, Arrays> pull_back(const Function& fn, const Arrays& primals,
                                    const std::function<Arrays(const Arrays&)>& cotangents_of,
                                    bool to_transpose = false) {
  Arrays tracers, outputs, grads;
  for (const array& p : primals) tracers.push_back(tracer_of(p));
  {
    ActiveTracers mine(tracers);
    TraceScope scope;
    outputs = fn(tracers);
    Arrays cotangents = cotangents_of(outputs);
    Pullback pullback(outputs, tracers, to_transpose);
    for (size_t i = 0; i < outputs.size(); ++i) pullback.seed(outputs[i], cotangents[i]);
    grads = pullback.run();
  }
  Arrays all = outputs;
  all.insert(all.end(), grads.begin(), grads.end());
  std::vector<Node*> order = recorded_order(all);
  settle_flags({order.data(), order.size()}, tracers);
  return {std::move(outputs), std::move(grads)};
}

}  // namespace
}  // namespace transforms

std::pair<Arrays, Arrays> vjp(const Function& fn, const Arrays& primals, const Arrays& cotangents) {
  return transforms::pull_back(fn, primals, [&](const Arrays& outputs) {
    PLIMSOLL_CHECK(outputs.size() == cotangents.size(), ValueError,
                   "[vjp] expected {} cotangents, one an output, got {}", outputs.size(),
                   cotangents.size());
    for (size_t i = 0; i < outputs.size(); ++i)
      PLIMSOLL_CHECK(!cotangents[i] || outputs[i].shape() == cotangents[i].shape(), ValueError,
                     "[vjp] Output shape {} does not match cotangent shape {}.",
                     to_string(outputs[i].shape()), to_string(cotangents[i].shape()));
    return cotangents;
  });
}

std::pair<Arrays, Arrays> value_and_grad(const Function& fn, const Arrays& primals) {
  return transforms::pull_back(fn, primals, [](const Arrays& outputs) {
    PLIMSOLL_CHECK(!outputs.empty() && outputs[0].ndim() == 0, ValueError,
                   "[grad] expected a function whose first output is a scalar, got {}",
                   outputs.empty() ? "no output" : "shape " + to_string(outputs[0].shape()));
    Arrays cotangents(outputs.size());
    cotangents[0] = array(1.0, outputs[0].dtype());
    return cotangents;
  });
}

std::pair<Arrays, Arrays> jvp(const Function& fn, const Arrays& primals, const Arrays& tangents) {
  PLIMSOLL_CHECK(primals.size() == tangents.size(), ValueError,
                 "[jvp] expected {} tangents, one a primal, got {}", primals.size(),
                 tangents.size());
  for (size_t i = 0; i < primals.size(); ++i)
    PLIMSOLL_CHECK(primals[i].shape() == tangents[i].shape(), ValueError,
                   "[jvp] Input shape {} does not match tangent shape {}.",
                   to_string(primals[i].shape()), to_string(tangents[i].shape()));
  Arrays outputs = fn(primals), points;
  // A pullback is linear, so any point serves; ones, because some are written with logarithms.
  for (const array& o : outputs) points.push_back(ones(o.shape(), o.dtype()));
  Function transpose = [&](const Arrays& cotangents) {
    return transforms::pull_back(
               fn, primals, [&](const Arrays&) { return cotangents; }, true)
        .second;
  };
  return {std::move(outputs), vjp(transpose, points, tangents).second};
}

}  // namespace plimsoll
