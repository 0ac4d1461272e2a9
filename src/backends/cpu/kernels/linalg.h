#pragma once

#include "device/kernel.h"

namespace plimsoll::cpu {

/// Adds the kernels of opset/linalg.h.
void add_linalg_kernels(device::KernelTable& table);

}  // namespace plimsoll::cpu
