#include "backends/cpu/kernels/fft.h"

#include <oneapi/tbb/info.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <complex>
#include <numbers>

#include "backends/cpu/float_mode.h"
#include "backends/cpu/kernels/fft_long.h"
#include "backends/cpu/kernels/fft_transform.h"
#include "backends/cpu/kernels/parallel.h"
#include "backends/cpu/kernels/partition.h"
#include "opset/fft.h"

namespace plimsoll::cpu {
namespace fft {
namespace {

using device::KernelArgs;
using device::Tensor;
constexpr int64_t kCacheElements = 16 << 10;     // complex numbers of a block of lines
constexpr int64_t kParallelElements = 64 << 10;  // from here on a block is shared by threads

/// A length with a large prime factor is a convolution of this length (Bluestein 1970), else n.
int64_t padded_length(int64_t n) {
  if (radices_of(n).rest == 1) return n;
  int64_t m = 1;
  while (m < 2 * n - 1) m *= 2;
  return m;
}

/// What all lines of a call share, and the scratch of each block of lines.
struct Plan {
  Form form;
  int64_t n;       // complex numbers of a line, or pairs
  int64_t length;  // of the transforms that are computed
  int64_t lines;   // of a block
  bool convolved() const { return length != n; }
  int64_t terms() const { return form == Form::kComplex ? n : n + 1; }
  int64_t rows() const { return std::max(length, terms()); }
  // In floats.
  int64_t shared() const {
    return 2 * (length + (convolved() ? n + length : 0) + (form == Form::kComplex ? 0 : n / 2 + 1));
  }
  int64_t block() const { return 4 * rows() * lines; }
};

Plan plan_of(Form form, int64_t n, int64_t lines) {
  Plan p{form, n, padded_length(n), 1};
  p.lines = std::clamp<int64_t>(std::min(kCacheElements / p.length, lines), 1, kMostLines);
  return p;
}

int64_t lines_of(const Shape& shape, int axis) {
  int64_t lines = 1;
  for (size_t d = 0; d < shape.size(); ++d)
    if (static_cast<int>(d) != axis) lines *= shape[d];
  return lines;
}

/// Of the complex numbers, or pairs, of a line.
int64_t length_of(Form form, const Shape& in, int axis) {
  if (form == Form::kFromReal) return in[axis] / 2;
  return form == Form::kToReal ? in[axis] - 1 : in[axis];
}

template <Form form>
size_t workspace(const OpInstance& op) {
  const Shape& shape = op.inputs[0].shape;
  const int axis = static_cast<const FftAttrs&>(*op.attrs).axis;
  if (num_elements(shape) == 0) return 0;
  const int64_t n = length_of(form, shape, axis);
  if (is_long(n)) return long_workspace(form, n);
  const int64_t lines = lines_of(shape, axis);
  const Plan p = plan_of(form, n, lines);
  const int64_t blocks =
      std::min<int64_t>(ceil_div(lines, p.lines), tbb::info::default_concurrency());
  return static_cast<size_t>(p.shared() + blocks * p.block()) * sizeof(float);
}

class Run {
 public:
  Run(const KernelArgs& args, const Plan& plan, float* shared) : plan_(plan) {
    const Tensor &in = args.inputs[0], &out = args.outputs[0];
    const auto& attrs = static_cast<const FftAttrs&>(*args.attrs);
    in_ = in.as<const float>();
    out_ = out.as<float>();
    inverse_ = attrs.inverse;
    in_lines_ = lines_along(in, attrs.axis);
    out_lines_ = lines_along(out, attrs.axis);
    loop_ = other_axes(in, out, attrs.axis);
    roots_ = take(shared, plan.length);
    fill_roots(roots_, plan.length);
    if (plan.convolved()) {
      chirp_ = take(shared, plan.n);
      filter_ = take(shared, plan.length);
    }
    if (plan.form != Form::kComplex) {
      halves_ = take(shared, plan.n / 2 + 1);
      fill_roots(halves_, 2 * plan.n, plan.n / 2 + 1);
    }
  }

  /// The chirp exp(-πi k² / n) and the transform of its conjugate, which lines are convolved with.
  void prepare(float* scratch, bool parallel) {
    if (!plan_.convolved()) return;
    const int64_t n = plan_.n, m = plan_.length;
    for (int64_t k = 0; k < n; ++k) {
      const auto turns =
          static_cast<double>(static_cast<int64_t>(static_cast<__int128>(k) * k % (2 * n)));
      const double angle = -std::numbers::pi * turns / static_cast<double>(n);
      chirp_.re[k] = static_cast<float>(std::cos(angle));
      chirp_.im[k] = static_cast<float>(std::sin(angle));
    }
    const Split a = take(scratch, m), b = take(scratch, m);
    std::fill_n(a.re, 2 * m, 0.0f);
    const float scale = 1.0f / static_cast<float>(m);  // a power of two: exact
    for (int64_t k = 0; k < n; ++k) {
      const int64_t mirrored = k == 0 ? 0 : m - k;
      a.re[k] = a.re[mirrored] = chirp_.re[k] * scale;
      a.im[k] = a.im[mirrored] = -chirp_.im[k] * scale;
    }
    const Split done = transform(a, b, roots_, m, 1, parallel);
    std::copy_n(done.re, m, filter_.re);
    std::copy_n(done.im, m, filter_.im);
  }

