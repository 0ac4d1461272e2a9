// layer_norm, rms_norm and their backward kernels. Sums of a row are taken in blocks of fixed
// lanes; dweight and dbias are chains of at most kNormRowBlock rows, whose totals are added in
// double in ascending order.
#include "backends/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backends/cpu/kernels/norm.cpp"
#include <hwy/foreach_target.h>

#include <cmath>

#include "backends/cpu/kernels/norm.h"
#include "backends/cpu/kernels/parallel.h"
#include "backends/cpu/kernels/row-inl.h"
#include "opset/norm.h"

#ifndef PLIMSOLL_NORM_ROWS
#define PLIMSOLL_NORM_ROWS
namespace plimsoll::cpu {

/// Consecutive rows of one call.
struct NormRows {
  const void* x = nullptr;
  const void* g = nullptr;       // backward only
  const void* weight = nullptr;  // null: ones
  const void* bias = nullptr;    // null: zeros
  void* y = nullptr;             // y, or dx
  void* dweight = nullptr;       // null or sums of this block, n values of the computing type
  void* dbias = nullptr;
  int64_t n = 0;
  int64_t rows = 0;
  float eps = 0;
};

struct NormParts {
  void (*forward)(const NormRows&) = nullptr;
  void (*backward)(const NormRows&) = nullptr;
};

}  // namespace plimsoll::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace plimsoll::cpu::HWY_NAMESPACE {

template <typename T, bool kCentred>
struct Norm {
  using C = Compute<T>;
  using D = hn::ScalableTag<C>;
  using V = hn::Vec<D>;
  static constexpr int64_t kVec = HWY_LANES(C);

  struct Stats {
    C mean = 0;
    C scale = 1;  // 1 / sqrt(variance + eps)
  };

  template <typename U>
  static HWY_INLINE V get(const U* p, int64_t part, double fill = 0) {
    const D d;
    return part == kVec ? load(d, p) : load_part(d, p, part, static_cast<C>(fill));
  }
  template <typename U>
  static HWY_INLINE void put(V v, U* p, int64_t part) {
    const D d;
    part == kVec ? store(d, v, p) : store_part(d, v, p, part);
  }
  // f(i, part) for vectors of n elements.
  template <typename F>
  static HWY_INLINE void each(int64_t n, const F& f) {
    int64_t i = 0;
    for (; i + kVec <= n; i += kVec) f(i, kVec);
    if (i < n) f(i, n - i);
  }

  static HWY_INLINE Stats stats(const T* x, int64_t n, float eps) {
    const D d;
    double mean = 0, square = 0;
    if constexpr (kCentred) {
      row_sums<1, T>(n, &mean,
                     [&](int64_t i, int64_t part, V* v) HWY_ATTR { *v = get(x + i, part); });
      mean /= n;
    }
    const V m = hn::Set(d, static_cast<C>(mean));
    row_sums<1, T>(n, &square, [&](int64_t i, int64_t part, V* v) HWY_ATTR {
      const V c = kCentred ? hn::Sub(get(x + i, part, mean), m) : get(x + i, part);
      *v = hn::Mul(c, c);
      // The mean rounded to T may differ from m, so the padding is cleared.
      if (part != kVec) *v = hn::IfThenElseZero(hn::FirstN(d, part), *v);
    });
    return {static_cast<C>(mean), static_cast<C>(1 / std::sqrt(square / n + eps))};
  }

  static HWY_INLINE V normalised(const T* x, int64_t part, const Stats& s) {
    const D d;
    V v = get(x, part);
    if constexpr (kCentred) v = hn::Sub(v, hn::Set(d, s.mean));
    return hn::Mul(v, hn::Set(d, s.scale));
  }

