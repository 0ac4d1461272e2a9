// The plan of one evaluation: values, steps, units (a step, or a loop over tiles of several) and
// the ordered actions that the executor carries out.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "device/backend.h"
#include "graph/node.h"
#include "opset/tile_program.h"

namespace plimsoll::plan {

using ValueId = uint32_t;
using StepId = uint32_t;
inline constexpr uint32_t kNone = ~0u;

/// Bytes that steps read and write. Views of a value share it.
struct Value {
  Bytes nbytes = 0;             // logical
  Bytes bytes = 0;              // charge when fully resident
  graph::Node* node = nullptr;  // what it is the data of; null for copies that the planner added
  memory::Buffer* buffer = nullptr;  // of a value that existed before; owned by `node`
  StepId producer = kNone;
  StepId last_use = kNone;  // last step that reads it; kNone: none
  uint16_t tuple_index = 0;
  bool kept = false;       // somebody outside holds it: lives past the evaluation
  bool donatable = false;  // existed before, and only this graph holds it
  bool small = false;      // a slab block: never evicted
  bool pinned = false;     // an exported view holds it
};

/// A value as a step sees it.
struct Operand {
  ValueId value = kNone;
  Dtype dtype = Dtype::kFloat32;
  Shape shape;
  Layout layout;
};

/// One kernel call or tile program over a whole problem.
struct Step {
  const graph::OpDef* def = nullptr;  // of a program: its last op (for names)
  AttrsPtr attrs;
  std::shared_ptr<const TileProgram> program;  // null: a kernel row
  const device::KernelRow* row = nullptr;
  uint32_t first_input = 0, first_output = 0, end = 0;  // ranges of Plan::operands
  uint32_t members = 1;                                 // nodes that it computes
  Bytes workspace = 0;
  Bytes carry = 0;
  double flops = 0;
  Bytes traffic = 0;  // bytes that it reads and writes in memory
  bool elementwise = false;
  bool random_key = false;  // inputs that are keys are not of the output's shape
  uint32_t key_inputs = 0;  // bit i: input i is a random key
  bool can_fail = false;
  ValueId donor = kNone;  // input whose buffer output 0 takes over
};

/// One loop of a unit.
struct Loop {
  int64_t extent = 0;
  int64_t tile = 0;
  bool ordered = false;
  SmallVector<int16_t, 4> axis;  // per body step: index into its Tiling
  int64_t trips() const { return tile ? (extent + tile - 1) / tile : 1; }
};

/// What runs as one: a step over everything, or loops over tiles of a chain of steps.
struct Unit {
  SmallVector<StepId, 4> body;
  std::vector<Loop> loops;               // outer to inner; empty: whole
  SmallVector<ValueId, 4> local;         // values that exist only tile by tile
  SmallVector<ValueId, 4> streamed;      // values of which only the tile's range is resident
  Bytes resident = 0;                    // charge of operands that are whole
  Bytes tile_bytes = 0;                  // charge of locals and of streamed ranges
  Bytes workspace = 0;                   // and carry
  Bytes read = 0, written = 0;           // bytes that streaming moves
  bool overlap = false;                  // room for the next tile's inputs beside this one's
  SmallVector<Bytes, 4> body_workspace;  // per body step, of its largest tile
  Bytes working_set() const { return resident + tile_bytes + workspace; }
};

enum class ActionKind : uint8_t {
  kRun,       // unit
  kLoad,      // value: start reading it back
  kWrite,     // value: start copying it to the spill store; it stays readable
  kDrop,      // value: give its memory back (its bytes are in a backing, or it is recomputed)
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
  ValueId value;
  Layout layout;
  uint16_t tuple_index = 0;
  bool kept = false;
};

struct Costs {
  double memory_bandwidth = 12e9;  // bytes a second of streaming kernels
  double flops = 150e9;            // of a product
  double write_bandwidth = 1.5e9;  // of the spill store
  double read_bandwidth = 1.2e9;
  double step_overhead = 3e-6;
};

struct Plan {
  std::vector<Value> values;
  std::vector<Operand> operands;
  std::vector<Step> steps;
  std::vector<Unit> units;
  std::vector<Action> actions;
  std::vector<Binding> bindings;
  std::vector<Tiling> tilings;  // per step, where a planner asked for it

  Bytes limit = 0;           // budget for values and workspace
  Bytes peak = 0;            // of the actions
  Bytes unlimited_peak = 0;  // of the default order with everything resident
  Bytes floor = 0;
  StepId floor_step = kNone;
  uint32_t peak_unit = kNone;
  Bytes loaded = 0, written = 0, recomputed = 0, spill_space = 0;
  double seconds = 0, unlimited_seconds = 0;
  const char* stage = "fits";
  size_t nodes = 0;

  std::span<const Operand> inputs(const Step& s) const {
    return {operands.data() + s.first_input, s.first_output - s.first_input};
  }
  std::span<const Operand> outputs(const Step& s) const {
    return {operands.data() + s.first_output, s.end - s.first_output};
  }
};

}  // namespace plimsoll::plan
