#include "transforms/recording.h"

#include <algorithm>

#include "base/check.h"
#include "opset/tile_program.h"

namespace plimsoll::transforms {

using graph::Node;

Recording::Recording(const Function& fn, const Arrays& inputs) {
  for (const array& a : inputs) inputs_.push_back(placeholder(a.shape(), a.dtype()));
  TraceScope scope;
  outputs_ = fn(inputs_);
  find_order();
}

Recording::Recording(Arrays placeholders, Arrays outputs)
    : inputs_(std::move(placeholders)), outputs_(std::move(outputs)) {
  find_order();
}

void Recording::find_order() {
  for (const Node* node : recorded_order(outputs_))
    if (!node->inputs.empty() && node->def) order_.push_back(node);
}

bool Recording::fits(const Arrays& inputs) const {
  if (inputs.size() != inputs_.size()) return false;
  for (size_t i = 0; i < inputs.size(); ++i)
    if (inputs[i].dtype() != inputs_[i].dtype() || !(inputs[i].shape() == inputs_[i].shape()))
      return false;
  return true;
}

template <typename Again>
Arrays Recording::run(const Arrays& inputs, const Again& again) const {
  std::unordered_map<const Node*, array> made;
  made.reserve(order_.size() + inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) made[inputs_[i].node()] = inputs[i];
  auto value = [&](Node* node) {
    auto it = made.find(node);
    return it == made.end() ? array::share(node) : it->second;
  };
  Arrays in;
  for (const Node* node : order_) {
    in.clear();
    for (Node* source : node->inputs) in.push_back(value(source));
    made[node] = again(*node, in);
  }
  Arrays out;
  for (const array& o : outputs_) out.push_back(value(o.node()));
  return out;
}

Arrays Recording::replay(const Arrays& inputs) const {
  return run(inputs, [](const Node& node, const Arrays& in) { return clone_over(node, in); });
}

Arrays Recording::replay_anew(const Arrays& inputs) const {
  return run(inputs, [](const Node& node, const Arrays& in) {
    if (node.def->kind == graph::Kind::kProjection) return project(in[0], node.index, node.def);
    Arrays out = record_checked(*node.def, in, node.attrs);
    array made = node.is(Node::kTuple) ? array::share(out[0].node()->inputs[0]) : out[0];
    made.node()->flags |= node.flags & Node::kBarrier;
    return made;
  });
}

namespace {

size_t num_operands(TileOp op) {
  if (op == TileOp::kIota) return 0;
  return op < TileOp::kAdd ? 1 : op < TileOp::kSelect ? 2 : 3;
}

void check_operands(const graph::OpDef& def, const OpInstance& op) {
  if (def.tile_op == TileOp::kCount) {
    PLIMSOLL_CHECK(def.check && def.kind != graph::Kind::kComposite, ValueError,
                   "expected an operation of a graph");
    return;
  }
  const size_t count = num_operands(def.tile_op);
  PLIMSOLL_CHECK(op.inputs.size() == count, ValueError, "expected {} inputs, got {}", count,
                 op.inputs.size());
  const bool selects = def.tile_op == TileOp::kSelect;
  for (size_t i = 0; i < count; ++i) {
    Dtype expected = selects && i == 0 ? Dtype::kBool : op.inputs[selects].dtype;
    PLIMSOLL_CHECK(op.inputs[i].dtype == expected, ValueError, "expected {} as input {}, got {}",
                   name_of(expected), i, name_of(op.inputs[i].dtype));
  }
}

[[noreturn]] void refuse(const graph::OpDef& def, const std::vector<TensorSpec>& specs,
                         const Error& why) {
  std::vector<std::string> shapes;
  shapes.reserve(specs.size());
  for (const TensorSpec& s : specs)
    shapes.push_back(fmt::format("{}{}", name_of(s.dtype), to_string(s.shape)));
  throw ValueError(fmt::format("[import_function] {} does not fit inputs of {}: {}", def.name,
                               fmt::join(shapes, ", "), why.what()));
}

}  // namespace

Arrays record_checked(const graph::OpDef& def, const Arrays& inputs, const AttrsPtr& attrs) {
  std::vector<TensorSpec> specs;
  for (const array& a : inputs) specs.push_back(a.node()->spec());
  try {
    OpInstance op{specs, {}, attrs.get()};
    check_operands(def, op);
    if (def.check) def.check(op);
    if (def.num_outputs > 1) return graph::record_many(def, inputs, attrs);
    return {graph::record(def, inputs, attrs)};
  } catch (const ValueError& e) {
    refuse(def, specs, e);
  } catch (const TypeError& e) {
    refuse(def, specs, e);
  } catch (const IndexError& e) {
    refuse(def, specs, e);
  }
}

}  // namespace plimsoll::transforms
