// Little-endian records in memory: appended to a string, read back with every length checked.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/check.h"

namespace plimsoll {

static_assert(std::endian::native == std::endian::little, "files are little-endian");

template <typename T>
requires std::is_arithmetic_v<T>
void put(std::string& out, T value) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  out.append(bytes, sizeof(T));
}

/// Its length (uint32) and its bytes.
inline void put(std::string& out, std::string_view text) {
  put(out, static_cast<uint32_t>(text.size()));
  out.append(text);
}

/// Raises ValueError where the bytes end too early.
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : bytes_(bytes) {}

  template <typename T>
  requires std::is_arithmetic_v<T> T get() {
    T value;
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }
  std::string_view text() { return take(get<uint32_t>()); }
  std::string_view take(uint64_t size) {
    PLIMSOLL_CHECK(size <= bytes_.size(), ValueError, "expected {} more bytes, got {}", size,
                   bytes_.size());
    std::string_view out = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return out;
  }
  /// A number of things of at least `least` bytes each, which the rest can hold.
  uint32_t count(uint64_t least) {
    auto n = get<uint32_t>();
    PLIMSOLL_CHECK(n <= bytes_.size() / least, ValueError,
                   "expected a number of records that {} bytes can hold, got {}", bytes_.size(), n);
    return n;
  }
  bool empty() const { return bytes_.empty(); }

 private:
  std::string_view bytes_;
};

}  // namespace plimsoll
