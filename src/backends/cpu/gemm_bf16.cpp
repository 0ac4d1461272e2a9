#include <cpuid.h>

#include "backends/cpu/gemm.h"
#include "backends/cpu/gemm_block.h"
#include "backends/cpu/gemm_targets.h"
#include "base/platform_linux.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backends/cpu/gemm_bf16.cpp"
#include <hwy/foreach_target.h>

#include "backends/cpu/gemm_amx-inl.h"
#include "backends/cpu/gemm_half-inl.h"

HWY_BEFORE_NAMESPACE();
namespace plimsoll::cpu::gemm_internal::HWY_NAMESPACE {

struct WideBF16Type {
  using T = float;
  using Source = WideBF16Source;
  using Op = FmaOp;
  static constexpr int64_t kUnit = 1;
  static constexpr int64_t kPanel = kPanelKBF16;
};

#if HWY_TARGET == HWY_AVX3
/// True where the CPU has AMX for bfloat16 and the system lets this process use it.
bool can_use_amx() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  constexpr unsigned kAmx = 1u << 22 | 1u << 24;  // AMX-BF16, AMX-TILE
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & kAmx) == kAmx &&
         platform::allow_amx_tiles();
}

/// Adds two products of bfloat16 to each sum; this Highway has no target with the instruction.
struct DotOp {
  template <class V>
  static HWY_INLINE V step(V a, V b, V sum) {
    asm("vdpbf16ps %2, %1, %0" : "+v"(sum.raw) : "v"(a.raw), "v"(b.raw));
    return sum;
  }
};

struct PairBF16Type : WideBF16Type {
  using Source = PairBF16Source;
  using Op = DotOp;
};

Kernels fastest_bf16() {
  static const bool kAmx = can_use_amx();
  if (kAmx) return amx_kernels();
  return __builtin_cpu_supports("avx512bf16") ? kernels_of<PairBF16Type>()
                                              : kernels_of<WideBF16Type>();
}
#else
Kernels fastest_bf16() { return kernels_of<WideBF16Type>(); }
#endif

Kernels bf16_kernels_here() {
  Kernels kernels = fastest_bf16();
  kernels.round = &round_to_bf16;
  return kernels;
}

}  // namespace plimsoll::cpu::gemm_internal::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace plimsoll::cpu::gemm_internal {

HWY_EXPORT(bf16_kernels_here);
Kernels bf16_kernels() { return HWY_DYNAMIC_DISPATCH(bf16_kernels_here)(); }

}  // namespace plimsoll::cpu::gemm_internal
#endif
