// Boxes carry arguments from a binding to an op whose C++ signature is the only place that names
// their types: boxed<&op::add>::call fits OpDef::entry, and a mismatch does not compile.
#pragma once

#include <complex>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "base/check.h"
#include "core/shape.h"
#include "plimsoll/array.h"

namespace plimsoll::graph {

using Box = std::variant<std::monostate, bool, int64_t, double, std::string, Dtype, Dims, array,
                         std::vector<array>>;
using Entry = Box (*)(std::span<Box> args);

namespace boxed_detail {

template <typename T>
struct Unbox {
  static T get(Box& b) { return std::get<T>(std::move(b)); }
};
template <>
struct Unbox<double> {
  static double get(Box& b) {
    if (auto* i = std::get_if<int64_t>(&b)) return static_cast<double>(*i);
    if (auto* i = std::get_if<bool>(&b)) return *i;
    return std::get<double>(b);
  }
};
template <>
struct Unbox<float> {
  static float get(Box& b) { return static_cast<float>(Unbox<double>::get(b)); }
};
template <>
struct Unbox<int64_t> {
  static int64_t get(Box& b) {
    if (auto* i = std::get_if<bool>(&b)) return *i;
    return std::get<int64_t>(b);
  }
};
template <>
struct Unbox<int> {
  static int get(Box& b) { return static_cast<int>(Unbox<int64_t>::get(b)); }
};
template <>
struct Unbox<array> {  // an int stands for a constant, in `int | array`
  static array get(Box& b) {
    if (auto* i = std::get_if<int64_t>(&b)) return array(*i);
    return std::get<array>(std::move(b));
  }
};
template <>
struct Unbox<Dims> {  // an int stands for a tuple of one
  static Dims get(Box& b) {
    if (auto* i = std::get_if<int64_t>(&b)) return Dims{*i};
    return std::get<Dims>(std::move(b));
  }
};
template <typename T>
struct Unbox<std::optional<T>> {
  static std::optional<T> get(Box& b) {
    if (std::holds_alternative<std::monostate>(b)) return std::nullopt;
    return Unbox<T>::get(b);
  }
};

template <typename... T>
struct Unbox<std::variant<T...>> {  // the first alternative that the box holds as it is
  static std::variant<T...> get(Box& b) {
    std::optional<std::variant<T...>> out;
    (void)((std::holds_alternative<T>(b) ? (out.emplace(std::move(std::get<T>(b))), true)
                                         : false) ||
           ...);
    PLIMSOLL_CHECK(out, TypeError, "expected another type of argument");
    return *std::move(out);
  }
};

template <typename R, typename... A, size_t... I>
Box call(R (*f)(A...), std::span<Box> args, std::index_sequence<I...>) {
  PLIMSOLL_ASSERT(args.size() == sizeof...(A));
  return Box(f(Unbox<std::remove_cvref_t<A>>::get(args[I])...));
}

}  // namespace boxed_detail

template <auto F>
struct boxed;
template <typename R, typename... A, R (*F)(A...)>
struct boxed<F> {
  static constexpr size_t kArity = sizeof...(A);
  static Box call(std::span<Box> args) {
    return boxed_detail::call(F, args, std::make_index_sequence<sizeof...(A)>{});
  }
};

}  // namespace plimsoll::graph
