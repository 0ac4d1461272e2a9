#include "backends/cpu/tile_interpreter.h"

#include <immintrin.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <atomic>
#include <cstring>

#include "backends/cpu/tile_decode.h"
#include "base/check.h"

namespace plimsoll::cpu {
namespace {

using device::Tensor;

constexpr int64_t kGrainTiles = 64;          // 64 K elements a task
constexpr int64_t kGrainWork = 64 * 4;       // tiles × instructions a task, for long programs
constexpr size_t kLine = 64;                 // bytes of a cache line
constexpr size_t kInlineElements = 1 << 15;  // below it, waking a worker costs more

// A single element repeated: kernels without a splat form read it from here.
void fill(std::byte* dst, const std::byte* cell, size_t n, size_t size) {
  switch (size) {
    case 1:
      std::memset(dst, static_cast<int>(*cell), n);
      return;
    case 2: {
      uint16_t v;
      std::memcpy(&v, cell, 2);
      std::fill_n(reinterpret_cast<uint16_t*>(dst), n, v);
      return;
    }
    case 4: {
      uint32_t v;
      std::memcpy(&v, cell, 4);
      std::fill_n(reinterpret_cast<uint32_t*>(dst), n, v);
      return;
    }
    default: {
      uint64_t v;
      std::memcpy(&v, cell, 8);
      std::fill_n(reinterpret_cast<uint64_t*>(dst), n, v);
    }
  }
}

// Grains are handed to `workers` tasks in order; which worker runs which does not matter.
template <class F>
void for_grains(int64_t tiles, int64_t grain, int workers, F run) {
  const int64_t grains = (tiles + grain - 1) / grain;
  workers = static_cast<int>(std::min<int64_t>(workers, grains));
  if (workers <= 1) {
    const ScopedFloatMode mode;
    run(0, 0, tiles);
    return;
  }
  std::atomic<int64_t> next{0};
  tbb::parallel_for(
      0, workers, 1,
      [&](int worker) {
        const ScopedFloatMode mode;
        for (int64_t g; (g = next.fetch_add(1, std::memory_order_relaxed)) < grains;)
          run(worker, g * grain, std::min(tiles, (g + 1) * grain));
      },
      tbb::simple_partitioner());
}

// ---- programs of one op over whole arrays ----

struct OneOp {
  TileCall call;
  size_t src_size[3];
  size_t dst_size;
  TileKernel kernel;
};

bool is_contiguous(const Tensor& t) {
  int64_t expected = 1;
  for (size_t i = t.shape.size(); i-- > 0;) {
    if (t.shape[i] != 1 && t.strides[i] != expected) return false;
    expected *= t.shape[i];
  }
  return true;
}

bool is_repeated(const Tensor& t) {
  for (size_t i = 0; i < t.shape.size(); ++i)
    if (t.strides[i] != 0 && t.shape[i] != 1) return false;
  return true;
}

// Fills `op` where the program is one op whose operands can be read and written in place.
bool as_one_op(const TileProgram& program, std::span<const Tensor> inputs,
               std::span<const Tensor> outputs, const TileTable& table, size_t n, std::byte* cells,
               OneOp* op) {
  if (program.instrs.size() != 1 || outputs.size() != 1) return false;
  const TileInstr& in = program.instrs[0];
  const int sources = num_sources(in.op);
  if (sources == 0 || in.op == TileOp::kRandomBits || program.outputs[0] != in.dst) return false;
  const bool raw = in.op == TileOp::kCopy || in.op == TileOp::kSelect;
  if (!raw && (compute_dtype(in.dtype) != in.dtype || compute_dtype(in.in_dtype) != in.in_dtype))
    return false;
  op->kernel = find_kernel(table, in, raw);
  if (!op->kernel) return false;
  op->call.splat = 0;
  op->call.src[1] = op->call.src[2] = nullptr;
  for (int s = 0; s < sources; ++s) {
    const size_t v = in.src[s];
    if (v >= inputs.size()) {
      write_constant(table, program.constants[v - inputs.size()], raw, cells + s * kCellBytes);
      op->call.src[s] = cells + s * kCellBytes;
      op->call.splat |= 1u << s;
      continue;
    }
    op->call.src[s] = inputs[v].data;
    op->src_size[s] = size_of(inputs[v].dtype);
    if (is_contiguous(inputs[v])) continue;
    if (!is_repeated(inputs[v])) return false;
    op->call.splat |= 1u << s;
  }
  if (op->call.splat == (1u << sources) - 1) return false;
  op->call.dst = outputs[0].data;
  op->call.n = n;
  op->dst_size = size_of(in.dtype);
  return true;
}

void run_part(const OneOp& op, size_t begin, size_t n) {
  TileCall call = op.call;
  for (int s = 0; s < 3; ++s)
    if (call.src[s] && !(call.splat >> s & 1))
      call.src[s] = static_cast<const std::byte*>(call.src[s]) + begin * op.src_size[s];
  call.dst = static_cast<std::byte*>(call.dst) + begin * op.dst_size;
  call.n = n;
  op.kernel(call);
}

void run_one_op(const OneOp& op, int workers) {
  const auto tiles = static_cast<int64_t>((op.call.n + kTileElements - 1) / kTileElements);
  for_grains(tiles, kGrainTiles, workers, [&](int, int64_t first, int64_t last) {
    const size_t begin = first * kTileElements;
    run_part(op, begin, std::min<size_t>(op.call.n, last * kTileElements) - begin);
  });
}

// ---- any program ----

class ProgramRun {
 public:
  ProgramRun(const TileProgram& program, std::span<const Tensor> inputs,
             std::span<const Tensor> outputs, std::span<std::byte> workspace,
             const TileOrigin* origin, const TileOptions& options, const TileTable& table)
      : program_(program), outputs_(outputs), streams_(options.stream_outputs) {
    tiles_ = lay_out(program, workspace.data());
    grid_ = make_grid(outputs[0].shape, inputs, origin, tiles_.operands.data());
    const bool direct = !streams_ && grid_.mode != TileGrid::Mode::kBlocks;
    decode(program,
           {.table = &table, .inputs = inputs, .outputs = outputs, .direct_outputs = direct},
           &tiles_);
    scratch_ = workspace.data() + (decoded_bytes(program) + 63) / 64 * 64;
    worker_bytes_ = worker_bytes(program, tiles_.num_slots, tiles_.slot_bytes);
    PLIMSOLL_ASSERT(scratch_ + worker_bytes_ <= workspace.data() + workspace.size());
  }

