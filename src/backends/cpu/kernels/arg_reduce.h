#pragma once

#include "device/kernel.h"

namespace plimsoll::cpu {

/// Adds the kernels of opset/arg_reduce.h.
void add_arg_reduce_kernels(device::KernelTable& table);

}  // namespace plimsoll::cpu
