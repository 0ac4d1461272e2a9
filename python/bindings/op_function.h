// A callable made from an operation's record, called by vectorcall. It is also a method descriptor:
// set as an attribute of `array`, `a.sum(axis=0)` calls it with `a` first and no bound method.
#pragma once

#include <nanobind/nanobind.h>

#include "graph/op_def.h"

namespace plimsoll::python {

void init_op_function(nanobind::module_& m);

/// A callable for `def`, which must have an entry and a signature; `alias` renames it.
nanobind::object make_op_function(const graph::OpDef& def, const char* alias = nullptr);

/// Submodule in which the function belongs, "" for the main one.
const char* op_function_module(nanobind::handle function);
const char* op_function_name(nanobind::handle function);

/// Key for random operations that got none; random.cpp provides it.
array next_random_key();

}  // namespace plimsoll::python
