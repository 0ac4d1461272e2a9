#pragma once

#include "device/kernel.h"

namespace plimsoll::cpu {

/// Adds the kernels of opset/scatter.h.
void add_scatter_kernels(device::KernelTable& table);

}  // namespace plimsoll::cpu
