// Parts of complex numbers, and complex functions made of simpler ones.
#include "ops/complex.h"

#include "ops/common.h"
#include "ops/lists.h"
#include "plimsoll/ops/binary.h"
#include "plimsoll/ops/complex.h"
#include "plimsoll/ops/creation.h"
#include "plimsoll/ops/unary.h"

namespace plimsoll {
namespace ops {
namespace {

void infer_real_part(const OpInstance& op, std::vector<TensorSpec>& out) {
  out.push_back({real_of(op.inputs[0].dtype), op.inputs[0].shape});
}

// abs of complex64 has another dtype than its operand, hence a record of its own.
constinit const OpDef kComplexAbs{
    .name = "complex_abs",
    .kind = Kind::kElementwise,
    .tile_op = TileOp::kAbs,
    .infer = infer_real_part,
    .vjp = vjp_of_one<[](const array& g, const array& x, const array&) { return g * sign(x); }>,
    .doc = "Magnitude of complex64 as float32; what abs records for complex numbers."};

constinit const OpDef kReal{
    .name = "real",
    .kind = Kind::kElementwise,
    .tile_op = TileOp::kReal,
    .infer = infer_real_part,
    .vjp =
        vjp_of_one<[](const array& g, const array& x, const array&) { return cast(g, x.dtype()); }>,
    .entry = boxed<&plimsoll::real>::call,
    .signature = "real(a: scalar | array, /, *, stream: None | Stream | Device = None) -> array",
    .doc = R"(Real part of a complex number (float32); real numbers are returned as they are.

Example:
    >>> mx.real(mx.array([1 + 2j]))
    array([1], dtype=float32)
)"};

constinit const OpDef kImag{
    .name = "imag",
    .kind = Kind::kElementwise,
    .tile_op = TileOp::kImag,
    .infer = infer_real_part,
    .vjp = vjp_of_one<[](const array& g, const array&, const array&) {
      return g * scalar(std::complex<float>(0, 1));
    }>,
    .entry = boxed<&plimsoll::imag>::call,
    .signature = "imag(a: scalar | array, /, *, stream: None | Stream | Device = None) -> array",
    .doc = R"(Imaginary part of a complex number (float32); zeros for real numbers.

Example:
    >>> mx.imag(mx.array([1 + 2j]))
    array([2], dtype=float32)
)"};

constinit const OpDef kConjugate{
    .name = "conjugate",
    .kind = Kind::kElementwise,
    .tile_op = TileOp::kConjugate,
    .vjp = vjp_of_one<[](const array& g, const array&, const array&) { return conjugate(g); }>,
    .entry = boxed<&conjugate>::call,
    .signature = "conjugate(a: scalar | array, *, stream: None | Stream | Device = None) -> array",
    .doc = R"(Complex conjugate; real numbers are returned as they are.

Example:
    >>> mx.conjugate(mx.array([1 + 2j]))
    array([1-2j], dtype=complex64)
)"};

array i_unit() { return scalar(std::complex<float>(0, 1)); }

}  // namespace

OpList complex_ops() {
  static constexpr const OpDef* kOps[] = {&kComplexAbs, &kReal, &kImag, &kConjugate};
  return kOps;
}

array complex_abs(const array& z) { return record(kComplexAbs, {cast(z, z.dtype())}); }
array complex_of(const array& re, const array& im) { return re + im * i_unit(); }

}  // namespace ops

using ops::cast;
using ops::record;

array real(const array& a) {
  if (a.dtype() != Dtype::kComplex64) return cast(a, a.dtype());
  return record(ops::kReal, {cast(a, a.dtype())});
}

array imag(const array& a) {
  if (a.dtype() != Dtype::kComplex64) return zeros(a.shape(), a.dtype());
  return record(ops::kImag, {cast(a, a.dtype())});
}

array conjugate(const array& a) {
  if (a.dtype() != Dtype::kComplex64) return cast(a, a.dtype());
  return record(ops::kConjugate, {cast(a, a.dtype())});
}

}  // namespace plimsoll
