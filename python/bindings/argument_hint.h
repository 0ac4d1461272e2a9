// What an error about arguments adds to the signature: which of them is wrong, and what to write.
#pragma once

#include <nanobind/nanobind.h>

#include <string>

#include "bindings/signature.h"

namespace plimsoll::python {

/// The index of the parameter called `name`, or -1.
int find_param(const Signature& s, PyObject* name);

/// REQUIRES: the arguments do not fit the signature. Arguments as in a vectorcall.
std::string argument_hint(const Signature& s, PyObject* const* args, Py_ssize_t n,
                          PyObject* kwnames);

}  // namespace plimsoll::python
