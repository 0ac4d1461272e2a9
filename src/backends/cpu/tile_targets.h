// Which CPU targets tile kernels are built for. Include before any Highway header.
#pragma once

// SSE4 is the baseline (see the compile options of tile_*.cpp in CMakeLists.txt), AVX2 and AVX-512
// are chosen at run time; nothing here gains from what lies between.
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_AVX3_DL)
