#include "backends/cpu/kernels/fft_long.h"

#include <oneapi/tbb/info.h>

#include <algorithm>
#include <atomic>

#include "backends/cpu/float_mode.h"
#include "backends/cpu/kernels/fft_transform.h"
#include "backends/cpu/kernels/parallel.h"
#include "backends/cpu/kernels/partition.h"
#include "backends/cpu/kernels/strided.h"
#include "opset/fft.h"

namespace plimsoll::cpu::fft {
namespace {

constexpr int64_t kLong = 64 << 10;

/// n = rows · columns, of about one size.
struct Matrix {
  int64_t rows = 1, columns = 1;
};

Matrix matrix_of(int64_t n) {
  Matrix m;
  for (int64_t factor : {13, 11, 7, 5, 3, 2})
    for (; n % factor == 0; n /= factor) (m.rows <= m.columns ? m.rows : m.columns) *= factor;
  return m;
}

/// In floats.
struct Room {
  int64_t shared, worker;
};

Room room_of(int64_t n) {
  const Matrix m = matrix_of(n);
  return {.shared = 2 * (m.rows + m.columns + n),
          .worker = 4 * kMostLines * std::max(m.rows, m.columns)};
}

class LongRun {
 public:
  LongRun(const device::KernelArgs& args, int64_t n, bool inverse)
      : n_(n), m_(matrix_of(n)), inverse_(inverse) {
    auto* floats = reinterpret_cast<float*>(args.workspace.data());
    const Room room = room_of(n);
    const auto all = static_cast<int64_t>(args.workspace.size() / sizeof(float));
    most_workers_ = (all - room.shared) / room.worker;
    worker_floats_ = room.worker;
    row_roots_ = take(floats, m_.rows);
    column_roots_ = take(floats, m_.columns);
    between_ = reinterpret_cast<C64*>(floats);
    scratch_ = floats + 2 * n;
    fill_roots(row_roots_, m_.rows);
    fill_roots(column_roots_, m_.columns);
  }

  void line(const C64* in, int64_t in_step, C64* out, int64_t out_step) const {
    each_block(m_.columns, [&](int64_t first, int64_t count, Split a, Split b) {
      int64_t start[kMostLines];
      for (int64_t i = 0; i < count; ++i) start[i] = (first + i) * in_step;
      gather_lines(in, start, m_.columns * in_step, count, m_.rows, a.exchanged(inverse_));
      const Split done = transform(a, b, row_roots_, m_.rows, count, false);
      twist(done, first, count, m_.rows, n_);
      for (int64_t i = 0; i < count; ++i) start[i] = first + i;
      scatter_lines(done, start, m_.columns, count, m_.rows, between_);
    });
    each_block(m_.rows, [&](int64_t first, int64_t count, Split a, Split b) {
      int64_t start[kMostLines];
      for (int64_t i = 0; i < count; ++i) start[i] = (first + i) * m_.columns;
      gather_lines(between_, start, 1, count, m_.columns, a);
      const Split done = transform(a, b, column_roots_, m_.columns, count, false);
      for (int64_t i = 0; i < count; ++i) start[i] = (first + i) * out_step;
      scatter_lines(done.exchanged(inverse_), start, m_.rows * out_step, count, m_.columns, out);
    });
  }

 private:
  /// f(first, count, a, b) for blocks of lines, of which there are `lines`; a and b are scratch.
  template <typename F>
  void each_block(int64_t lines, const F& f) const {
    const int64_t blocks = ceil_div(lines, kMostLines);
    const int64_t length = n_ / lines;
    std::atomic<int64_t> next{0};
    run_tasks(std::min({blocks, arena_threads(), most_workers_}), [&](int64_t worker) {
      const ScopedFloatMode mode;
      for (int64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < blocks;) {
        const int64_t first = i * kMostLines, count = std::min(kMostLines, lines - first);
        float* at = scratch_ + worker * worker_floats_;
        const Split a = take(at, length * count), b = take(at, length * count);
        f(first, count, a, b);
      }
    });
  }

  const int64_t n_;
  const Matrix m_;
  const bool inverse_;
  int64_t most_workers_, worker_floats_;
  Split row_roots_, column_roots_;
  C64* between_;
  float* scratch_;
};

}  // namespace

bool is_long(int64_t n) { return n >= kLong && radices_of(n).rest == 1; }

size_t long_workspace(int64_t n) {
  const Matrix m = matrix_of(n);
  const Room room = room_of(n);
  const int64_t blocks = ceil_div(std::max(m.rows, m.columns), kMostLines);
  const int64_t workers = std::min<int64_t>(blocks, tbb::info::default_concurrency());
  return static_cast<size_t>(room.shared + workers * room.worker) * sizeof(float);
}

void run_long(const device::KernelArgs& args) {
  const device::Tensor &in = args.inputs[0], &out = args.outputs[0];
  const auto& attrs = static_cast<const FftAttrs&>(*args.attrs);
  StridedLoop lines{2};
  for (size_t d = 0; d < in.shape.size(); ++d)
    if (static_cast<int>(d) != attrs.axis) lines.add(in.shape[d], {in.strides[d], out.strides[d]});
  lines.collapse();
  const LongRun run(args, in.shape[attrs.axis], attrs.inverse);
  lines.runs(0, lines.count(), 1, [&](const int64_t* at, int64_t) {
    run.line(in.as<const C64>() + at[0], in.strides[attrs.axis], out.as<C64>() + at[1],
             out.strides[attrs.axis]);
  });
}

}  // namespace plimsoll::cpu::fft
