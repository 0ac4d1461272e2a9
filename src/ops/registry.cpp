#include "ops/registry.h"

#include <string>
#include <unordered_map>
#include <vector>

#include "ops/lists.h"

namespace plimsoll::ops {
namespace {

std::vector<const OpDef*> joined() {
  std::vector<const OpDef*> all;
  for (OpList (*family)() :
       {unary_ops,     classify_ops,   complex_ops,     binary_ops,        compare_ops,
        select_ops,    cast_ops,       creation_ops,    view_ops,          join_ops,
        reduce_ops,    arg_reduce_ops, scan_ops,        softmax_ops,       norm_ops,
        matmul_ops,    gather_ops,     scatter_ops,     sort_ops,          random_ops,
        linalg_ops,    attention_ops,  rope_ops,        cross_entropy_ops, conv_ops,
        rearrange_ops, diagonal_ops,   reinterpret_ops, dynamic_slice_ops, window_ops,
        product_ops,   partition_ops,  search_ops,      einsum_ops,        gather_mm_ops,
        quantize_ops,  hadamard_ops,   factor_ops,      solve_ops,         fft_ops,
        stft_ops,      gated_delta_ops})
    for (const OpDef* def : family()) all.push_back(def);
  return all;
}

}  // namespace

std::span<const graph::OpDef* const> all_ops() {
  static const std::vector<const OpDef*> kAll = joined();
  return kAll;
}

const graph::OpDef* find_op(std::string_view name) {
  static const auto kByName = [] {
    std::unordered_map<std::string_view, const OpDef*> map;
    for (const OpDef* def : all_ops()) map.emplace(def->name, def);
    return map;
  }();
  auto it = kByName.find(name);
  return it == kByName.end() ? nullptr : it->second;
}

}  // namespace plimsoll::ops