  void run(int workers) {
    const auto length = static_cast<int64_t>(std::max<size_t>(1, tiles_.steps.size()));
    const int64_t grain = std::clamp<int64_t>(kGrainWork / length, 4, kGrainTiles);
    for_grains(grid_.tiles, grain, workers, [&](int worker, int64_t first, int64_t last) {
      std::byte* memory = scratch_ + worker * worker_bytes_;
      std::byte** where = place_values(memory);
      for (int64_t t = first; t < last; ++t) run_tile(t, where);
      if (streams_) stream_fence();
    });
  }

 private:
  // Addresses that do not change from tile to tile.
  std::byte** place_values(std::byte* memory) const {
    auto** where = reinterpret_cast<std::byte**>(memory);
    const size_t count = tiles_.values.size();
    std::byte* slots = memory + (count * sizeof(*where) + 63) / 64 * 64;
    for (size_t v = 0; v < count; ++v) {
      const TileValue& value = tiles_.values[v];
      if (value.slot != kNoSlot) where[v] = slots + value.slot * tiles_.slot_bytes;
    }
    for (size_t i = 0; i < tiles_.operands.size(); ++i)
      if (tiles_.operands[i].access == TileAccess::kKey) where[i] = tiles_.operands[i].data;
    for (size_t i = 0; i < program_.constants.size(); ++i)
      where[tiles_.operands.size() + i] = tiles_.constants + i * kCellBytes;
    return where;
  }

  void run_tile(int64_t tile, std::byte** where) const {
    const TileRegion region = tile_region(grid_, tile);
    for (size_t i = 0; i < tiles_.operands.size(); ++i)
      if (tiles_.values[i].slot == kNoSlot && tiles_.operands[i].access != TileAccess::kKey)
        where[i] = region_address(grid_, tiles_.operands[i], region);
    for (size_t o = 0; o < outputs_.size(); ++o)
      if (tiles_.stores[o].in_place) where[tiles_.stores[o].value] = address_in_output(o, region);
    Ahead ahead = bytes_ahead(region);
    for (const TileStep& step : tiles_.steps) {
      ahead.fetch_some();
      run_step(step, region, where);
    }
    for (size_t o = 0; o < outputs_.size(); ++o) store(o, region, where);
  }

