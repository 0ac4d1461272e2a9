// Shared by the tests of tile programs: arrays with a layout, programs built in a line, runs.
#pragma once

#include <cstring>
#include <initializer_list>
#include <new>
#include <vector>

#include "backends/cpu/tile_interpreter.h"
#include "device/kernel.h"
#include "opset/tile_program.h"

namespace plimsoll::cpu::testing {

struct C64 {
  float re, im;
  friend bool operator==(const C64&, const C64&) = default;
};

inline Strides row_major_of(const Shape& shape) {
  Strides s(shape.size());
  int64_t step = 1;
  for (size_t i = shape.size(); i-- > 0;) s[i] = step, step *= shape[i];
  return s;
}

inline device::Tensor tensor(void* data, Dtype dtype, const Shape& shape, const Strides& strides) {
  device::Tensor t;
  t.data = data, t.dtype = dtype, t.shape = shape, t.strides = strides;
  return t;
}
inline device::Tensor tensor(void* data, Dtype dtype, const Shape& shape) {
  return tensor(data, dtype, shape, row_major_of(shape));
}

// A workspace of exactly the size asked for, 64-byte aligned, with guard bytes behind it.
class Workspace {
 public:
  explicit Workspace(size_t bytes) : bytes_(bytes), data_(bytes + 128, std::byte{0xa5}) {}
  std::span<std::byte> span() {
    const auto address = reinterpret_cast<uintptr_t>(data_.data());
    begin_ = (64 - address % 64) % 64;
    return {data_.data() + begin_, bytes_};
  }
  bool guard_is_whole() const {
    for (size_t i = begin_ + bytes_; i < data_.size(); ++i)
      if (data_[i] != std::byte{0xa5}) return false;
    return true;
  }

 private:
  size_t bytes_, begin_ = 0;
  std::vector<std::byte> data_;
};

/// False where the run wrote past its workspace.
inline bool run(const TileProgram& program, std::vector<device::Tensor> inputs,
                std::vector<device::Tensor> outputs, TileOptions options = {},
                const TileOrigin* origin = nullptr) {
  Workspace workspace(program_workspace(program, options.num_threads));
  run_program(program, inputs, outputs, workspace.span(), origin, options);
  return workspace.guard_is_whole();
}

/// Builds programs: inputs first, then constants, then ops; each call gives a tile number.
class Builder {
 public:
  uint16_t input(Dtype t) {
    program_.inputs.push_back(t);
    return next_++;
  }
  uint16_t constant(Dtype t, double real, double imag = 0) {
    program_.constants.push_back({t, real, imag, static_cast<int64_t>(real)});
    return next_++;
  }
  uint16_t op(TileOp op, Dtype in, Dtype out, std::initializer_list<uint16_t> src) {
    TileInstr instr{};
    instr.op = op, instr.in_dtype = in, instr.dtype = out, instr.dst = next_;
    std::copy(src.begin(), src.end(), instr.src);
    program_.instrs.push_back(instr);
    return next_++;
  }
  uint16_t op(TileOp o, Dtype t, std::initializer_list<uint16_t> src) { return op(o, t, t, src); }
  TileInstr& last() { return program_.instrs.back(); }
  TileProgram& program() { return program_; }
  TileProgram& output(std::initializer_list<uint16_t> tiles) {
    program_.outputs.assign(tiles.begin(), tiles.end());
    return program_;
  }

 private:
  TileProgram program_;
  uint16_t next_ = 0;
};

/// One op on inputs of one dtype (kSelect: with a bool before them).
inline TileProgram one_op(TileOp op, Dtype in, Dtype out, int sources) {
  Builder b;
  std::vector<uint16_t> src;
  for (int s = 0; s < sources; ++s)
    src.push_back(b.input(op == TileOp::kSelect && s == 0 ? Dtype::kBool : in));
  TileInstr instr{};
  instr.op = op, instr.in_dtype = in, instr.dtype = out;
  instr.dst = static_cast<uint16_t>(sources);
  std::copy(src.begin(), src.end(), instr.src);
  b.program().instrs.push_back(instr);
  b.program().outputs = {instr.dst};
  return b.program();
}

}  // namespace plimsoll::cpu::testing
