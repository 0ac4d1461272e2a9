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

void note_use(Value& v, StepId s) {
  v.last_use = s;
  if (v.first_use == kNone) v.first_use = s;
}

}  // namespace

struct Builder::Info {
  enum State : uint8_t { kPending, kFused, kValue, kConstant, kTuple };
  Node* node = nullptr;
  const SharedForm* form = nullptr;  // kValue
  uint32_t uses = 0;       // edges from the graph; of a fused one, from outside of its group
  uint32_t group = kNone;  // kFused
  uint32_t next = kNone;   // the member of its group after it
  ValueId value = kNone;   // kTuple: its first
  uint16_t tile = 0;       // number inside the program that is being emitted
  State state = kPending;
  bool kept = false;
};

/// Members of one shape, chained in order.
struct Builder::Group {
  const Shape* shape;
  uint32_t parent;  // itself, or the group that it went into
  uint32_t first = kNone, last = kNone;
  uint32_t members = 0;
  uint32_t inputs = 0;   // upper bound of distinct ones
  uint32_t pending = 0;  // uses of members by nodes that have not come yet
  bool sealed = false;
};

class Builder::Pass {
 public:
  Pass(Builder& builder, const BuildOptions& options, Plan& plan)
      : builder_(builder), options_(options), plan_(plan) {}

  void run(std::span<const array> targets) {
    order_nodes(targets);
    plan_.nodes = infos_.size();
    plan_.values.reserve(infos_.size());
    plan_.steps.reserve(infos_.size());
    plan_.bindings.reserve(infos_.size());
    plan_.operands.reserve(infos_.size() + edges_);
    for (uint32_t i = 0; i < infos_.size(); ++i) {
      if (i + kAhead < infos_.size()) prefetch(infos_[i + kAhead].node);
      visit(i);
    }
    for (uint32_t g = 0; g < groups_.size(); ++g) seal(g);
  }

 private:
  // Depth first, inputs before their users, left to right.
  void order_nodes(std::span<const array> targets) {
    uint32_t epoch = next_epoch.fetch_add(1);
    struct Frame {
      Node* node;
      uint32_t next, count;  // inputs
      uint32_t uses;         // by the edge that led here
    };
    std::vector<Frame> stack;
    auto enter = [&](Node* node, uint32_t uses) {
      node->mark = epoch;
      const size_t count = node->available() ? 0 : node->inputs.size();
      for (size_t k = 1; k < count; ++k) __builtin_prefetch(node->inputs[k]);
      prefetch_before(node);
      stack.push_back({node, 0, static_cast<uint32_t>(count), uses});
      edges_ += count;
    };
    for (const array& target : targets) {
      if (target.node()->mark != epoch) enter(target.node(), 0);
      while (!stack.empty()) {
        Frame& frame = stack.back();
        Node* node = frame.node;
        if (frame.next < frame.count) {
          Node* input = node->inputs[frame.next++];
          if (input->mark != epoch)
            enter(input, 1);
          else
            ++infos_[input->order].uses;  // it is no ancestor, so it is done
          continue;
        }
        node->order = static_cast<uint32_t>(infos_.size());
        infos_.push_back({.node = node, .uses = frame.uses});
        stack.pop_back();
      }
    }
    for (const array& target : targets) infos_[target.node()->order].kept = true;
  }

  void visit(uint32_t i) {
    Info& info = infos_[i];
    Node* node = info.node;
    info.kept |= node->refs.load(std::memory_order_relaxed) > info.uses;
    if (node->storage) {
      info.value = existing(info, *node->storage);
      const Layout& layout = node->storage->layout;
      const bool plain = layout.offset == 0 && is_row_contiguous(node->shape, layout.strides);
      info.form = plain ? form_of(node) : form_of(node, layout);
      info.state = Info::kValue;
    } else if (node->outputs) {
      adopt_tuple(info);
    } else if (node->is(Node::kConstant)) {
      info.state = Info::kConstant;
    } else if (node->def->kind == Kind::kProjection) {
      project(info);
    } else if (node->def->tile_op != TileOp::kCount) {
      join(i);
    } else if (node->def->kind == Kind::kView) {
      resolve_view(info);
    } else {
      add_kernel_step(info);
    }
  }

  // What was recorded shortly before a node mostly lies shortly before it, too.
  static void prefetch_before(const Node* node) {
    __builtin_prefetch(reinterpret_cast<const std::byte*>(node) - kAhead * sizeof(Node));
  }

  // Nodes lie all over memory.
  static constexpr uint32_t kAhead = 6;
  static void prefetch(const Node* node) {
    __builtin_prefetch(node);
    __builtin_prefetch(&node->inputs);
    __builtin_prefetch(&node->storage);
  }

