#include "backends/cpu/kernels/fft_long.h"

#include <oneapi/tbb/info.h>

#include <algorithm>
#include <atomic>
#include <complex>
#include <utility>

#include "backends/cpu/float_mode.h"
#include "backends/cpu/kernels/fft_transform.h"
#include "backends/cpu/kernels/parallel.h"
#include "backends/cpu/kernels/partition.h"
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

Room room_of(Form form, int64_t n) {
  const Matrix m = matrix_of(n);
  const int64_t halves = form == Form::kComplex ? 0 : n / 2 + 1;
  const int64_t tangled = form == Form::kToReal ? n : 0;
  return {.shared = 2 * (m.rows + m.columns + n + halves + tangled),
          .worker = 4 * kMostLines * std::max(m.rows, m.columns)};
}

class LongRun {
 public:
  LongRun(const device::KernelArgs& args, Form form, int64_t n, bool inverse)
      : form_(form), n_(n), m_(matrix_of(n)), inverse_(inverse) {
    auto* floats = reinterpret_cast<float*>(args.workspace.data());
    const Room room = room_of(form, n);
    const auto all = static_cast<int64_t>(args.workspace.size() / sizeof(float));
    most_workers_ = (all - room.shared) / room.worker;
    worker_floats_ = room.worker;
    row_roots_ = take(floats, m_.rows);
    column_roots_ = take(floats, m_.columns);
    fill_roots(row_roots_, m_.rows);
    fill_roots(column_roots_, m_.columns);
    if (form != Form::kComplex) {
      halves_ = take(floats, n / 2 + 1);
      fill_roots(halves_, 2 * n, n / 2 + 1);
    }
    if (form == Form::kToReal) tangled_ = std::exchange(floats, floats + 2 * n);
    between_ = std::exchange(floats, floats + 2 * n);
    scratch_ = floats;
  }

  void line(const float* in, Lines in_lines, float* out, Lines out_lines) const {
    if (form_ == Form::kToReal) {
      tangle_line(in, in_lines);
      in = tangled_;
      in_lines = Lines::complex(1);
    }
    transform_line(in, in_lines, out, out_lines);
    if (form_ == Form::kFromReal) untangle_line(out, out_lines);
  }

 private:
  void transform_line(const float* in, Lines in_lines, float* out, Lines out_lines) const {
    each_block(m_.columns, [&](int64_t first, int64_t count, Split a, Split b) {
      int64_t start[kMostLines];
      for (int64_t i = 0; i < count; ++i) start[i] = (first + i) * in_lines.step;
      gather_lines(in, start, {m_.columns * in_lines.step, in_lines.apart}, count, m_.rows,
                   a.exchanged(inverse_));
      const Split done = transform(a, b, row_roots_, m_.rows, count, false);
      twist(done, first, count, m_.rows, n_);
      for (int64_t i = 0; i < count; ++i) start[i] = 2 * (first + i);
      scatter_lines(done, start, Lines::complex(m_.columns), count, m_.rows, between_);
    });
    each_block(m_.rows, [&](int64_t first, int64_t count, Split a, Split b) {
      int64_t start[kMostLines];
      for (int64_t i = 0; i < count; ++i) start[i] = 2 * (first + i) * m_.columns;
      gather_lines(between_, start, Lines::complex(1), count, m_.columns, a);
      const Split done = transform(a, b, column_roots_, m_.columns, count, false);
      for (int64_t i = 0; i < count; ++i) start[i] = (first + i) * out_lines.step;
      scatter_lines(done.exchanged(inverse_), start, {m_.rows * out_lines.step, out_lines.apart},
                    count, m_.columns, out);
    });
  }

  // As untangle() and tangle() do it for lines side by side. What is read is overwritten.
  void untangle_line(float* out, Lines lines) const {
    const auto at = [&](int64_t k) { return reinterpret_cast<C64*>(out + k * lines.step); };
    const C64 z = *at(0);
    *at(0) = z.real() + z.imag();
    *at(n_) = z.real() - z.imag();
    each_pair([&](int64_t k) {
      const C64 a = *at(k), b = std::conj(*at(n_ - k));
      const C64 even = (a + b) * 0.5f, odd = turned((a - b) * 0.5f);
      const C64 turn = times(odd, {halves_.re[k], halves_.im[k]});
      *at(n_ - k) = std::conj(even - turn);
      *at(k) = even + turn;
    });
  }
  void tangle_line(const float* in, Lines lines) const {
    const auto at = [&](int64_t k) {
      const float* z = in + k * lines.step;
      return C64(z[0], z[1]);
    };
    auto* to = reinterpret_cast<C64*>(tangled_);
    const float first = at(0).real(), last = at(n_).real();
    to[0] = {first + last, first - last};
    each_pair([&](int64_t k) {
      const C64 a = at(k), b = std::conj(at(n_ - k)), even = a + b;
      const C64 odd = turned(times(a - b, {halves_.re[k], -halves_.im[k]}));
      to[n_ - k] = std::conj(even + odd);
      to[k] = even - odd;
    });
  }

  static C64 times(C64 a, C64 b) {
    return {a.real() * b.real() - a.imag() * b.imag(), a.real() * b.imag() + a.imag() * b.real()};
  }
  static C64 turned(C64 a) { return {a.imag(), -a.real()}; }

  /// f(k) for each k of the pairs (k, n - k); threads share them.
  template <typename F>
  void each_pair(const F& f) const {
    parallel_ranges(n_ / 2, 32, [&](int64_t begin, int64_t end) {
      for (int64_t k = begin; k < end; ++k) f(k + 1);
    });
  }

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

  const Form form_;
  const int64_t n_;
  const Matrix m_;
  const bool inverse_;
  int64_t most_workers_, worker_floats_;
  Split row_roots_, column_roots_, halves_;
  float *tangled_ = nullptr, *between_, *scratch_;
};

}  // namespace

bool is_long(int64_t n) { return n >= kLong && radices_of(n).rest == 1; }

size_t long_workspace(Form form, int64_t n) {
  const Matrix m = matrix_of(n);
  const Room room = room_of(form, n);
  const int64_t blocks = ceil_div(std::max(m.rows, m.columns), kMostLines);
  const int64_t workers = std::min<int64_t>(blocks, tbb::info::default_concurrency());
  return static_cast<size_t>(room.shared + workers * room.worker) * sizeof(float);
}

void run_long(const device::KernelArgs& args, Form form, int64_t n) {
  const device::Tensor &in = args.inputs[0], &out = args.outputs[0];
  const auto& attrs = static_cast<const FftAttrs&>(*args.attrs);
  const StridedLoop lines = other_axes(in, out, attrs.axis);
  const LongRun run(args, form, n, attrs.inverse);
  lines.runs(0, lines.count(), 1, [&](const int64_t* at, int64_t) {
    run.line(in.as<const float>() + at[0], lines_along(in, attrs.axis), out.as<float>() + at[1],
             lines_along(out, attrs.axis));
  });
}

}  // namespace plimsoll::cpu::fft
