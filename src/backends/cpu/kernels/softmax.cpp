// softmax and its backward over the last axis, three passes over a row that stays in the cache. A
// row is summed in chunks of kChunk, each in blocks, all in ascending order; a long row's chunks
// are spread over threads.
#include "backends/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backends/cpu/kernels/softmax.cpp"
#include <hwy/foreach_target.h>

#include "backends/cpu/kernels/exp-inl.h"
#include "backends/cpu/kernels/parallel.h"
#include "backends/cpu/kernels/row-inl.h"
#include "backends/cpu/kernels/softmax.h"
#include "opset/softmax.h"

#ifndef PLIMSOLL_SOFTMAX_ROWS
#define PLIMSOLL_SOFTMAX_ROWS
namespace plimsoll::cpu {

// Parts of one row's work, on elements [0, n) of a chunk.
struct SoftmaxParts {
  double (*max)(const void* x, int64_t n) = nullptr;
  /// Sum of exp(x - max); y gets the terms where its dtype keeps them exactly.
  double (*exp_sum)(const void* x, int64_t n, double max, void* y) = nullptr;
  void (*scale)(const void* x, int64_t n, double max, double sum, void* y) = nullptr;
  double (*dot)(const void* y, const void* g, int64_t n) = nullptr;
  void (*vjp)(const void* y, const void* g, int64_t n, double dot, void* dx) = nullptr;
};

}  // namespace plimsoll::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace plimsoll::cpu::HWY_NAMESPACE {

template <typename T>
struct Parts {
  using C = Compute<T>;
  using D = hn::ScalableTag<C>;
  using V = hn::Vec<D>;
  static constexpr int64_t kVec = HWY_LANES(C);
  static constexpr C kLow = -std::numeric_limits<C>::infinity();
  // Wider dtypes hold the terms of the sum in the output between the passes.
  static constexpr bool kKeep = std::is_same_v<T, C>;

  static double max(const void* in, int64_t n) {
    const D d;
    const T* x = static_cast<const T*>(in);
    V a = hn::Set(d, kLow), b = a, c = a, e = a;
    int64_t i = 0;
    for (; i + 4 * kVec <= n; i += 4 * kVec) {
      a = hn::Max(a, load(d, x + i));
      b = hn::Max(b, load(d, x + i + kVec));
      c = hn::Max(c, load(d, x + i + 2 * kVec));
      e = hn::Max(e, load(d, x + i + 3 * kVec));
    }
    for (; i + kVec <= n; i += kVec) a = hn::Max(a, load(d, x + i));
    if (i < n) b = hn::Max(b, load_part(d, x + i, n - i, kLow));
    return hn::GetLane(hn::MaxOfLanes(d, hn::Max(hn::Max(a, b), hn::Max(c, e))));
  }

  static double exp_sum(const void* in, int64_t n, double max, void* out) {
    const D d;
    const T* x = static_cast<const T*>(in);
    T* y = static_cast<T*>(out);
    const V m = hn::Set(d, static_cast<C>(max));
    double sum;
    row_sums<1, T>(n, &sum, [&](int64_t i, int64_t part, V* v) HWY_ATTR {
      if (part == kVec) {
        *v = exp_lanes(d, hn::Sub(load(d, x + i), m));
        if constexpr (kKeep) store(d, *v, y + i);
      } else {
        *v = exp_lanes(d, hn::Sub(load_part(d, x + i, part, kLow), m));
        if constexpr (kKeep) store_part(d, *v, y + i, part);
        *v = hn::IfThenElseZero(hn::FirstN(d, part), *v);
      }
    });
    return sum;
  }

  static void scale(const void* in, int64_t n, double max, double sum, void* out) {
    const D d;
    const T* x = static_cast<const T*>(in);
    T* y = static_cast<T*>(out);
    const V m = hn::Set(d, static_cast<C>(max));
    // One pattern for every NaN: which operand's payload survives must not show.
    if (sum != sum) {
      std::fill_n(y, n, from_lane<T>(std::numeric_limits<C>::quiet_NaN()));
      return;
    }
    const V f = hn::Set(d, static_cast<C>(1 / sum));
    int64_t i = 0;
    for (; i + kVec <= n; i += kVec) {
      const V e = kKeep ? load(d, y + i) : exp_lanes(d, hn::Sub(load(d, x + i), m));
      store(d, hn::Mul(e, f), y + i);
    }
    if (i == n) return;
    const V e = kKeep ? load_part(d, y + i, n - i, 0)
                      : exp_lanes(d, hn::Sub(load_part(d, x + i, n - i, kLow), m));
    store_part(d, hn::Mul(e, f), y + i, n - i);
  }

  static double dot(const void* a, const void* b, int64_t n) {
    const D d;
    const T* y = static_cast<const T*>(a);
    const T* g = static_cast<const T*>(b);
    double sum;
    row_sums<1, T>(n, &sum, [&](int64_t i, int64_t part, V* v) HWY_ATTR {
      *v = part == kVec ? hn::Mul(load(d, y + i), load(d, g + i))
                        : hn::Mul(load_part(d, y + i, part, 0), load_part(d, g + i, part, 0));
    });
    return sum;
  }

  static void vjp(const void* a, const void* b, int64_t n, double dot, void* out) {
    const D d;
    const T* y = static_cast<const T*>(a);
    const T* g = static_cast<const T*>(b);
    T* dx = static_cast<T*>(out);
    const V s = hn::Set(d, static_cast<C>(dot));
    int64_t i = 0;
    for (; i + kVec <= n; i += kVec)
      store(d, hn::Mul(load(d, y + i), hn::Sub(load(d, g + i), s)), dx + i);
    if (i == n) return;
    const V part = hn::Sub(load_part(d, g + i, n - i, 0), s);
    store_part(d, hn::Mul(load_part(d, y + i, n - i, 0), part), dx + i, n - i);
  }

