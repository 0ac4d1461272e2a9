// The safetensors format: the length of a JSON header, the header, the bytes of the arrays.
#pragma once

#include <string>
#include <vector>

#include "io/region.h"
#include "plimsoll/io.h"

namespace plimsoll::io {

struct SafetensorsEntry {
  std::string name;
  Dtype dtype = Dtype::kFloat32;
  Shape shape;
  uint64_t begin = 0;  // offsets in the data
  uint64_t end = 0;
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;  // in the order of the header
  FileMetadata metadata;
  uint64_t data = 0;  // offset of the data in the region
};

/// Every entry's range is inside the region, as long as its shape says, and apart from the others.
/// Raises ValueError, saying what was expected and what came.
SafetensorsHeader read_safetensors_header(const Region& region);
Safetensors load_safetensors(const Region& region);

/// The text for these arrays, in the order of `entries`, whose offsets it sets: larger items first,
/// so that each is aligned to its own size.
std::string safetensors_header(std::vector<SafetensorsEntry>& entries,
                               const FileMetadata& metadata);
/// Entries of arrays, without offsets.
std::vector<SafetensorsEntry> entries_of(const NamedArrays& arrays);

}  // namespace plimsoll::io
