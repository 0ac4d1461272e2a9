// What a kernel gets and what it says of itself. Kernels never allocate.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "opset/attrs.h"
#include "opset/tiling.h"

namespace plimsoll::device {

/// A pinned operand. `data` is the address of element [0, 0, …]; strides are in elements.
struct Tensor {
  void* data = nullptr;
  Dtype dtype = Dtype::kFloat32;
  Shape shape;
  Strides strides;

  template <typename T>
  T* as() const {
    return static_cast<T*>(data);
  }
};

/// One call: the whole problem, or the part of it that `windows` names. Operands hold only their
/// part (shape and data already cut); `windows` is empty for a call that covers everything.
struct KernelArgs {
  std::span<const Tensor> inputs;
  std::span<const Tensor> outputs;
  std::span<std::byte> workspace;  // as KernelRow::workspace said, 64-byte aligned, garbage
  std::span<std::byte> carry;      // as KernelRow::carry said, kept between ordered turns
  const AttrBase* attrs = nullptr;
  std::span<const TileWindow> windows;
};

inline constexpr uint32_t kAllInputs = ~0u;

struct KernelRow {
  void (*run)(const KernelArgs&) = nullptr;
  /// Bytes of scratch that one call over this (part of a) problem needs; null: none.
  size_t (*workspace)(const OpInstance&) = nullptr;
  /// Bytes of state kept across the turns of ordered loops over the whole problem (or over a tile
  /// of it along axes that repeat); null: none.
  size_t (*carry)(const OpInstance&) = nullptr;
  /// No carry is needed where no ordered axis is cut.
  bool carry_only_cut = false;
  /// Bit i: input i may have any strides. Other inputs are made row-contiguous by the planner.
  uint32_t strided_inputs = 0;
  /// Bit i: output 0 may be the very bytes of input i (same shape, dtype and row-contiguous).
  uint32_t in_place = 0;
  /// The kernel can throw midway (an index out of range): nothing is donated to it.
  bool can_fail = false;
};

/// Op name × dtype → row. The dtype is that of input 0, or of output 0 where there are no inputs.
/// A missing row means that the backend does not support it; there are no stub lists.
class KernelTable {
 public:
  void add(std::string_view op, std::span<const Dtype> dtypes, const KernelRow& row) {
    auto& rows = rows_[std::string(op)];
    rows.resize(kNumDtypes);
    for (Dtype t : dtypes) rows[static_cast<int>(t)] = row;
  }
  const KernelRow* find(std::string_view op, Dtype dtype) const {
    auto it = rows_.find(std::string(op));
    if (it == rows_.end()) return nullptr;
    const KernelRow& row = it->second[static_cast<int>(dtype)];
    return row.run ? &row : nullptr;
  }

 private:
  std::unordered_map<std::string, std::vector<KernelRow>> rows_;
};

inline constexpr Dtype kAllDtypes[kNumDtypes] = {
    Dtype::kBool,     Dtype::kUint8,   Dtype::kUint16,  Dtype::kUint32,   Dtype::kUint64,
    Dtype::kInt8,     Dtype::kInt16,   Dtype::kInt32,   Dtype::kInt64,    Dtype::kFloat16,
    Dtype::kBfloat16, Dtype::kFloat32, Dtype::kFloat64, Dtype::kComplex64};
inline constexpr Dtype kFloatDtypes[4] = {Dtype::kFloat16, Dtype::kBfloat16, Dtype::kFloat32,
                                          Dtype::kFloat64};

}  // namespace plimsoll::device
