// Convolution.
#pragma once

#include "device/kernel.h"

namespace plimsoll::cpu {

void add_conv_kernels(device::KernelTable& table);

}  // namespace plimsoll::cpu
