// Transforms of lines that are too long for a cache: as a matrix, columns and then rows (Bailey
// 1990), so that memory is passed through twice and not once a radix.
#pragma once

#include <cstddef>
#include <cstdint>

#include "backends/cpu/kernels/fft_transform.h"
#include "device/kernel.h"

namespace plimsoll::cpu::fft {

/// True for lengths that run_long takes: which way a line goes depends on its length alone.
bool is_long(int64_t n);
/// In bytes.
size_t long_workspace(Form form, int64_t n);
/// Lines of n complex numbers, or pairs. REQUIRES: is_long(n).
void run_long(const device::KernelArgs& args, Form form, int64_t n);

}  // namespace plimsoll::cpu::fft
