// Products with packed matrices: some rows are unpacked into scratch, which caches hold, and
// multiplied at once.
#include "backends/cpu/kernels/quantized.h"

#include <oneapi/tbb/info.h>

#include <algorithm>
#include <atomic>

#include "backends/cpu/float_mode.h"
#include "backends/cpu/kernels/gemm_operands.h"
#include "backends/cpu/kernels/half.h"
#include "backends/cpu/kernels/partition.h"
#include "backends/cpu/kernels/picked.h"
#include "backends/cpu/simd_targets.h"
#include "base/check.h"
#include "opset/quantize.h"

#ifndef PLIMSOLL_QUANTIZED_ONCE
#define PLIMSOLL_QUANTIZED_ONCE
namespace plimsoll::cpu {

/// A row of packed codes and where its numbers go.
struct UnpackJob {
  const void *words, *scales, *biases;
  Dtype dtype;  // of scales and biases
  int64_t groups, group, bits;
  void* out;
};

inline float float_at(const void* p, Dtype dtype, int64_t i) {
  if (dtype == Dtype::kFloat16) return to_float(static_cast<const Float16*>(p)[i]);
  if (dtype == Dtype::kBfloat16) return to_float(static_cast<const Bfloat16*>(p)[i]);
  return static_cast<const float*>(p)[i];
}

}  // namespace plimsoll::cpu
#endif

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backends/cpu/kernels/quantized.cpp"
#include <hwy/foreach_target.h>
// clang-format off
#include "backends/cpu/kernels/row-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace plimsoll::cpu::HWY_NAMESPACE {

using LaneD = hn::ScalableTag<float>;
using WordD = hn::RebindToUnsigned<LaneD>;

/// A vector of codes of kBits bits from code k on.
template <int kBits>
HWY_INLINE hn::Vec<WordD> codes_at(const uint32_t* words, int64_t k) {
  constexpr int64_t kLanes = HWY_LANES(uint32_t), kPerWord = 32 / kBits;
  const WordD d;
  const auto lane = hn::Iota(d, 0);
  auto shift = hn::Mul(lane, hn::Set(d, kBits));
  words += k / kPerWord;
  if constexpr (kPerWord >= kLanes)
    shift = hn::Add(shift, hn::Set(d, static_cast<uint32_t>(k % kPerWord * kBits)));
  else
    shift = hn::And(shift, hn::Set(d, 31));
  auto word = hn::Set(d, words[0]);
  for (int64_t i = 1; i < kLanes / kPerWord; ++i) {
    const auto later = hn::Gt(lane, hn::Set(d, static_cast<uint32_t>(i * kPerWord - 1)));
    word = hn::IfThenElse(later, hn::Set(d, words[i]), word);
  }
  return hn::And(hn::Shr(word, shift), hn::Set(d, (1u << kBits) - 1));
}

/// Codes that straddle words.
HWY_INLINE hn::Vec<WordD> straddling_codes_at(const uint32_t* words, int64_t bits, int64_t k) {
  HWY_ALIGN uint32_t codes[HWY_LANES(uint32_t)];
  for (int64_t i = 0; i < static_cast<int64_t>(HWY_LANES(uint32_t)); ++i) {
    const int64_t at = (k + i) * bits, shift = at % 32;
    uint32_t code = words[at / 32] >> shift;
    if (shift + bits > 32) code |= words[at / 32 + 1] << (32 - shift);
    codes[i] = code & ((1u << bits) - 1);
  }
  return hn::Load(WordD(), codes);
}

