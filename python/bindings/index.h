// Indexing arrays with Python keys: ints, slices, None, Ellipsis, integer arrays and lists.
#pragma once

#include <nanobind/nanobind.h>

#include "plimsoll/array.h"

namespace plimsoll::python {

/// What `a[key]` gives.
array get_item(const array& a, nanobind::handle key);
/// `a` with `a[key] = value` applied.
array set_item(const array& a, nanobind::handle key, const array& value);

/// How x.at[key] combines a value with the elements that the key names; repeated indices all count.
enum class Update : uint8_t { kAdd, kSubtract, kMultiply, kDivide, kMaximum, kMinimum };
array update_item(const array& a, nanobind::handle key, const array& value, Update how);

/// Elements [start, stop) of one axis.
array slice_axis(const array& a, int axis, int64_t start, int64_t stop);
/// `a` followed by `b` along `axis`.
array join(const array& a, const array& b, int axis);

}  // namespace plimsoll::python
