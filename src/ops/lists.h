// One list of records a family; registry.cpp puts them together.
#pragma once

#include "ops/common.h"

namespace plimsoll::ops {

OpList arg_reduce_ops();
OpList attention_ops();
OpList binary_ops();
OpList cast_ops();
OpList classify_ops();
OpList compare_ops();
OpList complex_ops();
OpList creation_ops();
OpList gather_ops();
OpList join_ops();
OpList linalg_ops();
OpList matmul_ops();
OpList norm_ops();
OpList random_ops();
OpList reduce_ops();
OpList scan_ops();
OpList scatter_ops();
OpList select_ops();
OpList softmax_ops();
OpList sort_ops();
OpList unary_ops();
OpList view_ops();

}  // namespace plimsoll::ops
