#include "plan/build.h"

#include <algorithm>
#include <atomic>

#include "base/check.h"

namespace plimsoll::plan {
namespace {

using graph::Kind;
using graph::Node;

// Marks of one pass never meet those of another, whichever planner made them.
std::atomic<uint32_t> next_epoch{1};

Bytes nbytes_of(const Shape& shape, Dtype dtype) {
  return static_cast<Bytes>(num_elements(shape)) * size_of(dtype);
}

}  // namespace

struct Builder::Info {
  enum State : uint8_t { kPending, kFused, kValue, kConstant, kTuple };
  Node* node = nullptr;
  uint32_t uses = 0;    // edges from the graph
  uint32_t unseen = 0;  // of which later nodes have not come yet
  State state = kPending;
  bool kept = false;
  uint16_t tile = 0;       // number inside the program that is being emitted
  uint32_t stamp = kNone;  // group for which `tile` holds
  uint32_t group = kNone;
  ValueId value = kNone;  // kTuple: its first
  Layout layout;
};

struct Builder::Group {
  Shape shape;
  std::vector<uint32_t> members;  // order indices
  uint32_t inputs = 0;            // upper bound of distinct ones
  uint32_t pending = 0;           // uses of members by nodes that have not come yet
  bool sealed = false;
};

class Builder::Pass {
 public:
  Pass(Builder& builder, const BuildOptions& options, Plan& plan)
      : builder_(builder), options_(options), plan_(plan) {}

  void run(std::span<const array> targets) {
    order_nodes(targets);
    for (uint32_t i = 0; i < infos_.size(); ++i) visit(i);
    for (uint32_t g = 0; g < groups_.size(); ++g) seal(g);
    bind();
    plan_.nodes = infos_.size();
  }

 private:
  // Depth first, inputs before their users, left to right.
  void order_nodes(std::span<const array> targets) {
    uint32_t epoch = next_epoch.fetch_add(1);
    struct Frame {
      Node* node;
      uint32_t next;
    };
    std::vector<Frame> stack;
    auto enter = [&](Node* node) {
      node->mark = epoch;
      node->order = kNone;
      stack.push_back({node, 0});
    };
    for (const array& target : targets) {
      if (target.node()->mark != epoch) enter(target.node());
      while (!stack.empty()) {
        Frame& frame = stack.back();
        Node* node = frame.node;
        if (!node->available() && frame.next < node->inputs.size()) {
          Node* input = node->inputs[frame.next++];
          if (input->mark != epoch) enter(input);
          continue;
        }
        node->order = static_cast<uint32_t>(infos_.size());
        infos_.push_back({.node = node});
        stack.pop_back();
      }
    }
    for (Info& info : infos_)
      if (!info.node->available())
        for (Node* input : info.node->inputs) ++infos_[input->order].uses;
    for (const array& target : targets) infos_[target.node()->order].kept = true;
    for (Info& info : infos_) {
      info.unseen = info.uses;
      if (info.node->refs.load(std::memory_order_relaxed) > info.uses) info.kept = true;
    }
  }

  void visit(uint32_t i) {
    Info& info = infos_[i];
    Node* node = info.node;
    if (node->storage) {
      info.value = existing(node, *node->storage);
      info.layout = node->storage->layout;
      info.state = Info::kValue;
    } else if (node->outputs) {
      adopt_tuple(info);
    } else if (node->is(Node::kConstant)) {
      info.state = Info::kConstant;
    } else if (node->def->kind == Kind::kProjection) {
      const Info& tuple = infos_[node->inputs[0]->order];
      info.value = tuple.value + node->index;
      info.layout = tuple.node->outputs ? (*tuple.node->outputs)[node->index].layout
                                        : Layout{0, row_major(node->shape)};
      info.state = Info::kValue;
    } else if (node->def->tile_op != TileOp::kCount) {
      join(i);
    } else if (node->def->kind == Kind::kView) {
      resolve_view(i);
    } else {
      add_kernel_step(i);
    }
  }

