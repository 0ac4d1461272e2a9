// A tile program made ready to run: kernels found, tiles given slots of scratch by liveness.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "backends/cpu/tile_kernels.h"
#include "backends/cpu/tile_layout.h"

namespace plimsoll::cpu {

inline constexpr int32_t kNoSlot = -1;
inline constexpr int32_t kLivesOn = INT32_MAX;

/// One thing to do on each tile.
struct TileStep {
  enum class Kind : uint8_t { kCompute, kIndex, kLoad };
  Kind kind = Kind::kCompute;
  bool gathers = false;  // kLoad: from the strided input, before `kernel` (widening), if any
  bool single = false;   // all sources are splats: one element is computed
  uint8_t num_src = 0;
  uint32_t splat = 0;
  uint16_t src[3];
  uint16_t dst = 0;
  uint16_t instr = 0;
  TileKernel kernel = nullptr;
  TileKernel round = nullptr;  // dst in place, to its 16-bit dtype
};

/// A numbered tile: input, constant or result.
struct TileValue {
  Dtype dtype;             // as the program says
  bool splat = false;      // one element for all
  bool read = false;       // by an instruction, not only by outputs
  int32_t last_use = -1;   // position of the last instruction that reads it, or kLivesOn
  int32_t slot = kNoSlot;  // where it lies in a worker's scratch
  int32_t output = -1;     // output whose memory it is computed into
};

/// How an output gets its elements once the steps have run.
struct TileStore {
  uint16_t value = 0;
  bool in_place = false;        // the steps wrote it
  TileKernel narrow = nullptr;  // float32 → 16-bit float
};

/// What decides a decoding besides the program.
struct TileSetting {
  const TileTable* table = nullptr;
  std::span<const device::Tensor> inputs, outputs;
  bool direct_outputs = true;  // outputs may be computed in place
};

struct DecodedTiles {
  std::span<TileOperand> operands;  // of the inputs
  std::span<TileValue> values;
  std::span<TileStep> steps;
  std::span<TileStore> stores;
  std::byte* constants = nullptr;  // kCellBytes each
  size_t num_slots = 0;
  size_t slot_bytes = 0;
};

inline constexpr size_t kCellBytes = 16;  // one element of any dtype

/// Bytes that decode() takes from the workspace.
size_t decoded_bytes(const TileProgram& program);
/// Bytes that one worker needs besides.
size_t worker_bytes(const TileProgram& program, size_t num_slots, size_t slot_bytes);
/// Slots that any setting of this program needs at most. Allocates: for planning.
size_t most_slots(const TileProgram& program, const TileTable& table);
size_t slot_bytes_of(const TileProgram& program);

/// Lays the decoded arrays out in `memory` (decoded_bytes, 64-byte aligned) and marks key inputs.
/// The accesses of the others are set by make_grid, between the two.
DecodedTiles lay_out(const TileProgram& program, std::byte* memory);
/// Throws TypeError where a kernel is missing.
void decode(const TileProgram& program, const TileSetting& setting, DecodedTiles* out);

/// The kernel of an instruction, null where there is none. `raw`: 16-bit floats are only moved.
TileKernel find_kernel(const TileTable& table, const TileInstr& instr, bool raw);
/// True where no instruction computes, so that 16-bit floats need not be widened.
bool only_moves(const TileProgram& program);
/// Writes the constant as one element of its dtype (16-bit floats as float32 unless raw).
void write_constant(const TileTable& table, const TileConstant& constant, bool raw, void* cell);
int num_sources(TileOp op);

}  // namespace plimsoll::cpu
