// Reads the signature strings of operation records: Python's syntax with MLX's type words.
//
//   "sum(a: array, /, axis: None | int | Sequence[int] = None, keepdims: bool = False,
//        *, stream: None | Stream | Device = None) -> array"
//
// A dotted name ("random.uniform") puts the function into that submodule. `stream` is checked and
// never reaches the entry; every other parameter is one box, in order. "*arrays: array" gathers
// the remaining positional arguments into one box of arrays.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "graph/boxed.h"

namespace plimsoll::python {

/// Types that a parameter accepts, as a set of bits.
enum TypeBits : uint32_t {
  kNone = 1,
  kBool = 2,
  kInt = 4,
  kFloat = 8,
  kString = 16,
  kDtype = 32,
  kInts = 64,      // Sequence[int]
  kArray = 128,    // array
  kScalar = 256,   // a Python or NumPy number; with kArray it becomes a weak constant
  kArrays = 512,   // Sequence[array]
  kStream = 1024,  // None | Stream | Device
  kPairs = 2048,   // with kInts: Sequence[Sequence[int]] too, read as one flat list
};

enum class ParamKind : uint8_t { kPositionalOnly, kPositional, kKeywordOnly, kVariadic };

struct Param {
  std::string name;
  PyObject* interned = nullptr;  // the name, owned for the life of the process
  ParamKind kind = ParamKind::kPositional;
  uint32_t types = 0;
  bool has_default = false;
  graph::Box fallback;
  int slot = -1;  // index of its box; -1 for stream
};

struct Signature {
  std::string module;  // "" or "random", ...
  std::string name;
  std::string returns;
  std::string text;  // without the module's prefix
  std::vector<Param> params;
  int num_slots = 0;
};

/// Throws Error naming the record where the string is not understood.
Signature parse_signature(std::string_view text);

}  // namespace plimsoll::python
