#include "bindings/argument_hint.h"

#include <fmt/format.h>

#include <string_view>

#include "bindings/convert.h"
#include "bindings/device.h"

namespace plimsoll::python {
namespace {

// What PyTorch calls otherwise.
constexpr std::pair<std::string_view, std::string_view> kRenamed[] = {
    {"dim", "axis"}, {"dims", "axis"}, {"keepdim", "keepdims"}, {"unbiased", "ddof"},
    {"mean", "loc"}, {"std", "scale"}, {"min", "a_min"},        {"max", "a_max"}};

bool accepts(const Param& p, PyObject* value) {
  if (p.slot < 0) return check_stream(value);
  graph::Box box;
  return to_box(value, p.kind == ParamKind::kVariadic ? kArray | kScalar : p.types, box);
}

std::string wrong_type(const Param& p, PyObject* value) {
  if (p.slot < 0) return "Pass a Stream or a Device such as mx.cpu as stream";
  if (p.types & kDtype)
    return fmt::format("Pass a Dtype such as mx.float32 as {}{}", p.name,
                       PyLong_Check(value) ? "; pass a shape as one tuple, as to reshape" : "");
  if (p.name == "key") return "Pass mx.random.key(seed) as key";
  if (p.types & kArrays) return fmt::format("Pass a list of arrays as {}", p.name);
  if (p.types & kScalar) return fmt::format("Pass a number or an array as {}", p.name);
  if (p.types & kArray) return fmt::format("Pass an array such as mx.array([1, 2]) as {}", p.name);
  if ((p.types & kInts) && PyLong_Check(value))
    return fmt::format("Pass one tuple such as (2, 3) as {}", p.name);
  if (p.types & (kInt | kInts)) return fmt::format("Pass integers as {}", p.name);
  if (p.types & kFloat) return fmt::format("Pass a number as {}", p.name);
  return fmt::format("Pass another type than {} as {}", Py_TYPE(value)->tp_name, p.name);
}

std::string unknown(const Signature& s, PyObject* name) {
  const char* given = PyUnicode_AsUTF8(name);
  for (auto [theirs, ours] : kRenamed) {
    if (!given || theirs != given) continue;
    for (const Param& p : s.params)
      if (p.name == ours) return fmt::format("Write {} instead of {}", ours, theirs);
  }
  return fmt::format("Leave out {}; there is no such parameter", given ? given : "?");
}

}  // namespace

int find_param(const Signature& s, PyObject* name) {
  int n = static_cast<int>(s.params.size());
  for (int i = 0; i < n; ++i)
    if (s.params[i].interned == name) return i;
  for (int i = 0; i < n; ++i)
    if (PyUnicode_Compare(s.params[i].interned, name) == 0) return i;
  return -1;
}

std::string argument_hint(const Signature& s, PyObject* const* args, Py_ssize_t n,
                          PyObject* kwnames) {
  std::vector<bool> given(s.params.size());
  size_t at = 0;
  for (Py_ssize_t k = 0; k < n; ++k) {
    if (at == s.params.size() || s.params[at].kind == ParamKind::kKeywordOnly)
      return fmt::format("Pass at most {} arguments by position", at);
    if (!accepts(s.params[at], args[k])) return wrong_type(s.params[at], args[k]);
    given[at] = true;
    at += s.params[at].kind != ParamKind::kVariadic;
  }
  for (Py_ssize_t k = 0; kwnames && k < PyTuple_GET_SIZE(kwnames); ++k) {
    PyObject* name = PyTuple_GET_ITEM(kwnames, k);
    int i = find_param(s, name);
    if (i < 0) return unknown(s, name);
    const Param& p = s.params[i];
    if (given[i]) return fmt::format("Pass {} once", p.name);
    if (p.kind == ParamKind::kPositionalOnly || p.kind == ParamKind::kVariadic)
      return fmt::format("Pass {} by position, without its name", p.name);
    if (!accepts(p, args[n + k])) return wrong_type(p, args[n + k]);
    given[i] = true;
  }
  for (size_t i = 0; i < s.params.size(); ++i)
    if (!given[i] && !s.params[i].has_default && s.params[i].kind != ParamKind::kVariadic)
      return fmt::format("Pass {}, which is missing", s.params[i].name);
  return "Check the arguments";
}

}  // namespace plimsoll::python
