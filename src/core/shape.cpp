#include "core/shape.h"

#include "base/check.h"

namespace plimsoll {

int64_t num_elements(const Shape& shape) {
  int64_t n = 1;
  bool empty = false;
  for (int64_t d : shape) {
    // The strides of an array without elements must be numbers, too.
    empty |= d == 0;
    int64_t product;
    bool overflow =
        __builtin_mul_overflow(n, d == 0 ? 1 : d, &product) || product > (int64_t{1} << 62);
    PLIMSOLL_CHECK(!overflow, ValueError, "[shape] an array of shape {} has too many elements",
                   to_string(shape));
    n = product;
  }
  return empty ? 0 : n;
}

Strides row_major(const Shape& shape) {
  Strides strides(shape.size(), 1);
  for (int i = static_cast<int>(shape.size()) - 2; i >= 0; --i)
    strides[i] = strides[i + 1] * std::max<int64_t>(shape[i + 1], 1);
  return strides;
}

std::string to_string(const Shape& shape) {
  if (shape.size() == 1) return fmt::format("({},)", shape[0]);
  return fmt::format("({})", fmt::join(shape.begin(), shape.end(), ", "));
}

int normalize_axis(int64_t axis, int ndim, const char* op) {
  PLIMSOLL_CHECK(axis >= -ndim && axis < ndim, ValueError,
                 "[{}] expected an axis of an array with {} dimensions, got {}", op, ndim, axis);
  return static_cast<int>(axis < 0 ? axis + ndim : axis);
}

Shape broadcast_shapes(const Shape& a, const Shape& b, const char* op) {
  const Shape& longer = a.size() >= b.size() ? a : b;
  const Shape& shorter = a.size() >= b.size() ? b : a;
  Shape out = longer;
  size_t shift = longer.size() - shorter.size();
  for (size_t i = 0; i < shorter.size(); ++i) {
    int64_t l = longer[i + shift], s = shorter[i];
    PLIMSOLL_CHECK(l == s || l == 1 || s == 1, ShapeError,
                   "[{}] expected shapes that broadcast together, got {} and {}", op, to_string(a),
                   to_string(b));
    out[i + shift] = l == 1 ? s : l;
  }
  return out;
}

Strides broadcast_strides(const Shape& shape, const Strides& strides, const Shape& target) {
  Strides out(target.size(), 0);
  size_t shift = target.size() - shape.size();
  for (size_t i = 0; i < shape.size(); ++i)
    out[i + shift] = shape[i] == 1 && target[i + shift] != 1 ? 0 : strides[i];
  return out;
}

bool is_row_contiguous(const Shape& shape, const Strides& strides) {
  int64_t expected = 1;
  for (int i = static_cast<int>(shape.size()) - 1; i >= 0; --i) {
    if (shape[i] == 0) return true;
    if (shape[i] != 1 && strides[i] != expected) return false;
    expected *= shape[i];
  }
  return true;
}

ElementSpan element_span(const Shape& shape, const Layout& layout) {
  ElementSpan span{layout.offset, layout.offset};
  for (size_t i = 0; i < shape.size(); ++i) {
    int64_t reach = (shape[i] - 1) * layout.strides[i];
    (reach < 0 ? span.first : span.last) += reach;
  }
  return span;
}

}  // namespace plimsoll