  const SharedForm* form_of(const Node* node) {
    return plan_.catalog->form(node->dtype, node->shape);
  }
  const SharedForm* form_of(const Node* node, const Layout& layout) {
    return plan_.catalog->form(node->dtype, node->shape, layout);
  }

  ValueId existing(const Info& info, const graph::Storage& storage) {
    const memory::Buffer& buffer = *storage.buffer;
    const bool alone = storage.buffer.unique();
    if (!alone) {
      auto [it, fresh] = by_buffer_.try_emplace(&buffer, plan_.values.size());
      if (!fresh) return it->second;
    }
    plan_.values.push_back({.nbytes = buffer.size(),
                            .bytes = buffer.whole_bytes(),
                            .node = info.node,
                            .buffer = storage.buffer.get(),
                            .small = buffer.small(),
                            .pinned = buffer.exported()});
    Value& value = plan_.values.back();
    value.donatable = !info.kept && alone && !buffer.exported() && !buffer.has_source();
    value.kept = !value.donatable;
    return static_cast<ValueId>(plan_.values.size() - 1);
  }

  void adopt_tuple(Info& info) {
    info.state = Info::kTuple;
    // Consecutive ids: an evaluated tuple's buffers are its own.
    if (!info.node->outputs->empty()) info.value = static_cast<ValueId>(plan_.values.size());
    for (const graph::Storage& s : *info.node->outputs) {
      memory::Buffer& buffer = *s.buffer;
      plan_.values.push_back({.nbytes = buffer.size(),
                              .bytes = buffer.whole_bytes(),
                              .node = info.node,
                              .buffer = &buffer,
                              .kept = true,
                              .small = buffer.small(),
                              .pinned = buffer.exported()});
    }
  }

  void project(Info& info) {
    const Info& tuple = infos_[info.node->inputs[0]->order];
    info.value = tuple.value + info.node->index;
    info.form = tuple.node->outputs
                    ? form_of(info.node, (*tuple.node->outputs)[info.node->index].layout)
                    : form_of(info.node);
    info.state = Info::kValue;
    bind(info);
  }

  /// A value that the last step makes.
  ValueId new_value(Node* node, const SharedForm* form, uint16_t tuple_index = 0) {
    memory::BlockShape block = builder_.pool_.shape_of(form->nbytes);
    plan_.values.push_back({.nbytes = form->nbytes,
                            .bytes = block.bytes,
                            .node = node,
                            .producer = static_cast<StepId>(plan_.steps.size() - 1),
                            .tuple_index = tuple_index,
                            .small = block.small});
    return static_cast<ValueId>(plan_.values.size() - 1);
  }

