#pragma once

#include "device/kernel.h"

namespace plimsoll::cpu {

/// Adds the kernels of opset/attention.h.
void add_attention_kernels(device::KernelTable& table);

}  // namespace plimsoll::cpu
