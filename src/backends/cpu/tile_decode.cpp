#include "backends/cpu/tile_decode.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "base/check.h"

namespace plimsoll::cpu {
namespace {

bool is_narrow(Dtype t) { return t == Dtype::kFloat16 || t == Dtype::kBfloat16; }
bool is_index_op(TileOp op) { return op == TileOp::kIota || op == TileOp::kRandomBits; }

// Ops whose result on 16-bit floats is one of them already.
bool keeps_precision(TileOp op) {
  switch (op) {
    case TileOp::kCopy:
    case TileOp::kNegative:
    case TileOp::kAbs:
    case TileOp::kSign:
    case TileOp::kFloor:
    case TileOp::kCeil:
    case TileOp::kRound:
    case TileOp::kTrunc:
    case TileOp::kMaximum:
    case TileOp::kMinimum:
    case TileOp::kSelect:
    case TileOp::kClamp:
      return true;
    default:
      return false;
  }
}

template <class T>
T* take(std::byte** memory, size_t count) {
  auto* p = reinterpret_cast<T*>(*memory);
  *memory += (count * sizeof(T) + 63) / 64 * 64;
  std::uninitialized_value_construct_n(p, count);
  return p;
}

size_t num_values(const TileProgram& p) {
  return p.inputs.size() + p.constants.size() + p.instrs.size();
}

// Hands out slots; a value's slot returns after its last reader.
class Slots {
 public:
  explicit Slots(std::span<int32_t> free) : free_(free) {}
  int32_t take() { return num_free_ ? free_[--num_free_] : next_++; }
  void give_back(int32_t slot) { free_[num_free_++] = slot; }
  size_t most() const { return next_; }

 private:
  std::span<int32_t> free_;
  size_t num_free_ = 0;
  int32_t next_ = 0;
};

class Decoder {
 public:
  Decoder(const TileProgram& program, const TileSetting& setting, DecodedTiles* out,
          std::span<int32_t> free)
      : program_(program), setting_(setting), out_(*out), slots_(free), raw_(only_moves(program)) {}

  void run() {
    set_values();
    find_last_uses();
    protect_outputs_of_inputs();
    for (size_t k = 0; k < program_.instrs.size(); ++k) add_instr(k);
    for (size_t o = 0; o < program_.outputs.size(); ++o) add_store(o);
    out_.steps = out_.steps.first(num_steps_);
    out_.num_slots = slots_.most();
  }

 private:
  void set_values() {
    const size_t inputs = program_.inputs.size();
    for (size_t i = 0; i < inputs; ++i) {
      out_.values[i].dtype = program_.inputs[i];
      out_.values[i].splat = out_.operands[i].access == TileAccess::kSplat;
    }
    for (size_t i = 0; i < program_.constants.size(); ++i) {
      out_.values[inputs + i].dtype = program_.constants[i].dtype;
      out_.values[inputs + i].splat = true;
      write_constant(*setting_.table, program_.constants[i], raw_, out_.constants + i * kCellBytes);
    }
    for (size_t k = 0; k < program_.instrs.size(); ++k)
      out_.values[first_result() + k].dtype = program_.instrs[k].dtype;
  }

  void find_last_uses() {
    for (size_t k = 0; k < program_.instrs.size(); ++k) {
      const TileInstr& in = program_.instrs[k];
      for (int s = 0; s < num_sources(in.op); ++s) {
        PLIMSOLL_ASSERT(in.src[s] < first_result() + k);
        out_.values[in.src[s]].last_use = static_cast<int32_t>(k);
        out_.values[in.src[s]].read = true;
      }
    }
    for (size_t o = 0; o < program_.outputs.size(); ++o) {
      TileValue& v = out_.values[program_.outputs[o]];
      if (v.last_use != kLivesOn && may_be_direct(o)) {
        v.output = static_cast<int32_t>(o);
        out_.stores[o].in_place = true;
      }
      out_.stores[o].value = program_.outputs[o];
      v.last_use = kLivesOn;
    }
    // Only now are all last uses known: an output may not be written over an input still read.
    for (size_t o = 0; o < program_.outputs.size(); ++o) {
      TileStore& store = out_.stores[o];
      if (!store.in_place || !overwrites_live_input(o)) continue;
      store.in_place = false;
      out_.values[store.value].output = -1;
    }
  }

