#pragma once

#include "device/kernel.h"

namespace plimsoll::cpu {

/// Adds the kernels of opset/norm.h.
void add_norm_kernels(device::KernelTable& table);

}  // namespace plimsoll::cpu
