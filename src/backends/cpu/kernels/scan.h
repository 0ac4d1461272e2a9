#pragma once

#include "device/kernel.h"

namespace plimsoll::cpu {

/// Adds the kernels of opset/scan.h.
void add_scan_kernels(device::KernelTable& table);

}  // namespace plimsoll::cpu
