#include "backends/cpu/gemm.h"
#include "backends/cpu/gemm_block.h"
#include "backends/cpu/gemm_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backends/cpu/gemm_f32.cpp"
#include <hwy/foreach_target.h>

#include "backends/cpu/gemm_block-inl.h"

HWY_BEFORE_NAMESPACE();
namespace plimsoll::cpu::gemm_internal::HWY_NAMESPACE {

struct F32Type {
  using T = float;
  using Source = PlainSource<uint32_t>;
  using Op = FmaOp;
  static constexpr int64_t kUnit = 1;
  static constexpr int64_t kPanel = kPanelK;
};

Kernels f32_kernels_here() { return kernels_of<F32Type>(); }

}  // namespace plimsoll::cpu::gemm_internal::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace plimsoll::cpu::gemm_internal {

HWY_EXPORT(f32_kernels_here);
Kernels f32_kernels() { return HWY_DYNAMIC_DISPATCH(f32_kernels_here)(); }

}  // namespace plimsoll::cpu::gemm_internal
#endif
