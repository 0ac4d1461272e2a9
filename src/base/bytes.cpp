#include "base/bytes.h"

#include <charconv>
#include <cmath>

#include "base/check.h"

namespace plimsoll {
namespace {

struct Unit {
  std::string_view name;  // lower case
  Bytes bytes;
};
constexpr Bytes kKilo = 1000;
constexpr Unit kUnits[] = {
    {"", 1},
    {"b", 1},
    {"k", kKilo},
    {"kb", kKilo},
    {"kib", kKiB},
    {"m", kKilo* kKilo},
    {"mb", kKilo* kKilo},
    {"mib", kMiB},
    {"g", kKilo* kKilo* kKilo},
    {"gb", kKilo* kKilo* kKilo},
    {"gib", kGiB},
    {"t", kKilo* kKilo* kKilo* kKilo},
    {"tb", kKilo* kKilo* kKilo* kKilo},
    {"tib", 1024 * kGiB},
};

std::string_view trimmed(std::string_view s) {
  constexpr std::string_view kBlanks = " \t\n\r";
  size_t begin = s.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return s.substr(begin, s.find_last_not_of(kBlanks) - begin + 1);
}

}  // namespace

Bytes parse_bytes(std::string_view text) {
  auto refuse = [&](std::string_view why) {
    throw ValueError(fmt::format(
        "[parse_bytes] expected a size such as 4GB, 512MiB or 1000000, got \"{}\": {}", text, why));
  };
  std::string_view body = trimmed(text);
  size_t digits = body.find_first_not_of("0123456789.");
  if (digits == std::string_view::npos) digits = body.size();
  std::string_view number = body.substr(0, digits);
  if (number.empty()) refuse("it does not start with a number");

  std::string unit(trimmed(body.substr(digits)));
  for (char& c : unit)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  const Unit* found = nullptr;
  for (const Unit& u : kUnits)
    if (u.name == unit) found = &u;
  if (found == nullptr) refuse("the unit is none of B, KB, MB, GB, TB, KiB, MiB, GiB, TiB");

  if (number.find('.') == std::string_view::npos) {
    Bytes count = 0;
    auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), count);
    Bytes product = 0;
    if (error != std::errc{} || __builtin_mul_overflow(count, found->bytes, &product))
      refuse("it does not fit into 64 bits");
    return product;
  }
  double value = 0;
  auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
  if (error != std::errc{} || end != number.data() + number.size())
    refuse("the number is malformed");
  double product = std::floor(value * static_cast<double>(found->bytes) + 0.5);
  if (!(product < 9.2e18)) refuse("it does not fit into 64 bits");
  return static_cast<Bytes>(product);
}

std::string format_bytes(Bytes bytes) {
  if (bytes < kKilo) return fmt::format("{} B", bytes);
  constexpr const char* kNames[] = {"kB", "MB", "GB", "TB", "PB", "EB"};
  double value = static_cast<double>(bytes);
  int unit = -1;
  // 999.5 would print as "1000": the next unit starts there.
  while (value >= 999.5 && unit < 5) {
    value /= 1000;
    ++unit;
  }
  if (unit < 0) return fmt::format("{:.2f} kB", value / 1000);
  int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return fmt::format("{:.{}f} {}", value, decimals, kNames[unit]);
}

}  // namespace plimsoll