  ValueId existing(Node* node, const graph::Storage& storage) {
    auto [it, fresh] = by_buffer_.try_emplace(storage.buffer.get(), plan_.values.size());
    const Info& info = infos_[node->order];
    if (fresh) {
      const memory::Buffer& buffer = *storage.buffer;
      plan_.values.push_back({.nbytes = buffer.size(),
                              .bytes = builder_.pool_.shape_of(buffer.size()).bytes,
                              .node = node,
                              .buffer = storage.buffer.get(),
                              .small = buffer.small(),
                              .pinned = buffer.exported()});
      plan_.values.back().donatable =
          !info.kept && storage.buffer.unique() && !buffer.exported() && !buffer.has_source();
      plan_.values.back().kept = !plan_.values.back().donatable;
    }
    return it->second;
  }

  void adopt_tuple(Info& info) {
    info.state = Info::kTuple;
    std::vector<ValueId> ids;
    for (const graph::Storage& s : *info.node->outputs) {
      // Consecutive ids: an evaluated tuple's buffers are its own.
      memory::Buffer& buffer = *s.buffer;
      ids.push_back(static_cast<ValueId>(plan_.values.size()));
      plan_.values.push_back({.nbytes = buffer.size(),
                              .bytes = builder_.pool_.shape_of(buffer.size()).bytes,
                              .node = info.node,
                              .buffer = &buffer,
                              .kept = true,
                              .small = buffer.small(),
                              .pinned = buffer.exported()});
    }
    info.value = ids.empty() ? kNone : ids.front();
  }

  ValueId new_value(Node* node, const Shape& shape, Dtype dtype, uint16_t tuple_index = 0) {
    Bytes nbytes = nbytes_of(shape, dtype);
    memory::BlockShape block = builder_.pool_.shape_of(nbytes);
    plan_.values.push_back({.nbytes = nbytes,
                            .bytes = block.bytes,
                            .node = node,
                            .producer = static_cast<StepId>(plan_.steps.size()),
                            .tuple_index = tuple_index,
                            .small = block.small});
    return static_cast<ValueId>(plan_.values.size() - 1);
  }

  // Elementwise work -------------------------------------------------------------------------

  bool is_key(const Node* node, size_t input) const {
    return node->def->kind == Kind::kRandom && input == 0;
  }

  void join(uint32_t i) {
    Node* node = infos_[i].node;
    uint32_t home = kNone;
    for (size_t k = 0; k < node->inputs.size(); ++k) {
      Info& input = infos_[node->inputs[k]->order];
      if (input.state != Info::kFused) continue;
      uint32_t g = find(input.group);
      if (groups_[g].sealed || g == home) continue;
      bool fits = options_.fuse && !is_key(node, k) && groups_[g].shape == node->shape;
      if (fits && home == kNone && has_room(groups_[g], 1, node->inputs.size()))
        home = g;
      else if (fits && home != kNone &&
               has_room(groups_[home], groups_[g].members.size(), groups_[g].inputs + 2))
        merge(home, g);
      else
        seal(g);
    }
    if (home == kNone) {
      home = static_cast<uint32_t>(groups_.size());
      groups_.push_back({.shape = node->shape, .members = {}});
      parent_.push_back(home);
    }
    add_member(home, i);
  }

  bool has_room(const Group& group, size_t members, size_t inputs) const {
    return group.members.size() + members <= options_.max_members &&
           group.inputs + inputs <= options_.max_inputs + 1;
  }

  void add_member(uint32_t g, uint32_t i) {
    Group& group = groups_[g];
    Info& info = infos_[i];
    for (Node* node : info.node->inputs) {
      Info& input = infos_[node->order];
      --input.unseen;
      if (input.state == Info::kFused && find(input.group) == g && !group.sealed)
        --group.pending;
      else if (input.state != Info::kConstant)
        ++group.inputs;
    }
    info.state = Info::kFused;
    info.group = g;
    group.members.push_back(i);
    group.pending += info.uses;
    if (group.pending == 0) seal(g);
  }