  static void forward(const NormRows& r) {
    const T* w = static_cast<const T*>(r.weight);
    const T* b = static_cast<const T*>(r.bias);
    for (int64_t k = 0; k < r.rows; ++k) {
      const T* x = static_cast<const T*>(r.x) + k * r.n;
      T* y = static_cast<T*>(r.y) + k * r.n;
      const Stats s = stats(x, r.n, r.eps);
      if (w && b) {
        each(r.n, [&](int64_t i, int64_t part) HWY_ATTR {
          put(hn::MulAdd(normalised(x + i, part, s), get(w + i, part), get(b + i, part)), y + i,
              part);
        });
      } else if (w) {
        each(r.n, [&](int64_t i, int64_t part) HWY_ATTR {
          put(hn::Mul(normalised(x + i, part, s), get(w + i, part)), y + i, part);
        });
      } else {
        each(r.n, [&](int64_t i, int64_t part) HWY_ATTR {
          V v = normalised(x + i, part, s);
          if (b) v = hn::Add(v, get(b + i, part));
          put(v, y + i, part);
        });
      }
    }
  }

  // With h = normalised x and u = weight * g:
  // dx = scale * (u - mean(u) - h * mean(u * h)); without mean(u) where x is not centred.
  static void backward(const NormRows& r) {
    const D d;
    const T* w = static_cast<const T*>(r.weight);
    C* dw = static_cast<C*>(r.dweight);
    C* db = static_cast<C*>(r.dbias);
    if (dw) std::fill_n(dw, r.n, C{0});
    if (db) std::fill_n(db, r.n, C{0});
    for (int64_t k = 0; k < r.rows; ++k) {
      const T* x = static_cast<const T*>(r.x) + k * r.n;
      const T* g = static_cast<const T*>(r.g) + k * r.n;
      T* dx = static_cast<T*>(r.y) + k * r.n;
      const Stats s = stats(x, r.n, r.eps);
      const auto weighted = [&](int64_t i, int64_t part) HWY_ATTR {
        const V v = get(g + i, part);
        return w ? hn::Mul(v, get(w + i, part)) : v;
      };
      double sums[2];
      row_sums<2, T>(r.n, sums, [&](int64_t i, int64_t part, V* v) HWY_ATTR {
        v[0] = weighted(i, part);
        v[1] = hn::Mul(v[0], normalised(x + i, part, s));
      });
      const V mean = hn::Set(d, static_cast<C>(kCentred ? sums[0] / r.n : 0));
      const V dot = hn::Set(d, static_cast<C>(sums[1] / r.n));
      const V scale = hn::Set(d, s.scale);
      each(r.n, [&](int64_t i, int64_t part) HWY_ATTR {
        const V h = normalised(x + i, part, s);
        const V gi = get(g + i, part);
        V u = w ? hn::Mul(gi, get(w + i, part)) : gi;
        if (dw) put(hn::MulAdd(gi, h, get(dw + i, part)), dw + i, part);
        if (db) put(hn::Add(gi, get(db + i, part)), db + i, part);
        if constexpr (kCentred) u = hn::Sub(u, mean);
        put(hn::Mul(scale, hn::NegMulAdd(h, dot, u)), dx + i, part);
      });
    }
  }

  static NormParts parts() { return {forward, backward}; }
};

template <bool kCentred>
NormParts parts_of(Dtype t) {
  if (t == Dtype::kFloat16) return Norm<Float16, kCentred>::parts();
  if (t == Dtype::kBfloat16) return Norm<Bfloat16, kCentred>::parts();
  return t == Dtype::kFloat64 ? Norm<double, kCentred>::parts() : Norm<float, kCentred>::parts();
}

NormParts layer_parts(Dtype t) { return parts_of<true>(t); }
NormParts rms_parts(Dtype t) { return parts_of<false>(t); }

}  // namespace plimsoll::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace plimsoll::cpu {

HWY_EXPORT(layer_parts);
HWY_EXPORT(rms_parts);

