// Transforms of functions over arrays. They record; nothing is evaluated. They nest in any order.
#pragma once

#include <functional>
#include <utility>
#include <vector>

#include "plimsoll/array.h"

namespace plimsoll {

using Arrays = std::vector<array>;
using Function = std::function<Arrays(const Arrays&)>;

/// Outputs of `fn` at `primals`, and the product of `cotangents` with its Jacobian: one array a
/// primal, zeros where nothing depends on it. Throws ValueError unless there is one cotangent of
/// the same shape for each output.
std::pair<Arrays, Arrays> vjp(const Function& fn, const Arrays& primals, const Arrays& cotangents);
/// All outputs of `fn`, and the gradients of the first, which must be a scalar.
std::pair<Arrays, Arrays> value_and_grad(const Function& fn, const Arrays& primals);
/// Outputs of `fn`, and the product of its Jacobian with `tangents`: one array an output. `fn` is
/// called twice; the product is the transpose of the (linear) vjp.
std::pair<Arrays, Arrays> jvp(const Function& fn, const Arrays& primals, const Arrays& tangents);

/// `fn` applied along an axis of its inputs (-1: the same for the whole batch). `out_axes` says
/// where outputs carry the batch (-1: not at all, for outputs that do not depend on it); it is read
/// after `fn` was called.
Arrays vmap(const Function& fn, const Arrays& inputs, const std::vector<int>& in_axes,
            const std::vector<int>& out_axes);

/// A function that records what `fn` does once for each list of input shapes and dtypes, and
/// records the same operations again without calling it. It keeps the recordings of the lists that
/// were used last, kMostRecordings of them.
inline constexpr size_t kMostRecordings = 64;
Function compile(Function fn);

/// A function with the values of `fn` whose gradient records fn's operations anew from its inputs,
/// so that inner values need not be kept for it.
Function checkpoint(Function fn);

/// What replaces the transforms of a function; an empty rule leaves the function's own.
struct CustomRules {
  /// Gradients by the primals: (primals, cotangents, outputs).
  std::function<Arrays(const Arrays&, const Arrays&, const Arrays&)> vjp;
  /// Tangents of the outputs: (primals, tangents); a primal without one has an empty array.
  std::function<Arrays(const Arrays&, const Arrays&)> jvp;
  /// Outputs over a batch and their axes: (inputs, axes); -1: not batched.
  std::function<std::pair<Arrays, std::vector<int>>(const Arrays&, const std::vector<int>&)> vmap;
};
/// `fn` with its transforms replaced. What `fn` captures counts as constant.
Function custom_function(Function fn, CustomRules rules);

/// The inputs, each to be read only when `dependencies` have been computed. Values do not change.
Arrays depends(const Arrays& inputs, const Arrays& dependencies);

/// True while a transform calls a function on this thread.
bool is_tracing();

}  // namespace plimsoll
