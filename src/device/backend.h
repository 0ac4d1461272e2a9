// What a backend implements. Only runtime/context.cpp names a concrete one.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "device/kernel.h"
#include "opset/tile_program.h"

namespace plimsoll::device {

class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string name() const = 0;
  virtual const KernelTable& kernels() const = 0;
  /// True where the program's ops exist for its dtypes.
  virtual bool supports(TileOp op, Dtype in, Dtype out) const = 0;
  /// Scratch of one run of the program (all workers together).
  virtual size_t program_workspace(const TileProgram& program) const = 0;
  /// Runs the program. All operands have the outputs' shape (0 strides where broadcast), except the
  /// key of random bits. Outputs are row-contiguous. An output may be the very bytes of an input of
  /// the same shape, strides and element size. `origin` is null where the call covers everything.
  virtual void run_program(const TileProgram& program, std::span<const Tensor> inputs,
                           std::span<const Tensor> outputs, std::span<std::byte> workspace,
                           const TileOrigin* origin) = 0;
  /// Runs `work` inside the backend's thread arena.
  virtual void execute(void (*work)(void*), void* context) = 0;
  virtual int num_threads() const = 0;
  /// Asked between tiles of long kernels: true ends the step with Interrupted.
};

}  // namespace plimsoll::device
