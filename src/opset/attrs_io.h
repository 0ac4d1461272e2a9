// Attributes as bytes and back, derived from their fields().
#pragma once

#include <memory>
#include <string>
#include <tuple>
#include <utility>

#include "base/byte_stream.h"
#include "opset/attrs.h"

namespace plimsoll {

/// The attributes that an operation has: how they are written and read.
struct AttrsType {
  const char* name;
  void (*write)(const AttrBase& attrs, std::string& out);
  /// Raises ValueError for values that no attribute has; what they mean is not checked.
  AttrsPtr (*read)(ByteReader& in);
};

namespace attr_detail {

/// Far above any size, and far enough below 2^63 for sums.
inline constexpr int64_t kMostInteger = int64_t{1} << 56;
inline constexpr size_t kMostDims = 64;

inline void write_field(std::string& out, bool v) { put(out, static_cast<uint8_t>(v)); }
inline void write_field(std::string& out, Dtype v) { put(out, static_cast<uint8_t>(v)); }
inline void write_field(std::string& out, int v) { put(out, static_cast<int64_t>(v)); }
inline void write_field(std::string& out, int64_t v) { put(out, v); }
inline void write_field(std::string& out, float v) { put(out, v); }
inline void write_field(std::string& out, double v) { put(out, v); }
inline void write_field(std::string& out, const Dims& v) {
  put(out, static_cast<uint8_t>(v.size()));
  for (int64_t d : v) put(out, d);
}

inline void read_field(ByteReader& in, bool& v) {
  auto byte = in.get<uint8_t>();
  PLIMSOLL_CHECK(byte <= 1, ValueError, "expected a bool of 0 or 1, got {}", byte);
  v = byte == 1;
}
inline void read_field(ByteReader& in, Dtype& v) {
  auto byte = in.get<uint8_t>();
  PLIMSOLL_CHECK(byte < kNumDtypes, ValueError, "expected a dtype below {}, got {}", kNumDtypes,
                 byte);
  v = static_cast<Dtype>(byte);
}
inline void read_field(ByteReader& in, int64_t& v) {
  v = in.get<int64_t>();
  PLIMSOLL_CHECK(v >= -kMostInteger && v <= kMostInteger, ValueError,
                 "expected an integer of at most 2^56, got {}", v);
}
inline void read_field(ByteReader& in, int& v) {
  auto wide = in.get<int64_t>();
  PLIMSOLL_CHECK(std::in_range<int>(wide), ValueError, "expected a 32-bit integer, got {}", wide);
  v = static_cast<int>(wide);
}
inline void read_field(ByteReader& in, float& v) { v = in.get<float>(); }
inline void read_field(ByteReader& in, double& v) { v = in.get<double>(); }
inline void read_field(ByteReader& in, Dims& v) {
  size_t n = in.get<uint8_t>();
  PLIMSOLL_CHECK(n <= kMostDims, ValueError, "expected at most {} dimensions, got {}", kMostDims,
                 n);
  v.resize(n);
  for (int64_t& d : v) read_field(in, d);
}

template <typename... F>
std::tuple<F...> values_of(std::tuple<const F&...>);
/// What the constructor takes: the fields in their order.
template <typename A>
using Values = decltype(values_of(std::declval<const A&>().fields()));

}  // namespace attr_detail

template <typename A>
inline constexpr AttrsType kAttrsOf{
    A::kName,
    [](const AttrBase& attrs, std::string& out) {
      std::apply([&](const auto&... f) { (attr_detail::write_field(out, f), ...); },
                 static_cast<const A&>(attrs).fields());
    },
    [](ByteReader& in) -> AttrsPtr {
      attr_detail::Values<A> values;
      std::apply([&](auto&... v) { (attr_detail::read_field(in, v), ...); }, values);
      return std::apply(
          [](auto&... v) -> AttrsPtr { return std::make_shared<const A>(std::move(v)...); },
          values);
    }};

}  // namespace plimsoll
