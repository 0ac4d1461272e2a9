// argmax and argmin: the extreme of each block comes from the leaves of max and min; only a block
// that beats the best so far is searched for its position.
#include "backends/cpu/kernels/arg_reduce.h"

#include "backends/cpu/kernels/half.h"
#include "backends/cpu/kernels/reduce_leaf.h"
#include "opset/arg_reduce.h"

namespace plimsoll::cpu {
namespace {

template <typename T>
bool is_nan(T v) {
  return v != v;
}
bool is_nan(Complex64 v) { return is_nan(v.real()) || is_nan(v.imag()); }

template <bool kMax, typename T>
bool beats(T x, T best) {
  if (is_nan(best)) return false;
  if (is_nan(x)) return true;
  if constexpr (std::is_same_v<T, Complex64>) {
    if (x.real() != best.real()) return beats<kMax>(x.real(), best.real());
    return beats<kMax>(x.imag(), best.imag());
  } else {
    return kMax ? x > best : x < best;
  }
}

template <typename T>
bool matches(T x, T value) {
  return (x == value) | (is_nan(x) & is_nan(value));
}

template <typename T>
struct Best {
  T value;
  int64_t index;  // -1: none yet
};

template <bool kMax, typename T, typename In>
struct ArgFold {
  static void start(void* carry, int64_t count) {
    for (int64_t i = 0; i < count; ++i) static_cast<Best<T>*>(carry)[i] = {T{}, -1};
  }

  static int64_t find(const ReduceBlock& k, int64_t i, T value) {
    const In* x = reinterpret_cast<const In*>(k.x) + (k.rows ? i * k.stride : i);
    const int64_t step = k.rows ? 1 : k.stride;
    int64_t j = 0;
    // Whole batches without a branch inside, which the compiler turns into vectors.
    constexpr int64_t kBatch = 64;
    if (step == 1)
      for (; j + kBatch <= k.units; j += kBatch) {
        int any = 0;
        for (int64_t u = 0; u < kBatch; ++u) any |= matches(to_lane<T>(x[j + u]), value);
        if (any) break;
      }
    for (; j < k.units; ++j)
      if (matches(to_lane<T>(x[j * step]), value)) return j;
    return 0;  // not reached: the value came from this block
  }

  static void fold(void* carry, const void* partial, const ReduceBlock& k) {
    const T* p = static_cast<const T*>(partial);
    auto* best = static_cast<Best<T>*>(carry);
    for (int64_t i = 0; i < k.count; ++i)
      if (best[i].index < 0 || beats<kMax>(p[i], best[i].value))
        best[i] = {p[i], k.begin + find(k, i, p[i])};
  }

  static void finish(const void* carry, int64_t count, void* out, int64_t stride) {
    const auto* best = static_cast<const Best<T>*>(carry);
    auto* y = static_cast<uint32_t*>(out);
    for (int64_t i = 0; i < count; ++i) y[i * stride] = static_cast<uint32_t>(best[i].index);
  }
};

template <bool kMax, typename T, typename In>
ReduceLeaf make_leaf(Dtype t) {
  using F = ArgFold<kMax, T, In>;
  ReduceLeaf leaf = *(kMax ? max_leaf(t) : min_leaf(t));
  leaf.carry_size = sizeof(Best<T>);
  leaf.out_size = sizeof(uint32_t);
  leaf.start = F::start;
  leaf.fold = F::fold;
  leaf.finish = F::finish;
  return leaf;
}

template <bool kMax>
ReduceLeaf leaf_of(Dtype t) {
  switch (t) {
    case Dtype::kBool:
    case Dtype::kUint8:
      return make_leaf<kMax, uint8_t, uint8_t>(t);
    case Dtype::kUint16:
      return make_leaf<kMax, uint16_t, uint16_t>(t);
    case Dtype::kUint32:
      return make_leaf<kMax, uint32_t, uint32_t>(t);
    case Dtype::kUint64:
      return make_leaf<kMax, uint64_t, uint64_t>(t);
    case Dtype::kInt8:
      return make_leaf<kMax, int8_t, int8_t>(t);
    case Dtype::kInt16:
      return make_leaf<kMax, int16_t, int16_t>(t);
    case Dtype::kInt32:
      return make_leaf<kMax, int32_t, int32_t>(t);
    case Dtype::kInt64:
      return make_leaf<kMax, int64_t, int64_t>(t);
    case Dtype::kFloat16:
      return make_leaf<kMax, float, Float16>(t);
    case Dtype::kBfloat16:
      return make_leaf<kMax, float, Bfloat16>(t);
    case Dtype::kFloat32:
      return make_leaf<kMax, float, float>(t);
    case Dtype::kFloat64:
      return make_leaf<kMax, double, double>(t);
    case Dtype::kComplex64:
      return make_leaf<kMax, Complex64, Complex64>(t);
  }
  return {};
}

template <bool kMax>
void run(const device::KernelArgs& args) {
  const auto& attrs = static_cast<const ArgReduceAttrs&>(*args.attrs);
  run_reduction(leaf_of<kMax>(args.inputs[0].dtype), args, Dims{attrs.axis}, attrs.keepdims);
}

size_t carry(const OpInstance& op) { return reduction_carry(op, 16); }

}  // namespace

void add_arg_reduce_kernels(device::KernelTable& table) {
  device::KernelRow row;
  row.workspace = reduction_workspace;
  row.carry = carry;
  row.run = run<true>;
  table.add("argmax", device::kAllDtypes, row);
  row.run = run<false>;
  table.add("argmin", device::kAllDtypes, row);
}

}  // namespace plimsoll::cpu
