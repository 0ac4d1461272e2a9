// Reads and writes array[key]. A key is reduced to at most three steps: one strided slice, one
// reshape for ints and None, one gather (or scatter) for integer arrays.
#include <nanobind/nanobind.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "bindings/array.h"
#include "bindings/array_type.h"
#include "bindings/convert.h"
#include "bindings/errors.h"
#include "bindings/index.h"
#include "bindings/index_ops.h"
#include "plimsoll/ops/binary.h"
#include "plimsoll/ops/cast.h"
#include "plimsoll/ops/creation.h"
#include "plimsoll/ops/gather.h"
#include "plimsoll/ops/join.h"
#include "plimsoll/ops/scan.h"
#include "plimsoll/ops/scatter.h"
#include "plimsoll/ops/select.h"
#include "plimsoll/ops/unary.h"
#include "plimsoll/ops/view.h"

namespace plimsoll::python {
namespace {

struct Item {
  enum Kind : uint8_t { kInt, kSlice, kNewAxis, kArray } kind;
  int64_t start = 0, stop = 0, step = 1;  // kInt uses start only
  int64_t length = 1;                     // of the result's axis
  array indices;
};

constexpr const char* kBadKey =
    "[index] Cannot index an array using the type {}; pass integers, slices, None, ... or arrays "
    "of "
    "integers";

array index_array(array a) {
  PLIMSOLL_CHECK(a.dtype() != Dtype::kBool, ValueError,
                 "[index] boolean indices are supported in x[mask] = values only, as the shape of "
                 "x[mask] would depend on values; use where(mask, x, other), or numpy.array(x)");
  PLIMSOLL_CHECK(is_integral(a.dtype()), ValueError,
                 "[index] expected indices of an integer dtype, got {}", name_of(a.dtype()));
  return a;
}

int64_t bound(PyObject* o, int64_t missing) {
  if (o == Py_None) return missing;
  int64_t v;
  if (is_array(o)) {
    nb::object number = nb::steal(PyNumber_Index(o));
    if (!number) throw nb::python_error();
    return bound(number.ptr(), missing);
  }
  PLIMSOLL_CHECK(to_int(o, v), ValueError, "[index] expected integers in a slice, got {}",
                 Py_TYPE(o)->tp_name);
  return v;
}

Item slice_item(PyObject* o, int64_t extent) {
  auto* s = reinterpret_cast<PySliceObject*>(o);
  Item item{Item::kSlice};
  item.step = bound(s->step, 1);
  PLIMSOLL_CHECK(item.step != 0, ValueError,
                 "[index] slice step cannot be zero; leave it out or pass another");
  bool down = item.step < 0;
  auto clamp = [&](int64_t v) {
    if (v < 0) v += extent;
    return std::clamp<int64_t>(v, down ? -1 : 0, down ? extent - 1 : extent);
  };
  item.start = s->start == Py_None ? (down ? extent - 1 : 0) : clamp(bound(s->start, 0));
  item.stop = s->stop == Py_None ? (down ? -1 : extent) : clamp(bound(s->stop, 0));
  int64_t distance = down ? item.start - item.stop : item.stop - item.start;
  int64_t strides = (distance - 1) / item.step;  // as negative as the step, which may be -2^63
  item.length = distance > 0 ? 1 + (down ? -strides : strides) : 0;
  if (item.length == 0) item.start = item.stop = 0;
  if (item.length == 1) item.stop = item.start + 1;
  if (item.length <= 1) item.step = 1;  // it may be as large as int64
  return item;
}

Item int_item(int64_t i, int64_t extent, size_t axis) {
  PLIMSOLL_CHECK(i >= -extent && i < extent, IndexError,
                 "[index] index {} is out of bounds for axis {} with size {}; pass one in [{}, {})",
                 i, axis, extent, -extent, extent);
  Item item{Item::kInt};
  item.start = i < 0 ? i + extent : i;
  item.stop = item.start + 1;
  return item;
}

bool consumes_axis(PyObject* o) { return o != Py_None && o != Py_Ellipsis; }

Item parse_item(PyObject* o, const Shape& shape, size_t axis) {
  if (o == Py_None) return {Item::kNewAxis};
  if (PySlice_Check(o)) return slice_item(o, shape[axis]);
  if (is_array(o)) {
    Item item{Item::kArray};
    item.indices = index_array(unwrap(o));
    return item;
  }
  PLIMSOLL_CHECK(!PyBool_Check(o) && !PyFloat_Check(o), ValueError, kBadKey, Py_TYPE(o)->tp_name);
  int64_t i;
  if (to_int(o, i)) return int_item(i, shape[axis], axis);
  bool listed = PyList_Check(o) || PyObject_CheckBuffer(o);
  PLIMSOLL_CHECK(listed && !PyBytes_Check(o), ValueError, kBadKey, Py_TYPE(o)->tp_name);
  Item item{Item::kArray};
  item.indices = index_array(make_array(o, std::nullopt));
  return item;
}

std::vector<PyObject*> key_parts(PyObject* key) {
  if (!PyTuple_Check(key)) return {key};
  std::vector<PyObject*> parts;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(key); ++i) parts.push_back(PyTuple_GET_ITEM(key, i));
  return parts;
}

/// One item an axis of `shape`, and the None's between; Ellipsis and what is missing become whole
/// slices.
std::vector<Item> parse_key(PyObject* key, const Shape& shape) {
  std::vector<PyObject*> parts = key_parts(key);
  auto ellipses = std::count(parts.begin(), parts.end(), Py_Ellipsis);
  PLIMSOLL_CHECK(ellipses <= 1, ValueError,
                 "[index] An index can only have a single ellipsis (...), got {}; write : instead",
                 ellipses);
  auto used = static_cast<size_t>(std::count_if(parts.begin(), parts.end(), consumes_axis));
  if (ellipses == 0) parts.push_back(Py_Ellipsis);
  PLIMSOLL_CHECK(used <= shape.size(), ValueError,
                 "[index] Too many indices for array with {} dimensions, got {}; leave some out",
                 shape.size(), used);
  std::vector<Item> items;
  size_t axis = 0;
  for (PyObject* part : parts) {
    if (part != Py_Ellipsis) {
      items.push_back(parse_item(part, shape, axis));
      axis += consumes_axis(part);
      continue;
    }
    for (size_t i = used; i < shape.size(); ++i, ++axis) {
      Item whole{Item::kSlice};
      whole.stop = whole.length = shape[axis];
      items.push_back(std::move(whole));
    }
  }
  return items;
}

/// The strided slice of a key: arrays take their whole axis, ints one element.
struct Window {
  Range range;
  Shape kept;      // of the slice
  Shape reshaped;  // with ints squeezed and None's added
  bool whole = true;
  bool same_rank = true;
};

Window window_of(const std::vector<Item>& items, const Shape& shape) {
  Window w;
  size_t axis = 0;
  for (const Item& item : items) {
    if (item.kind == Item::kNewAxis) {
      w.reshaped.push_back(1);
      w.same_rank = false;
      continue;
    }
    bool array_item = item.kind == Item::kArray;
    int64_t extent = shape[axis++];
    w.range.start.push_back(array_item ? 0 : item.start);
    w.range.stop.push_back(array_item ? extent : item.stop);
    w.range.step.push_back(array_item ? 1 : item.step);
    int64_t length = array_item ? extent : item.length;
    w.kept.push_back(length);
    w.whole &= length == extent && w.range.step.back() == 1;
    if (item.kind == Item::kInt)
      w.same_rank = false;
    else
      w.reshaped.push_back(length);
  }
  return w;
}

/// The integer arrays of a key, as axes of the windowed array.
struct Gathered {
  std::vector<array> indices;
  Dims axes;
  bool adjacent = true;  // no slice or None between the ints and arrays
  int64_t position = 0;  // of the index axes in the result
};

Gathered gathered_of(const std::vector<Item>& items) {
  Gathered g;
  int64_t axis = 0;  // of the windowed array
  bool seen = false, closed = false;
  for (const Item& item : items) {
    bool advanced = item.kind == Item::kArray || item.kind == Item::kInt;
    if (advanced) {
      g.adjacent &= !closed;
      if (!seen) g.position = axis;
      seen = true;
    } else {
      closed = seen;
    }
    if (item.kind == Item::kArray) {
      g.indices.push_back(item.indices);
      g.axes.push_back(axis);
    }
    axis += item.kind != Item::kInt;
  }
  if (!g.adjacent) g.position = 0;
  return g;
}

array read_window(const array& a, const Window& w) {
  array out = w.whole ? a : read_range(a, w.range);
  return w.same_rank ? out : reshaped(out, w.reshaped);
}

array write_window(const array& a, const Window& w, const array& update) {
  if (w.whole) return reshaped(update, a.shape());
  return write_range(a, reshaped(update, w.kept), w.range);
}

int index_rank(const Gathered& g) {
  int rank = 0;
  for (const array& i : g.indices) rank = std::max(rank, i.ndim());
  return rank;
}

array read_gathered(const array& a, const Gathered& g) {
  if (g.indices.size() == 1 && g.position == g.axes[0]) return take(a, g.indices[0], g.axes[0]);
  return move_axes(plimsoll::gather(a, g.indices, g.axes), 0, index_rank(g), g.position);
}

array fit(const array& value, const Shape& shape, Dtype dtype) {
  array v = astype(value, dtype);
  Shape from = v.shape();
  while (from.size() > shape.size() && from[0] == 1) from = Shape(from.begin() + 1, from.end());
  if (!(from == v.shape())) v = reshaped(v, from);
  return broadcasted(v, shape);
}

struct Key {
  Window window;
  Gathered gathered;
};

Key read_key(const array& a, PyObject* key) {
  std::vector<Item> items = parse_key(key, a.shape());
  return {window_of(items, a.shape()), gathered_of(items)};
}

/// The updates with the index axes first, as scatter wants them.
array index_axes_first(const array& updates, const Gathered& g) {
  return move_axes(updates, g.position, index_rank(g), 0);
}

Shape result_shape(const Key& k, const Shape& shape) {
  Shape window = k.window.same_rank ? (k.window.whole ? shape : k.window.kept) : k.window.reshaped;
  if (k.gathered.indices.empty()) return window;
  Shape index;
  for (const array& i : k.gathered.indices) index = broadcast_shapes(index, i.shape(), "index");
  Shape rest;
  for (size_t axis = 0; axis < window.size(); ++axis)
    if (std::find(k.gathered.axes.begin(), k.gathered.axes.end(), static_cast<int64_t>(axis)) ==
        k.gathered.axes.end())
      rest.push_back(window[axis]);
  Shape out(rest.begin(), rest.begin() + k.gathered.position);
  for (int64_t d : index) out.push_back(d);
  for (size_t i = static_cast<size_t>(k.gathered.position); i < rest.size(); ++i)
    out.push_back(rest[i]);
  return out;
}

array scatter(const array& a, const Key& k, const array& updates, const char* mode) {
  array base = read_window(a, k.window);
  array changed = scatter_nd(base, k.gathered.indices, index_axes_first(updates, k.gathered),
                             k.gathered.axes, mode);
  return write_window(a, k.window, changed);
}

array combine(const array& a, const array& b, Update how) {
  static constexpr array (*kOps[])(const array&, const array&) = {add,    subtract, multiply,
                                                                  divide, maximum,  minimum};
  return kOps[static_cast<int>(how)](a, b);
}

/// A bool, or a list, an array or NumPy's array of bools.
bool is_mask(PyObject* key) {
  if (is_array(key)) return unwrap(key).dtype() == Dtype::kBool;
  constexpr int kDeepest = 64;  // a list can hold itself; array() refuses such
  for (int i = 0; i < kDeepest && PyList_Check(key) && PyList_GET_SIZE(key) > 0; ++i)
    key = PyList_GET_ITEM(key, 0);
  if (PyBool_Check(key)) return true;
  if (!PyObject_CheckBuffer(key) || !nb::hasattr(key, "dtype")) return false;
  nb::object dtype = nb::handle(key).attr("dtype");
  return std::string_view(nb::str(nb::handle(dtype)).c_str()) == "bool";
}

/// For each element of a flat mask the next row of `rows`; what is false gets any.
array rows_by_mask(const array& rows, const array& mask) {
  // A row for what is false; take refuses any other.
  if (rows.shape()[0] == 0) {
    Shape one = rows.shape();
    one[0] = 1;
    return take(zeros(one, rows.dtype()), astype(mask, Dtype::kInt32), 0);
  }
  Dtype wide = mask.size() > std::numeric_limits<int32_t>::max() ? Dtype::kInt64 : Dtype::kInt32;
  array before = cumsum(mask, 0, false, false, wide);
  return take(rows, where(mask, before, zeros({}, wide)), 0);
}

/// x[mask] = value: the mask covers the first axes of x. The value is one for all places where it
/// is true, or has one more axis and a row for each place; how many there are is not known yet, so
/// rows that are left over are no error, unlike in NumPy.
array assign_masked(const array& a, const array& mask, const array& value) {
  auto covered = static_cast<size_t>(mask.ndim());
  bool fits = mask.ndim() <= a.ndim() &&
              std::equal(mask.shape().begin(), mask.shape().end(), a.shape().begin());
  PLIMSOLL_CHECK(fits, ValueError,
                 "[index] expected a mask of the array's first axes, got shapes {} and {}",
                 to_string(mask.shape()), to_string(a.shape()));
  Shape rest(a.shape().begin() + covered, a.shape().end()), shape = mask.shape();
  shape.resize(a.shape().size(), 1);
  array v = astype(value, a.dtype());
  while (v.ndim() > 0 && v.shape()[0] == 1)
    v = reshaped(v, Shape(v.shape().begin() + 1, v.shape().end()));
  if (static_cast<size_t>(v.ndim()) <= rest.size())
    return where(reshaped(mask, shape), broadcasted(v, rest), a);
  PLIMSOLL_CHECK(static_cast<size_t>(v.ndim()) == rest.size() + 1, ValueError,
                 "[index] expected values of at most {} dimensions for the mask, got shape {}",
                 rest.size() + 1, to_string(v.shape()));
  Shape rows = rest;
  rows.insert(rows.begin(), v.shape()[0]);
  array picked = rows_by_mask(broadcasted(v, rows), reshape(mask, {-1}));
  return where(reshaped(mask, shape), reshaped(picked, a.shape()), a);
}

}  // namespace