  uint32_t find(uint32_t g) {
    while (parent_[g] != g) g = parent_[g] = parent_[parent_[g]];
    return g;
  }

  void merge(uint32_t into, uint32_t from) {
    Group& a = groups_[into];
    Group& b = groups_[from];
    std::vector<uint32_t> members;
    members.reserve(a.members.size() + b.members.size() + 1);
    std::merge(a.members.begin(), a.members.end(), b.members.begin(), b.members.end(),
               std::back_inserter(members));
    a.members = std::move(members);
    a.inputs += b.inputs;
    a.pending += b.pending;
    b = {.shape = {}, .members = {}, .sealed = true};
    parent_[from] = into;
  }

  /// Emits the group's step. Later users of its members read the values that it stores.
  void seal(uint32_t g) {
    if (groups_[g].sealed || parent_[g] != g) return;
    groups_[g].sealed = true;
    Group group = std::move(groups_[g]);
    groups_[g].sealed = true;
    emit(g, group);
  }

  void emit(uint32_t g, const Group& group) {
    auto program = std::make_shared<TileProgram>();
    Step step;
    std::vector<Operand> inputs;
    collect_sources(g, group, *program, inputs, step);
    uint16_t base = static_cast<uint16_t>(inputs.size() + program->constants.size());
    for (size_t m = 0; m < group.members.size(); ++m) {
      Info& info = infos_[group.members[m]];
      info.tile = static_cast<uint16_t>(base + m);
      info.stamp = g;
    }
    program->instrs.reserve(group.members.size());
    size_t source = 0;
    for (size_t m = 0; m < group.members.size(); ++m)
      add_instruction(infos_[group.members[m]], *program, base + m, source);
    open_step(step, inputs);
    store_outputs(g, group, *program);
    step.def = infos_[group.members.back()].node->def;
    step.members = static_cast<uint32_t>(group.members.size());
    step.elementwise = true;
    step.flops = static_cast<double>(num_elements(group.shape)) * step.members;
    step.workspace = builder_.backend_.program_workspace(*program);
    step.program = std::move(program);
    close_step(std::move(step));
  }

  // Numbers inputs and constants in the order in which members name them.
  void collect_sources(uint32_t g, const Group& group, TileProgram& program,
                       std::vector<Operand>& inputs, Step& step) {
    sources_.clear();
    std::vector<std::pair<size_t, uint16_t>> constants;  // position in sources_, constant
    for (uint32_t i : group.members) {
      Node* node = infos_[i].node;
      for (size_t k = 0; k < node->inputs.size(); ++k) {
        Info& input = infos_[node->inputs[k]->order];
        if (input.state == Info::kFused && find(input.group) == g) {
          sources_.push_back(kNoTile);  // a member: its tile is known later
        } else if (input.state == Info::kConstant && !is_key(node, k)) {
          constants.emplace_back(sources_.size(), static_cast<uint16_t>(program.constants.size()));
          sources_.push_back(0);
          program.constants.push_back(input.node->constant);
        } else {
          sources_.push_back(add_input(input, is_key(node, k), group.shape, inputs, step));
        }
      }
    }
    for (auto& [position, constant] : constants)
      sources_[position] = static_cast<uint16_t>(inputs.size() + constant);
    for (const Operand& o : inputs) program.inputs.push_back(o.dtype);
  }

  uint16_t add_input(Info& input, bool key, const Shape& shape, std::vector<Operand>& inputs,
                     Step& step) {
    auto [value, layout] = need(input);
    const Node* node = input.node;
    Operand operand{value, node->dtype, key ? node->shape : shape, std::move(layout)};
    if (key) {
      make_contiguous(operand);
    } else {
      operand.layout.strides = broadcast_strides(node->shape, operand.layout.strides, shape);
    }
    for (size_t k = 0; k < inputs.size(); ++k) {
      const Operand& o = inputs[k];
      bool same_role = key == static_cast<bool>(step.key_inputs >> k & 1);
      if (same_role && o.value == value && o.dtype == operand.dtype &&
          o.layout.offset == operand.layout.offset && o.layout.strides == operand.layout.strides)
        return static_cast<uint16_t>(k);
    }
    if (key) step.key_inputs |= 1u << inputs.size();
    inputs.push_back(std::move(operand));
    return static_cast<uint16_t>(inputs.size() - 1);
  }

