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
OpList conv_ops();
OpList creation_ops();
OpList cross_entropy_ops();
OpList diagonal_ops();
OpList dynamic_slice_ops();
OpList einsum_ops();
OpList factor_ops();
OpList fft_ops();
OpList gated_delta_ops();
OpList gather_mm_ops();
OpList gather_ops();
OpList hadamard_ops();
OpList join_ops();
OpList linalg_ops();
OpList matmul_ops();
OpList norm_ops();
OpList partition_ops();
OpList product_ops();
OpList quantize_ops();
OpList random_ops();
OpList rearrange_ops();
OpList reduce_ops();
OpList reinterpret_ops();
OpList rope_ops();
OpList scan_ops();
OpList scatter_ops();
OpList search_ops();
OpList select_ops();
OpList softmax_ops();
OpList solve_ops();
OpList sort_ops();
OpList stft_ops();
OpList unary_ops();
OpList view_ops();
OpList window_ops();

}  // namespace plimsoll::ops
