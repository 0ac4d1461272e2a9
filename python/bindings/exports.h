// Bytes of an array that somebody outside holds: the buffer protocol's and DLPack's views.
#pragma once

#include <Python.h>

#include <cstddef>
#include <memory>
#include <vector>

#include "memory/buffer.h"
#include "plimsoll/array.h"

namespace plimsoll::python {

/// What a view holds: the bytes stay resident, and cannot be donated, until it is released.
struct Export {
  array held;
  memory::ExportPin pin;
  std::vector<std::byte> copy;             // of a constant, which has no bytes of its own
  std::vector<Py_ssize_t> shape, strides;  // strides in bytes
  std::byte* data = nullptr;
};

/// Evaluates, and pins the bytes for `user`, whom memory_report() names. Call without the GIL.
/// Throws MemoryLimitError where there is no room.
std::unique_ptr<Export> make_export(const array& a, const char* user);

}  // namespace plimsoll::python
