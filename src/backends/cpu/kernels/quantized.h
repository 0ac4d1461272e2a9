#pragma once

#include "device/kernel.h"

namespace plimsoll::cpu {

/// Adds the kernel of opset/quantize.h.
void add_quantized_kernels(device::KernelTable& table);

}  // namespace plimsoll::cpu
