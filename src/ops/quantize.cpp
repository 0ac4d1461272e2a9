// Numbers in few bits: codes, scales and packed words are those that MLX gives, found by comparing
// results. All is made of elementwise ops and matmul but the affine products that kernels unpack as
// they go.
#include "plimsoll/ops/quantize.h"

#include <algorithm>
#include <cmath>

#include "ops/common.h"
#include "ops/lists.h"
#include "ops/quantize_docs.h"
#include "opset/matmul.h"
#include "opset/quantize.h"
#include "plimsoll/ops/binary.h"
#include "plimsoll/ops/cast.h"
#include "plimsoll/ops/classify.h"
#include "plimsoll/ops/compare.h"
#include "plimsoll/ops/creation.h"
#include "plimsoll/ops/gather.h"
#include "plimsoll/ops/gather_mm.h"
#include "plimsoll/ops/join.h"
#include "plimsoll/ops/matmul.h"
#include "plimsoll/ops/reduce.h"
#include "plimsoll/ops/reinterpret.h"
#include "plimsoll/ops/scatter.h"
#include "plimsoll/ops/select.h"
#include "plimsoll/ops/unary.h"
#include "plimsoll/ops/view.h"

namespace plimsoll {
namespace ops {
namespace {

array uint32_of(int64_t value) { return array(value, Dtype::kUint32); }

array counting(int64_t n, int64_t step = 1) {
  return arange(int64_t{0}, n * step, step, Dtype::kUint32);
}

// 2 to the power of an unsigned integer of `bits` bits less `bias`; exact, element by element.
array power_of_two(const array& exponent, int bits, int bias) {
  array out = array(std::ldexp(1.0, -bias), Dtype::kFloat32);
  for (int k = 0; k < bits; ++k) {
    array bit = bitwise_and(exponent, array(int64_t{1} << k, exponent.dtype()));
    out = out * where(not_equal(bit, constant_like(0, bit)),
                      array(std::ldexp(1.0, 1 << k), Dtype::kFloat32), array(1.0, Dtype::kFloat32));
  }
  return out;
}

// Codes and words --------------------------------------------------------------------------------

// Codes [..., n] (uint32, below 2^bits) as words [..., n * bits / 32].
array pack(const array& codes, int64_t bits) {
  Shape shape = codes.shape();
  int64_t n = shape.back();
  if (32 % bits == 0) {
    shape.back() = n * bits / 32;
    shape.push_back(32 / bits);
    return sum(left_shift(reshape(codes, shape), counting(32 / bits, bits)), Dims{-1});
  }
  // Word j of the `bits` words that hold 32 codes.
  shape.back() = n / 32;
  shape.push_back(32);
  array blocks = reshape(codes, shape);
  std::vector<array> words;
  for (int64_t j = 0; j < bits; ++j) {
    int64_t first = 32 * j / bits, last = std::min<int64_t>(32, (32 * (j + 1) + bits - 1) / bits);
    array word = uint32_of(0);
    for (int64_t i = first; i < last; ++i) {
      Dims start(shape.size(), 0), stop = shape;
      start.back() = i;
      stop.back() = i + 1;
      array code = slice(blocks, start, stop);
      int64_t at = i * bits - 32 * j;
      word = bitwise_or(
          word, at >= 0 ? left_shift(code, uint32_of(at)) : right_shift(code, uint32_of(-at)));
    }
    words.push_back(word);
  }
  shape.pop_back();
  shape.back() *= bits;
  return reshape(concatenate(words, -1), shape);
}

// The inverse of pack.
array unpack(const array& words, int64_t bits) {
  Shape shape = words.shape();
  array mask = uint32_of((int64_t{1} << bits) - 1);
  if (32 % bits == 0) {
    shape.push_back(1);
    array codes = bitwise_and(right_shift(reshape(words, shape), counting(32 / bits, bits)), mask);
    return flatten(codes, -2, -1);
  }
  shape.back() /= bits;
  shape.push_back(bits);
  array blocks = reshape(words, shape);
  array at = counting(32, bits);
  array first = right_shift(at, uint32_of(5)), shift = bitwise_and(at, uint32_of(31));
  array low = take(blocks, first, -1);
  array high = take(blocks, minimum(first + uint32_of(1), uint32_of(bits - 1)), -1);
  // Shifts of 32 bits are not defined: by 31 and by 1.
  array upper = left_shift(left_shift(high, uint32_of(31) - shift), uint32_of(1));
  return flatten(bitwise_and(bitwise_or(right_shift(low, shift), upper), mask), -2, -1);
}

// Small floats -----------------------------------------------------------------------------------

// E4M3 codes of float32 numbers: rounded to nearest even, at most 448, NaN as 448.
array encode_e4m3(const array& x) {
  array u = view(x, Dtype::kUint32);
  array size = bitwise_and(u, uint32_of(0x7FFFFFFF));
  array odd = bitwise_and(right_shift(size, uint32_of(20)), uint32_of(1));
  array normal = right_shift(size + uint32_of(0x7FFFF) + odd, uint32_of(20)) - uint32_of(960);
  array small = astype(round(minimum(abs(x), array(1.0, Dtype::kFloat32)) * 512.0), Dtype::kUint32);
  array code = where(less(size, uint32_of(0x3C800000)), small, minimum(normal, uint32_of(126)));
  array sign = left_shift(right_shift(u, uint32_of(31)), uint32_of(7));
  return astype(bitwise_or(code, sign), Dtype::kUint8);
}

// The numbers (float32) of codes in any unsigned dtype.
array decode_e4m3(const array& code) {
  auto number = [&](int64_t v) { return array(v, code.dtype()); };
  array exponent = bitwise_and(right_shift(code, number(3)), number(15));
  array fraction = astype(bitwise_and(code, number(7)), Dtype::kFloat32);
  array normal = (fraction + 8.0) * power_of_two(exponent, 4, 10);
  array size = where(equal(exponent, number(0)), fraction * std::ldexp(1.0, -9), normal);
  size = where(equal(bitwise_and(code, number(127)), number(127)),
               array(std::nan(""), Dtype::kFloat32), size);
  return where(not_equal(bitwise_and(code, number(128)), number(0)), negative(size), size);
}

// E2M1 codes of float32 numbers; halfway goes towards zero, and zero has no sign.
array encode_e2m1(const array& x) {
  array size = abs(x), code = uint32_of(0);
  for (double edge : {0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0})
    code = code + astype(greater(size, array(edge, Dtype::kFloat32)), Dtype::kUint32);
  array sign = logical_and(less(x, array(0.0, Dtype::kFloat32)), greater(code, uint32_of(0)));
  return code + astype(sign, Dtype::kUint32) * uint32_of(8);
}

array decode_e2m1(const array& code) {
  array exponent = bitwise_and(right_shift(code, uint32_of(1)), uint32_of(3));
  array fraction = astype(bitwise_and(code, uint32_of(1)), Dtype::kFloat32);
  array size = where(equal(exponent, uint32_of(0)), fraction * 0.5,
                     (fraction + 2.0) * power_of_two(exponent, 2, 2));
  return where(greater(code, uint32_of(7)), negative(size), size);
}

// Modes ------------------------------------------------------------------------------------------

struct Format {
  std::string mode;
  int64_t group = 0, bits = 0;
  bool affine() const { return mode == "affine"; }
  bool e8m0() const { return mode != "nvfp4"; }
  double greatest() const { return bits == 8 ? 448 : 6; }
};

// What a scale of nvfp4 is multiplied by to use all of E4M3.
constexpr double kGlobalRange = 448.0 * 6.0;

Format format_of(const std::string& mode, std::optional<int64_t> group, std::optional<int64_t> bits,
                 const char* op) {
  if (mode == "affine") {
    Format f{mode, group.value_or(64), bits.value_or(4)};
    PLIMSOLL_CHECK(f.group == 32 || f.group == 64 || f.group == 128, ValueError,
                   "[{}] expected a group size of 32, 64 or 128, got {}", op, f.group);
    PLIMSOLL_CHECK(f.bits >= 1 && f.bits <= 8 && f.bits != 7, ValueError,
                   "[{}] expected 1, 2, 3, 4, 5, 6 or 8 bits, got {}", op, f.bits);
    return f;
  }
  PLIMSOLL_CHECK(mode == "mxfp4" || mode == "mxfp8" || mode == "nvfp4", ValueError,
                 "[{}] expected mode 'affine', 'mxfp4', 'mxfp8' or 'nvfp4', got '{}'", op, mode);
  Format f{mode, mode == "nvfp4" ? 16 : 32, mode == "mxfp8" ? 8 : 4};
  PLIMSOLL_CHECK(group.value_or(f.group) == f.group && bits.value_or(f.bits) == f.bits, ValueError,
                 "[{}] expected a group size of {} and {} bits for {}, got {} and {}", op, f.group,
                 f.bits, mode, group.value_or(f.group), bits.value_or(f.bits));
  return f;
}

void check_global_scale(const Format& f, const std::optional<array>& scale, const char* op) {
  if (!scale) return;
  PLIMSOLL_CHECK(f.mode == "nvfp4", ValueError,
                 "[{}] expected a global scale for nvfp4 only, got {}", op, f.mode);
  PLIMSOLL_CHECK(scale->dtype() == Dtype::kFloat32 && scale->ndim() == 0, ValueError,
                 "[{}] expected a global scale of float32 without dimensions, got {} of shape {}",
                 op, name_of(scale->dtype()), to_string(scale->shape()));
}

// [..., n] as [..., n / group, group].
array grouped(const array& a, int64_t group) {
  return unflatten(a, -1, {a.shape(-1) / group, group});
}

// w = scale * code + bias with the greatest magnitude of a group met exactly, and zero where it is
// near enough: the bias is a whole number of scales.
std::vector<array> quantize_affine(const array& w, const Format& f) {
  array groups = grouped(astype(w, Dtype::kFloat32), f.group);
  array top = max(groups, Dims{-1}, true), bottom = min(groups, Dims{-1}, true);
  double most = static_cast<double>((int64_t{1} << f.bits) - 1);
  array scale = maximum((top - bottom) / most, array(1e-7, Dtype::kFloat32)), bias = bottom;
  if (f.bits > 1) {
    array from_bottom = greater(abs(bottom), abs(top));
    scale = where(from_bottom, scale, negative(scale));
    array edge = where(from_bottom, bottom, top), steps = round(edge / scale);
    array none = equal(steps, array(0.0, Dtype::kFloat32));
    scale = where(none, scale, edge / where(none, array(1.0, Dtype::kFloat32), steps));
    bias = where(none, array(0.0, Dtype::kFloat32), edge);
  }
  array codes = round((groups - bias) / scale);
  codes = minimum(maximum(codes, array(0.0, Dtype::kFloat32)), array(most, Dtype::kFloat32));
  return {pack(flatten(astype(codes, Dtype::kUint32), -2, -1), f.bits),
          astype(squeeze(scale, Dims{-1}), w.dtype()), astype(squeeze(bias, Dims{-1}), w.dtype())};
}

array decode_scales(const array& scales, const Format& f) {
  return f.e8m0() ? power_of_two(scales, 8, 127) : decode_e4m3(scales);
}

std::vector<array> quantize_floats(const array& w, const Format& f,
                                   const std::optional<array>& global_scale) {
  array groups = grouped(astype(w, Dtype::kFloat32), f.group);
  if (global_scale) groups = groups * (kGlobalRange / *global_scale);
  array zero = array(0.0, Dtype::kFloat32);
  array ratio = max(abs(groups), Dims{-1}, true) / f.greatest();
  array scales;
  if (f.e8m0()) {
    array exponent = ceil(log2(where(greater(ratio, zero), ratio, array(1.0, Dtype::kFloat32))));
    exponent =
        minimum(maximum(exponent, array(-127.0, Dtype::kFloat32)), array(127.0, Dtype::kFloat32));
    scales = astype(exponent + 127.0, Dtype::kUint8);
  } else {
    scales = encode_e4m3(ratio);
  }
  array scale = decode_scales(scales, f), none = equal(scale, zero);
  array x = where(none, zero, groups / where(none, array(1.0, Dtype::kFloat32), scale));
  array codes = f.bits == 8 ? astype(encode_e4m3(x), Dtype::kUint32) : encode_e2m1(x);
  return {pack(flatten(codes, -2, -1), f.bits), squeeze(scales, Dims{-1})};
}

// Checks of what dequantize and the products take.
void check_packed(const array& w, const array& scales, const std::optional<array>& biases,
                  const Format& f, const char* op) {
  PLIMSOLL_CHECK(w.dtype() == Dtype::kUint32, ValueError,
                 "[{}] expected a matrix of uint32, got {}", op, name_of(w.dtype()));
  PLIMSOLL_CHECK(w.ndim() >= 2, ValueError, "[{}] expected at least 2 dimensions, got shape {}", op,
                 to_string(w.shape()));
  PLIMSOLL_CHECK(f.affine() == biases.has_value(), ValueError,
                 "[{}] expected biases for affine quantization only, got {} for {}", op,
                 biases ? "some" : "none", f.mode);
  PLIMSOLL_CHECK(f.affine() ? is_floating(scales.dtype()) : scales.dtype() == Dtype::kUint8,
                 ValueError, "[{}] expected scales of {}, got {}", op,
                 f.affine() ? "a float dtype" : "uint8", name_of(scales.dtype()));
  PLIMSOLL_CHECK(!biases || is_floating(biases->dtype()), ValueError,
                 "[{}] expected biases of a float dtype, got {}", op,
                 biases ? name_of(biases->dtype()) : "none");
  const int64_t group_bits = f.group * f.bits;
  PLIMSOLL_CHECK(w.shape(-1) * 32 % group_bits == 0, ShapeError,
                 "[{}] expected rows of whole groups of {} numbers of {} bits, got a matrix of {}",
                 op, f.group, f.bits, to_string(w.shape()));
  Shape shape = w.shape();
  shape.back() = shape.back() * 32 / group_bits;
  PLIMSOLL_CHECK(scales.shape() == shape && (!biases || biases->shape() == shape), ShapeError,
                 "[{}] expected scales and biases of shape {} for a matrix of {}, got {} and {}",
                 op, to_string(shape), to_string(w.shape()), to_string(scales.shape()),
                 biases ? to_string(biases->shape()) : "none");
}

array dequantized(const array& w, const array& scales, const std::optional<array>& biases,
                  const Format& f, const std::optional<array>& global_scale, Dtype dtype) {
  array codes = grouped(unpack(w, f.bits), f.group), out;
  if (f.affine()) {
    Dtype wide = scales.dtype() == Dtype::kFloat64 ? Dtype::kFloat64 : Dtype::kFloat32;
    out = astype(codes, wide) * astype(expand_dims(scales, {-1}), wide) +
          astype(expand_dims(*biases, {-1}), wide);
  } else {
    array scale = expand_dims(decode_scales(scales, f), {-1});
    out = (f.bits == 8 ? decode_e4m3(codes) : decode_e2m1(codes)) * scale;
    if (global_scale) out = out * (*global_scale / kGlobalRange);
  }
  return flatten(astype(out, dtype), -2, -1);
}

Dtype packed_dtype(const array& scales, const std::optional<array>& biases) {
  return biases ? promote_types(scales.dtype(), biases->dtype()) : Dtype::kBfloat16;
}

// Checks of a product, and its dtype.
Dtype checked_dtype(const array& x, const array& w, const array& scales,
                    const std::optional<array>& biases, bool transposed, const Format& f,
                    const std::optional<array>& global_scale, const char* op) {
  check_packed(w, scales, biases, f, op);
  check_global_scale(f, global_scale, op);
  PLIMSOLL_CHECK(f.affine() ? x.dtype() != Dtype::kComplex64 : is_floating(x.dtype()), ValueError,
                 "[{}] expected x of a float dtype, got {}", op, name_of(x.dtype()));
  int64_t depth = transposed ? w.shape(-1) * 32 / f.bits : w.shape(-2);
  PLIMSOLL_CHECK(x.ndim() > 0 && x.shape(-1) == depth, ShapeError,
                 "[{}] expected the last axis of x as long as that of the matrix, {}, got shape {}",
                 op, depth, to_string(x.shape()));
  return f.affine() ? promote_types(x.dtype(), packed_dtype(scales, biases)) : x.dtype();
}

// Products that unpack as they go -----------------------------------------------------------------

Format format_of(const AttrBase* attrs) {
  const auto& a = static_cast<const QuantizedMatmulAttrs&>(*attrs);
  return {"affine", a.group, a.bits};
}

array record_product(std::span<const array> inputs, const AttrBase* attrs);

// Gradients by scales and biases, of the gradient by the unpacked matrix.
void format_gradients(const VjpArgs& v, const array& whole, std::vector<array>& out) {
  const Format f = format_of(v.attrs);
  array groups = grouped(whole, f.group);
  array codes = astype(grouped(unpack(v.inputs[1], f.bits), f.group), Dtype::kFloat32);
  if (v.needed[2]) out[2] = astype(sum(groups * codes, Dims{-1}), v.inputs[2].dtype());
  if (v.needed[3]) out[3] = astype(sum(groups, Dims{-1}), v.inputs[3].dtype());
}

std::vector<array> quantized_matmul_vjp(const VjpArgs& v) {
  const array &x = v.inputs[0], &w = v.inputs[1], &scales = v.inputs[2], &biases = v.inputs[3];
  const array& g = v.cotangents[0];
  const Format f = format_of(v.attrs);
  std::vector<array> out(4);
  if (v.needed[0]) out[0] = matmul(g, dequantized(w, scales, biases, f, std::nullopt, x.dtype()));
  if (!v.needed[2] && !v.needed[3]) return out;
  format_gradients(v, astype(matmul(swapaxes(g, -1, -2), x), Dtype::kFloat32), out);
  return out;
}

// Rows of a batch against one matrix are more rows; matrices of a batch are unpacked.
VmapResult quantized_matmul_vmap(const VmapArgs& v) {
  if (v.axes[1] < 0 && v.axes[2] < 0 && v.axes[3] < 0) {
    array x = batch_first(v.inputs[0], v.axes[0]);
    array in[] = {flatten(x, 0, 1), v.inputs[1], v.inputs[2], v.inputs[3]};
    return {{unflatten(record_product(in, v.attrs), 0, {v.batch, x.shape(1)})}, {0}};
  }
  array in[4];
  for (int i = 0; i < 4; ++i) in[i] = batch_or_repeat(v.inputs[i], v.axes[i], v.batch);
  array m = dequantized(in[1], in[2], in[3], format_of(v.attrs), std::nullopt, in[0].dtype());
  return {{matmul(in[0], swapaxes(m, -1, -2))}, {0}};
}

constinit const OpDef kQuantizedMatmul{
    .name = "quantized_matmul",
    .kind = Kind::kContraction,
    .attrs = &kAttrsOf<QuantizedMatmulAttrs>,
    .check = contract::quantized_matmul,
    .infer =
        [](const OpInstance& op, std::vector<TensorSpec>& out) {
          out.push_back({op.inputs[0].dtype, {op.inputs[0].shape[0], op.inputs[1].shape[0]}});
        },
    .vjp = quantized_matmul_vjp,
    .vmap = quantized_matmul_vmap,
    .tiling = quantized_matmul_tiling,
    .flops = product_flops,
    .entry = boxed<&quantized_matmul>::call,
    .signature =
        "quantized_matmul(x: array, w: array, /, scales: array, biases: array | None = None, "
        "transpose: bool = True, group_size: int | None = None, bits: int | None = None, mode: str "
        "= 'affine', *, stream: None | Stream | Device = None) -> array",
    .doc = kQuantizedMatmulDoc};

array record_product(std::span<const array> inputs, const AttrBase* attrs) {
  return record(kQuantizedMatmul, inputs, same_attrs(attrs));
}

array record_gather(std::span<const array> inputs, const AttrBase* attrs);

// What gather_mm's gradients are, with the matrices unpacked.
std::vector<array> gather_qmm_vjp(const VjpArgs& v) {
  const array &x = v.inputs[0], &w = v.inputs[1], &scales = v.inputs[2], &biases = v.inputs[3];
  const array &lhs = v.inputs[4], &rhs = v.inputs[5], &g = v.cotangents[0];
  const Format f = format_of(v.attrs);
  array own = arange(int64_t{0}, g.shape(0), int64_t{1}, Dtype::kInt64);
  std::vector<array> out(6);
  if (v.needed[0]) {
    array m = dequantized(w, scales, biases, f, std::nullopt, x.dtype());
    out[0] = scatter(zeros(x.shape(), x.dtype()), lhs, gather_mm(g, m, own, rhs), 0, "add");
  }
  if (!v.needed[2] && !v.needed[3]) return out;
  array each = astype(gather_mm(swapaxes(g, -1, -2), x, own, lhs), Dtype::kFloat32);
  Shape whole = {w.shape(0), w.shape(1), x.shape(-1)};
  format_gradients(v, scatter(zeros(whole, Dtype::kFloat32), rhs, each, 0, "add"), out);
  return out;
}

// As gather_mm's; matrices, scales and biases have the batch together.
VmapResult gather_qmm_vmap(const VmapArgs& v) {
  const bool batched[] = {v.axes[0] >= 0, v.axes[1] >= 0 || v.axes[2] >= 0 || v.axes[3] >= 0};
  array in[6];
  int64_t count[2] = {}, each = 0;
  for (int i = 0; i < 4; ++i) {
    in[i] = v.inputs[i];
    if (!batched[i > 0]) continue;
    array x = batch_or_repeat(v.inputs[i], v.axes[i], v.batch);
    count[i > 0] = x.shape(1);
    in[i] = flatten(x, 0, 1);
  }
  for (int i = 0; i < 2; ++i) {
    array at = batch_or_repeat(v.inputs[4 + i], v.axes[4 + i], v.batch);
    each = at.shape(1);
    in[4 + i] = flatten(batched[i] ? batched_indices(at, count[i]) : at);
  }
  return {{unflatten(record_gather(in, v.attrs), 0, {v.batch, each})}, {0}};
}

constinit const OpDef kGatherQmm{
    .name = "gather_qmm",
    .kind = Kind::kContraction,
    .attrs = &kAttrsOf<QuantizedMatmulAttrs>,
    .check = contract::gather_qmm,
    .infer =
        [](const OpInstance& op, std::vector<TensorSpec>& out) {
          out.push_back({op.inputs[0].dtype,
                         {op.inputs[4].shape[0], op.inputs[0].shape[1], op.inputs[1].shape[1]}});
        },
    .vjp = gather_qmm_vjp,
    .vmap = gather_qmm_vmap,
    .tiling = gather_qmm_tiling,
    .flops = product_flops,
    .entry = boxed<&gather_qmm>::call,
    .signature =
        "gather_qmm(x: array, w: array, /, scales: array, biases: array | None = None, "
        "lhs_indices: array | None = None, rhs_indices: array | None = None, transpose: bool = "
        "True, group_size: int | None = None, bits: int | None = None, mode: str = 'affine', "
        "global_scale: array | None = None, *, sorted_indices: bool = False, stream: None | "
        "Stream | Device = None) -> array",
    .doc = kGatherQmmDoc};

array record_gather(std::span<const array> inputs, const AttrBase* attrs) {
  return record(kGatherQmm, inputs, same_attrs(attrs));
}

// Whether the kernel takes a product; others unpack the matrix first. Both give the same bits.
bool unpacks_as_it_goes(const array& w, bool transposed, const Format& f, Dtype t) {
  return transposed && f.affine() && w.size() > 0 && t != Dtype::kFloat64;
}

array packed_product(const array& x, const array& w, const array& scales, const array& biases,
                     const Format& f, Dtype t) {
  int64_t depth = x.shape(-1);
  Dtype narrow = promote_types(scales.dtype(), biases.dtype());
  array rows = reshape(cast(x, t), {x.size() / depth, depth});
  array out = record(kQuantizedMatmul, {rows, w, cast(scales, narrow), cast(biases, narrow)},
                     make_attrs(QuantizedMatmulAttrs(f.group, f.bits)));
  Shape shape = x.shape();
  shape.back() = w.shape(0);
  return reshape(out, shape);
}

array packed_gather(const array& x, const array& w, const array& scales, const array& biases,
                    const std::optional<array>& lhs, const std::optional<array>& rhs,
                    const Format& f, Dtype t) {
  array rows = cast(x.ndim() == 1 ? reshape(x, {1, x.size()}) : x, t);
  const auto picked = matrix_indices(rows, w, lhs, rhs, "gather_qmm");
  const array &i = picked.first, &j = picked.second;
  auto stacked = [](const array& m) {
    return reshape(m, {m.size() / (m.shape(-1) * m.shape(-2)), m.shape(-2), m.shape(-1)});
  };
  Dtype narrow = promote_types(scales.dtype(), biases.dtype());
  array out = record(kGatherQmm,
                     {stacked(rows), stacked(w), stacked(cast(scales, narrow)),
                      stacked(cast(biases, narrow)), flatten(i), flatten(j)},
                     make_attrs(QuantizedMatmulAttrs(f.group, f.bits)));
  Shape shape = i.shape();
  if (x.ndim() > 1) shape.push_back(x.shape(-2));
  shape.push_back(w.shape(-2));
  return reshape(out, shape);
}

// x as it is after quantization; its gradient is x's ("straight through": rounding has none).
array requantized(const array& x, const Format& f, const std::optional<array>& global_scale) {
  array fixed = stop_gradient(x);
  array rows = x.ndim() == 1 ? reshape(fixed, {1, x.size()}) : fixed;
  std::vector<array> q = quantize_floats(rows, f, global_scale);
  array out = dequantized(q[0], q[1], std::nullopt, f, global_scale, x.dtype());
  return reshape(out, x.shape()) + (x - fixed);
}

struct Pair {
  array x, w;
};

Pair quantized_pair(const array& x, const array& w, const std::optional<array>& scales,
                    const Format& f, const std::optional<array>& scale_x,
                    const std::optional<array>& scale_w, const char* op) {
  PLIMSOLL_CHECK(!f.affine(), ValueError, "[{}] expected mode 'mxfp4', 'mxfp8' or 'nvfp4', got {}",
                 op, f.mode);
  PLIMSOLL_CHECK(is_floating(x.dtype()) && (scales || is_floating(w.dtype())), ValueError,
                 "[{}] expected float dtypes, got {} and {}", op, name_of(x.dtype()),
                 name_of(w.dtype()));
  check_global_scale(f, scale_x, op);
  check_global_scale(f, scale_w, op);
  PLIMSOLL_CHECK(x.ndim() > 0 && x.shape(-1) % f.group == 0, ShapeError,
                 "[{}] expected a last axis of a multiple of {}, got shape {}", op, f.group,
                 to_string(x.shape()));
  if (scales) {
    Dtype t = checked_dtype(x, w, *scales, std::nullopt, true, f, scale_w, op);
    array m = dequantized(w, *scales, std::nullopt, f, scale_w, t);
    return {requantized(x, f, scale_x), swapaxes(m, -1, -2)};
  }
  PLIMSOLL_CHECK(w.ndim() >= 2 && w.shape(-1) == x.shape(-1), ShapeError,
                 "[{}] expected last axes of equal length, got shapes {} and {}", op,
                 to_string(x.shape()), to_string(w.shape()));
  return {requantized(x, f, scale_x),
          swapaxes(requantized(cast(w, x.dtype()), f, scale_w), -1, -2)};
}

constinit const OpDef kToFp8 =
    composite("to_fp8", boxed<&to_fp8>::call,
              "to_fp8(x: array, *, stream: None | Stream | Device = None) -> array", kToFp8Doc);
constinit const OpDef kFromFp8 = composite("from_fp8", boxed<&from_fp8>::call,
                                           "from_fp8(x: array, dtype: Dtype = bfloat16, *, stream: "
                                           "None | Stream | Device = None) -> array",
                                           kFromFp8Doc);
constinit const OpDef kQuantize = composite(
    "quantize", boxed<&quantize>::call,
    "quantize(w: array, /, group_size: int | None = None, bits: int | None = None, mode: str = "
    "'affine', *, global_scale: array | None = None, stream: None | Stream | Device = None) -> "
    "tuple[array, ...]",
    kQuantizeDoc);
constinit const OpDef kDequantize = composite(
    "dequantize", boxed<&dequantize>::call,
    "dequantize(w: array, /, scales: array, biases: array | None = None, group_size: int | None = "
    "None, bits: int | None = None, mode: str = 'affine', global_scale: array | None = None, "
    "dtype: "
    "Dtype | None = None, *, stream: None | Stream | Device = None) -> array",
    kDequantizeDoc);
constinit const OpDef kQqmm =
    composite("qqmm", boxed<&qqmm>::call,
              "qqmm(x: array, w: array, scales: array | None = None, group_size: int | None = "
              "None, bits: int "
              "| None = None, mode: str = 'nvfp4', global_scale_x: array | None = None, "
              "global_scale_w: array "
              "| None = None, *, stream: None | Stream | Device = None) -> array",
              kQqmmDoc);
constinit const OpDef kGatherQqmm = composite(
    "gather_qqmm", boxed<&gather_qqmm>::call,
    "gather_qqmm(x: array, w: array, /, scales: array | None = None, lhs_indices: array | None = "
    "None, rhs_indices: array | None = None, group_size: int | None = None, bits: int | None = "
    "None, mode: str = 'nvfp4', global_scale_x: array | None = None, global_scale_w: array | None "
    "= "
    "None, *, sorted_indices: bool = False, stream: None | Stream | Device = None) -> array",
    kGatherQqmmDoc);

}  // namespace

OpList quantize_ops() {
  static constexpr const OpDef* kOps[] = {&kToFp8,           &kFromFp8,   &kQuantize, &kDequantize,
                                          &kQuantizedMatmul, &kGatherQmm, &kQqmm,     &kGatherQqmm};
  return kOps;
}

}  // namespace ops

array to_fp8(const array& x) {
  PLIMSOLL_CHECK(is_floating(x.dtype()), ValueError, "[to_fp8] expected a float dtype, got {}",
                 name_of(x.dtype()));
  return ops::encode_e4m3(ops::cast(x, Dtype::kFloat32));
}

array from_fp8(const array& x, Dtype dtype) {
  PLIMSOLL_CHECK(x.dtype() == Dtype::kUint8, ValueError, "[from_fp8] expected uint8, got {}",
                 name_of(x.dtype()));
  PLIMSOLL_CHECK(is_floating(dtype), ValueError, "[from_fp8] expected a float dtype, got {}",
                 name_of(dtype));
  return astype(ops::decode_e4m3(x), dtype);
}

std::vector<array> quantize(const array& w, std::optional<int64_t> group_size,
                            std::optional<int64_t> bits, const std::string& mode,
                            const std::optional<array>& global_scale) {
  using namespace ops;
  Format f = format_of(mode, group_size, bits, "quantize");
  PLIMSOLL_CHECK(is_floating(w.dtype()), ValueError, "[quantize] expected a float dtype, got {}",
                 name_of(w.dtype()));
  PLIMSOLL_CHECK(w.ndim() >= 2, ValueError,
                 "[quantize] expected at least 2 dimensions, got shape {}", to_string(w.shape()));
  PLIMSOLL_CHECK(w.shape(-1) % f.group == 0, ShapeError,
                 "[quantize] expected a last axis of a multiple of {}, got shape {}", f.group,
                 to_string(w.shape()));
  check_global_scale(f, global_scale, "quantize");
  return f.affine() ? quantize_affine(w, f) : quantize_floats(w, f, global_scale);
}

array dequantize(const array& w, const array& scales, const std::optional<array>& biases,
                 std::optional<int64_t> group_size, std::optional<int64_t> bits,
                 const std::string& mode, const std::optional<array>& global_scale,
                 std::optional<Dtype> dtype) {
  using namespace ops;
  Format f = format_of(mode, group_size, bits, "dequantize");
  check_packed(w, scales, biases, f, "dequantize");
  check_global_scale(f, global_scale, "dequantize");
  Dtype t = dtype.value_or(packed_dtype(scales, biases));
  PLIMSOLL_CHECK(is_floating(t), ValueError, "[dequantize] expected a float dtype, got {}",
                 name_of(t));
  return dequantized(w, scales, biases, f, global_scale, t);
}

array quantized_matmul(const array& x, const array& w, const array& scales,
                       const std::optional<array>& biases, bool transpose,
                       std::optional<int64_t> group_size, std::optional<int64_t> bits,
                       const std::string& mode) {
  using namespace ops;
  Format f = format_of(mode, group_size, bits, "quantized_matmul");
  Dtype t = checked_dtype(x, w, scales, biases, transpose, f, std::nullopt, "quantized_matmul");
  if (w.ndim() == 2 && unpacks_as_it_goes(w, transpose, f, t))
    return packed_product(x, w, scales, *biases, f, t);
  array m = dequantized(w, scales, biases, f, std::nullopt, t);
  return matmul(cast(x, t), transpose ? swapaxes(m, -1, -2) : m);
}

array gather_qmm(const array& x, const array& w, const array& scales,
                 const std::optional<array>& biases, const std::optional<array>& lhs_indices,
                 const std::optional<array>& rhs_indices, bool transpose,
                 std::optional<int64_t> group_size, std::optional<int64_t> bits,
                 const std::string& mode, const std::optional<array>& global_scale,
                 bool sorted_indices) {
  using namespace ops;
  Format f = format_of(mode, group_size, bits, "gather_qmm");
  Dtype t = checked_dtype(x, w, scales, biases, transpose, f, global_scale, "gather_qmm");
  const bool picks = lhs_indices || rhs_indices;
  if (picks && x.size() > 0 && unpacks_as_it_goes(w, transpose, f, t))
    return packed_gather(x, w, scales, *biases, lhs_indices, rhs_indices, f, t);
  array m = dequantized(w, scales, biases, f, global_scale, t);
  return gather_mm(cast(x, t), transpose ? swapaxes(m, -1, -2) : m, lhs_indices, rhs_indices,
                   sorted_indices);
}

array qqmm(const array& x, const array& w, const std::optional<array>& scales,
           std::optional<int64_t> group_size, std::optional<int64_t> bits, const std::string& mode,
           const std::optional<array>& global_scale_x, const std::optional<array>& global_scale_w) {
  using namespace ops;
  Format f = format_of(mode, group_size, bits, "qqmm");
  Pair p = quantized_pair(x, w, scales, f, global_scale_x, global_scale_w, "qqmm");
  return matmul(p.x, p.w);
}

array gather_qqmm(const array& x, const array& w, const std::optional<array>& scales,
                  const std::optional<array>& lhs_indices, const std::optional<array>& rhs_indices,
                  std::optional<int64_t> group_size, std::optional<int64_t> bits,
                  const std::string& mode, const std::optional<array>& global_scale_x,
                  const std::optional<array>& global_scale_w, bool sorted_indices) {
  using namespace ops;
  Format f = format_of(mode, group_size, bits, "gather_qqmm");
  Pair p = quantized_pair(x, w, scales, f, global_scale_x, global_scale_w, "gather_qqmm");
  return gather_mm(p.x, p.w, lhs_indices, rhs_indices, sorted_indices);
}

}  // namespace plimsoll
