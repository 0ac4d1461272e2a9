#include "transforms/trace.h"

#include <algorithm>

namespace plimsoll {
namespace transforms {
namespace {

using graph::Node;

thread_local int depth = 0;
thread_local bool transposes = false;
thread_local std::vector<const Node*> active;

// No kernel has this name, so evaluating a placeholder is refused by name.
constinit const graph::OpDef kPlaceholder{.name = "placeholder", .differentiable = false};

// The same bytes under another node; an outer transform sees through it.
constinit const graph::OpDef kAlias{
    .name = "alias",
    .kind = graph::Kind::kView,
    .infer = [](const OpInstance& op,
                std::vector<TensorSpec>& out) { out.push_back(op.inputs[0]); },
    .vjp = [](const graph::VjpArgs& v) -> Arrays { return {v.cotangents[0]}; },
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

TraceScope::TraceScope() { ++depth; }
TraceScope::~TraceScope() { --depth; }

TransposeScope::TransposeScope(bool on) : before_(transposes) { transposes = on; }
TransposeScope::~TransposeScope() { transposes = before_; }
bool transposing() { return transposes; }

ActiveTracers::ActiveTracers(const Arrays& tracers) : count_(tracers.size()) {
  for (const array& t : tracers) active.push_back(t.node());
}
ActiveTracers::~ActiveTracers() { active.resize(active.size() - count_); }

array tracer_of(const array& value) {
  const Node* node = value.node();
  array out = node->is(Node::kConstant) && !node->is(Node::kTracer)
                  ? graph::constant(node->constant)
                  : graph::record(kAlias, {value});
  out.node()->flags |= Node::kTracer;
  return out;
}

array placeholder(const Shape& shape, Dtype dtype) {
  Node* node = Node::create();
  array out = array::adopt(node);
  node->def = &kPlaceholder;
  node->dtype = dtype;
  node->shape = shape;
  node->flags = Node::kTracer;
  return out;
}

std::vector<Node*> recorded_order(std::span<const array> roots) {
  struct Frame {
    Node* node;
    size_t next;
  };
  std::vector<Node*> order;
  std::unordered_map<const Node*, bool> seen;
  std::vector<Frame> stack;
  auto enter = [&](Node* node) {
    if (node->is(Node::kTracer) && seen.emplace(node, true).second) stack.push_back({node, 0});
  };
  for (const array& root : roots) {
    if (root) enter(root.node());
    while (!stack.empty()) {
      Frame& top = stack.back();
      if (top.next < top.node->inputs.size()) {
        enter(top.node->inputs[top.next++]);
      } else {
        order.push_back(top.node);
        stack.pop_back();
      }
    }
  }
  return order;
}

void settle_flags(std::span<const Node* const> order, const Arrays& tracers) {
  for (const Node* seen : order) {
    auto* node = const_cast<Node*>(seen);
    bool own = std::any_of(tracers.begin(), tracers.end(),
                           [&](const array& t) { return t.node() == node; });
    if (node->inputs.empty() && !own) continue;  // a placeholder
    if (std::find(active.begin(), active.end(), node) != active.end()) continue;
    bool traced = std::any_of(node->inputs.begin(), node->inputs.end(),
                              [](const Node* in) { return in->is(Node::kTracer); });
    if (!traced) node->flags &= static_cast<uint8_t>(~Node::kTracer);
  }
}

array clone_over(const Node& node, std::span<const array> inputs) {
  Node* copy = Node::create();
  array out = array::adopt(copy);
  copy->def = node.def;
  copy->attrs = node.attrs;
  copy->dtype = node.dtype;
  copy->shape = node.shape;
  copy->index = node.index;
  if (node.specs) copy->specs = std::make_unique<std::vector<TensorSpec>>(*node.specs);
  uint8_t flags = node.flags & static_cast<uint8_t>(~Node::kTracer);
  for (const array& a : inputs) {
    graph::retain(a.node());
    copy->inputs.push_back(a.node());
    flags |= a.node()->flags & Node::kTracer;
  }
  copy->flags = flags;
  return out;
}

array project(const array& tuple, uint16_t index, const graph::OpDef* projection) {
  Node* node = Node::create();
  array out = array::adopt(node);
  const TensorSpec& spec = (*tuple.node()->specs)[index];
  node->def = projection;
  node->dtype = spec.dtype;
  node->shape = spec.shape;
  node->index = index;
  node->flags = tuple.node()->flags & Node::kTracer;
  graph::retain(tuple.node());
  node->inputs.push_back(tuple.node());
  return out;
}

}  // namespace transforms

bool is_tracing() { return transforms::depth > 0; }

}  // namespace plimsoll