  static SoftmaxParts get() { return {max, exp_sum, scale, dot, vjp}; }
};

SoftmaxParts softmax_parts(Dtype t) {
  if (t == Dtype::kFloat16) return Parts<Float16>::get();
  if (t == Dtype::kBfloat16) return Parts<Bfloat16>::get();
  return t == Dtype::kFloat64 ? Parts<double>::get() : Parts<float>::get();
}

}  // namespace plimsoll::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace plimsoll::cpu {

HWY_EXPORT(softmax_parts);

namespace {

constexpr int64_t kChunk = 16384;

struct Rows {
  int64_t count;
  int64_t n;
};

Rows rows_of(const Shape& shape) {
  const int64_t n = shape.empty() ? 1 : shape.back();
  return {n == 0 ? 0 : num_elements(shape) / n, n};
}

int64_t chunks(int64_t n) { return (n + kChunk - 1) / kChunk; }

// f(begin, length, index) for each chunk, in order or spread over threads.
template <typename F>
void each_chunk(int64_t n, bool spread, const F& f) {
  const auto body = [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) f(c * kChunk, std::min(kChunk, n - c * kChunk), c);
  };
  if (spread)
    parallel_ranges(chunks(n), kChunk, body);
  else
    body(0, chunks(n));
}

// Sum of f over the chunks, in ascending order.
template <typename F>
double sum_chunks(int64_t n, double* partial, const F& f) {
  double sum = 0;
  if (!partial) {
    each_chunk(n, false, [&](int64_t b, int64_t len, int64_t) { sum += f(b, len); });
    return sum;
  }
  each_chunk(n, true, [&](int64_t b, int64_t len, int64_t c) { partial[c] = f(b, len); });
  for (int64_t c = 0; c < chunks(n); ++c) sum += partial[c];
  return sum;
}

// One double per chunk of `partial`, or null: this thread does the row.
void softmax_row(const SoftmaxParts& p, const std::byte* x, std::byte* y, int64_t n, size_t size,
                 double* partial) {
  double max = -std::numeric_limits<double>::infinity();
  if (partial) {
    each_chunk(n, true,
               [&](int64_t b, int64_t len, int64_t c) { partial[c] = p.max(x + b * size, len); });
    for (int64_t c = 0; c < chunks(n); ++c) max = std::max(max, partial[c]);
  } else {
    max = p.max(x, n);
  }
  const double sum = sum_chunks(n, partial, [&](int64_t b, int64_t len) {
    return p.exp_sum(x + b * size, len, max, y + b * size);
  });
  each_chunk(n, partial != nullptr, [&](int64_t b, int64_t len, int64_t) {
    p.scale(x + b * size, len, max, sum, y + b * size);
  });
}

void vjp_row(const SoftmaxParts& p, const std::byte* y, const std::byte* g, std::byte* dx,
             int64_t n, size_t size, double* partial) {
  const double dot = sum_chunks(
      n, partial, [&](int64_t b, int64_t len) { return p.dot(y + b * size, g + b * size, len); });
  each_chunk(n, partial != nullptr, [&](int64_t b, int64_t len, int64_t) {
    p.vjp(y + b * size, g + b * size, len, dot, dx + b * size);
  });
}

// row(index, partial) for each row: rows over threads, or the threads on one row at a time.
template <typename F>
void each_row(const device::KernelArgs& args, const Rows& r, int64_t cost, const F& row) {
  const bool spread = !args.workspace.empty() && r.count < 2 * num_workers() && num_workers() > 1;
  if (spread) {
    for (int64_t i = 0; i < r.count; ++i) row(i, reinterpret_cast<double*>(args.workspace.data()));
    return;
  }
  parallel_ranges(r.count, cost, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) row(i, static_cast<double*>(nullptr));
  });
}

void run_softmax(const device::KernelArgs& args) {
  const device::Tensor& x = args.inputs[0];
  const SoftmaxParts p = HWY_DYNAMIC_DISPATCH(softmax_parts)(x.dtype);
  const Rows r = rows_of(x.shape);
  const size_t size = size_of(x.dtype);
  each_row(args, r, 4 * r.n, [&](int64_t i, double* partial) {
    const int64_t at = i * r.n * size;
    softmax_row(p, x.as<const std::byte>() + at, args.outputs[0].as<std::byte>() + at, r.n, size,
                partial);
  });
}

void run_vjp(const device::KernelArgs& args) {
  const device::Tensor& y = args.inputs[0];
  const SoftmaxParts p = HWY_DYNAMIC_DISPATCH(softmax_parts)(y.dtype);
  const Rows r = rows_of(y.shape);
  const size_t size = size_of(y.dtype);
  each_row(args, r, r.n, [&](int64_t i, double* partial) {
    const int64_t at = i * r.n * size;
    vjp_row(p, y.as<const std::byte>() + at, args.inputs[1].as<const std::byte>() + at,
            args.outputs[0].as<std::byte>() + at, r.n, size, partial);
  });
}

size_t workspace(const OpInstance& op) {
  const Rows r = rows_of(op.inputs[0].shape);
  return r.n < 4 * kChunk ? 0 : chunks(r.n) * sizeof(double);
}

}  // namespace

void add_softmax_kernels(device::KernelTable& table) {
  device::KernelRow row;
  row.workspace = workspace;
  row.run = run_softmax;
  row.in_place = 1;
  table.add("softmax", device::kFloatDtypes, row);
  row.run = run_vjp;
  row.in_place = 3;
  table.add("softmax_vjp", device::kFloatDtypes, row);
}

}  // namespace plimsoll::cpu
#endif