namespace {

template <bool kCentred>
NormParts norm_parts(Dtype t) {
  return kCentred ? HWY_DYNAMIC_DISPATCH(layer_parts)(t) : HWY_DYNAMIC_DISPATCH(rms_parts)(t);
}

template <bool kCentred>
void run_forward(const device::KernelArgs& args) {
  const auto& attrs = static_cast<const NormAttrs&>(*args.attrs);
  const device::Tensor& x = args.inputs[0];
  const NormParts parts = norm_parts<kCentred>(x.dtype);
  NormRows all;
  all.n = x.shape.back();
  all.eps = attrs.eps;
  if (attrs.has_weight) all.weight = args.inputs[1].data;
  if (attrs.has_bias) all.bias = args.inputs[1 + attrs.has_weight].data;
  const int64_t elements = num_elements(x.shape);
  if (elements == 0) return;
  const int64_t row_bytes = all.n * size_of(x.dtype);
  parallel_ranges(elements / all.n, all.n, [&](int64_t begin, int64_t end) {
    NormRows part = all;
    part.x = x.as<const std::byte>() + begin * row_bytes;
    part.y = args.outputs[0].as<std::byte>() + begin * row_bytes;
    part.rows = end - begin;
    parts.forward(part);
  });
}

// How the rows of a backward call fall into blocks, and where their sums go.
struct Backward {
  int64_t n = 0;
  int64_t rows = 0;
  int64_t run = 0;    // blocks do not span multiples of it
  int64_t block = 0;  // rows of a block
  int64_t batch = 0;  // blocks whose sums are held at once
  int64_t sums = 0;   // dweight and dbias: 0, 1 or 2
  size_t value = 4;   // bytes of one sum

  int64_t run_blocks() const { return (run + block - 1) / block; }
  int64_t blocks() const { return rows / run * run_blocks() + (rows % run + block - 1) / block; }
  size_t batch_bytes() const { return sums * batch * n * value; }
  size_t carry_bytes() const { return sums * n * sizeof(double); }
};

Backward backward_of(const Shape& shape, Dtype dtype, int64_t sums) {
  Backward b;
  b.n = shape.back();
  b.sums = sums;
  b.value = dtype == Dtype::kFloat64 ? 8 : 4;
  b.rows = 1;
  for (size_t i = 0; i + 1 < shape.size(); ++i) b.rows *= shape[i];
  int64_t inner = 1;
  for (size_t i = 1; i + 1 < shape.size(); ++i) inner *= shape[i];
  const bool several = inner <= kNormRowBlock;  // indices of axis 0 in one block
  b.block = several ? kNormRowBlock / std::max<int64_t>(inner, 1) * std::max<int64_t>(inner, 1)
                    : kNormRowBlock;
  b.run = several ? std::max<int64_t>(b.rows, 1) : inner;
  constexpr int64_t kBatchBytes = 1 << 20;
  const int64_t per_block = std::max<int64_t>(1, sums * b.n * static_cast<int64_t>(b.value));
  b.batch = std::clamp<int64_t>(kBatchBytes / per_block, 2, 1024);
  b.batch = std::max<int64_t>(1, std::min(b.batch, b.blocks()));
  return b;
}

template <typename C, typename T>
void finish(const double* carry, int64_t n, void* out) {
  for (int64_t i = 0; i < n; ++i) static_cast<T*>(out)[i] = from_lane<T>(carry[i]);
}

void finish_sum(const double* carry, int64_t n, const device::Tensor& out) {
  switch (out.dtype) {
    case Dtype::kFloat16:
      return finish<float, Float16>(carry, n, out.data);
    case Dtype::kBfloat16:
      return finish<float, Bfloat16>(carry, n, out.data);
    case Dtype::kFloat64:
      return finish<double, double>(carry, n, out.data);
    default:
      return finish<float, float>(carry, n, out.data);
  }
}

template <typename C>
void fold_sums(double* carry, const std::byte* sums, int64_t blocks, int64_t width) {
  parallel_ranges(width, blocks, [&](int64_t begin, int64_t end) {
    for (int64_t b = 0; b < blocks; ++b) {
      const C* s = reinterpret_cast<const C*>(sums) + b * width;
      for (int64_t i = begin; i < end; ++i) carry[i] += s[i];
    }
  });
}

template <bool kCentred>
class BackwardRun {
 public:
  explicit BackwardRun(const device::KernelArgs& args)
      : args_(args),
        attrs_(static_cast<const NormAttrs&>(*args.attrs)),
        x_(args.inputs[0]),
        parts_(norm_parts<kCentred>(x_.dtype)),
        b_(backward_of(x_.shape, x_.dtype, attrs_.has_weight + attrs_.has_bias)) {}

