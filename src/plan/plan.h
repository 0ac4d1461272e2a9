// The plan of one evaluation: values, steps, units (a step, or a loop over tiles of several) and
// the ordered actions that the executor carries out.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "device/backend.h"
#include "graph/node.h"
#include "memory/file.h"
#include "plan/catalog.h"

namespace plimsoll::plan {

using ValueId = uint32_t;
using StepId = uint32_t;
inline constexpr uint32_t kNone = ~0u;

/// Bytes that steps read and write. Views of a value share it.
struct Value {
  Bytes nbytes = 0;             // logical
  Bytes bytes = 0;              // charge when fully resident, at most
  graph::Node* node = nullptr;  // what it is the data of; null for copies that the planner added
  memory::Buffer* buffer = nullptr;  // of a value that existed before; owned by `node`
  StepId producer = kNone;
  StepId last_use = kNone;  // last step that reads it; kNone: none
  StepId first_use = kNone;
  uint16_t tuple_index = 0;
  bool kept = false;       // somebody outside holds it: lives past the evaluation
  bool donatable = false;  // existed before, and only this graph holds it
  bool small = false;      // a slab block: never evicted
  bool pinned = false;     // an exported view holds it
  bool sunk = false;       // its bytes go to a file of its own: writing them is no extra work
};

inline bool contains(std::span<const ValueId> ids, ValueId id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

/// A value as a step sees it.
struct Operand {
  ValueId value = kNone;
  const SharedForm* form = nullptr;  // in Plan::catalog
};

/// One kernel call or tile program over a whole problem.
struct Step {
  const graph::OpDef* def = nullptr;     // of a program: its last op (for names)
  const AttrBase* attrs = nullptr;       // of the node
  const TileProgram* program = nullptr;  // in Plan::catalog; null: a kernel row
  const device::KernelRow* row = nullptr;
  uint32_t first_input = 0, first_output = 0, end = 0;  // ranges of Plan::operands
  uint32_t members = 1;                                 // nodes that it computes
  Bytes workspace = 0;
  Bytes carry = 0;
  Bytes scratch = 0;  // charge of both
  double flops = 0;
  Bytes traffic = 0;  // bytes that it reads and writes in memory
  bool elementwise = false;
  bool random_key = false;  // inputs that are keys are not of the output's shape
  uint32_t key_inputs = 0;  // bit i: input i is a random key
  bool can_fail = false;
  ValueId donor = kNone;  // input whose buffer output 0 takes over
  StepId built = kNone;   // its place in the order in which steps were built
};

/// One loop over a shared axis of the steps of a nest.
struct Loop {
  int64_t extent = 0;
  int64_t tile = 0;
  bool ordered = false;
  SmallVector<int16_t, 4> axis;   // per body step: index into its Tiling, or -1: not cut
  SmallVector<int64_t, 4> scale;  // per body step: its indices for one of the loop's (a reshape)
  int64_t trips() const { return tile ? (extent + tile - 1) / tile : 1; }
};

/// Loops over tiles of a chain of steps.
struct Nest {
  std::vector<StepId> body;
  std::vector<Loop> loops;        // outer to inner, never empty
  std::vector<ValueId> local;     // exist only tile by tile
  std::vector<ValueId> streamed;  // only the tile's range is resident
  std::vector<Bytes> workspace;   // per body step, of its largest tile
  std::vector<Bytes> carry;       // per body step
  std::vector<uint32_t> packed;   // operands whose parts go through contiguous scratch
  Bytes packing = 0;              // that scratch, of the step with the most
  Bytes whole = 0;                // charge of operands that are resident throughout
  Bytes tile_bytes = 0;           // charge of locals and of streamed ranges
  Bytes scratch = 0;              // charge of workspace and carries
  Bytes read = 0, written = 0;    // bytes that streaming moves
  bool overlap = false;           // room for the next tile's inputs beside this one's
  bool fine = false;              // streamed values are held in fine extents
  /// Operands (body << 16 | operand) of streamed values that are held in ranges of their own.
  std::vector<std::vector<uint32_t>> apart;
  Bytes working_set() const { return whole + tile_bytes + scratch; }
};

/// What runs as one: a whole step, or a nest.
struct Unit {
  StepId step = kNone;  // of a nest: its first
  std::shared_ptr<const Nest> nest;
  double seconds = 0;  // predicted, with all that it needs in memory; 0: nobody has asked
  std::span<const StepId> body() const {
    return nest ? std::span<const StepId>(nest->body) : std::span<const StepId>(&step, 1);
  }
};

enum class ActionKind : uint8_t {
  kRun,       // unit
  kLoad,      // value: start reading it back
  kWrite,     // value: start copying it to the spill store; it stays readable
  kDrop,      // value: give its memory back; its bytes are in a backing, or about to be
  kForget,    // value: give its memory back; it is computed again before its next use
  kFree,      // value: dead
  kRecompute  // unit, again
};

struct Action {
  ActionKind kind;
  uint32_t id;  // unit or value
};

/// A node that gets data when the evaluation ends (or fails with its value live).
struct Binding {
  graph::Node* node;
  const SharedForm* form;
  ValueId value;
  uint16_t tuple_index = 0;
  bool kept = false;
};

struct Costs {
  double memory_bandwidth = 20e9;  // bytes a second of streaming kernels
  double flops = 250e9;            // of a product
  double write_bandwidth = 2.5e9;  // of the spill store
  double read_bandwidth = 2e9;
  double io_tax = 0.1e-9;  // seconds of computing that moving a byte takes away
  double step_overhead = 3e-6;
};

/// What is done, and what it takes: the part of a plan that holds for other arrays of the same
/// kind.
struct Course {
  std::vector<Unit> units;
  std::vector<Action> actions;
  Bytes pinned = 0;  // of exported views
  Bytes slabs = 0;   // bound on slabs of new small buffers, in the default order
  uint32_t peak_unit = kNone;
  Bytes loaded = 0, written = 0, recomputed = 0, spill_space = 0;
  double seconds = 0;
  const char* stage = "fits";
  bool spills = false;  // it may: its metadata has room for records
};

struct Plan : Course {
  std::shared_ptr<Catalog> catalog;  // its copies share it
  std::vector<Value> values;
  std::vector<Operand> operands;
  std::vector<Step> steps;
  std::vector<Binding> bindings;
  std::vector<Tiling> tilings;  // per step, where a planner asked for it
  std::vector<std::pair<ValueId, std::shared_ptr<memory::FileSink>>> sinks;
  std::vector<memory::BufferRef> others;  // arrays outside the graph, in whose place it may run

  Bytes limit = 0;           // of the whole memory space
  Bytes fixed = 0;           // what is in use beside values and scratch, whatever we do
  Bytes metadata = 0;        // bound on headers of new buffers, and on records of spilled ones
  Bytes peak = 0;            // of the actions, with what is fixed
  Bytes unlimited_peak = 0;  // of the default order with everything resident
  Bytes floor = 0;           // 0: nobody has asked
  StepId floor_step = kNone;
  size_t nodes = 0;
  uint32_t build = 0;   // which of the ways to build the steps
  bool reused = false;  // its course is that of a plan before

  std::span<const Operand> inputs(const Step& s) const {
    return {operands.data() + s.first_input, s.first_output - s.first_input};
  }
  std::span<const Operand> outputs(const Step& s) const {
    return {operands.data() + s.first_output, s.end - s.first_output};
  }
  /// Calls f with each value that the step reads, once.
  template <typename F>
  void each_input(const Step& s, F f) const {
    for (uint32_t k = s.first_input; k < s.first_output; ++k) {
      bool first = true;
      for (uint32_t j = s.first_input; j < k; ++j) first &= operands[j].value != operands[k].value;
      if (first) f(operands[k].value);
    }
  }
};

}  // namespace plimsoll::plan
