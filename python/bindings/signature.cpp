#include <nanobind/nanobind.h>
// Python.h comes first, as CPython asks.
#include <cctype>
#include <charconv>
#include <limits>

#include "base/check.h"
#include "bindings/signature.h"

namespace plimsoll::python {
namespace {

std::string_view trim(std::string_view s) {
  while (!s.empty() && std::isspace(static_cast<unsigned char>(s.front()))) s.remove_prefix(1);
  while (!s.empty() && std::isspace(static_cast<unsigned char>(s.back()))) s.remove_suffix(1);
  return s;
}

/// Splits at `separator` outside brackets and quotes.
std::vector<std::string_view> split(std::string_view s, char separator) {
  std::vector<std::string_view> parts;
  int depth = 0;
  bool quoted = false;
  size_t start = 0;
  for (size_t i = 0; i < s.size(); ++i) {
    if (s[i] == '\'' || s[i] == '"') quoted = !quoted;
    if (quoted) continue;
    if (s[i] == '[' || s[i] == '(') ++depth;
    if (s[i] == ']' || s[i] == ')') --depth;
    if (s[i] == separator && depth == 0) {
      parts.push_back(trim(s.substr(start, i - start)));
      start = i + 1;
    }
  }
  if (auto last = trim(s.substr(start)); !last.empty()) parts.push_back(last);
  return parts;
}

/// Inside of "Sequence[...]", "list[...]" or "tuple[...]"; empty for another type.
std::string_view element_type(std::string_view type) {
  for (std::string_view container : {"Sequence", "list", "tuple"})
    if (type.starts_with(container) && type.size() > container.size() + 1 &&
        type[container.size()] == '[' && type.back() == ']')
      return type.substr(container.size() + 1, type.size() - container.size() - 2);
  return {};
}

uint32_t parse_type(std::string_view type, std::string_view whole) {
  if (type == "array") return kArray;
  if (type == "scalar") return kScalar;
  if (type == "None") return kNone;
  if (type == "bool") return kBool;
  if (type == "int") return kInt;
  if (type == "float") return kFloat;
  if (type == "str") return kString;
  if (type == "Dtype") return kDtype;
  if (type == "StreamOrDevice" || type == "Stream" || type == "Device") return kStream;
  std::string_view element = element_type(type);
  if (element.find("array") != std::string_view::npos) return kArrays;
  if (element.starts_with("Sequence") || element.starts_with("tuple")) return kInts | kPairs;
  if (!element.empty()) return kInts;
  if (type == "Sequence" || type == "tuple") return kInts;
  throw Error(fmt::format("signature \"{}\": type \"{}\" is not known", whole, type));
}

graph::Box parse_default(std::string_view text, std::string_view whole) {
  if (text == "None") return std::monostate{};
  if (text == "True") return true;
  if (text == "False") return false;
  if (text == "[]" || text == "()") return Dims{};
  if (text.front() == '[') {
    Dims list;
    for (std::string_view part : split(text.substr(1, text.size() - 2), ','))
      list.push_back(std::get<int64_t>(parse_default(part, whole)));
    return list;
  }
  if (text == "inf") return std::numeric_limits<double>::infinity();
  if (text.front() == '\'' || text.front() == '"')
    return std::string(text.substr(1, text.size() - 2));
  int64_t integer = 0;
  const char* end = text.data() + text.size();
  if (auto r = std::from_chars(text.data(), end, integer); r.ec == std::errc{} && r.ptr == end)
    return integer;
  double real = 0;
  if (auto r = std::from_chars(text.data(), end, real); r.ec == std::errc{} && r.ptr == end)
    return real;
  try {
    return dtype_from_name(text);
  } catch (const ValueError&) {
    throw Error(fmt::format("signature \"{}\": default \"{}\" is not known", whole, text));
  }
}

Param parse_param(std::string_view text, ParamKind kind, std::string_view whole) {
  Param p;
  p.kind = kind;
  auto halves = split(text, '=');
  auto named = split(halves[0], ':');
  p.name = std::string(named[0]);
  p.interned = PyUnicode_InternFromString(p.name.c_str());
  if (p.name == "stream") {
    p.types = kStream | kNone;
    p.has_default = true;
    return p;
  }
  if (named.size() < 2) throw Error(fmt::format("signature \"{}\": {} has no type", whole, p.name));
  for (std::string_view type : split(named[1], '|')) p.types |= parse_type(type, whole);
  if (halves.size() > 1) {
    p.has_default = true;
    p.fallback = parse_default(halves[1], whole);
    if (std::holds_alternative<std::monostate>(p.fallback)) p.types |= kNone;
  }
  return p;
}

void parse_params(std::string_view list, std::string_view whole, Signature& s) {
  ParamKind kind = ParamKind::kPositional;
  bool has_stream = false;
  for (std::string_view text : split(list, ',')) {
    if (text == "/") {
      for (Param& p : s.params) p.kind = ParamKind::kPositionalOnly;
    } else if (text == "*") {
      kind = ParamKind::kKeywordOnly;
    } else if (text.front() == '*') {
      Param p = parse_param(text.substr(1), ParamKind::kVariadic, whole);
      p.types = kArrays;
      p.has_default = true;
      p.fallback = std::vector<array>{};
      s.params.push_back(std::move(p));
      kind = ParamKind::kKeywordOnly;
    } else {
      s.params.push_back(parse_param(text, kind, whole));
      has_stream |= s.params.back().name == "stream";
    }
  }
  if (!has_stream) {
    s.params.push_back(parse_param("stream=None", ParamKind::kKeywordOnly, whole));
  }
  for (Param& p : s.params)
    if (p.name != "stream") p.slot = s.num_slots++;
}

}  // namespace

Signature parse_signature(std::string_view text) {
  size_t open = text.find('('), close = text.rfind(')');
  size_t arrow = text.find("->", open == std::string_view::npos ? 0 : open);
  if (arrow != std::string_view::npos) close = text.rfind(')', arrow);
  if (open == std::string_view::npos || close == std::string_view::npos || close < open)
    throw Error(fmt::format("signature \"{}\": expected name(parameters) -> type", text));
  Signature s;
  std::string_view name = trim(text.substr(0, open));
  if (size_t dot = name.rfind('.'); dot != std::string_view::npos) {
    s.module = std::string(name.substr(0, dot));
    name = name.substr(dot + 1);
  }
  s.name = std::string(name);
  if (arrow != std::string_view::npos) s.returns = std::string(trim(text.substr(arrow + 2)));
  if (s.returns.empty()) s.returns = "array";
  parse_params(text.substr(open + 1, close - open - 1), text, s);
  s.text = fmt::format("{}{}", s.name, text.substr(open));
  if (arrow == std::string_view::npos) s.text += " -> array";
  return s;
}

}  // namespace plimsoll::python
