#include "backends/cpu/backend.h"

#include <oneapi/tbb/task_arena.h>

#include "backends/cpu/kernels/arg_reduce.h"
#include "backends/cpu/kernels/attention.h"
#include "backends/cpu/kernels/concat.h"
#include "backends/cpu/kernels/conv.h"
#include "backends/cpu/kernels/factor.h"
#include "backends/cpu/kernels/fft.h"
#include "backends/cpu/kernels/gather.h"
#include "backends/cpu/kernels/gather_mm.h"
#include "backends/cpu/kernels/linalg.h"
#include "backends/cpu/kernels/matmul.h"
#include "backends/cpu/kernels/norm.h"
#include "backends/cpu/kernels/quantized.h"
#include "backends/cpu/kernels/reduce.h"
#include "backends/cpu/kernels/scan.h"
#include "backends/cpu/kernels/scatter.h"
#include "backends/cpu/kernels/softmax.h"
#include "backends/cpu/kernels/solve.h"
#include "backends/cpu/kernels/sort.h"
#include "backends/cpu/tile_interpreter.h"

namespace plimsoll::cpu {
namespace {

class CpuBackend final : public device::Backend {
 public:
  explicit CpuBackend(const BackendOptions& options)
      : arena_(options.threads > 0 ? options.threads : tbb::task_arena::automatic) {
    arena_.initialize();
    add_arg_reduce_kernels(kernels_);
    add_attention_kernels(kernels_);
    add_concat_kernels(kernels_);
    add_conv_kernels(kernels_);
    add_factor_kernels(kernels_);
    add_fft_kernels(kernels_);
    add_gather_kernels(kernels_);
    add_gather_mm_kernels(kernels_);
    add_linalg_kernels(kernels_);
    add_matmul_kernels(kernels_);
    add_norm_kernels(kernels_);
    add_quantized_kernels(kernels_);
    add_reduce_kernels(kernels_);
    add_scan_kernels(kernels_);
    add_scatter_kernels(kernels_);
    add_softmax_kernels(kernels_);
    add_solve_kernels(kernels_);
    add_sort_kernels(kernels_);
  }

  std::string name() const override { return "cpu"; }
  const device::KernelTable& kernels() const override { return kernels_; }
  bool supports(TileOp op, Dtype in, Dtype out) const override {
    return cpu::supports(op, in, out);
  }
  size_t program_workspace(const TileProgram& program) const override {
    return cpu::program_workspace(program, num_threads());
  }
  void run_program(const TileProgram& program, std::span<const device::Tensor> inputs,
                   std::span<const device::Tensor> outputs, std::span<std::byte> workspace,
                   const TileOrigin* origin) override {
    cpu::run_program(program, inputs, outputs, workspace, origin, {.num_threads = num_threads()});
  }
  void execute(void (*work)(void*), void* context) override {
    arena_.execute([&] {
      ScopedFloatMode mode;
      work(context);
    });
  }
  int num_threads() const override { return arena_.max_concurrency(); }

 private:
  mutable tbb::task_arena arena_;
  device::KernelTable kernels_;
};

}  // namespace

std::unique_ptr<device::Backend> make_backend(const BackendOptions& options) {
  return std::make_unique<CpuBackend>(options);
}

}  // namespace plimsoll::cpu
