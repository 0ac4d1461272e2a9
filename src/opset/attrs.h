// Attributes of an operation: a small immutable struct that both the op and its kernels include.
//
//   struct ReduceAttrs : Attrs<ReduceAttrs> {
//     Dims axes;
//     bool keepdims = false;
//     static constexpr const char* kName = "reduce";
//     auto fields() const { return std::tie(axes, keepdims); }
//   };
#pragma once

#include <bit>
#include <cstdint>
#include <memory>
#include <string>
#include <tuple>
#include <typeinfo>

#include "base/check.h"
#include "core/shape.h"
#include "plimsoll/dtype.h"

namespace plimsoll {

constexpr uint64_t hash_mix(uint64_t h, uint64_t v) {
  h ^= v + 0x9e3779b97f4a7c15ull + (h << 12) + (h >> 4);
  return h * 0xff51afd7ed558ccdull;
}

class AttrBase : public std::enable_shared_from_this<AttrBase> {
 public:
  virtual ~AttrBase() = default;
  virtual uint64_t hash() const = 0;
  virtual bool equals(const AttrBase& other) const = 0;
  virtual std::string repr() const = 0;
};
using AttrsPtr = std::shared_ptr<const AttrBase>;

namespace attr_detail {
inline uint64_t hash_of(const Dims& v) {
  uint64_t h = v.size();
  for (int64_t x : v) h = hash_mix(h, static_cast<uint64_t>(x));
  return h;
}
inline uint64_t hash_of(const std::string& v) { return std::hash<std::string>{}(v); }
inline uint64_t hash_of(double v) { return std::bit_cast<uint64_t>(v); }
inline uint64_t hash_of(float v) { return std::bit_cast<uint32_t>(v); }
template <typename T>
requires std::is_integral_v<T> || std::is_enum_v<T> uint64_t hash_of(T v) {
  return static_cast<uint64_t>(v);
}
inline std::string text_of(const Dims& v) { return to_string(v); }
inline std::string text_of(const std::string& v) { return v; }
inline std::string text_of(Dtype v) { return std::string(name_of(v)); }
inline std::string text_of(bool v) { return v ? "true" : "false"; }
template <typename T>
std::string text_of(T v) {
  if constexpr (std::is_enum_v<T>)
    return fmt::format("{}", static_cast<int64_t>(v));
  else
    return fmt::format("{}", v);
}
}  // namespace attr_detail

template <typename Self>
class Attrs : public AttrBase {
 public:
  uint64_t hash() const final {
    uint64_t h = typeid(Self).hash_code();
    std::apply([&](const auto&... f) { ((h = hash_mix(h, attr_detail::hash_of(f))), ...); },
               self().fields());
    return h;
  }
  bool equals(const AttrBase& other) const final {
    const auto* o = dynamic_cast<const Self*>(&other);
    return o && self().fields() == o->fields();
  }
  std::string repr() const final {
    std::string s;
    std::apply(
        [&](const auto&... f) { ((s += (s.empty() ? "" : ", ") + attr_detail::text_of(f)), ...); },
        self().fields());
    return s;
  }

 private:
  const Self& self() const { return static_cast<const Self&>(*this); }
};

}  // namespace plimsoll
