#pragma once

#include "device/kernel.h"

namespace plimsoll::cpu {

/// Adds the kernel of opset/matmul.h.
void add_matmul_kernels(device::KernelTable& table);

}  // namespace plimsoll::cpu