  /// The node gets the value's data, now or when a later step fails.
  void bind(const Info& info) { bind(info.node, info.form, info.value, 0, info.kept); }
  void bind(Node* node, const SharedForm* form, ValueId value, uint16_t index, bool kept) {
    if (kept) plan_.values[value].kept = true, plan_.values[value].donatable = false;
    plan_.bindings.push_back({node, form, value, index, kept});
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
      bool fits = options_.fuse && !is_key(node, k) && *groups_[g].shape == node->shape;
      if (fits && home == kNone && has_room(groups_[g], 1, node->inputs.size()))
        home = g;
      else if (fits && home != kNone &&
               has_room(groups_[home], groups_[g].members, groups_[g].inputs + 2))
        merge(home, g);
      else
        seal(g);
    }
    if (home == kNone) {
      home = static_cast<uint32_t>(groups_.size());
      groups_.push_back({.shape = &node->shape, .parent = home});
    }
    add_member(home, i);
  }

  bool has_room(const Group& group, size_t members, size_t inputs) const {
    return group.members + members <= options_.max_members &&
           group.inputs + inputs <= options_.max_inputs + 1;
  }

  void add_member(uint32_t g, uint32_t i) {
    Group& group = groups_[g];
    Info& info = infos_[i];
    for (Node* node : info.node->inputs) {
      Info& input = infos_[node->order];
      if (input.state == Info::kFused && find(input.group) == g) {
        --group.pending;
        --input.uses;
      } else if (input.state != Info::kConstant) {
        ++group.inputs;
      }
    }
    info.state = Info::kFused;
    info.group = g;
    (group.members == 0 ? group.first : infos_[group.last].next) = i;
    group.last = i;
    ++group.members;
    group.pending += info.uses;
    if (group.pending == 0) seal(g);
  }

  uint32_t find(uint32_t g) {
    while (groups_[g].parent != g) g = groups_[g].parent = groups_[groups_[g].parent].parent;
    return g;
  }

  void merge(uint32_t into, uint32_t from) {
    Group& a = groups_[into];
    Group& b = groups_[from];
    uint32_t one = a.first, other = b.first;
    uint32_t* end = &a.first;
    while (one != kNone && other != kNone) {
      if (one > other) std::swap(one, other);
      *end = one;
      end = &infos_[one].next;
      one = *end;
    }
    *end = one == kNone ? other : one;
    a.last = std::max(a.last, b.last);
    a.members += b.members;
    a.inputs += b.inputs;
    a.pending += b.pending;
    b.sealed = true;
    b.parent = into;
  }

  /// Emits the group's step. Later users of its members read the values that it stores.
  void seal(uint32_t g) {
    if (groups_[g].sealed) return;
    groups_[g].sealed = true;
    emit(g);
  }

  void emit(uint32_t g) {
    const Group group = groups_[g];
    const uint32_t keys = collect_sources(g, group);
    first_constant_ = static_cast<uint16_t>(inputs_.size());
    auto dst = static_cast<uint16_t>(inputs_.size() + program_.constants.size());
    size_t source = 0;
    for (uint32_t i = group.first; i != kNone; i = infos_[i].next, ++dst) {
      infos_[i].tile = dst;
      add_instruction(infos_[i], source);
    }
    Step& step = open_step();
    store_outputs(group);
    step.def = infos_[group.last].node->def;
    step.members = group.members;
    step.key_inputs = keys;
    step.flops = static_cast<double>(num_elements(*group.shape)) * step.members;
    close_program(step, program_);
  }

  // Numbers inputs and constants in the order in which members name them. Returns which are keys.
  uint32_t collect_sources(uint32_t g, const Group& group) {
    sources_.clear();
    inputs_.clear();
    program_.constants.clear();
    program_.instrs.clear();
    program_.random.clear();
    program_.outputs.clear();
    program_.inputs.clear();
    uint32_t keys = 0;
    for (uint32_t i = group.first; i != kNone; i = infos_[i].next) {
      Node* node = infos_[i].node;
      for (size_t k = 0; k < node->inputs.size(); ++k) {
        Info& input = infos_[node->inputs[k]->order];
        if (input.state == Info::kFused && find(input.group) == g) {
          sources_.push_back(kNoTile);  // a member, whose tile it has
        } else if (input.state == Info::kConstant && !is_key(node, k)) {
          sources_.push_back(static_cast<uint16_t>(kConstantTile | program_.constants.size()));
          program_.constants.push_back(input.node->constant);
        } else {
          sources_.push_back(add_input(input, is_key(node, k), *group.shape, keys));
        }
      }
    }
    for (const Operand& o : inputs_) program_.inputs.push_back(o.form->dtype);
    return keys;
  }

  uint16_t add_input(Info& input, bool key, const Shape& shape, uint32_t& keys) {
    need(input);
    Operand operand{input.value, input.form};
    const SharedForm& form = *input.form;
    if (key)
      make_contiguous(operand);
    else if (!(form.shape == shape))
      operand.form = plan_.catalog->form(
          form.dtype, shape,
          {form.layout.offset, broadcast_strides(form.shape, form.layout.strides, shape)});
    for (size_t k = 0; k < inputs_.size(); ++k)
      if (inputs_[k].value == operand.value && inputs_[k].form == operand.form &&
          key == static_cast<bool>(keys >> k & 1))
        return static_cast<uint16_t>(k);
    if (key) keys |= 1u << inputs_.size();
    inputs_.push_back(operand);
    return static_cast<uint16_t>(inputs_.size() - 1);
  }

  void add_instruction(const Info& info, size_t& source) {
    Node* node = info.node;
    TileInstr instr{.op = node->def->tile_op, .dtype = node->dtype, .in_dtype = node->dtype};
    for (size_t k = 0; k < node->inputs.size(); ++k, ++source) {
      const uint16_t s = sources_[source];
      if (s == kNoTile)
        instr.src[k] = infos_[node->inputs[k]->order].tile;
      else if (s & kConstantTile)
        instr.src[k] = static_cast<uint16_t>(first_constant_ + (s & ~kConstantTile));
      else
        instr.src[k] = s;
    }
    if (!node->inputs.empty())
      instr.in_dtype = node->inputs[instr.op == TileOp::kSelect ? 1 : 0]->dtype;
    instr.dst = info.tile;
    if (node->def->tile_setup)
      node->def->tile_setup(node->attrs.get(), node->spec(), program_, instr);
    program_.instrs.push_back(instr);
  }

  // A member is stored where somebody outside the group reads it.
  void store_outputs(const Group& group) {
    for (uint32_t i = group.first; i != kNone; i = infos_[i].next) {
      Info& info = infos_[i];
      info.state = Info::kValue;
      if (!info.kept && info.uses == 0) continue;
      program_.outputs.push_back(info.tile);
      info.form = form_of(info.node);
      info.value = new_value(info.node, info.form);
      plan_.operands.push_back({info.value, info.form});
      bind(info);
    }
  }

  // Steps ----------------------------------------------------------------------------------------

  /// Reads `inputs_`; valid until the next one.
  Step& open_step() {
    const auto s = static_cast<StepId>(plan_.steps.size());
    Step& step = plan_.steps.emplace_back();
    step.built = s;
    step.first_input = static_cast<uint32_t>(plan_.operands.size());
    for (const Operand& in : inputs_) {
      note_use(plan_.values[in.value], s);
      plan_.operands.push_back(in);
    }
    step.first_output = static_cast<uint32_t>(plan_.operands.size());
    return step;
  }

  void close_program(Step& step, const TileProgram& program) {
    const SharedProgram& known = plan_.catalog->program(program, builder_.backend_);
    step.elementwise = true;
    step.program = &known.program;
    step.workspace = known.workspace;
    close_step(step);
  }

  void close_step(Step& step) {
    step.end = static_cast<uint32_t>(plan_.operands.size());
    if (step.workspace + step.carry > 0) {
      const memory::Pool& pool = builder_.pool_;
      memory::BlockShape block =
          pool.shape_of(pool.scratch_size(round_up(step.workspace, 64) + step.carry + 64));
      step.scratch = block.small ? block.slab_bytes : block.bytes;
    }
    for (uint32_t k = step.first_input; k < step.end; ++k)
      step.traffic += plan_.operands[k].form->nbytes;
  }

  /// Makes sure that the input has a value.
  void need(Info& info) {
    if (info.state == Info::kFused) seal(find(info.group));
    if (info.state == Info::kConstant) materialize(info);
  }

  void materialize(Info& info) {
    TileProgram program;
    program.constants.push_back(info.node->constant);
    info.form = plan_.catalog->form(info.node->dtype, {});
    info.value = copy_step(program, nullptr, info.form);
    info.state = Info::kValue;
  }

  ValueId copy_step(TileProgram& program, const Operand* input, const SharedForm* form) {
    program.instrs.push_back({.op = TileOp::kCopy,
                              .dtype = form->dtype,
                              .in_dtype = form->dtype,
                              .src = {0, kNoTile, kNoTile},
                              .dst = 1});
    program.outputs.push_back(1);
    std::vector<Operand> waiting = std::exchange(inputs_, {});  // those of the step that needs it
    if (input) inputs_.push_back(*input);
    Step& step = open_step();
    inputs_ = std::move(waiting);
    ValueId value = new_value(nullptr, form);
    plan_.operands.push_back({value, form});
    step.flops = static_cast<double>(num_elements(form->shape));
    close_program(step, program);
    return value;
  }

  void make_contiguous(Operand& operand) {
    if (operand.form->contiguous) return;
    TileProgram program;
    program.inputs.push_back(operand.form->dtype);
    const SharedForm* plain = plan_.catalog->form(operand.form->dtype, operand.form->shape);
    operand.value = copy_step(program, &operand, plain);
    operand.form = plain;
  }

  void resolve_view(Info& info) {
    Node* node = info.node;
    Node* in = node->inputs[0];
    Info& input = infos_[in->order];
    need(input);
    Operand operand{input.value, input.form};
    Layout out;
    if (!node->def->view({in->shape, operand.form->layout, node->shape, node->attrs.get()}, out)) {
      make_contiguous(operand);
      bool ok =
          node->def->view({in->shape, operand.form->layout, node->shape, node->attrs.get()}, out);
      PLIMSOLL_ASSERT(ok);
    }
    info.value = operand.value;
    info.form = form_of(node, out);
    info.state = Info::kValue;
    bind(info);
  }

  // Recorded, but neither made of anything nor a source: what a transform passes to a function.
  static void refuse_placeholder(const Node& node) {
    PLIMSOLL_CHECK(!(node.is(Node::kTracer) && node.inputs.empty()), ValueError,
                   "[eval] expected arrays with values, got one of shape {} and {} that compile or "
                   "vmap passes to a function while it records; choose with where instead of if, "
                   "and read values outside of the function",
                   to_string(node.shape), name_of(node.dtype));
  }

  void add_kernel_step(Info& info) {
    Node* node = info.node;
    const graph::OpDef& def = *node->def;
    refuse_placeholder(*node);
    const TensorSpec own = node->spec();
    std::span<const TensorSpec> out_specs(&own, 1);
    if (node->is(Node::kTuple)) out_specs = *node->specs;
    Dtype key = node->inputs.empty() ? out_specs[0].dtype : node->inputs[0]->dtype;
    const device::KernelRow& row = builder_.row_of(def, key);
    for (Node* in : node->inputs) need(infos_[in->order]);  // which may emit steps
    inputs_.clear();
    specs_.clear();
    for (size_t k = 0; k < node->inputs.size(); ++k) {
      const Info& input = infos_[node->inputs[k]->order];
      inputs_.push_back({input.value, input.form});
      bool strided = k < 32 ? row.strided_inputs >> k & 1 : false;
      if (!strided) make_contiguous(inputs_.back());
      specs_.push_back(input.node->spec());
    }
    Step& step = open_step();
    for (size_t k = 0; k < out_specs.size(); ++k) {
      const SharedForm* form = plan_.catalog->form(out_specs[k].dtype, out_specs[k].shape);
      const ValueId v = new_value(node, form, static_cast<uint16_t>(k));
      if (k == 0) info.value = v, info.form = form;
      plan_.operands.push_back({v, form});
      bind(node, form, v, static_cast<uint16_t>(k), info.kept);
    }
    info.state = node->is(Node::kTuple) ? Info::kTuple : Info::kValue;
    OpInstance instance{specs_, out_specs, node->attrs.get()};
    step.def = &def;
    step.attrs = node->attrs.get();
    step.row = &row;
    step.workspace = row.workspace ? row.workspace(instance) : 0;
    step.carry = row.carry && !row.carry_only_cut ? row.carry(instance) : 0;
    step.flops =
        def.flops ? def.flops(instance) : static_cast<double>(num_elements(out_specs[0].shape));
    step.can_fail = row.can_fail;
    close_step(step);
  }

  static constexpr uint16_t kConstantTile = 0x8000;  // in sources_: a constant, not an input
  Builder& builder_;
  const BuildOptions& options_;
  Plan& plan_;
  std::vector<Info> infos_;
  size_t edges_ = 0;
  std::vector<Group> groups_;
  std::unordered_map<const memory::Buffer*, ValueId> by_buffer_;  // of those that are shared
  // Of the step that is being made.
  std::vector<Operand> inputs_;
  std::vector<TensorSpec> specs_;
  std::vector<uint16_t> sources_;
  TileProgram program_;
  uint16_t first_constant_ = 0;
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
  plan.catalog = std::make_shared<Catalog>();
  Pass pass(*this, options, plan);
  pass.run(targets);
  find_donors(plan, options.donate);
  return plan;
}

