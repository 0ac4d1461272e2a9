#include "backends/cpu/kernels/solve.h"

#include "backends/cpu/kernels/lapack.h"
#include "opset/solve.h"

namespace plimsoll::cpu {
namespace {

using device::KernelArgs;
using device::Tensor;
using lapack::Int;
using lapack::Places;

constexpr Dtype kReal[] = {Dtype::kFloat32, Dtype::kFloat64};
constexpr int64_t kBlock = 64;

template <typename T>
struct Work {
  T *a, *b, *work;
  Int* pivots;
  int64_t size;
  /// `columns` of right-hand sides; 0 for an inverse, which has work instead.
  Work(Places& p, int64_t n, int64_t columns)
      : a(p.take<T>(n * n)),
        b(p.take<T>(n * columns)),
        work(nullptr),
        pivots(p.take<Int>(n)),
        size(columns ? 1 : n * kBlock) {
    work = p.take<T>(size);
  }
};

size_t workspace(const OpInstance& op) {
  Places p;
  const int64_t n = op.inputs[0].shape.back();
  const int64_t columns = op.inputs.size() == 2 ? op.inputs[1].shape.back() : 0;
  if (op.inputs[0].dtype == Dtype::kFloat32)
    Work<float>(p, n, columns);
  else
    Work<double>(p, n, columns);
  return p.used();
}

/// One matrix, and its right-hand sides where there are any, to be replaced by the result.
template <typename T>
struct System {
  Int n, columns;
  Work<T> w;
};

void check_regular(Int info, const char* op) {
  PLIMSOLL_CHECK(info == 0, Error,
                 "[linalg.{}] expected regular matrices, got one whose pivot {} is 0", op, info);
}

/// f(system) for each matrix of the batch; the result is in b, or in a without right-hand sides.
template <typename F>
void each_system(const KernelArgs& args, const F& f) {
  const Tensor &a = args.inputs[0], &out = args.outputs[0];
  const Tensor& b = args.inputs.back();
  const bool sides = args.inputs.size() == 2;
  const size_t batch = a.shape.size() - 2;
  const int64_t n = a.shape.back(), columns = sides ? b.shape.back() : 0;
  PLIMSOLL_CHECK(n <= lapack::kMostRows, ValueError, "[linalg] expected at most {} rows, got {}",
                 lapack::kMostRows, n);
  if (n == 0 || out.shape.back() == 0) return;
  StridedLoop loop(3);
  for (size_t d = 0; d < batch; ++d)
    loop.add(a.shape[d], {a.strides[d], b.strides[d], out.strides[d]});
  loop.collapse();
  openblas_set_num_threads(1);  // its bits depend on the number
  loop.runs(0, loop.count(), 1, [&](const int64_t* at, int64_t) {
    const auto one = [&]<typename T>(T) {
      Places p(args.workspace);
      const System<T> s{static_cast<Int>(n), static_cast<Int>(columns), Work<T>(p, n, columns)};
      lapack::load(a.as<const T>() + at[0], a.strides[batch], a.strides[batch + 1], n, n, s.w.a);
      if (sides)
        lapack::load(b.as<const T>() + at[1], b.strides[batch], b.strides[batch + 1], n, columns,
                     s.w.b);
      f(s);
      lapack::store(sides ? s.w.b : s.w.a, n, n, sides ? columns : n, out.as<T>() + at[2]);
    };
    if (a.dtype == Dtype::kFloat32)
      one(float{});
    else
      one(double{});
  });
}

char triangle(const KernelArgs& args) {
  return static_cast<const TriangleAttrs&>(*args.attrs).upper ? 'U' : 'L';
}

void inv(const KernelArgs& args) {
  each_system(args, [](const auto& s) {
    check_regular(lapack::getrf(s.n, s.n, s.w.a, s.w.pivots), "inv");
    lapack::getri(s.n, s.w.a, s.w.pivots, s.w.work, static_cast<Int>(s.w.size));
  });
}

void tri_inv(const KernelArgs& args) {
  const char uplo = triangle(args);
  each_system(args, [&](const auto& s) {
    check_regular(lapack::trtri(uplo, s.n, s.w.a), "tri_inv");
    for (int64_t j = 0; j < s.n; ++j) {
      auto* column = s.w.a + j * s.n;
      std::fill(column + (uplo == 'U' ? j + 1 : 0), column + (uplo == 'U' ? s.n : j), 0);
    }
  });
}

void solve(const KernelArgs& args) {
  each_system(args, [](const auto& s) {
    check_regular(lapack::getrf(s.n, s.n, s.w.a, s.w.pivots), "solve");
    lapack::getrs(s.n, s.columns, s.w.a, s.w.pivots, s.w.b);
  });
}

void solve_triangular(const KernelArgs& args) {
  const char uplo = triangle(args);
  each_system(args, [&](const auto& s) {
    check_regular(lapack::trtrs(uplo, s.n, s.columns, s.w.a, s.w.b), "solve_triangular");
  });
}

}  // namespace

void add_solve_kernels(device::KernelTable& table) {
  device::KernelRow row;
  row.workspace = workspace;
  row.strided_inputs = device::kAllInputs;
  row.can_fail = true;
  const auto add = [&](const char* op, void (*run)(const KernelArgs&)) {
    row.run = run;
    table.add(op, kReal, row);
  };
  add("inv", inv);
  add("tri_inv", tri_inv);
  add("solve", solve);
  add("solve_triangular", solve_triangular);
}

}  // namespace plimsoll::cpu
