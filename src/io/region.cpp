#include "io/region.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "graph/node.h"
#include "graph/room.h"

namespace plimsoll::io {
namespace {

constexpr uint64_t kRequest = 4 << 20;

memory::BufferRef read_now(std::shared_ptr<memory::FileSource> source, uint64_t bytes) {
  graph::Room room = graph::make_room(bytes);
  for (uint64_t begin = 0; begin < bytes; begin += kRequest)
    source->read({room.pin.data() + begin, std::min(kRequest, bytes - begin)}, begin);
  return room.filled();
}

Strides column_major(const Shape& shape) {
  Strides strides(shape.size(), 1);
  for (size_t i = 1; i < shape.size(); ++i)
    strides[i] = strides[i - 1] * std::max<int64_t>(shape[i - 1], 1);
  return strides;
}

}  // namespace

void Region::read(std::span<std::byte> to, uint64_t offset) const {
  PLIMSOLL_ASSERT(offset <= size() && to.size() <= size() - offset);
  memory::read_exact(*file, to, begin + offset);
}

Region open_region(const std::string& path) {
  Region region;
  region.file = memory::open_for_reading(path, graph::evaluator().faults());
  region.end = region.file->size();
  region.name = path;
  return region;
}

uint64_t checked_bytes(const Shape& shape, Dtype dtype, const std::string& name) {
  PLIMSOLL_CHECK(shape.size() <= kMaxDims, ValueError,
                 "[load] expected at most {} dimensions, got {} in {}", kMaxDims, shape.size(),
                 name);
  // Strides must be sound for empty arrays as well, so a dimension of 0 does not end the product.
  int64_t product = static_cast<int64_t>(size_of(dtype));
  for (int64_t d : shape) {
    bool fits = d >= 0 && !__builtin_mul_overflow(product, std::max<int64_t>(d, 1), &product) &&
                product <= int64_t{1} << 62;
    PLIMSOLL_CHECK(fits, ValueError, "[load] expected a shape that memory can hold, got {} in {}",
                   to_string(shape), name);
  }
  return static_cast<uint64_t>(num_elements(shape)) * size_of(dtype);
}

memory::Decode decode_of(Dtype dtype, bool big_endian) {
  using memory::Decode;
  if (dtype == Dtype::kBool) return Decode::kBool;
  if (!big_endian) return Decode::kAsIs;
  switch (dtype == Dtype::kComplex64 ? sizeof(float) : size_of(dtype)) {
    case 2:
      return Decode::kSwap2;
    case 4:
      return Decode::kSwap4;
    case 8:
      return Decode::kSwap8;
    default:
      return Decode::kAsIs;
  }
}

array array_at(const Region& region, uint64_t offset, const Shape& shape, Dtype dtype,
               memory::Decode decode, bool fortran_order) {
  uint64_t bytes = static_cast<uint64_t>(num_elements(shape)) * size_of(dtype);
  PLIMSOLL_ASSERT(offset <= region.size() && bytes <= region.size() - offset);
  auto source = std::make_shared<memory::FileSource>(region.file, region.begin + offset, decode);
  memory::BufferRef buffer = region.lazy
                                 ? graph::evaluator().allocate_from(bytes, std::move(source))
                                 : read_now(std::move(source), bytes);
  Layout layout{0, fortran_order ? column_major(shape) : row_major(shape)};
  return graph::from_storage({std::move(buffer), std::move(layout)}, shape, dtype);
}

std::string quote(std::string_view text, size_t most) {
  std::string out = "'";
  for (char c : text.substr(0, most))
    out += c >= 32 && c < 127 ? std::string(1, c)
                              : fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  return out + (text.size() > most ? "…'" : "'");
}

}  // namespace plimsoll::io