  bool may_be_direct(size_t o) const {
    const uint16_t v = program_.outputs[o];
    return setting_.direct_outputs && v >= first_result() &&
           (raw_ || !is_narrow(out_.values[v].dtype));
  }

  bool overwrites_live_input(size_t o) const {
    const auto written = static_cast<int32_t>(program_.outputs[o] - first_result());
    for (size_t i = 0; i < setting_.inputs.size(); ++i)
      if (setting_.inputs[i].data == setting_.outputs[o].data && out_.values[i].last_use > written)
        return true;
    return false;
  }

  // An output that is an input is stored last: if another output lies over it, copy it first.
  void protect_outputs_of_inputs() {
    for (size_t o = 0; o < program_.outputs.size(); ++o) {
      const uint16_t v = program_.outputs[o];
      if (v >= setting_.inputs.size() || out_.operands[v].access != TileAccess::kDirect) continue;
      for (size_t other = 0; other < setting_.outputs.size(); ++other)
        if (other != o && setting_.outputs[other].data == setting_.inputs[v].data)
          out_.operands[v].access = TileAccess::kGather;
    }
  }

  TileStep& new_step() { return out_.steps[num_steps_++] = TileStep(); }

  // Inputs that are not read in place are brought to a slot before their first reader.
  void load(uint16_t v) {
    if (v >= program_.inputs.size()) return;
    TileValue& value = out_.values[v];
    const TileAccess access = out_.operands[v].access;
    const bool widens = is_narrow(value.dtype) && !raw_;
    if (access == TileAccess::kKey || value.slot != kNoSlot) return;
    if (access != TileAccess::kGather && !widens) return;
    TileStep& step = new_step();
    step.kind = TileStep::Kind::kLoad;
    step.gathers = access == TileAccess::kGather;
    step.single = access == TileAccess::kSplat;
    step.dst = v;
    if (widens) step.kernel = setting_.table->widen[static_cast<int>(value.dtype)];
    value.slot = slots_.take();
  }

  void add_instr(size_t k) {
    const TileInstr& in = program_.instrs[k];
    const int sources = num_sources(in.op);
    if (!is_index_op(in.op))
      for (int s = 0; s < sources; ++s) load(in.src[s]);
    TileStep& step = new_step();
    step.kind = is_index_op(in.op) ? TileStep::Kind::kIndex : TileStep::Kind::kCompute;
    step.instr = static_cast<uint16_t>(k);
    step.num_src = static_cast<uint8_t>(sources);
    step.kernel = find_kernel(*setting_.table, in, raw_);
    PLIMSOLL_CHECK(step.kernel, TypeError,
                   "[tile program] expected an op with a CPU kernel, got op {} on {} giving {}; "
                   "cast its operands first",
                   static_cast<int>(in.op), name_of(in.in_dtype), name_of(in.dtype));
    for (int s = 0; s < sources; ++s) {
      step.src[s] = in.src[s];
      if (out_.values[in.src[s]].splat) step.splat |= 1u << s;
    }
    step.dst = static_cast<uint16_t>(first_result() + k);
    if (step.kind == TileStep::Kind::kCompute && step.splat == (1u << sources) - 1) {
      step.single = true;
      step.splat = 0;
    }
    TileValue& value = out_.values[step.dst];
    value.splat = step.single;
    if (is_narrow(in.dtype) && !raw_ && value.read && !keeps_precision(in.op))
      step.round = setting_.table->round[static_cast<int>(in.dtype)];
    place(k, sources);
    join_to_last(k);
  }

