#include "backends/cpu/kernels/gather_mm.h"

#include <oneapi/tbb/info.h>

#include <algorithm>

#include "backends/cpu/kernels/gemm_operands.h"
#include "backends/cpu/kernels/picked.h"
#include "base/check.h"
#include "opset/gather_mm.h"

namespace plimsoll::cpu {
namespace {

using device::KernelArgs;
using device::Tensor;

void* at(const Tensor& t, int64_t element) {
  return t.as<std::byte>() + element * static_cast<int64_t>(size_of(t.dtype));
}

// A product of fewer rows may need more than one of more rows.
size_t workspace(const OpInstance& op) {
  const Shape& out = op.outputs[0].shape;
  const GemmType type = gemm_type(op.inputs[0].dtype);
  const int64_t depth = op.inputs[0].shape.back();
  const int threads = tbb::info::default_concurrency();
  return std::max(gemm_workspace(type, out[1], out[2], depth, threads),
                  gemm_workspace(type, out[0] * out[1], out[2], depth, threads));
}

void gather_mm(const KernelArgs& args) {
  const Tensor &a = args.inputs[0], &b = args.inputs[1], &out = args.outputs[0];
  const int64_t rows = out.shape[1];
  const bool joins = a.strides[0] == rows * a.strides[1] && out.strides[0] == rows * out.strides[1];
  for_each_picked(args, 2, "gather_mm", joins, [&](int64_t s, int64_t n, int64_t i, int64_t j) {
    const auto fits = [&] {
      const size_t least = gemm_workspace(gemm_type(a.dtype), n * rows, b.shape[2], b.shape[1], 1);
      return least <= args.workspace.size();
    };
    while (n > 1 && !fits()) --n;
    GemmArgs g{.type = gemm_type(a.dtype),
               .a = matrix_of(a),
               .b = matrix_of(b),
               .c = at(out, s * out.strides[0]),
               .c_row_stride = out.strides[1],
               .workspace = args.workspace};
    g.a.data = at(a, i * a.strides[0]);
    g.a.rows *= n;
    g.b.data = at(b, j * b.strides[0]);
    gemm(g);
    return n;
  });
}

void segmented_mm(const KernelArgs& args) {
  const Tensor &a = args.inputs[0], &b = args.inputs[1], &out = args.outputs[0];
  const auto* segments = args.inputs[2].as<const int64_t>();
  const int64_t items = out.shape[0], depth = a.shape[1];
  for (int64_t s = 0; s < 2 * items; ++s)
    PLIMSOLL_CHECK(segments[s] >= 0 && segments[s] <= depth, IndexError,
                   "[segmented_mm] expected segments in [0, {}], got {}", depth, segments[s]);
  if (out.shape[1] == 0 || out.shape[2] == 0) return;
  for (int64_t s = 0; s < items; ++s) {
    const int64_t begin = segments[2 * s];
    const int64_t length = std::max<int64_t>(segments[2 * s + 1] - begin, 0);
    GemmArgs g{.type = gemm_type(a.dtype),
               .a = matrix_of(a),
               .b = matrix_of(b),
               .c = at(out, s * out.strides[0]),
               .c_row_stride = out.strides[1],
               .workspace = args.workspace};
    g.a.data = at(a, begin * a.strides[1]);
    g.b.data = at(b, begin * b.strides[0]);
    g.a.cols = g.b.rows = length;
    gemm(g);
  }
}

}  // namespace

void add_gather_mm_kernels(device::KernelTable& table) {
  device::KernelRow row;
  row.run = gather_mm;
  row.workspace = workspace;
  row.strided_inputs = 0b11;
  row.can_fail = true;
  table.add("gather_mm", device::kFloatDtypes, row);
  row.run = segmented_mm;
  table.add("segmented_mm", device::kFloatDtypes, row);
}

}  // namespace plimsoll::cpu