  void add_instruction(const Info& info, TileProgram& program, size_t dst, size_t& source) {
    Node* node = info.node;
    TileInstr instr{.op = node->def->tile_op, .dtype = node->dtype, .in_dtype = node->dtype};
    for (size_t k = 0; k < node->inputs.size(); ++k, ++source)
      instr.src[k] =
          sources_[source] != kNoTile ? sources_[source] : infos_[node->inputs[k]->order].tile;
    if (!node->inputs.empty())
      instr.in_dtype = node->inputs[instr.op == TileOp::kSelect ? 1 : 0]->dtype;
    instr.dst = static_cast<uint16_t>(dst);
    if (node->def->tile_setup)
      node->def->tile_setup(node->attrs.get(), node->spec(), program, instr);
    program.instrs.push_back(instr);
  }

  // A member is stored where somebody outside the group reads it.
  void store_outputs(uint32_t g, const Group& group, TileProgram& program) {
    for (uint32_t i : group.members) inner_uses(g, i);
    for (uint32_t i : group.members) {
      Info& info = infos_[i];
      bool stored = info.kept || info.uses > inner_[i];
      inner_[i] = 0;
      if (!stored) continue;
      program.outputs.push_back(info.tile);
      info.value = new_value(info.node, info.node->shape, info.node->dtype);
      info.layout = {0, row_major(info.node->shape)};
      plan_.operands.push_back({info.value, info.node->dtype, info.node->shape, info.layout});
    }
    for (uint32_t i : group.members) infos_[i].state = Info::kValue;
  }

  void inner_uses(uint32_t g, uint32_t i) {
    if (inner_.size() < infos_.size()) inner_.resize(infos_.size());
    for (Node* input : infos_[i].node->inputs)
      if (infos_[input->order].state == Info::kFused && infos_[input->order].stamp == g)
        ++inner_[input->order];
  }

  // Steps ----------------------------------------------------------------------------------------

  void open_step(Step& step, const std::vector<Operand>& inputs) {
    step.first_input = static_cast<uint32_t>(plan_.operands.size());
    plan_.operands.insert(plan_.operands.end(), inputs.begin(), inputs.end());
    step.first_output = static_cast<uint32_t>(plan_.operands.size());
  }

  void close_step(Step step) {
    step.end = static_cast<uint32_t>(plan_.operands.size());
    for (uint32_t k = step.first_input; k < step.end; ++k)
      step.traffic += nbytes_of(plan_.operands[k].shape, plan_.operands[k].dtype);
    plan_.steps.push_back(std::move(step));
  }

  struct Place {
    ValueId value;
    Layout layout;
  };

  Place need(Info& info) {
    if (info.state == Info::kFused) seal(find(info.group));
    if (info.state == Info::kConstant) materialize(info);
    return {info.value, info.layout};
  }

  void materialize(Info& info) {
    auto program = std::make_shared<TileProgram>();
    program->constants.push_back(info.node->constant);
    program->instrs.push_back({.op = TileOp::kCopy,
                               .dtype = info.node->dtype,
                               .in_dtype = info.node->dtype,
                               .src = {0, kNoTile, kNoTile},
                               .dst = 1});
    program->outputs.push_back(1);
    info.value = copy_step(std::move(program), {}, {}, info.node->dtype);
    info.layout = {};
    info.state = Info::kValue;
  }

