// The CPU targets that kernels are built for: SSE4 (the least CPU supported), AVX2 and AVX-512.
// Include before any Highway header.
#pragma once

#define HWY_BASELINE_TARGETS HWY_SSE4
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_AVX3_DL)
