// Arrays inside nested lists, tuples and dicts.
#pragma once

#include <nanobind/nanobind.h>

#include <cstdint>
#include <string>
#include <vector>

#include "plimsoll/array.h"

namespace plimsoll::python {

/// A level of a tree while it lives. Throws RecursionError where Python's limit of depth is
/// reached, as for a list that holds itself.
class Nesting {
 public:
  Nesting();
  ~Nesting() { Py_LeaveRecursiveCall(); }
  Nesting(const Nesting&) = delete;
  Nesting& operator=(const Nesting&) = delete;
};

/// The arrays of a tree, in order: lists and tuples by position, dicts by insertion. Other leaves
/// are passed over.
std::vector<array> arrays_in(nanobind::handle tree);

/// The same structure with its arrays replaced, in arrays_in's order; other leaves are kept.
/// Named tuples stay named tuples; a subclass of dict becomes a dict.
/// REQUIRES: `arrays` has one for each.
nanobind::object with_arrays(nanobind::handle tree, const std::vector<array>& arrays);

/// Puts other arrays into the lists and dicts of a tree. An array in a tuple, or the tree itself
/// where it is one, takes the new value instead.
/// REQUIRES: `arrays` has one for each.
void replace_arrays(nanobind::handle tree, const std::vector<array>& arrays);

/// Whether every leaf is an array.
bool only_arrays(nanobind::handle tree);

/// Leaves besides arrays: only those that a text can stand for, or others too, passed over.
enum class Leaves : uint8_t { kConstants, kAny };

/// Appends a text that is equal for trees of equal structure, array shapes and dtypes, and
/// constants (bool, int, float, str and None) of equal type and bits. Throws ValueError for other
/// leaves unless `leaves` is kAny.
void structure_of(nanobind::handle tree, Leaves leaves, std::string& out);

}  // namespace plimsoll::python