  ValueId copy_step(std::shared_ptr<TileProgram> program, const std::vector<Operand>& inputs,
                    const Shape& shape, Dtype dtype) {
    Step step;
    open_step(step, inputs);
    ValueId value = new_value(nullptr, shape, dtype);
    plan_.operands.push_back({value, dtype, shape, {0, row_major(shape)}});
    step.elementwise = true;
    step.flops = static_cast<double>(num_elements(shape));
    step.workspace = builder_.backend_.program_workspace(*program);
    step.program = std::move(program);
    close_step(std::move(step));
    return value;
  }

  void make_contiguous(Operand& operand) {
    if (is_row_contiguous(operand.shape, operand.layout.strides)) return;
    auto program = std::make_shared<TileProgram>();
    program->inputs.push_back(operand.dtype);
    program->instrs.push_back({.op = TileOp::kCopy,
                               .dtype = operand.dtype,
                               .in_dtype = operand.dtype,
                               .src = {0, kNoTile, kNoTile},
                               .dst = 1});
    program->outputs.push_back(1);
    operand.value = copy_step(std::move(program), {operand}, operand.shape, operand.dtype);
    operand.layout = {0, row_major(operand.shape)};
  }

  void resolve_view(uint32_t i) {
    Node* node = infos_[i].node;
    Node* in = node->inputs[0];
    Info& input = infos_[in->order];
    --input.unseen;
    Operand operand{kNone, in->dtype, in->shape, {}};
    std::tie(operand.value, operand.layout) = as_pair(need(input));
    Layout out;
    if (!node->def->view({in->shape, operand.layout, node->shape, node->attrs.get()}, out)) {
      make_contiguous(operand);
      bool ok = node->def->view({in->shape, operand.layout, node->shape, node->attrs.get()}, out);
      PLIMSOLL_ASSERT(ok);
    }
    Info& info = infos_[i];
    info.value = operand.value;
    info.layout = std::move(out);
    info.state = Info::kValue;
  }

  static std::pair<ValueId, Layout> as_pair(Place p) { return {p.value, std::move(p.layout)}; }

  void add_kernel_step(uint32_t i) {
    Node* node = infos_[i].node;
    const graph::OpDef& def = *node->def;
    std::vector<TensorSpec> out_specs =
        node->is(Node::kTuple) ? *node->specs : std::vector<TensorSpec>{node->spec()};
    Dtype key = node->inputs.empty() ? out_specs[0].dtype : node->inputs[0]->dtype;
    const device::KernelRow& row = builder_.row_of(def, key);

    std::vector<Operand> inputs;
    std::vector<TensorSpec> in_specs;
    for (size_t k = 0; k < node->inputs.size(); ++k) {
      Info& input = infos_[node->inputs[k]->order];
      --input.unseen;
      Place place = need(input);
      inputs.push_back({place.value, input.node->dtype, input.node->shape, place.layout});
      bool strided = k < 32 ? row.strided_inputs >> k & 1 : false;
      if (!strided) make_contiguous(inputs.back());
      in_specs.push_back(input.node->spec());
    }
    Step step;
    open_step(step, inputs);
    Info& info = infos_[i];
    for (size_t k = 0; k < out_specs.size(); ++k) {
      ValueId v = new_value(node, out_specs[k].shape, out_specs[k].dtype, static_cast<uint16_t>(k));
      if (k == 0) info.value = v;
      plan_.operands.push_back(
          {v, out_specs[k].dtype, out_specs[k].shape, {0, row_major(out_specs[k].shape)}});
    }
    info.layout = {0, row_major(out_specs[0].shape)};
    info.state = node->is(Node::kTuple) ? Info::kTuple : Info::kValue;
    OpInstance instance{in_specs, out_specs, node->attrs.get()};
    step.def = &def;
    step.attrs = node->attrs;
    step.row = &row;
    step.workspace = row.workspace ? row.workspace(instance) : 0;
    step.carry = row.carry ? row.carry(instance) : 0;
    step.flops =
        def.flops ? def.flops(instance) : static_cast<double>(num_elements(out_specs[0].shape));
    step.can_fail = row.can_fail;
    close_step(std::move(step));
  }

