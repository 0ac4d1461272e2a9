// Between Python objects and arrays or boxes.
#pragma once

#include <nanobind/nanobind.h>

#include <optional>
#include <vector>

#include "graph/boxed.h"
#include "plimsoll/array.h"

namespace plimsoll::python {

/// True for Python's bool, int, float and complex, and NumPy's scalars.
bool is_scalar(PyObject* o);
/// NumPy's complex scalars; complex64 is no Python complex.
bool is_foreign_complex(PyObject* o);
/// Whether it is a datetime64 or timedelta64.
bool is_numpy_time(PyObject* o);
/// A weak 0-d constant of a scalar; nullopt (and no error set) for another object.
std::optional<array> weak_scalar(PyObject* o);
/// An array, a NumPy array or another object with the buffer protocol or `__array__`, copied;
/// nullopt (and no error set) for another object.
std::optional<array> array_like(PyObject* o);

/// What `array(value, dtype)` makes: scalars, nested sequences, array-likes. Throws.
array make_array(nanobind::handle value, std::optional<Dtype> dtype);

/// An object with `__index__` that is not an array. Throws where it does not fit.
bool to_int(PyObject* o, int64_t& out);
/// A list, tuple or other sequence of integers.
bool to_ints(PyObject* o, Dims& out);
/// A list or tuple of arrays and scalars.
bool to_arrays(PyObject* o, std::vector<array>& out);

/// Converts to one of the types in `types` (TypeBits); false where none fits, with no error set.
bool to_box(PyObject* o, uint32_t types, graph::Box& out);
/// A new reference; a vector of arrays becomes a tuple or a list. Null with an error set.
PyObject* from_box(graph::Box&& box, bool as_list);

/// Elements of an available array, as Python numbers, from row-major bytes.
PyObject* element(const std::byte* bytes, Dtype dtype);
/// Evaluates without the GIL and copies the elements out.
std::vector<std::byte> read_elements(const array& a);
nanobind::object to_list(const array& a);

}  // namespace plimsoll::python