template <typename T, class Codes>
HWY_INLINE void unpack_groups(const UnpackJob& job, const Codes& codes) {
  const LaneD d;
  const auto* words = static_cast<const uint32_t*>(job.words);
  auto* out = static_cast<T*>(job.out);
  for (int64_t g = 0; g < job.groups; ++g, out += job.group) {
    const auto scale = hn::Set(d, float_at(job.scales, job.dtype, g));
    const auto bias = hn::Set(d, float_at(job.biases, job.dtype, g));
    for (int64_t k = 0; k < job.group; k += HWY_LANES(float)) {
      const auto code = codes(words + g * job.group * job.bits / 32, k);
      const auto x = hn::ConvertTo(d, hn::BitCast(hn::RebindToSigned<LaneD>(), code));
      store(d, hn::Add(hn::Mul(x, scale), bias), out + k);
    }
  }
}

template <typename T>
void unpack_row(const UnpackJob& job) {
  const auto with = [&](auto codes) HWY_ATTR { unpack_groups<T>(job, codes); };
  using Words = const uint32_t*;
  switch (job.bits) {
    case 1:
      return with([](Words w, int64_t k) HWY_ATTR { return codes_at<1>(w, k); });
    case 2:
      return with([](Words w, int64_t k) HWY_ATTR { return codes_at<2>(w, k); });
    case 4:
      return with([](Words w, int64_t k) HWY_ATTR { return codes_at<4>(w, k); });
    case 8:
      return with([](Words w, int64_t k) HWY_ATTR { return codes_at<8>(w, k); });
    default:
      return with([bits = job.bits](Words w, int64_t k)
                      HWY_ATTR { return straddling_codes_at(w, bits, k); });
  }
}

void unpack(const UnpackJob& job, Dtype to) {
  if (to == Dtype::kFloat16) return unpack_row<Float16>(job);
  if (to == Dtype::kBfloat16) return unpack_row<Bfloat16>(job);
  unpack_row<float>(job);
}

}  // namespace plimsoll::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace plimsoll::cpu {
HWY_EXPORT(unpack);

namespace {

using device::KernelArgs;
using device::Tensor;

constexpr size_t kUnpackedBytes = 1 << 20;  // of one worker; level 2 holds them
constexpr int64_t kLeastRows = 32;
constexpr int64_t kBlocksPerWorker = 2;

/// A worker's scratch: rows of w unpacked, then what their product needs.
struct Scratch {
  int64_t rows;
  size_t unpacked, total;

  Scratch(Dtype dtype, int64_t m, int64_t n, int64_t k) {
    const size_t row = static_cast<size_t>(k) * size_of(dtype);
    const auto many = static_cast<int64_t>(kUnpackedBytes / std::max<size_t>(row, 1));
    const int64_t share = ceil_div(n, kBlocksPerWorker * tbb::info::default_concurrency());
    rows = std::min(n, std::max(std::min(many, share) / kLeastRows * kLeastRows, kLeastRows));
    unpacked = (static_cast<size_t>(rows) * row + 63) / 64 * 64;
    // The last block has fewer columns, whose product may need more.
    const int64_t last = n - (ceil_div(n, std::max<int64_t>(rows, 1)) - 1) * rows;
    const size_t product = std::max(gemm_workspace(gemm_type(dtype), m, rows, k, 1),
                                    gemm_workspace(gemm_type(dtype), m, last, k, 1));
    total = unpacked + (product + 63) / 64 * 64;
  }
};

size_t workspace(const OpInstance& op) {
  const Shape &x = op.inputs[0].shape, &out = op.outputs[0].shape;
  const size_t n = out.size();
  const Dtype t = op.inputs[0].dtype;
  size_t worker = Scratch(t, out[n - 2], out[n - 1], x.back()).total;
  // Neighbours that share their matrix are one product of more rows, which may need less or more.
  if (n == 3) worker = std::max(worker, Scratch(t, out[0] * out[1], out[2], x.back()).total);
  return worker * static_cast<size_t>(tbb::info::default_concurrency());
}

/// x times one packed matrix, transposed.
struct PackedProduct {
  const KernelArgs& args;
  MatView x;
  int64_t matrix;  // index among the packed ones that are present
  std::byte* out;

