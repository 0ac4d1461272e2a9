// The array: a handle to a value that exists or that an evaluation will make.
#pragma once

#include <complex>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "core/shape.h"
#include "plimsoll/dtype.h"

namespace plimsoll {

namespace graph {
class Node;
void retain(Node* node) noexcept;
void release(Node* node) noexcept;
}  // namespace graph

class array {
 public:
  /// An empty handle; only assignment and destruction are allowed.
  array() = default;
  /// A 0-d constant. Costs no buffer. A bool, an integer (int32, or int64 where it does not fit), a
  /// float (float32), a complex (complex64), or any of them as `dtype`.
  array(bool value);                 // NOLINT: numbers convert, as in MLX
  array(int value);                  // NOLINT
  array(int64_t value);              // NOLINT
  array(float value);                // NOLINT
  array(double value);               // NOLINT
  array(std::complex<float> value);  // NOLINT
  array(double value, Dtype dtype);
  array(int64_t value, Dtype dtype);
  /// Copies row-major host data.
  array(const void* data, Shape shape, Dtype dtype);

  array(const array& o) noexcept : node_(o.node_) {
    if (node_) graph::retain(node_);
  }
  array(array&& o) noexcept : node_(std::exchange(o.node_, nullptr)) {}
  array& operator=(const array& o) noexcept {
    array copy(o);
    std::swap(node_, copy.node_);
    return *this;
  }
  array& operator=(array&& o) noexcept {
    std::swap(node_, o.node_);
    return *this;
  }
  ~array() {
    if (node_) graph::release(node_);
  }

  const Shape& shape() const;
  int64_t shape(int axis) const;
  Dtype dtype() const;
  int ndim() const { return static_cast<int>(shape().size()); }
  int64_t size() const { return num_elements(shape()); }
  size_t itemsize() const { return size_of(dtype()); }
  size_t nbytes() const { return static_cast<size_t>(size()) * itemsize(); }

  /// Computes the value now, waits for it, and raises what went wrong.
  void eval() const;
  bool is_available() const;
  /// Value of a one-element array; evaluates.
  double item_double() const;
  int64_t item_int() const;
  /// Evaluates and copies the elements in row-major order to `out` (nbytes() bytes).
  void copy_to(void* out) const;

  /// Adopts one reference to `node`.
  static array adopt(graph::Node* node) {
    array a;
    a.node_ = node;
    return a;
  }
  static array share(graph::Node* node) {
    graph::retain(node);
    return adopt(node);
  }
  graph::Node* node() const { return node_; }
  explicit operator bool() const { return node_ != nullptr; }

 private:
  graph::Node* node_ = nullptr;
};

}  // namespace plimsoll
