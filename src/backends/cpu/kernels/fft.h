// Fourier transforms.
#pragma once

#include "device/kernel.h"

namespace plimsoll::cpu {

void add_fft_kernels(device::KernelTable& table);

}  // namespace plimsoll::cpu