  // One step in place of two where this one alone reads what the one before it makes. Nothing was
  // loaded in between, so the sources of both are still there.
  void join_to_last(size_t k) {
    if (k == 0 || num_steps_ < 2) return;
    TileStep &first = out_.steps[num_steps_ - 2], &second = out_.steps[num_steps_ - 1];
    const TileInstr &a = program_.instrs[k - 1], &b = program_.instrs[k];
    if (first.kind != TileStep::Kind::kCompute || first.instr != k - 1 || first.round) return;
    if (first.single || second.single) return;
    if (!TileTable::may_pair(a.op) || !TileTable::may_pair(b.op) || first.num_src != 2) return;
    if (compute_dtype(a.in_dtype) != Dtype::kFloat32 ||
        compute_dtype(b.in_dtype) != Dtype::kFloat32)
      return;
    const bool on_right = b.src[1] == first.dst;
    if (on_right == (b.src[0] == first.dst)) return;    // not read, or as both operands
    if (out_.values[first.dst].last_use != -1) return;  // given back: this was its last reader
    const int other = on_right ? 0 : 1;
    TileStep joined = second;
    joined.kernel = setting_.table->pairs[TileTable::pair_index(a.op, b.op, on_right)];
    joined.num_src = 3;
    joined.src[0] = first.src[0];
    joined.src[1] = first.src[1];
    joined.src[2] = second.src[other];
    joined.splat = (first.splat & 3) | (second.splat >> other & 1) << 2;
    first = joined;
    --num_steps_;
  }

  void place(size_t k, int sources) {
    const TileInstr& in = program_.instrs[k];
    TileValue& value = out_.values[first_result() + k];
    if (value.splat && value.output >= 0) {
      out_.stores[value.output].in_place = false;
      value.output = -1;
    }
    // The result may take the slot of an operand that dies here only where kernels allow it: they
    // do for elements as wide, so the operands' slots are given back after the result has its own.
    if (value.output < 0) value.slot = slots_.take();
    for (int s = 0; s < sources; ++s) {
      TileValue& from = out_.values[in.src[s]];
      if (from.slot == kNoSlot || from.last_use != static_cast<int32_t>(k)) continue;
      slots_.give_back(from.slot);
      from.last_use = -1;  // once, where it is named twice
    }
    if (value.slot != kNoSlot && value.last_use < 0) slots_.give_back(value.slot);
  }

  void add_store(size_t o) {
    TileStore& store = out_.stores[o];
    if (store.in_place) return;
    const TileValue& value = out_.values[store.value];
    load(store.value);
    if (is_narrow(value.dtype) && !raw_)
      store.narrow = setting_.table->narrow[static_cast<int>(value.dtype)];
  }

  size_t first_result() const { return program_.inputs.size() + program_.constants.size(); }

