// Factorisations of matrices.
#pragma once

#include "device/kernel.h"

namespace plimsoll::cpu {

void add_factor_kernels(device::KernelTable& table);

}  // namespace plimsoll::cpu
