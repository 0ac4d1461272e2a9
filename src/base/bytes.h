// Byte counts and half-open byte ranges; sizes as people write them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

namespace plimsoll {

using Bytes = uint64_t;

inline constexpr Bytes kKiB = 1024;
inline constexpr Bytes kMiB = 1024 * kKiB;
inline constexpr Bytes kGiB = 1024 * kMiB;

/// [begin, end) in bytes.
struct ByteRange {
  Bytes begin = 0;
  Bytes end = 0;
  Bytes size() const { return end - begin; }
  bool empty() const { return end <= begin; }
  friend bool operator==(const ByteRange&, const ByteRange&) = default;
};

/// `to` is a power of two.
constexpr Bytes round_up(Bytes n, Bytes to) { return (n + to - 1) & ~(to - 1); }
constexpr Bytes round_down(Bytes n, Bytes to) { return n & ~(to - 1); }

/// "4GB" (10^9), "512MiB" (2^20), "1.5 GiB", "1000", "64k" (10^3). Units are case-insensitive.
/// Raises ValueError with the text and the accepted forms.
Bytes parse_bytes(std::string_view text);

/// "0 B", "512 B", "6.43 GB": three significant digits, powers of ten.
std::string format_bytes(Bytes bytes);

}  // namespace plimsoll