  // Which nodes get data, now or when a later step fails.
  void bind() {
    for (Info& info : infos_) {
      Node* node = info.node;
      if (node->available() || info.value == kNone) continue;
      if (info.state == Info::kTuple) {
        for (uint16_t k = 0; k < node->specs->size(); ++k)
          add_binding(node, info.value + k, {0, row_major((*node->specs)[k].shape)}, k, info.kept);
      } else {
        add_binding(node, info.value, info.layout, 0, info.kept);
      }
    }
  }

  void add_binding(Node* node, ValueId value, const Layout& layout, uint16_t index, bool kept) {
    if (kept) plan_.values[value].kept = true, plan_.values[value].donatable = false;
    plan_.bindings.push_back({node, value, layout, index, kept});
  }

  Builder& builder_;
  const BuildOptions& options_;
  Plan& plan_;
  std::vector<Info> infos_;
  std::vector<Group> groups_;
  std::vector<uint32_t> parent_;
  std::vector<uint16_t> sources_;
  std::vector<uint32_t> inner_;
  std::unordered_map<const memory::Buffer*, ValueId> by_buffer_;
};

Builder::Builder(const device::Backend& backend, const memory::Pool& pool)
    : backend_(backend), pool_(pool) {}

const device::KernelRow& Builder::row_of(const graph::OpDef& def, Dtype dtype) {
  auto& rows = rows_[&def];
  if (rows.empty()) {
    rows.resize(kNumDtypes);
    for (int t = 0; t < kNumDtypes; ++t)
      rows[t] = backend_.kernels().find(def.name, static_cast<Dtype>(t));
  }
  const device::KernelRow* row = rows[static_cast<int>(dtype)];
  PLIMSOLL_CHECK(row, TypeError, "[{}] the {} backend has no kernel for {}; cast the input first",
                 def.name, backend_.name(), name_of(dtype));
  return *row;
}

Plan Builder::build(std::span<const array> targets, const BuildOptions& options) {
  Plan plan;
  Pass pass(*this, options, plan);
  pass.run(targets);
  find_lifetimes(plan, options.donate);
  return plan;
}

namespace {

ValueId find_donor(const Plan& plan, StepId s) {
  const Step& step = plan.steps[s];
  if (step.can_fail || step.end == step.first_output) return kNone;
  const Operand& out = plan.operands[step.first_output];
  if (plan.values[out.value].small) return kNone;
  auto inputs = plan.inputs(step);
  for (size_t k = 0; k < inputs.size(); ++k) {
    if (!step.program && !(k < 32 && step.row->in_place >> k & 1)) continue;
    if (step.key_inputs >> k & 1) continue;
    const Operand& in = inputs[k];
    const Value& v = plan.values[in.value];
    bool dies = v.last_use == s && !v.kept && (v.producer != kNone || v.donatable);
    bool same_bytes = v.nbytes == plan.values[out.value].nbytes && in.layout.offset == 0 &&
                      size_of(in.dtype) == size_of(out.dtype) && in.shape == out.shape &&
                      is_row_contiguous(in.shape, in.layout.strides);
    auto is_it = [&](const Operand& o) { return o.value == in.value; };
    if (dies && same_bytes && !v.pinned && std::count_if(inputs.begin(), inputs.end(), is_it) == 1)
      return in.value;
  }
  return kNone;
}

}  // namespace

void find_lifetimes(Plan& plan, bool donate) {
  for (Value& v : plan.values) v.last_use = kNone;
  for (StepId s = 0; s < plan.steps.size(); ++s)
    for (const Operand& in : plan.inputs(plan.steps[s])) plan.values[in.value].last_use = s;
  for (StepId s = 0; s < plan.steps.size(); ++s)
    plan.steps[s].donor = donate ? find_donor(plan, s) : kNone;
}

}  // namespace plimsoll::plan
