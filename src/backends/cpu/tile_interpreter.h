// Runs tile programs on the CPU: see docs/design/0003-tile-programs.md.
#pragma once

#include <cstddef>
#include <span>

#include "backends/cpu/tile_kernels.h"
#include "device/kernel.h"
#include "opset/tile_program.h"

namespace plimsoll::cpu {

struct TileOptions {
  int num_threads = 1;
  /// The outputs will not be read soon: store them past the cache. Worth it from some 32 MB.
  bool stream_outputs = false;
  const TileTable* table = nullptr;  // null: that of this machine
};

/// True where the program's ops exist for these dtypes (of the operands and of the result).
bool supports(TileOp op, Dtype in, Dtype out);

/// Bytes that run_program needs with up to `num_threads` workers; the workspace is 64-byte aligned.
size_t program_workspace(const TileProgram& program, int num_threads);

/// As device::Backend::run_program. Runs on the calling thread where the work is small, else in
/// the oneTBB arena that the caller is in. The keys of random bits are row-contiguous.
void run_program(const TileProgram& program, std::span<const device::Tensor> inputs,
                 std::span<const device::Tensor> outputs, std::span<std::byte> workspace,
                 const TileOrigin* origin, const TileOptions& options);

/// Sets the floating-point mode that kernels count on (round to nearest even, denormals kept,
/// exceptions masked) and puts the caller's back.
class ScopedFloatMode {
 public:
  ScopedFloatMode();
  ~ScopedFloatMode();
  ScopedFloatMode(const ScopedFloatMode&) = delete;
  ScopedFloatMode& operator=(const ScopedFloatMode&) = delete;

 private:
  unsigned saved_;
};

}  // namespace plimsoll::cpu
