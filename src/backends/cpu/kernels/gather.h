#pragma once

#include "device/kernel.h"

namespace plimsoll::cpu {

/// Adds the kernels of opset/gather.h.
void add_gather_kernels(device::KernelTable& table);

}  // namespace plimsoll::cpu
