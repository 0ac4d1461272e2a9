// The one declaration of an operation: what it means to shapes, gradients, batching, tiles and
// docs.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "graph/boxed.h"
#include "opset/attrs.h"
#include "opset/tile_program.h"
#include "opset/tiling.h"
#include "plimsoll/array.h"

namespace plimsoll {
struct AttrsType;
}

namespace plimsoll::graph {

enum class Kind : uint8_t {
  kElementwise,  // runs as an instruction of a tile program
  kView,         // another layout of input 0's bytes, where one exists
  kReduction,
  kScan,
  kContraction,
  kGather,
  kScatter,
  kSort,
  kRows,        // softmax, norms, attention: independent rows
  kRandom,      // element i depends on the key and i only
  kStructured,  // anything else
  kProjection,  // output `index` of an operation with several outputs
  kLoad,        // bytes of a file
  kComposite,   // written in terms of other ops; never recorded itself
};

struct VjpArgs {
  std::span<const array> inputs;
  std::span<const array> outputs;
  std::span<const array> cotangents;  // one an output; zeros where nothing flows back
  const AttrBase* attrs;
  std::span<const bool> needed;  // per input
  std::span<const bool> flows;   // per output: whether anything flows back
};
/// One gradient an input; an empty array where none is needed or none exists. Broadcast inputs are
/// summed back to their shape by the caller, so an elementwise rule ignores broadcasting.
using Vjp = std::vector<array> (*)(const VjpArgs&);

struct JvpArgs {
  std::span<const array> inputs;
  std::span<const array> outputs;
  std::span<const array> tangents;  // empty array: zero
  const AttrBase* attrs;
};
using Jvp = std::vector<array> (*)(const JvpArgs&);

struct VmapArgs {
  std::span<const array> inputs;
  std::span<const int> axes;  // batched axis of each input, or -1
  const AttrBase* attrs;
  int64_t batch;
};
struct VmapResult {
  std::vector<array> outputs;
  std::vector<int> axes;
};
using Vmap = VmapResult (*)(const VmapArgs&);

struct ViewArgs {
  const Shape& in_shape;
  const Layout& in_layout;
  const Shape& out_shape;
  const AttrBase* attrs;
};

struct OpDef {
  const char* name;
  Kind kind = Kind::kStructured;
  TileOp tile_op = TileOp::kCount;  // set: runs as a tile instruction, whatever the kind
  /// Fills imm or aux of the instruction from the attributes (iota, random bits); null: nothing.
  void (*tile_setup)(const AttrBase* attrs, const TensorSpec& out, TileProgram& program,
                     TileInstr& instr) = nullptr;
  const AttrsType* attrs = nullptr;  // of its attributes; null: it has none
  /// What `infer` and kernels take for granted because the op's function sees to it: number, ranks
  /// and dtypes of the inputs, ranges of the attributes. Raises ValueError; for operations that
  /// come from a file. Null: a tile instruction over inputs of one dtype.
  void (*check)(const OpInstance&) = nullptr;
  /// Fills the outputs' specs from the inputs' and the attributes; validates; throws.
  void (*infer)(const OpInstance&, std::vector<TensorSpec>& out) = nullptr;
  Vjp vjp = nullptr;
  Jvp jvp = nullptr;    // null: derived by transposing the vjp twice
  Vmap vmap = nullptr;  // null: the kind's default
  bool differentiable = true;
  /// kView: the layout of the output in input 0's buffer; false: no such layout, a copy is made.
  bool (*view)(const ViewArgs&, Layout& out) = nullptr;
  Tiling (*tiling)(const OpInstance&) = nullptr;  // null: the kind's default
  double (*flops)(const OpInstance&) = nullptr;   // null: one an output element
  int num_outputs = 1;
  Entry entry = nullptr;
  const char* signature = nullptr;  // Python's: "add(a: scalar | array, b: scalar | array, /)"
  const char* doc = nullptr;
};

}  // namespace plimsoll::graph