  const TileProgram& program_;
  const TileSetting& setting_;
  DecodedTiles& out_;
  Slots slots_;
  bool raw_;
  size_t num_steps_ = 0;
};

size_t most_steps(const TileProgram& p) { return p.inputs.size() + p.instrs.size(); }

void mark_keys(const TileProgram& program, std::span<TileOperand> operands) {
  for (const TileInstr& in : program.instrs)
    if (in.op == TileOp::kRandomBits) {
      PLIMSOLL_ASSERT(in.src[0] < operands.size());
      operands[in.src[0]].access = TileAccess::kKey;
    }
}

}  // namespace

int num_sources(TileOp op) {
  if (op == TileOp::kIota) return 0;
  if (op < TileOp::kAdd) return 1;
  return op < TileOp::kSelect ? 2 : 3;
}

bool only_moves(const TileProgram& program) {
  return std::all_of(program.instrs.begin(), program.instrs.end(), [](const TileInstr& in) {
    return in.op == TileOp::kCopy || in.op == TileOp::kSelect;
  });
}

TileKernel find_kernel(const TileTable& table, const TileInstr& in, bool raw) {
  if (raw) return table.find(in.op, in.in_dtype);
  if (in.op == TileOp::kCast)
    return table.cast(compute_dtype(in.in_dtype), compute_dtype(in.dtype));
  if (is_index_op(in.op)) return table.find(in.op, compute_dtype(in.dtype));
  return table.find(in.op, compute_dtype(in.in_dtype));
}

void write_constant(const TileTable& table, const TileConstant& constant, bool raw, void* cell) {
  std::memset(cell, 0, kCellBytes);
  if (constant.dtype == Dtype::kComplex64) {
    const float parts[2] = {static_cast<float>(constant.real), static_cast<float>(constant.imag)};
    std::memcpy(cell, parts, sizeof(parts));
  } else if (constant.dtype == Dtype::kFloat64) {
    std::memcpy(cell, &constant.real, sizeof(double));
  } else if (is_floating(constant.dtype)) {
    const float value = static_cast<float>(constant.real);
    std::memcpy(cell, &value, sizeof(value));
    if (!is_narrow(constant.dtype)) return;
    const auto t = static_cast<size_t>(constant.dtype);
    const TileCall call{{&value, nullptr, nullptr}, cell, 1, 0, 0, 1, {0, 0}, {}};
    (raw ? table.narrow[t] : table.round[t])(call);
  } else if (constant.dtype == Dtype::kBool) {
    const uint8_t value = constant.integer != 0;
    std::memcpy(cell, &value, 1);
  } else {
    std::memcpy(cell, &constant.integer, size_of(constant.dtype));  // little endian
  }
}

size_t slot_bytes_of(const TileProgram& program) {
  size_t size = 4;
  for (Dtype t : program.inputs) size = std::max(size, size_of(t));
  for (const TileInstr& in : program.instrs) size = std::max(size, size_of(in.dtype));
  return size * kTileElements;
}

size_t decoded_bytes(const TileProgram& p) {
  const size_t bytes = p.inputs.size() * sizeof(TileOperand) + num_values(p) * sizeof(TileValue) +
                       most_steps(p) * sizeof(TileStep) + p.outputs.size() * sizeof(TileStore) +
                       p.constants.size() * kCellBytes + num_values(p) * sizeof(int32_t);
  return bytes + 7 * 64;
}

size_t worker_bytes(const TileProgram& program, size_t num_slots, size_t slot_bytes) {
  const size_t table = num_values(program) * sizeof(std::byte*);
  return (table + 63) / 64 * 64 + num_slots * slot_bytes;
}

DecodedTiles lay_out(const TileProgram& p, std::byte* memory) {
  DecodedTiles d;
  d.operands = {take<TileOperand>(&memory, p.inputs.size()), p.inputs.size()};
  d.values = {take<TileValue>(&memory, num_values(p)), num_values(p)};
  d.steps = {take<TileStep>(&memory, most_steps(p)), most_steps(p)};
  d.stores = {take<TileStore>(&memory, p.outputs.size()), p.outputs.size()};
  d.constants = take<std::byte>(&memory, p.constants.size() * kCellBytes);
  d.slot_bytes = slot_bytes_of(p);
  mark_keys(p, d.operands);
  return d;
}

void decode(const TileProgram& program, const TileSetting& setting, DecodedTiles* out) {
  auto* after =
      reinterpret_cast<std::byte*>(out->constants) + program.constants.size() * kCellBytes;
  auto* free = reinterpret_cast<int32_t*>((reinterpret_cast<uintptr_t>(after) + 63) / 64 * 64);
  Decoder(program, setting, out, {free, num_values(program)}).run();
}

size_t most_slots(const TileProgram& program, const TileTable& table) {
  std::vector<std::byte> memory(decoded_bytes(program) + 64);
  auto* aligned =
      reinterpret_cast<std::byte*>((reinterpret_cast<uintptr_t>(memory.data()) + 63) / 64 * 64);
  DecodedTiles d = lay_out(program, aligned);
  for (TileOperand& o : d.operands)
    if (o.access != TileAccess::kKey) o.access = TileAccess::kGather;
  decode(program, {.table = &table, .inputs = {}, .outputs = {}, .direct_outputs = false}, &d);
  return d.num_slots;
}

}  // namespace plimsoll::cpu
