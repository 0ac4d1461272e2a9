// The inner loops of scatter, by dtype and mode.
#pragma once

#include <cstddef>
#include <cstdint>

#include "backends/cpu/kernels/index_list.h"
#include "opset/scatter.h"
#include "plimsoll/dtype.h"

namespace plimsoll::cpu {

/// For each i < run.count ascending and each column c < cols:
/// out[run.offset[i] + c * out_col] op= updates[run.turn[i] * step + c * update_col].
struct ScatterRun {
  std::byte* out;
  const std::byte* updates;
  int64_t step;
  int64_t cols;
  int64_t out_col;
  int64_t update_col;
};
using ScatterApply = void (*)(const ScatterRun&, const IndexRun&);

/// Null where the mode has no meaning for the dtype.
ScatterApply scatter_apply(ScatterMode mode, Dtype dtype);

}  // namespace plimsoll::cpu
