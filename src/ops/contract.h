// What operations that come from a file must keep to, one function a kind of operands
// (OpDef::check). An op's own function sees to the same when a program calls it.
#pragma once

#include "opset/tiling.h"

namespace plimsoll::ops::contract {

void one_input(const OpInstance& op);

// view, cast, creation, random, reinterpret, diagonal
void reshape(const OpInstance& op);
void transpose(const OpInstance& op);
void broadcast_to(const OpInstance& op);
void slice(const OpInstance& op);
void full(const OpInstance& op);
void arange(const OpInstance& op);
void random_bits(const OpInstance& op);
void bit_view(const OpInstance& op);
void as_strided(const OpInstance& op);
void diagonal(const OpInstance& op);

// reduce, arg_reduce, scan, sort, softmax, norm, fft
void reduction(const OpInstance& op);
void extreme(const OpInstance& op);  // a reduction without a value for no elements
void position(const OpInstance& op);
void scan(const OpInstance& op);
void sort(const OpInstance& op);
void softmax(const OpInstance& op);
void softmax_vjp(const OpInstance& op);
void norm(const OpInstance& op);
void norm_vjp(const OpInstance& op);
void dft(const OpInstance& op);
void rdft(const OpInstance& op);
void irdft(const OpInstance& op);

// gather, scatter, join
void take(const OpInstance& op);
void take_along_axis(const OpInstance& op);
void gather(const OpInstance& op);
void scatter(const OpInstance& op);
void scatter_along(const OpInstance& op);
void scatter_nd(const OpInstance& op);
void concatenate(const OpInstance& op);
void slice_update(const OpInstance& op);

// matmul, gather_mm, quantize, conv, attention, linalg, factor, solve
void matmul(const OpInstance& op);
void gather_mm(const OpInstance& op);
void segmented_mm(const OpInstance& op);
void quantized_matmul(const OpInstance& op);
void gather_qmm(const OpInstance& op);
void conv(const OpInstance& op);
void sdpa(const OpInstance& op);
void sdpa_vjp(const OpInstance& op);
void matrix(const OpInstance& op);
void square(const OpInstance& op);
void system(const OpInstance& op);  // a square matrix and a right side

}  // namespace plimsoll::ops::contract
