// The GGUF format, versions 2 and 3, little-endian (ggml's docs/gguf.md): metadata, descriptions of
// tensors, the tensors on multiples of an alignment.
#pragma once

#include <string>
#include <vector>

#include "io/region.h"
#include "io/save.h"
#include "plimsoll/io.h"

namespace plimsoll::io {

/// Raises ValueError, saying what was expected and what came.
Gguf load_gguf(const Region& region);

/// What goes before the arrays, and where each of them starts behind it.
struct GgufHeader {
  std::string text;
  std::vector<uint64_t> begins;
  uint64_t bytes = 0;  // of the arrays, with the gaps between them
};
GgufHeader gguf_header(const NamedArrays& arrays, const GgufMetadata& metadata);

}  // namespace plimsoll::io
