#pragma once

#include "device/kernel.h"

namespace plimsoll::cpu {

/// Adds the kernels of opset/concat.h.
void add_concat_kernels(device::KernelTable& table);

}  // namespace plimsoll::cpu
