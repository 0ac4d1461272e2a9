// A node: one value, with either its data, a constant, or the operation that makes it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "graph/op_def.h"
#include "memory/buffer.h"
#include "opset/tile_program.h"

namespace plimsoll::memory {
class FileSink;
class FileSource;
}  // namespace plimsoll::memory

namespace plimsoll::graph {

class Evaluator;

/// Bytes of an evaluated value. Views share the buffer.
struct Storage {
  memory::BufferRef buffer;
  Layout layout;
};

class Node {
 public:
  enum Flag : uint8_t {
    kWeak = 1,      // a Python scalar: takes the dtype of what it meets
    kTracer = 2,    // a transform is recording: keeps its inputs when evaluated
    kConstant = 4,  // 0-d, value in `constant`
    kTuple = 8,     // several outputs, read through projections
    kBarrier = 16,  // stop_gradient
  };

  std::atomic<uint32_t> refs{1};
  Dtype dtype = Dtype::kFloat32;
  uint8_t flags = 0;
  uint16_t index = 0;          // of a projection
  const OpDef* def = nullptr;  // null for data and constants, and after evaluation
  // Scratch of the pass that walks the graph; valid only while `mark` equals the pass's number.
  uint32_t mark = 0;
  uint32_t order = 0;
  Shape shape;
  SmallVector<Node*, 3> inputs;  // one reference each
  AttrsPtr attrs;
  std::unique_ptr<Storage> storage;
  std::unique_ptr<std::vector<Storage>> outputs;   // of an evaluated kTuple
  std::unique_ptr<std::vector<TensorSpec>> specs;  // of a kTuple
  TileConstant constant;

  bool is(Flag f) const { return flags & f; }
  bool available() const { return storage || is(kConstant) || outputs; }
  TensorSpec spec() const { return {dtype, shape}; }
  /// Forgets the operation and releases the inputs, as after an evaluation.
  void detach();

  /// A node with one reference, in the installed evaluator's charged memory.
  static Node* create();
  /// Destroys this node only; `release` is what callers want.
  void dispose() noexcept;

 private:
  Node() = default;
  ~Node() = default;
  Evaluator* home_ = nullptr;  // whose memory holds this node; null: the heap
};

/// Records `def` over `inputs`; shapes and dtypes are inferred and checked now.
array record(const OpDef& def, std::span<const array> inputs, AttrsPtr attrs = nullptr);
inline array record(const OpDef& def, std::initializer_list<array> inputs,
                    AttrsPtr attrs = nullptr) {
  return record(def, std::span<const array>(inputs.begin(), inputs.size()), std::move(attrs));
}
/// Records an operation with several outputs: one projection each.
std::vector<array> record_many(const OpDef& def, std::span<const array> inputs,
                               AttrsPtr attrs = nullptr);
template <typename A>
AttrsPtr make_attrs(A attrs) {
  return std::make_shared<const A>(std::move(attrs));
}

/// A 0-d constant; `weak` for Python scalars.
array constant(const TileConstant& value, bool weak = false);
bool is_weak(const array& a);
/// Wraps existing bytes.
array from_storage(Storage storage, Shape shape, Dtype dtype);

/// Puts a range of an array's row-major bytes, whole elements, at an address.
using Fill = std::function<void(ByteRange range, std::byte* to)>;
/// An array whose bytes `fill` writes now.
array from_host(Shape shape, Dtype dtype, const Fill& fill);

/// What evaluates arrays and hands out memory; runtime installs it (graph never calls upward).
class Evaluator {
 public:
  virtual ~Evaluator() = default;
  virtual void eval(std::span<const array> outputs) = 0;
  virtual void async_eval(std::span<const array> outputs) = 0;
  /// Evaluates, and puts the row-major bytes of outputs[i] into sinks[i]; what need not be in
  /// memory whole is not. REQUIRES: sinks[i]->size() == outputs[i].nbytes(), none sealed.
  virtual void eval_into(std::span<const array> outputs,
                         std::span<const std::shared_ptr<memory::FileSink>> sinks) = 0;
  /// Room for an array that the host fills; may evict, may refuse.
  virtual memory::BufferRef allocate(size_t bytes) = 0;
  /// A buffer that `fill` writes in ascending ranges; where there is no room for the whole of it,
  /// what is written goes to the spill store.
  virtual memory::BufferRef allocate_filled(size_t bytes, const Fill& fill);
  /// Charged memory for nodes.
  virtual void* allocate_metadata(size_t bytes) = 0;
  virtual void free_metadata(void* p, size_t bytes) noexcept = 0;
  /// Copies an available array's elements in row-major order, whatever its layout or residency.
  virtual void copy_out(const Node& node, void* out) = 0;
  /// Copies a range of the row-major bytes of an available array that lies so in its buffer.
  virtual void copy_out(const Node& node, ByteRange range, void* out) = 0;
  /// A buffer of a file's bytes, of which nothing is resident before it is used; small ones are
  /// read now.
  virtual memory::BufferRef allocate_from(size_t bytes,
                                          std::shared_ptr<memory::FileSource> source) = 0;
  /// What goes wrong on purpose in the files that io opens; null: nothing.
  virtual FaultPlan* faults() { return nullptr; }
};
Evaluator& evaluator();
/// Returns the previous one; null until runtime installs the first.
Evaluator* install_evaluator(Evaluator* evaluator);

}  // namespace plimsoll::graph
