// Docstrings of the family quantize.
#pragma once

namespace plimsoll::ops {

inline constexpr const char* kToFp8Doc =
    R"(Eight-bit floats (E4M3) as uint8: rounded to the nearest, ties to even, at most 448.

NaN becomes 448 as in MLX. Raises ValueError for dtypes that are no floats. (Micikevicius et al., "FP8
formats for deep learning", 2022.)

Example:
    >>> mx.to_fp8(mx.array([1.0, -0.5]))
    array([56, 176], dtype=uint8)
)";

inline constexpr const char* kFromFp8Doc = R"(The numbers that E4M3 codes (uint8) stand for.

Raises ValueError for another dtype of ``x`` and for a ``dtype`` that is no float.

Example:
    >>> mx.from_fp8(mx.array([56, 176], mx.uint8), mx.float32)
    array([1, -0.5], dtype=float32)
)";

inline constexpr const char* kQuantizeDoc =
    R"(A matrix in few bits, each group of ``group_size`` elements of a row with its own scale.

``mode`` "affine" (groups of 32, 64, 128; 1 to 6 or 8 bits; default 64 and 4) gives codes, scales and
biases: an element is scale * code + bias. "mxfp4", "mxfp8" (groups of 32, power-of-two scales as
E8M0) and "nvfp4" (groups of 16, E4M3 scales, optionally relative to ``global_scale``) give codes of
small floats (E2M1, E4M3) and uint8 scales (OCP Microscaling Formats, 2023). Codes are packed into
uint32 from the least significant bits. Raises ValueError for dtypes, shapes and settings that do not
fit.

Example:
    >>> codes, scales, biases = mx.quantize(mx.ones((1, 64)), bits=8)
    >>> codes.shape, scales.shape
    ((1, 16), (1, 1))
)";

inline constexpr const char* kDequantizeDoc = R"(The matrix that quantize packed, rounded.

``dtype`` is that of the scales and biases for None, bfloat16 where the scales are uint8. Computed in
float32 and rounded once. Raises ValueError for dtypes, shapes and settings that do not fit.

Example:
    >>> packed = mx.quantize(mx.arange(64).reshape(1, 64).astype(mx.float32), bits=8)
    >>> mx.dequantize(*packed, bits=8)[0, -1]
    array(63, dtype=float32)
)";

inline constexpr const char* kQuantizedMatmulDoc =
    R"(x @ w.T (x @ w unless ``transpose``) with a matrix that quantize packed.

Leading axes broadcast; the dtypes of x, scales and biases are promoted. Raises ValueError for dtypes,
shapes and settings that do not fit.

Example:
    >>> packed = mx.quantize(mx.ones((2, 64)), bits=8)
    >>> mx.quantized_matmul(mx.ones((1, 64)), *packed, bits=8)
    array([[64, 64]], dtype=float32)
)";

inline constexpr const char* kGatherQmmDoc =
    R"(gather_mm with right matrices that quantize packed.

Indices are as for gather_mm, the rest as for quantized_matmul.

Example:
    >>> packed = mx.quantize(mx.ones((3, 2, 64)), bits=8)
    >>> mx.gather_qmm(mx.ones((1, 64)), *packed, rhs_indices=mx.array([2]), bits=8)
    array([[[64, 64]]], dtype=float32)
)";

inline constexpr const char* kQqmmDoc =
    R"(x @ w.T with both operands rounded to the numbers of a quantized format.

``w`` is a float matrix, or packed by quantize where ``scales`` are given. ``mode`` is "mxfp4",
"mxfp8" or "nvfp4". Gradients by ``x`` and a float ``w`` are those of the product with the rounded
numbers: rounding passes them on. Raises ValueError for dtypes, shapes and settings that do not fit.

Example:
    >>> mx.qqmm(mx.ones((1, 32)), mx.ones((2, 32)), mode="mxfp8")
    array([[32, 32]], dtype=float32)
)";

inline constexpr const char* kGatherQqmmDoc =
    R"(qqmm of matrices that indices pick, as gather_mm does.

Example:
    >>> x, w = mx.ones((1, 32)), mx.ones((3, 2, 32))
    >>> mx.gather_qqmm(x, w, rhs_indices=mx.array([1]), mode="mxfp8")
    array([[[32, 32]]], dtype=float32)
)";

}  // namespace plimsoll::ops