  /// A block of lines from `first` on. The last line is repeated where there are no more: vectors
  /// that are not full take longer.
  void block(int64_t first, float* scratch, bool parallel) const {
    const int64_t count = plan_.lines;
    const int64_t m = plan_.length;
    Split a = take(scratch, plan_.rows() * count), b = take(scratch, plan_.rows() * count);
    load(first, count, a, b);
    Split done;
    if (plan_.convolved()) {
      multiply(a, a, chirp_, plan_.n, count);
      std::fill_n(a.re + plan_.n * count, (m - plan_.n) * count, 0.0f);
      std::fill_n(a.im + plan_.n * count, (m - plan_.n) * count, 0.0f);
      done = transform(a, b, roots_, m, count, parallel);
      Split other = done.re == a.re ? b : a;
      multiply(done, done, filter_, m, count);
      done = transform(done.exchanged(), other.exchanged(), roots_, m, count, parallel).exchanged();
      multiply(done, done, chirp_, plan_.n, count);
    } else {
      done = transform(a, b, roots_, m, count, parallel);
    }
    store(first, count, done, done.re == a.re || done.re == a.im ? b : a);
  }

  int64_t lines() const { return loop_.count(); }

 private:
  void starts(int64_t first, int64_t count, int operand, int64_t (&start)[kMostLines]) const {
    int64_t line = 0;
    loop_.runs(first, std::min(first + count, lines()), 1,
               [&](const int64_t* at, int64_t) { start[line++] = at[operand]; });
    for (; line < count; ++line) start[line] = start[line - 1];
  }
  void load(int64_t first, int64_t count, Split to, Split other) const {
    int64_t start[kMostLines];
    starts(first, count, 0, start);
    to = to.exchanged(inverse_);
    if (plan_.form != Form::kToReal) return gather_lines(in_, start, in_lines_, count, plan_.n, to);
    gather_lines(in_, start, in_lines_, count, plan_.terms(), other);
    tangle(other, to, halves_, plan_.n, count);
  }
  void store(int64_t first, int64_t count, Split from, Split other) const {
    int64_t start[kMostLines];
    starts(first, count, 1, start);
    if (plan_.form != Form::kFromReal)
      return scatter_lines(from.exchanged(inverse_), start, out_lines_, count, plan_.n, out_);
    untangle(from, other, halves_, plan_.n, count);
    scatter_lines(other, start, out_lines_, count, plan_.terms(), out_);
  }

  const Plan& plan_;
  const float* in_;
  float* out_;
  bool inverse_;
  Lines in_lines_, out_lines_;
  StridedLoop loop_{2};  // in floats
  Split roots_, chirp_, filter_, halves_;
};

template <Form form>
void run(const KernelArgs& args) {
  const Shape& shape = args.inputs[0].shape;
  if (num_elements(shape) == 0) return;
  const int axis = static_cast<const FftAttrs&>(*args.attrs).axis;
  const int64_t n = length_of(form, shape, axis);
  if (is_long(n)) return run_long(args, form, n);
  const Plan plan = plan_of(form, n, lines_of(shape, axis));
  auto* floats = reinterpret_cast<float*>(args.workspace.data());
  float* scratch = floats + plan.shared();
  const auto room = static_cast<int64_t>(args.workspace.size() / sizeof(float)) - plan.shared();
  Run work(args, plan, floats);
  const int64_t blocks = ceil_div(work.lines(), plan.lines);
  const int64_t workers = std::min({blocks, arena_threads(), room / plan.block()});
  // One block at a time, by all threads, where there is one only or a block is large.
  const bool alone = workers == 1 && plan.length * plan.lines >= kParallelElements;
  work.prepare(scratch, alone);
  const auto one = [&](int64_t i, float* mine) { work.block(i * plan.lines, mine, alone); };
  if (workers == 1) {
    for (int64_t i = 0; i < blocks; ++i) one(i, scratch);
    return;
  }
  // Blocks that run at one time lie far apart, for those beside each other share cache lines.
  const int64_t apart = ceil_div(blocks, workers);
  std::atomic<int64_t> next{0};
  run_tasks(workers, [&](int64_t worker) {
    const ScopedFloatMode mode;
    for (int64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < apart * workers;) {
      const int64_t at = i % workers * apart + i / workers;
      if (at < blocks) one(at, scratch + worker * plan.block());
    }
  });
}

}  // namespace
}  // namespace fft

void add_fft_kernels(device::KernelTable& table) {
  using fft::Form;
  const auto add = [&]<Form form>(const char* op, Dtype dtype) {
    device::KernelRow row;
    row.run = fft::run<form>;
    row.workspace = fft::workspace<form>;
    row.strided_inputs = device::kAllInputs;
    table.add(op, {&dtype, 1}, row);
  };
  add.operator()<Form::kComplex>("dft", Dtype::kComplex64);
  add.operator()<Form::kFromReal>("rdft", Dtype::kFloat32);
  add.operator()<Form::kToReal>("irdft", Dtype::kComplex64);
}

}  // namespace plimsoll::cpu