namespace {

ValueId find_donor(const Plan& plan, StepId s) {
  const Step& step = plan.steps[s];
  if (step.can_fail || step.end == step.first_output) return kNone;
  const Operand& out = plan.operands[step.first_output];
  if (plan.values[out.value].small || plan.values[out.value].sunk) return kNone;
  auto inputs = plan.inputs(step);
  for (size_t k = 0; k < inputs.size(); ++k) {
    if (!step.program && !(k < 32 && step.row->in_place >> k & 1)) continue;
    if (step.key_inputs >> k & 1) continue;
    const Operand& in = inputs[k];
    const Value& v = plan.values[in.value];
    bool dies = v.last_use == s && !v.kept && (v.producer != kNone || v.donatable);
    bool same_bytes =
        v.nbytes == plan.values[out.value].nbytes && v.bytes == plan.values[out.value].bytes &&
        in.form->contiguous && in.form->layout.offset == 0 &&
        size_of(in.form->dtype) == size_of(out.form->dtype) && in.form->shape == out.form->shape;
    auto is_it = [&](const Operand& o) { return o.value == in.value; };
    if (dies && same_bytes && !v.pinned && std::count_if(inputs.begin(), inputs.end(), is_it) == 1)
      return in.value;
  }
  return kNone;
}

}  // namespace

void find_donors(Plan& plan, bool donate) {
  for (StepId s = 0; s < plan.steps.size(); ++s)
    plan.steps[s].donor = donate ? find_donor(plan, s) : kNone;
}

void find_lifetimes(Plan& plan, bool donate) {
  for (Value& v : plan.values) v.first_use = v.last_use = kNone;
  for (StepId s = 0; s < plan.steps.size(); ++s)
    for (const Operand& in : plan.inputs(plan.steps[s])) note_use(plan.values[in.value], s);
  find_donors(plan, donate);
}

}  // namespace plimsoll::plan
