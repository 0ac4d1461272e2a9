#include "plimsoll/dtype.h"

#include <algorithm>
#include <array>

#include "base/check.h"

namespace plimsoll {
namespace {

constexpr std::array<std::string_view, kNumDtypes> kNames = {
    "bool",  "uint8", "uint16",  "uint32",   "uint64",  "int8",    "int16",
    "int32", "int64", "float16", "bfloat16", "float32", "float64", "complex64"};

Dtype signed_of_size(size_t bytes) {
  switch (bytes) {
    case 1:
      return Dtype::kInt8;
    case 2:
      return Dtype::kInt16;
    case 4:
      return Dtype::kInt32;
    default:
      return Dtype::kInt64;
  }
}

}  // namespace

std::string_view name_of(Dtype t) { return kNames[static_cast<int>(t)]; }

Dtype dtype_from_name(std::string_view name) {
  if (name == "bool_") name = "bool";
  auto it = std::find(kNames.begin(), kNames.end(), name);
  PLIMSOLL_CHECK(it != kNames.end(), ValueError,
                 "[dtype] expected a name such as float32, got \"{}\"", name);
  return static_cast<Dtype>(it - kNames.begin());
}

Dtype promote_types(Dtype a, Dtype b) {
  if (a == b) return a;
  DtypeKind ka = kind_of(a), kb = kind_of(b);
  if (ka > kb) {
    std::swap(a, b);
    std::swap(ka, kb);
  }
  if (ka == kb) {
    // Neither 16-bit float holds the other.
    if (ka == DtypeKind::kFloat && size_of(a) == 2 && size_of(b) == 2) return Dtype::kFloat32;
    return size_of(a) > size_of(b) ? a : b;
  }
  if (ka == DtypeKind::kUnsigned && kb == DtypeKind::kSigned) {
    if (size_of(a) < size_of(b)) return b;
    // No integer holds both uint64 and a sign.
    return a == Dtype::kUint64 ? Dtype::kFloat32 : signed_of_size(size_of(a) * 2);
  }
  return b;
}

}  // namespace plimsoll
