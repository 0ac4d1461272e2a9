// The list of all operations, put together from one explicit list per family.
#pragma once

#include <span>
#include <string_view>

#include "graph/op_def.h"

namespace plimsoll::ops {

/// Every OpDef, family by family. Each src/ops/<family>.cpp ends in its list:
///   std::span<const graph::OpDef* const> reduce_ops();
std::span<const graph::OpDef* const> all_ops();
/// Null where there is none of that name.
const graph::OpDef* find_op(std::string_view name);

}  // namespace plimsoll::ops
