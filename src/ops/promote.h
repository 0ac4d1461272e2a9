// MLX's promotion. Python numbers are weak constants: they take the dtype of what they meet unless
// their kind (bool, integer, float, complex) is higher.
#pragma once

#include <array>
#include <initializer_list>

#include "graph/node.h"
#include "plimsoll/array.h"

namespace plimsoll::ops {

/// The dtype that an operation over the arrays works in.
Dtype result_dtype(std::initializer_list<const array*> arrays);
inline Dtype result_dtype(const array& a, const array& b) { return result_dtype({&a, &b}); }
/// float32 for an integer dtype, else the same.
inline Dtype inexact(Dtype t) { return is_integral(t) ? Dtype::kFloat32 : t; }
/// The real dtype of a magnitude: float32 for complex64, else the same.
inline Dtype real_of(Dtype t) { return t == Dtype::kComplex64 ? Dtype::kFloat32 : t; }

/// `a` as `t`; the same array where it is already, a new constant where it is one, else a cast. The
/// result is never weak. Throws ValueError for a weak integer that `t` does not hold.
array cast(const array& a, Dtype t);
/// `value` in `like`'s dtype.
array constant_like(double value, const array& like);

/// A constant that no transform follows: its value is known now.
inline bool is_foldable(const array& a) {
  const graph::Node* node = a.node();
  return node->is(graph::Node::kConstant) && !node->is(graph::Node::kTracer);
}
/// Two arrays that need no promotion.
inline bool is_plain_pair(const array& a, const array& b) {
  const graph::Node *x = a.node(), *y = b.node();
  return x->dtype == y->dtype && !((x->flags | y->flags) & graph::Node::kWeak);
}

}  // namespace plimsoll::ops
