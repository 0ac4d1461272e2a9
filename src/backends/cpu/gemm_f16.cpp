#include "backends/cpu/gemm.h"
#include "backends/cpu/gemm_block.h"
#include "backends/cpu/gemm_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backends/cpu/gemm_f16.cpp"
#include <hwy/foreach_target.h>

#include "backends/cpu/gemm_half-inl.h"

HWY_BEFORE_NAMESPACE();
namespace plimsoll::cpu::gemm_internal::HWY_NAMESPACE {

struct F16Type {
  using T = float;
  using Source = WideF16Source;
  using Op = FmaOp;
  static constexpr int64_t kUnit = 1;
  static constexpr int64_t kPanel = kPanelK;
};

Kernels f16_kernels_here() {
  Kernels kernels = kernels_of<F16Type>();
  kernels.round = &round_to_f16;
  return kernels;
}

}  // namespace plimsoll::cpu::gemm_internal::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace plimsoll::cpu::gemm_internal {

HWY_EXPORT(f16_kernels_here);
Kernels f16_kernels() { return HWY_DYNAMIC_DISPATCH(f16_kernels_here)(); }

}  // namespace plimsoll::cpu::gemm_internal
#endif
