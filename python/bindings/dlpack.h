// DLPack: arrays exchanged with other libraries without a copy.
#pragma once

#include <nanobind/nanobind.h>

#include <optional>

#include "plimsoll/array.h"

namespace plimsoll::python {

/// A copy of what an object with __dlpack__, or a capsule, shows. float64 becomes float32 and
/// complex128 complex64 unless `dtype` says otherwise.
array from_dlpack(nanobind::handle o, std::optional<Dtype> dtype = std::nullopt);

void bind_dlpack(nanobind::module_& m);

}  // namespace plimsoll::python
