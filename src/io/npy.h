// NumPy's file of one array (numpy.lib.format, versions 1 to 3).
#pragma once

#include <string>

#include "io/region.h"

namespace plimsoll::io {

struct NpyHeader {
  Dtype dtype = Dtype::kFloat32;
  bool big_endian = false;
  bool fortran_order = false;
  Shape shape;
  uint64_t data = 0;   // offset of the elements in the region
  uint64_t bytes = 0;  // of the elements; they are inside the region
};

/// Raises ValueError, saying what was expected and what came.
NpyHeader read_npy_header(const Region& region);
/// The array of the region, whose bytes behind it are ignored.
array load_npy(const Region& region);
/// What goes before the row-major elements.
std::string npy_header(Dtype dtype, const Shape& shape);

}  // namespace plimsoll::io