  // The next tile's part of what is read and written in place most likely follows this one's. It is
  // fetched while this one is computed, a few lines at each step: caches wait for many at once.
  struct Ahead {
    static constexpr int kMostStreams = 8;
    struct Stream {
      const std::byte* at;
      int64_t lines, share;
      bool write;
    };
    Stream streams[kMostStreams];
    int count = 0;

    void add(const std::byte* at, size_t bytes, size_t steps, bool write) {
      if (count == kMostStreams) return;
      const auto lines = static_cast<int64_t>(bytes / kLine);
      streams[count++] = {at + bytes, lines, lines / static_cast<int64_t>(steps) + 1, write};
    }
    void fetch_some() {
      for (int i = 0; i < count; ++i) {
        Stream& s = streams[i];
        const int64_t n = std::min(s.share, s.lines);
        for (int64_t l = 0; l < n; ++l) {
          if (s.write)
            __builtin_prefetch(s.at + l * kLine, 1);
          else
            __builtin_prefetch(s.at + l * kLine);
        }
        s.at += n * kLine;
        s.lines -= n;
      }
    }
  };

  Ahead bytes_ahead(const TileRegion& region) const {
    Ahead ahead;
    const size_t steps = tiles_.steps.size();
    if (region.n < kTileElements || steps == 0) return ahead;
    for (const TileOperand& operand : tiles_.operands)
      if (operand.access == TileAccess::kDirect)
        ahead.add(region_address(grid_, operand, region), region.n * operand.size, steps, false);
    for (size_t o = 0; o < outputs_.size(); ++o)
      if (tiles_.stores[o].in_place)
        ahead.add(address_in_output(o, region), region.n * size_of(outputs_[o].dtype), steps, true);
    return ahead;
  }

  std::byte* address_in_output(size_t o, const TileRegion& region) const {
    return static_cast<std::byte*>(outputs_[o].data) +
           region.flat * static_cast<int64_t>(size_of(outputs_[o].dtype));
  }

  void run_step(const TileStep& step, const TileRegion& region, std::byte** where) const {
    TileCall call;
    call.n = step.single ? 1 : region.n;
    call.dst = where[step.dst];
    if (step.kind == TileStep::Kind::kLoad) return run_load(step, region, call);
    call.splat = step.splat;
    for (int s = 0; s < step.num_src; ++s) call.src[s] = where[step.src[s]];
    if (step.kind == TileStep::Kind::kCompute)
      step.kernel(call);
    else
      run_index(step, region, call);
    if (step.round) {
      call.src[0] = call.dst;
      call.splat = 0;
      step.round(call);
    }
  }

  // A gathered 16-bit tile is put in the upper part of its slot: widening it then never overtakes
  // itself, as element i is read at 2·kTileElements + 2i before 4i is written.
  void run_load(const TileStep& step, const TileRegion& region, TileCall call) const {
    const TileOperand& operand = tiles_.operands[step.dst];
    auto* dst = static_cast<std::byte*>(call.dst);
    if (step.gathers) {
      std::byte* raw = step.kernel ? dst + 2 * kTileElements : dst;
      gather_tile(grid_, operand, region, raw);
      call.src[0] = raw;
    } else {
      call.src[0] = region_address(grid_, operand, region);
    }
    if (step.kernel) step.kernel(call);
  }

  void run_index(const TileStep& step, const TileRegion& region, TileCall call) const {
    const TileInstr& in = program_.instrs[step.instr];
    std::copy_n(in.imm, 2, call.imm);
    if (in.aux >= 0) call.random = program_.random[in.aux];
    auto* dst = static_cast<std::byte*>(call.dst);
    const size_t size = size_of(compute_dtype(in.dtype));
    for_each_index_run(grid_, region, [&](size_t first, size_t n, int64_t index, int64_t by) {
      call.dst = dst + first * size;
      call.n = n;
      call.index = index;
      call.index_step = by;
      step.kernel(call);
    });
  }

