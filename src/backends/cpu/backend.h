// The CPU backend's factory.
#pragma once

#include <memory>

#include "device/backend.h"

namespace plimsoll::cpu {

struct BackendOptions {
  int threads = 0;  // 0: as many as the process may run on
};
std::unique_ptr<device::Backend> make_backend(const BackendOptions& options = {});

}  // namespace plimsoll::cpu
