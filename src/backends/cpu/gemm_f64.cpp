#include "backends/cpu/gemm.h"
#include "backends/cpu/gemm_block.h"
#include "backends/cpu/gemm_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backends/cpu/gemm_f64.cpp"
#include <hwy/foreach_target.h>

#include "backends/cpu/gemm_block-inl.h"

HWY_BEFORE_NAMESPACE();
namespace plimsoll::cpu::gemm_internal::HWY_NAMESPACE {

struct F64Type {
  using T = double;
  using Source = PlainSource<uint64_t>;
  using Op = FmaOp;
  static constexpr int64_t kUnit = 1;
  static constexpr int64_t kPanel = kPanelK;
};

Kernels f64_kernels_here() { return kernels_of<F64Type>(); }

}  // namespace plimsoll::cpu::gemm_internal::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace plimsoll::cpu::gemm_internal {

HWY_EXPORT(f64_kernels_here);
Kernels f64_kernels() { return HWY_DYNAMIC_DISPATCH(f64_kernels_here)(); }

}  // namespace plimsoll::cpu::gemm_internal
#endif
