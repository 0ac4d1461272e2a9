// Writing elements that integer arrays name. `mode` is "set", "add", "max", "min" or "prod";
// updates of one element apply in row-major order. Updates are cast to a's dtype.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "plimsoll/array.h"

namespace plimsoll {

/// The counterpart of take: updates has the shape a.shape[:axis] + indices.shape +
/// a.shape[axis+1:], or broadcasts to it.
array scatter(const array& a, const array& indices, const array& updates, int64_t axis,
              const std::string& mode);
/// The counterpart of take_along_axis: updates has the shape of indices, or broadcasts to it.
array scatter_along_axis(const array& a, const array& indices, const array& updates, int64_t axis,
                         const std::string& mode);
/// The counterpart of gather: updates has the shape I + the other axes of a, or broadcasts to it.
array scatter_nd(const array& a, const std::vector<array>& indices, const array& updates,
                 const Dims& axes, const std::string& mode);
/// A copy of `a` with the elements that `indices` names along `axis` replaced by `values`.
array put_along_axis(const array& a, const array& indices, const array& values,
                     std::optional<int64_t> axis);

}  // namespace plimsoll
