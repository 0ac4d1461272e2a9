// What kernels over packed products make of dtypes and tensors.
#pragma once

#include "backends/cpu/gemm.h"
#include "device/kernel.h"

namespace plimsoll::cpu {

/// float32 where the dtype has no product of its own.
constexpr GemmType gemm_type(Dtype t) {
  switch (t) {
    case Dtype::kFloat16:
      return GemmType::kF16;
    case Dtype::kBfloat16:
      return GemmType::kBF16;
    case Dtype::kFloat64:
      return GemmType::kF64;
    case Dtype::kComplex64:
      return GemmType::kC64;
    default:
      return GemmType::kF32;
  }
}

/// Whether sums are kept apart from the elements, in float32.
constexpr bool sums_apart(Dtype t) { return t == Dtype::kFloat16 || t == Dtype::kBfloat16; }

/// The last two axes.
inline MatView matrix_of(const device::Tensor& t) {
  const size_t n = t.shape.size();
  return {t.data, t.shape[n - 2], t.shape[n - 1], t.strides[n - 2], t.strides[n - 1]};
}

}  // namespace plimsoll::cpu