array slice_axis(const array& a, int axis, int64_t start, int64_t stop) {
  Dims from(a.shape().size(), 0), to = a.shape();
  from[axis] = start;
  to[axis] = stop;
  return slice(a, from, to);
}

array join(const array& a, const array& b, int axis) { return concatenate({a, b}, axis); }

array get_item(const array& a, nb::handle key) {
  Key k = read_key(a, key.ptr());
  array window = read_window(a, k.window);
  return k.gathered.indices.empty() ? window : read_gathered(window, k.gathered);
}

array set_item(const array& a, nb::handle key, const array& value) {
  if (is_mask(key.ptr())) return assign_masked(a, make_array(key, std::nullopt), value);
  Key k = read_key(a, key.ptr());
  array update = fit(value, result_shape(k, a.shape()), a.dtype());
  if (k.gathered.indices.empty()) return write_window(a, k.window, update);
  return scatter(a, k, update, "set");
}

array update_item(const array& a, nb::handle key, const array& value, Update how) {
  Key k = read_key(a, key.ptr());
  Shape shape = result_shape(k, a.shape());
  array update = fit(value, shape, a.dtype());
  if (k.gathered.indices.empty())
    return write_window(a, k.window, combine(read_window(a, k.window), update, how));
  if (how == Update::kSubtract) update = negative(update);
  if (how == Update::kDivide) update = reciprocal(update);
  static constexpr const char* kModes[] = {"add", "add", "prod", "prod", "max", "min"};
  return scatter(a, k, update, kModes[static_cast<int>(how)]);
}

PyObject* subscript(PyObject* self, PyObject* key) {
  return guarded([&] { return wrap(get_item(unwrap(self), key)); });
}

int assign_subscript(PyObject* self, PyObject* key, PyObject* value) {
  try {
    PLIMSOLL_CHECK(value, TypeError, "an array's elements cannot be deleted");
    array v = is_array(value)      ? unwrap(value)
              : weak_scalar(value) ? *weak_scalar(value)
                                   : make_array(value, std::nullopt);
    unwrap(self) = set_item(unwrap(self), key, v);
    return 0;
  } catch (...) {
    set_error_from_current_exception();
    return -1;
  }
}

}  // namespace plimsoll::python