  void store(size_t o, const TileRegion& region, std::byte** where) const {
    const TileStore& s = tiles_.stores[o];
    if (s.in_place) return;
    const TileValue& value = tiles_.values[s.value];
    const size_t size = size_of(outputs_[o].dtype);
    const bool blocks = grid_.mode == TileGrid::Mode::kBlocks;
    std::byte* from = where[s.value];
    alignas(64) std::byte buffer[kTileElements * 8];
    std::byte* out = blocks || streams_ ? buffer : address_in_output(o, region);
    if (value.splat) {
      alignas(16) std::byte cell[kCellBytes];
      if (s.narrow) {
        s.narrow(TileCall{{from, nullptr, nullptr}, cell, 1, 0, 0, 1, {0, 0}, {}});
        from = cell;
      }
      fill(out, from, region.n, size);
    } else if (s.narrow) {
      s.narrow(TileCall{{from, nullptr, nullptr}, out, region.n, 0, 0, 1, {0, 0}, {}});
    } else if (blocks || streams_) {
      out = from;
    } else {
      std::memmove(out, from, region.n * size);  // an output may be the very bytes of its input
    }
    if (blocks)
      scatter_tile(grid_, region, out, size, static_cast<std::byte*>(outputs_[o].data));
    else if (streams_)
      stream_copy(address_in_output(o, region), out, region.n * size);
  }

  const TileProgram& program_;
  std::span<const Tensor> outputs_;
  bool streams_;
  DecodedTiles tiles_;
  TileGrid grid_;
  std::byte* scratch_;
  size_t worker_bytes_;
};

}  // namespace

ScopedFloatMode::ScopedFloatMode() : saved_(_mm_getcsr()) {
  constexpr unsigned kMode = 0x1f80, kFlags = 0x3f;
  if ((saved_ & ~kFlags) != kMode) _mm_setcsr(kMode);
}
ScopedFloatMode::~ScopedFloatMode() {
  if (_mm_getcsr() != saved_) _mm_setcsr(saved_);
}

TileTable make_tile_table() {
  TileTable table;
  add_arith_kernels(&table);
  add_compare_kernels(&table);
  add_cast_kernels(&table);
  add_integer_kernels(&table);
  add_exp_kernels(&table);
  add_trig_kernels(&table);
  add_double_kernels(&table);
  add_complex_kernels(&table);
  add_index_kernels(&table);
  return table;
}

const TileTable& tile_table() {
  static const TileTable table = make_tile_table();
  return table;
}

bool supports(TileOp op, Dtype in, Dtype out) {
  TileInstr instr{};
  instr.op = op;
  instr.in_dtype = in;
  instr.dtype = out;
  const bool raw = op == TileOp::kCopy || op == TileOp::kSelect;
  return find_kernel(tile_table(), instr, raw) != nullptr;
}

size_t program_workspace(const TileProgram& program, int num_threads) {
  const size_t slots = most_slots(program, tile_table());
  return (decoded_bytes(program) + 63) / 64 * 64 +
         static_cast<size_t>(std::max(1, num_threads)) *
             worker_bytes(program, slots, slot_bytes_of(program));
}

void run_program(const TileProgram& program, std::span<const Tensor> inputs,
                 std::span<const Tensor> outputs, std::span<std::byte> workspace,
                 const TileOrigin* origin, const TileOptions& options) {
  if (outputs.empty()) return;
  size_t n = 1;
  for (int64_t d : outputs[0].shape) n *= static_cast<size_t>(d);
  if (n == 0) return;
  const TileTable& table = options.table ? *options.table : tile_table();
  const int workers = n < kInlineElements ? 1 : options.num_threads;
  alignas(16) std::byte cells[3 * kCellBytes];
  OneOp op;
  if (!options.stream_outputs && as_one_op(program, inputs, outputs, table, n, cells, &op)) {
    if (workers > 1) return run_one_op(op, workers);
    const ScopedFloatMode mode;
    return op.kernel(op.call);
  }
  ProgramRun(program, inputs, outputs, workspace, origin, options, table).run(workers);
}

}  // namespace plimsoll::cpu
