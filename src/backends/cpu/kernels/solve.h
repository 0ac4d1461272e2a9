// Inverses and systems of equations.
#pragma once

#include "device/kernel.h"

namespace plimsoll::cpu {

void add_solve_kernels(device::KernelTable& table);

}  // namespace plimsoll::cpu
