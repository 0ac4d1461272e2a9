// Matrix products whose operands are picked, masked or cut by arrays.
#pragma once

#include <optional>
#include <utility>

#include "plimsoll/array.h"

namespace plimsoll {

array gather_mm(const array& a, const array& b,
                const std::optional<array>& lhs_indices = std::nullopt,
                const std::optional<array>& rhs_indices = std::nullopt,
                bool sorted_indices = false);
array block_masked_mm(const array& a, const array& b, int64_t block_size = 64,
                      const std::optional<array>& mask_out = std::nullopt,
                      const std::optional<array>& mask_lhs = std::nullopt,
                      const std::optional<array>& mask_rhs = std::nullopt);
array segmented_mm(const array& a, const array& b, const array& segments);

namespace ops {
/// Flat positions of the matrices of `a` in the shape of its leading axes.
array matrix_positions(const array& a);
/// Both as integers of one shape; `op` names the function in errors.
std::pair<array, array> matrix_indices(const array& a, const array& b,
                                       const std::optional<array>& lhs,
                                       const std::optional<array>& rhs, const char* op);
}  // namespace ops

}  // namespace plimsoll