  void run() {
    auto* scratch = args_.workspace.data();
    auto* carry = reinterpret_cast<double*>(args_.carry.empty() ? scratch + b_.batch_bytes()
                                                                : args_.carry.data());
    const bool cut = !args_.windows.empty() && b_.sums > 0;
    const int64_t width = b_.sums * b_.n;
    if (!cut || args_.windows[0].first()) std::fill_n(carry, width, 0.0);
    const int64_t blocks = b_.n == 0 ? 0 : b_.blocks();
    for (int64_t b0 = 0; b0 < blocks; b0 += b_.batch) {
      const int64_t count = std::min(b_.batch, blocks - b0);
      parallel_ranges(count, b_.block * b_.n, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) block(b0 + i, scratch + i * width * b_.value);
      });
      if (b_.value == 8)
        fold_sums<double>(carry, scratch, count, width);
      else
        fold_sums<float>(carry, scratch, count, width);
    }
    if (cut && !args_.windows[0].last()) return;
    for (int64_t s = 0; s < b_.sums; ++s) finish_sum(carry + s * b_.n, b_.n, args_.outputs[1 + s]);
  }

 private:
  void block(int64_t index, std::byte* sums) const {
    const int64_t run = index / b_.run_blocks();
    const int64_t at = index % b_.run_blocks() * b_.block;
    const int64_t row_bytes = b_.n * size_of(x_.dtype);
    const int64_t offset = (run * b_.run + at) * row_bytes;
    NormRows r;
    r.n = b_.n;
    r.rows = std::min(b_.block, b_.run - at);
    r.eps = attrs_.eps;
    r.x = x_.as<const std::byte>() + offset;
    r.g = args_.inputs[1 + attrs_.has_weight].as<const std::byte>() + offset;
    r.y = args_.outputs[0].as<std::byte>() + offset;
    if (attrs_.has_weight) {
      r.weight = args_.inputs[1].data;
      r.dweight = sums;
      sums += b_.n * b_.value;
    }
    if (attrs_.has_bias) r.dbias = sums;
    parts_.backward(r);
  }

  const device::KernelArgs& args_;
  const NormAttrs& attrs_;
  const device::Tensor& x_;
  NormParts parts_;
  Backward b_;
};

template <bool kCentred>
void run_backward(const device::KernelArgs& args) {
  BackwardRun<kCentred>(args).run();
}

Backward backward_of(const OpInstance& op) {
  return backward_of(op.inputs[0].shape, op.inputs[0].dtype,
                     static_cast<int64_t>(op.outputs.size()) - 1);
}

size_t backward_workspace(const OpInstance& op) {
  const Backward b = backward_of(op);
  return b.batch_bytes() + b.carry_bytes();
}

size_t backward_carry(const OpInstance& op) { return backward_of(op).carry_bytes(); }

}  // namespace

void add_norm_kernels(device::KernelTable& table) {
  device::KernelRow row;
  row.in_place = 1;
  row.run = run_forward<true>;
  table.add("layer_norm", device::kFloatDtypes, row);
  row.run = run_forward<false>;
  table.add("rms_norm", device::kFloatDtypes, row);
  row.in_place = 0;
  row.workspace = backward_workspace;
  row.carry = backward_carry;
  row.run = run_backward<true>;
  table.add("layer_norm_vjp", device::kFloatDtypes, row);
  row.run = run_backward<false>;
  table.add("rms_norm_vjp", device::kFloatDtypes, row);
}

}  // namespace plimsoll::cpu
#endif
