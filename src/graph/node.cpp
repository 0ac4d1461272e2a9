#include "graph/node.h"

#include <algorithm>
#include <new>

#include "base/check.h"
#include "graph/room.h"

namespace plimsoll::graph {
namespace {

// The one pointer that looks upward: runtime/context installs and removes it.
std::atomic<Evaluator*> installed{nullptr};

void forget(Node* node, std::vector<Node*>& pending) {
  for (Node* input : node->inputs)
    if (input->refs.fetch_sub(1, std::memory_order_acq_rel) == 1) pending.push_back(input);
  node->inputs.clear();
}

// Destroys a chain of any length without recursion.
void destroy(std::vector<Node*>& pending) {
  while (!pending.empty()) {
    Node* node = pending.back();
    pending.pop_back();
    forget(node, pending);
    node->dispose();
  }
}

void infer(const OpDef& def, std::span<const array> inputs, const AttrBase* attrs,
           std::vector<TensorSpec>& out) {
  std::vector<TensorSpec> specs;
  specs.reserve(inputs.size());
  for (const array& a : inputs) specs.push_back(a.node()->spec());
  def.infer({specs, {}, attrs}, out);
}

// Far above any memory, and far enough below 2^64 for sums over many arrays.
constexpr int64_t kMaxBytes = int64_t{1} << 56;

void check_size(const OpDef& def, const TensorSpec& spec) {
  int64_t count = 1;
  bool fits = true, empty = false;
  for (int64_t d : spec.shape) {
    fits &= d >= 0 && !__builtin_mul_overflow(count, std::max<int64_t>(d, 1), &count);
    empty |= d == 0;
  }
  fits &= empty || count <= kMaxBytes / static_cast<int64_t>(size_of(spec.dtype));
  PLIMSOLL_CHECK(fits, ValueError,
                 "[{}] expected a result of at most 2^56 bytes, got shape {} of {}; split the work "
                 "into smaller arrays",
                 def.name, to_string(spec.shape), name_of(spec.dtype));
}

// An elementwise op over equal shapes and dtypes is what most graphs are made of.
bool same_specs(std::span<const array> inputs) {
  const Node* first = inputs[0].node();
  for (const array& a : inputs.subspan(1))
    if (a.node()->dtype != first->dtype || !(a.node()->shape == first->shape)) return false;
  return true;
}

Node* make_node(const OpDef& def, std::span<const array> inputs, AttrsPtr attrs) {
  Node* node = Node::create();
  node->def = &def;
  node->attrs = std::move(attrs);
  uint8_t flags = 0;
  for (const array& a : inputs) {
    retain(a.node());
    node->inputs.push_back(a.node());
    flags |= a.node()->flags & Node::kTracer;
  }
  node->flags = flags;
  return node;
}

}  // namespace

Node* Node::create() {
  Evaluator* home = installed.load(std::memory_order_acquire);
  void* room = home ? home->allocate_metadata(sizeof(Node)) : ::operator new(sizeof(Node));
  Node* node = new (room) Node;
  node->home_ = home;
  return node;
}

void Node::dispose() noexcept {
  Evaluator* home = home_;
  this->~Node();
  if (home)
    home->free_metadata(this, sizeof(Node));
  else
    ::operator delete(this);
}

void retain(Node* node) noexcept { node->refs.fetch_add(1, std::memory_order_relaxed); }

void release(Node* node) noexcept {
  if (node->refs.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  if (node->inputs.empty()) {
    node->dispose();
    return;
  }
  std::vector<Node*> pending{node};
  destroy(pending);
}

void Node::detach() {
  def = nullptr;
  attrs.reset();
  std::vector<Node*> pending;
  forget(this, pending);
  if (!pending.empty()) destroy(pending);
}

array record(const OpDef& def, std::span<const array> inputs, AttrsPtr attrs) {
  if (def.infer == nullptr && same_specs(inputs)) {
    Node* node = make_node(def, inputs, std::move(attrs));
    node->dtype = inputs[0].dtype();
    node->shape = inputs[0].shape();
    return array::adopt(node);
  }
  std::vector<TensorSpec> out;
  if (def.infer) {
    infer(def, inputs, attrs.get(), out);
  } else {
    Shape shape = inputs[0].shape();
    for (const array& a : inputs.subspan(1)) shape = broadcast_shapes(shape, a.shape(), def.name);
    out.push_back({inputs[0].dtype(), std::move(shape)});
  }
  check_size(def, out[0]);
  Node* node = make_node(def, inputs, std::move(attrs));
  node->dtype = out[0].dtype;
  node->shape = std::move(out[0].shape);
  return array::adopt(node);
}

const OpDef kProjection{.name = "projection", .kind = Kind::kProjection};

std::vector<array> record_many(const OpDef& def, std::span<const array> inputs, AttrsPtr attrs) {
  std::vector<TensorSpec> specs;
  infer(def, inputs, attrs.get(), specs);
  for (const TensorSpec& spec : specs) check_size(def, spec);
  Node* tuple = make_node(def, inputs, std::move(attrs));
  array owner = array::adopt(tuple);
  tuple->flags |= Node::kTuple;
  tuple->specs = std::make_unique<std::vector<TensorSpec>>(std::move(specs));
  std::vector<array> out;
  for (size_t i = 0; i < tuple->specs->size(); ++i) {
    Node* node = make_node(kProjection, {&owner, 1}, nullptr);
    node->index = static_cast<uint16_t>(i);
    node->dtype = (*tuple->specs)[i].dtype;
    node->shape = (*tuple->specs)[i].shape;
    out.push_back(array::adopt(node));
  }
  return out;
}

array constant(const TileConstant& value, bool weak) {
  Node* node = Node::create();
  node->flags = Node::kConstant | (weak ? Node::kWeak : 0);
  node->dtype = value.dtype;
  node->constant = value;
  return array::adopt(node);
}

bool is_weak(const array& a) { return a.node()->is(Node::kWeak); }

array from_storage(Storage storage, Shape shape, Dtype dtype) {
  Node* node = Node::create();
  array owner = array::adopt(node);
  node->dtype = dtype;
  node->shape = std::move(shape);
  node->storage = std::make_unique<Storage>(std::move(storage));
  return owner;
}

Evaluator& evaluator() {
  Evaluator* e = installed.load(std::memory_order_acquire);
  PLIMSOLL_CHECK(e, Error, "[eval] expected a Context; make one before evaluating arrays");
  return *e;
}

Room make_room(size_t bytes) {
  while (true) {
    Room room{evaluator().allocate(bytes), {}};
    try {
      room.pin = room.buffer->pin({0, bytes});
      return room;
    } catch (const Error&) {
      // Another thread's evaluation came first and evicted it; it is empty, so another one will do.
      if (room.buffer->resident(room.buffer->all())) throw;
    }
  }
}

memory::BufferRef Evaluator::allocate_filled(size_t bytes, const Fill& fill) {
  Room room = make_room(bytes);
  if (bytes) fill({0, bytes}, room.pin.data());
  return room.filled();
}

array from_host(Shape shape, Dtype dtype, const Fill& fill) {
  const size_t bytes = static_cast<size_t>(num_elements(shape)) * size_of(dtype);
  Storage storage{evaluator().allocate_filled(bytes, fill), {0, row_major(shape)}};
  return from_storage(std::move(storage), std::move(shape), dtype);
}

Evaluator* install_evaluator(Evaluator* e) {
  return installed.exchange(e, std::memory_order_acq_rel);
}

}  // namespace plimsoll::graph
