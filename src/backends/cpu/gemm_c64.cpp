#include "backends/cpu/gemm.h"
#include "backends/cpu/gemm_block.h"
#include "backends/cpu/gemm_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backends/cpu/gemm_c64.cpp"
#include <hwy/foreach_target.h>

#include "backends/cpu/gemm_block-inl.h"

HWY_BEFORE_NAMESPACE();
namespace plimsoll::cpu::gemm_internal::HWY_NAMESPACE {

struct C64Type {
  using T = float;
  using Source = PlainSource<uint64_t>;
  using Op = FmaOp;
  static constexpr int64_t kUnit = 2;
  static constexpr int64_t kPanel = kPanelK;
};

Kernels c64_kernels_here() { return kernels_of<C64Type>(); }

}  // namespace plimsoll::cpu::gemm_internal::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace plimsoll::cpu::gemm_internal {

HWY_EXPORT(c64_kernels_here);
Kernels c64_kernels() { return HWY_DYNAMIC_DISPATCH(c64_kernels_here)(); }

}  // namespace plimsoll::cpu::gemm_internal
#endif
