// A part of a file, and arrays out of it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/shape.h"
#include "memory/file.h"
#include "plimsoll/array.h"
#include "plimsoll/dtype.h"

namespace plimsoll::io {

/// More dimensions than any file of numbers has; a bound for code that recurses over axes.
inline constexpr size_t kMaxDims = 64;
/// Data from this size on starts on a whole block, so that it can pass by the page cache.
inline constexpr uint64_t kLargeData = 1 << 20;
inline constexpr uint64_t kBlock = 4096;

/// [begin, end) of a file; nothing outside is read.
struct Region {
  std::shared_ptr<memory::File> file;
  uint64_t begin = 0;
  uint64_t end = 0;
  std::string name;  // for errors
  bool lazy = true;  // false: the file cannot be read again, so arrays are read now

  uint64_t size() const { return end - begin; }
  /// Bytes at an offset from `begin`. REQUIRES: inside the region.
  void read(std::span<std::byte> to, uint64_t offset) const;
};

/// The whole file. Raises IoError.
Region open_region(const std::string& path);

/// Bytes of an array, or ValueError where the shape is not one that an array can have.
uint64_t checked_bytes(const Shape& shape, Dtype dtype, const std::string& name);

/// How the bytes of a file that has this dtype in this order become ours.
memory::Decode decode_of(Dtype dtype, bool big_endian);

/// The array at an offset of the region. REQUIRES: its bytes are inside.
array array_at(const Region& region, uint64_t offset, const Shape& shape, Dtype dtype,
               memory::Decode decode, bool fortran_order = false);

/// Text for an error: printable, at most `most` characters.
std::string quote(std::string_view text, size_t most = 60);

}  // namespace plimsoll::io
