#pragma once

#include "device/kernel.h"

namespace plimsoll::cpu {

/// Adds the kernels of opset/softmax.h.
void add_softmax_kernels(device::KernelTable& table);

}  // namespace plimsoll::cpu
