// Numbers in few bits: eight-bit floats, and matrices with a scale for each group of elements.
//
// Packed matrices are streams of codes of `bits` bits in uint32, the first element in the least
// significant bits, along the last axis.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "plimsoll/array.h"

namespace plimsoll {

array to_fp8(const array& x);
array from_fp8(const array& x, Dtype dtype = Dtype::kBfloat16);

/// (codes, scales, biases) for mode "affine", (codes, scales) for "mxfp4", "mxfp8" and "nvfp4".
std::vector<array> quantize(const array& w, std::optional<int64_t> group_size = std::nullopt,
                            std::optional<int64_t> bits = std::nullopt,
                            const std::string& mode = "affine",
                            const std::optional<array>& global_scale = std::nullopt);
array dequantize(const array& w, const array& scales,
                 const std::optional<array>& biases = std::nullopt,
                 std::optional<int64_t> group_size = std::nullopt,
                 std::optional<int64_t> bits = std::nullopt, const std::string& mode = "affine",
                 const std::optional<array>& global_scale = std::nullopt,
                 std::optional<Dtype> dtype = std::nullopt);
array quantized_matmul(const array& x, const array& w, const array& scales,
                       const std::optional<array>& biases = std::nullopt, bool transpose = true,
                       std::optional<int64_t> group_size = std::nullopt,
                       std::optional<int64_t> bits = std::nullopt,
                       const std::string& mode = "affine");
array gather_qmm(const array& x, const array& w, const array& scales,
                 const std::optional<array>& biases = std::nullopt,
                 const std::optional<array>& lhs_indices = std::nullopt,
                 const std::optional<array>& rhs_indices = std::nullopt, bool transpose = true,
                 std::optional<int64_t> group_size = std::nullopt,
                 std::optional<int64_t> bits = std::nullopt, const std::string& mode = "affine",
                 const std::optional<array>& global_scale = std::nullopt,
                 bool sorted_indices = false);
array qqmm(const array& x, const array& w, const std::optional<array>& scales = std::nullopt,
           std::optional<int64_t> group_size = std::nullopt,
           std::optional<int64_t> bits = std::nullopt, const std::string& mode = "nvfp4",
           const std::optional<array>& global_scale_x = std::nullopt,
           const std::optional<array>& global_scale_w = std::nullopt);
array gather_qqmm(const array& x, const array& w, const std::optional<array>& scales = std::nullopt,
                  const std::optional<array>& lhs_indices = std::nullopt,
                  const std::optional<array>& rhs_indices = std::nullopt,
                  std::optional<int64_t> group_size = std::nullopt,
                  std::optional<int64_t> bits = std::nullopt, const std::string& mode = "nvfp4",
                  const std::optional<array>& global_scale_x = std::nullopt,
                  const std::optional<array>& global_scale_w = std::nullopt,
                  bool sorted_indices = false);

}  // namespace plimsoll
