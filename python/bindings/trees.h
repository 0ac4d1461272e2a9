// Arrays inside nested lists, tuples and dicts.
#pragma once

#include <nanobind/nanobind.h>

#include <vector>

#include "plimsoll/array.h"

namespace plimsoll::python {

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

/// A text that is equal for trees of equal structure, with leaves that are no arrays by their repr.
void structure_of(nanobind::handle tree, std::string& out);

}  // namespace plimsoll::python
