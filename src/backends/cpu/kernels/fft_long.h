// Transforms of lines that are too long for a cache: as a matrix, columns and then rows (Bailey
// 1990), so that memory is passed through twice and not once a radix.
#pragma once

#include <cstddef>
#include <cstdint>

#include "device/kernel.h"

namespace plimsoll::cpu::fft {

/// True for lengths that run_long takes: which way a line goes depends on its length alone.
bool is_long(int64_t n);
/// In bytes.
size_t long_workspace(int64_t n);
/// REQUIRES: is_long(the length along the transform's axis).
void run_long(const device::KernelArgs& args);

}  // namespace plimsoll::cpu::fft
