// Leaves of each op, by input dtype; null where the op has none for it.
#pragma once

#include "backends/cpu/kernels/reduce_driver.h"

namespace plimsoll::cpu {

const ReduceLeaf* sum_leaf(Dtype t);
const ReduceLeaf* prod_leaf(Dtype t);
const ReduceLeaf* max_leaf(Dtype t);
const ReduceLeaf* min_leaf(Dtype t);
const ReduceLeaf* all_leaf(Dtype t);
const ReduceLeaf* any_leaf(Dtype t);
const ReduceLeaf* logsumexp_leaf(Dtype t);

}  // namespace plimsoll::cpu
