#pragma once

#include "device/kernel.h"

namespace plimsoll::cpu {

/// Adds the kernels of opset/gather_mm.h.
void add_gather_mm_kernels(device::KernelTable& table);

}  // namespace plimsoll::cpu
