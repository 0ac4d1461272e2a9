#pragma once

#include "device/kernel.h"

namespace plimsoll::cpu {

/// Adds the kernels of opset/reduce.h.
void add_reduce_kernels(device::KernelTable& table);

}  // namespace plimsoll::cpu
