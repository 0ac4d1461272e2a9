// Reads strided elements of a buffer, resident or not, through a staging block of bounded size.
#pragma once

#include <span>

#include "core/shape.h"
#include "memory/spill_store.h"

namespace plimsoll::runtime {

/// Writes the elements of `layout` to `out` in row-major order. `staging` holds an element at
/// least; parts whose elements lie within its size are read at once.
void copy_strided(memory::SpillStore& store, const memory::BufferRef& buffer, const Shape& shape,
                  const Layout& layout, size_t item, std::span<std::byte> staging, std::byte* out);

}  // namespace plimsoll::runtime
