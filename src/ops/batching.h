// vmap of one recorded operation.
#pragma once

#include "graph/op_def.h"

namespace plimsoll::ops {

/// The op over a batch: its own rule, or its kind's default. Throws Error for an op without a rule.
/// At least one of args.axes is not -1; an input with -1 is the same for the whole batch.
graph::VmapResult vmap_op(const graph::OpDef& def, const graph::VmapArgs& args);

}  // namespace plimsoll::ops
