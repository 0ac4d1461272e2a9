#pragma once

#include "device/kernel.h"

namespace plimsoll::cpu {

/// Adds the kernels of opset/sort.h.
void add_sort_kernels(device::KernelTable& table);

}  // namespace plimsoll::cpu
