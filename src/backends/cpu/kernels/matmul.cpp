#include "backends/cpu/kernels/matmul.h"

#include <oneapi/tbb/info.h>

#include "backends/cpu/kernels/gemm_operands.h"
#include "backends/cpu/kernels/partition.h"
#include "opset/matmul.h"

namespace plimsoll::cpu {
namespace {

using device::KernelArgs;
using device::Tensor;

static_assert(matmul_panel_k(Dtype::kFloat32) == gemm_panel(GemmType::kF32) &&
              matmul_panel_k(Dtype::kFloat64) == gemm_panel(GemmType::kF64) &&
              matmul_panel_k(Dtype::kComplex64) == gemm_panel(GemmType::kC64) &&
              matmul_panel_k(Dtype::kFloat16) == gemm_panel(GemmType::kF16) &&
              matmul_panel_k(Dtype::kBfloat16) == gemm_panel(GemmType::kBF16));

constexpr Dtype kDtypes[] = {Dtype::kFloat16, Dtype::kBfloat16, Dtype::kFloat32, Dtype::kFloat64,
                             Dtype::kComplex64};

Dims batch_strides(const Tensor& t, const Shape& out) {
  Dims strides;
  for (size_t d = 0; d + 2 < out.size(); ++d)
    strides.push_back(t.shape[d] == 1 && out[d] != 1 ? 0 : t.strides[d]);
  return strides;
}

size_t workspace(const OpInstance& op) {
  const Shape& a = op.inputs[0].shape;
  const Shape& b = op.inputs[1].shape;
  const int64_t rows = a[a.size() - 2], cols = b.back();
  const int64_t products = num_elements(op.outputs[0].shape) / std::max<int64_t>(rows * cols, 1);
  return gemm_workspace(gemm_type(op.inputs[0].dtype), rows, cols, a.back(),
                        tbb::info::default_concurrency(), products);
}

// float32 sums of the output, between the turns of the loop over K.
size_t carry(const OpInstance& op) {
  if (!sums_apart(op.inputs[0].dtype)) return 0;
  return static_cast<size_t>(num_elements(op.outputs[0].shape)) * sizeof(float);
}

void matmul(const KernelArgs& args) {
  const Tensor &a = args.inputs[0], &b = args.inputs[1], &out = args.outputs[0];
  const int ndim = static_cast<int>(out.shape.size());
  const TileWindow k = window_of(args, ndim, a.shape.back());
  GemmArgs g{.type = gemm_type(a.dtype),
             .a = matrix_of(a),
             .b = matrix_of(b),
             .c = out.data,
             .c_row_stride = out.strides[ndim - 2],
             .accumulate = !k.first(),
             .finish = k.last(),
             .workspace = args.workspace};
  const Dims a_batch = batch_strides(a, out.shape), b_batch = batch_strides(b, out.shape);
  const Dims shape(out.shape.begin(), out.shape.end() - 2);
  const Dims c_batch(out.strides.begin(), out.strides.end() - 2);
  GemmBatch batch{shape, a_batch, b_batch, c_batch, {}};
  const Strides sums = row_major(out.shape);
  const Dims sums_batch(sums.begin(), sums.end() - 2);
  if (sums_apart(a.dtype) && !(k.first() && k.last())) {
    g.accum = reinterpret_cast<float*>(args.carry.data());
    g.accum_row_stride = sums[ndim - 2];
    batch.accum_strides = sums_batch;
  }
  if (shape.empty())
    gemm(g);
  else
    gemm_batched(g, batch);
}

}  // namespace

void add_matmul_kernels(device::KernelTable& table) {
  device::KernelRow row;
  row.run = matmul;
  row.workspace = workspace;
  row.carry = carry;
  row.strided_inputs = device::kAllInputs;
  table.add("matmul", kDtypes, row);
}

}  // namespace plimsoll::cpu