  Dtype dtype() const { return args.inputs[0].dtype; }
  int64_t columns() const { return args.outputs[0].shape.back(); }
  Scratch scratch() const { return {dtype(), x.rows, columns(), x.cols}; }

  const std::byte* row_of(int input, int64_t row) const {
    const Tensor& t = args.inputs[input];
    const size_t n = t.shape.size();
    const int64_t first = n == 3 ? matrix * t.strides[0] : 0;
    return t.as<const std::byte>() +
           (first + row * t.strides[n - 2]) * static_cast<int64_t>(size_of(t.dtype));
  }

  void unpack(int64_t row, void* to) const {
    const auto& attrs = static_cast<const QuantizedMatmulAttrs&>(*args.attrs);
    HWY_DYNAMIC_DISPATCH(unpack)
    ({.words = row_of(1, row),
      .scales = row_of(2, row),
      .biases = row_of(3, row),
      .dtype = args.inputs[2].dtype,
      .groups = x.cols / attrs.group,
      .group = attrs.group,
      .bits = attrs.bits,
      .out = to},
     dtype());
  }

  void run_block(const Scratch& scratch, int64_t block, std::byte* mine) const {
    const int64_t first = block * scratch.rows, rows = std::min(scratch.rows, columns() - first);
    const auto item = static_cast<int64_t>(size_of(dtype()));
    for (int64_t i = 0; i < rows; ++i) unpack(first + i, mine + i * x.cols * item);
    gemm({.type = gemm_type(dtype()),
          .a = x,
          .b = {mine, x.cols, rows, 1, x.cols},
          .c = out + first * item,
          .c_row_stride = columns(),
          .workspace = {mine + scratch.unpacked, scratch.total - scratch.unpacked}});
  }

  void run() const {
    const Scratch scratch = this->scratch();
    const int64_t blocks = ceil_div(columns(), scratch.rows);
    const auto slots = static_cast<int64_t>(args.workspace.size() / scratch.total);
    PLIMSOLL_ASSERT(slots > 0);
    std::atomic<int64_t> next{0};
    run_tasks(std::min({slots, arena_threads(), blocks}), [&](int64_t worker) {
      const ScopedFloatMode mode;
      std::byte* mine = args.workspace.data() + static_cast<size_t>(worker) * scratch.total;
      for (int64_t b; (b = next.fetch_add(1, std::memory_order_relaxed)) < blocks;)
        run_block(scratch, b, mine);
    });
  }
};

void quantized_matmul(const KernelArgs& args) {
  const Tensor& out = args.outputs[0];
  if (out.shape[0] == 0 || out.shape[1] == 0) return;
  PackedProduct{args, matrix_of(args.inputs[0]), 0, out.as<std::byte>()}.run();
}

void gather_qmm(const KernelArgs& args) {
  const Tensor &x = args.inputs[0], &out = args.outputs[0];
  const auto item = static_cast<int64_t>(size_of(x.dtype));
  for_each_picked(args, 4, "gather_qmm", true, [&](int64_t s, int64_t n, int64_t i, int64_t j) {
    PackedProduct product{args, matrix_of(x), j, out.as<std::byte>() + s * out.strides[0] * item};
    product.x.data = x.as<std::byte>() + i * x.strides[0] * item;
    product.x.rows = n * x.shape[1];
    for (; n > 1 && product.scratch().total > args.workspace.size(); --n)
      product.x.rows -= x.shape[1];
    product.run();
    return n;
  });
}

}  // namespace

void add_quantized_kernels(device::KernelTable& table) {
  constexpr Dtype kDtypes[] = {Dtype::kFloat16, Dtype::kBfloat16, Dtype::kFloat32};
  device::KernelRow row;
  row.run = quantized_matmul;
  row.workspace = workspace;
  table.add("quantized_matmul", kDtypes, row);
  row.run = gather_qmm;
  row.can_fail = true;
  table.add("gather_qmm", kDtypes, row);
}

}  // namespace plimsoll::cpu
#endif
