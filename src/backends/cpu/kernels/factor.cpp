#include "backends/cpu/kernels/factor.h"

#include "backends/cpu/kernels/lapack.h"
#include "opset/factor.h"

namespace plimsoll::cpu {
namespace {

using device::KernelArgs;
using device::Tensor;
using lapack::Int;
using lapack::Places;

constexpr Dtype kReal[] = {Dtype::kFloat32, Dtype::kFloat64};
constexpr Dtype kInexact[] = {Dtype::kFloat32, Dtype::kFloat64, Dtype::kComplex64};
constexpr int64_t kBlock = 64;  // columns that LAPACK's blocked routines have room for

/// A matrix of a batch: where each operand's part begins, and the input's strides.
struct Matrix {
  int64_t rows, columns, row_stride, column_stride;
  const int64_t* at;  // input, then outputs
};

/// f(T{}) for the dtype's type.
template <typename F>
void with_type(Dtype t, const F& f) {
  if (t == Dtype::kFloat32) return f(float{});
  if (t == Dtype::kFloat64) return f(double{});
  if constexpr (requires { f(std::complex<float>{}); }) f(std::complex<float>{});
}

/// f(matrix) for each of the batch.
template <typename F>
void each_matrix(const KernelArgs& args, const F& f) {
  const Tensor& in = args.inputs[0];
  const size_t batch = in.shape.size() - 2;
  PLIMSOLL_CHECK(std::max(in.shape[batch], in.shape[batch + 1]) <= lapack::kMostRows, ValueError,
                 "[linalg] expected at most {} rows and columns, got shape {}", lapack::kMostRows,
                 to_string(in.shape));
  StridedLoop loop(static_cast<int>(1 + args.outputs.size()));
  for (size_t d = 0; d < batch; ++d) {
    SmallVector<int64_t, 4> strides{in.strides[d]};
    for (const Tensor& out : args.outputs) strides.push_back(out.strides[d]);
    loop.add(in.shape[d], std::span<const int64_t>(strides.data(), strides.size()));
  }
  loop.collapse();
  openblas_set_num_threads(1);  // its bits depend on the number
  loop.runs(0, loop.count(), 1, [&](const int64_t* at, int64_t) {
    f(Matrix{in.shape[batch], in.shape[batch + 1], in.strides[batch], in.strides[batch + 1], at});
  });
}

template <typename T>
void load(const KernelArgs& args, const Matrix& m, T* dst) {
  lapack::load(args.inputs[0].as<const T>() + m.at[0], m.row_stride, m.column_stride, m.rows,
               m.columns, dst);
}

int64_t rows_of(const OpInstance& op) { return op.inputs[0].shape[op.inputs[0].shape.size() - 2]; }
int64_t columns_of(const OpInstance& op) { return op.inputs[0].shape.back(); }

/// Bytes of what Layout<T>(places, rows, columns) takes.
template <template <typename> typename Layout>
size_t workspace(const OpInstance& op) {
  size_t bytes = 0;
  const auto count = [&]<typename T>(T) {
    Places p;
    Layout<T>(p, rows_of(op), columns_of(op));
    bytes = p.used();
  };
  if (op.inputs[0].dtype == Dtype::kFloat32) count(float{});
  if (op.inputs[0].dtype == Dtype::kFloat64) count(double{});
  if (op.inputs[0].dtype == Dtype::kComplex64) count(std::complex<float>{});
  return bytes;
}

// --- cholesky ---

template <typename T>
struct CholeskyPlaces {
  T* a;
  CholeskyPlaces(Places& p, int64_t n, int64_t) : a(p.take<T>(n * n)) {}
};

void cholesky(const KernelArgs& args) {
  const bool upper = static_cast<const TriangleAttrs&>(*args.attrs).upper;
  each_matrix(args, [&](const Matrix& m) {
    with_type(args.inputs[0].dtype, [&]<typename T>(T) {
      if constexpr (std::is_floating_point_v<T>) {
        const int64_t n = m.rows;
        if (n == 0) return;
        Places p(args.workspace);
        const CholeskyPlaces<T> w(p, n, n);
        load(args, m, w.a);
        const Int info = lapack::potrf(upper ? 'U' : 'L', static_cast<Int>(n), w.a);
        for (int64_t j = 0; j < n; ++j)
          std::fill(w.a + j * n + (upper ? j + 1 : 0), w.a + j * n + (upper ? n : j), T(0));
        if (info != 0) std::fill(w.a, w.a + n * n, std::numeric_limits<T>::quiet_NaN());
        lapack::store(w.a, n, n, n, args.outputs[0].as<T>() + m.at[1]);
      }
    });
  });
}

// --- qr ---

template <typename T>
struct QrPlaces {
  T *a, *tau, *work;
  int64_t size;
  QrPlaces(Places& p, int64_t m, int64_t n)
      : a(p.take<T>(m * std::max(n, std::min(m, n)))),
        tau(p.take<T>(std::min(m, n))),
        work(nullptr),
        size(std::max<int64_t>(1, n * kBlock)) {
    work = p.take<T>(size);
  }
};

void qr(const KernelArgs& args) {
  each_matrix(args, [&](const Matrix& m) {
    with_type(args.inputs[0].dtype, [&]<typename T>(T) {
      if constexpr (std::is_floating_point_v<T>) {
        const int64_t k = std::min(m.rows, m.columns);
        if (k == 0) return;
        Places p(args.workspace);
        const QrPlaces<T> w(p, m.rows, m.columns);
        load(args, m, w.a);
        const auto rows = static_cast<Int>(m.rows), columns = static_cast<Int>(m.columns);
        const auto size = static_cast<Int>(w.size);
        lapack::geqrf(rows, columns, w.a, w.tau, w.work, size);
        T* r = args.outputs[1].as<T>() + m.at[2];
        lapack::store(w.a, m.rows, k, m.columns, r);
        for (int64_t i = 1; i < k; ++i) std::fill(r + i * m.columns, r + i * m.columns + i, T(0));
        lapack::orgqr(rows, static_cast<Int>(k), w.a, w.tau, w.work, size);
        lapack::store(w.a, m.rows, m.rows, k, args.outputs[0].as<T>() + m.at[1]);
      }
    });
  });
}

// --- svd ---

template <typename T, bool kVectors>
struct SvdPlaces {
  using Real = typename lapack::RealOf<T>::type;
  T *a, *u, *vt, *work;
  Real *s, *reals;
  Int* integers;
  int64_t size;
  // The least sizes of LAPACK's documentation, and room for blocks.
  SvdPlaces(Places& p, int64_t m, int64_t n)
      : a(p.take<T>(m * n)),
        u(p.take<T>(kVectors ? m * m : 1)),
        vt(p.take<T>(kVectors ? n * n : 1)),
        work(nullptr),
        s(p.take<Real>(std::min(m, n))),
        reals(nullptr),
        integers(p.take<Int>(8 * std::min(m, n))) {
    const int64_t least = std::min(m, n), most = std::max(m, n);
    constexpr bool kComplex = !std::is_same_v<T, Real>;
    size =
        (kVectors ? (kComplex ? 2 : 4) * least * least : 0) + 10 * least + most + kBlock * (m + n);
    work = p.take<T>(size);
    if (kComplex)
      reals = p.take<Real>(kVectors ? std::max(5 * least * least + 5 * least,
                                               2 * most * least + 2 * least * least + least)
                                    : 7 * least);
  }
};
template <typename T>
using SvdAll = SvdPlaces<T, true>;
template <typename T>
using SvdValues = SvdPlaces<T, false>;

template <typename T>
void fill_nan(T* out, int64_t n) {
  using Real = typename lapack::RealOf<T>::type;
  std::fill(out, out + n, T(std::numeric_limits<Real>::quiet_NaN()));
}

template <typename T>
void identity(T* out, int64_t n) {
  std::fill(out, out + n * n, T(0));
  for (int64_t i = 0; i < n; ++i) out[i * n + i] = T(1);
}

template <typename T, bool kVectors>
void svd_matrix(const KernelArgs& args, const Matrix& m) {
  using Real = typename lapack::RealOf<T>::type;
  const int64_t k = std::min(m.rows, m.columns);
  Real* s = args.outputs[kVectors ? 1 : 0].as<Real>() + m.at[kVectors ? 2 : 1];
  T* u = kVectors ? args.outputs[0].as<T>() + m.at[1] : nullptr;
  T* vt = nullptr;
  if constexpr (kVectors) vt = args.outputs[2].as<T>() + m.at[3];
  if (k == 0) {
    if (kVectors) identity(u, m.rows), identity(vt, m.columns);
    return;
  }
  Places p(args.workspace);
  const SvdPlaces<T, kVectors> w(p, m.rows, m.columns);
  load(args, m, w.a);
  if (!lapack::all_finite(w.a, m.rows * m.columns)) {  // LAPACK need not end on these
    fill_nan(s, k);
    if (kVectors) fill_nan(u, m.rows * m.rows), fill_nan(vt, m.columns * m.columns);
    return;
  }
  const Int info =
      lapack::gesdd(kVectors ? 'A' : 'N', static_cast<Int>(m.rows), static_cast<Int>(m.columns),
                    w.a, w.s, w.u, kVectors ? static_cast<Int>(m.rows) : 1, w.vt, w.work,
                    static_cast<Int>(w.size), w.reals, w.integers);
  PLIMSOLL_CHECK(
      info == 0, Error,
      "[linalg.svd] expected LAPACK's divide and conquer to converge, got info {}; scale "
      "the matrix or use float64",
      info);
  std::copy(w.s, w.s + k, s);
  if (kVectors) {
    lapack::store(w.u, m.rows, m.rows, m.rows, u);
    lapack::store(w.vt, m.columns, m.columns, m.columns, vt);
  }
}

template <bool kVectors>
void svd(const KernelArgs& args) {
  each_matrix(args, [&](const Matrix& m) {
    with_type(args.inputs[0].dtype, [&]<typename T>(T) { svd_matrix<T, kVectors>(args, m); });
  });
}

// --- lu_factor ---

template <typename T>
struct LuPlaces {
  T* a;
  Int *pivots, *order;
  LuPlaces(Places& p, int64_t m, int64_t n)
      : a(p.take<T>(m * n)), pivots(p.take<Int>(std::min(m, n))), order(p.take<Int>(m)) {}
};

void lu_factor(const KernelArgs& args) {
  each_matrix(args, [&](const Matrix& m) {
    with_type(args.inputs[0].dtype, [&]<typename T>(T) {
      if constexpr (std::is_floating_point_v<T>) {
        const int64_t k = std::min(m.rows, m.columns);
        Places p(args.workspace);
        const LuPlaces<T> w(p, m.rows, m.columns);
        load(args, m, w.a);
        if (k > 0)
          lapack::getrf(static_cast<Int>(m.rows), static_cast<Int>(m.columns), w.a, w.pivots);
        lapack::store(w.a, m.rows, m.rows, m.columns, args.outputs[0].as<T>() + m.at[1]);
        auto* pivots = args.outputs[1].as<uint32_t>() + m.at[2];
        auto* rows = args.outputs[2].as<uint32_t>() + m.at[3];
        for (int64_t i = 0; i < m.rows; ++i) w.order[i] = static_cast<Int>(i);
        for (int64_t i = 0; i < k; ++i) {
          pivots[i] = static_cast<uint32_t>(w.pivots[i] - 1);
          std::swap(w.order[i], w.order[pivots[i]]);
        }
        for (int64_t i = 0; i < m.rows; ++i) rows[w.order[i]] = static_cast<uint32_t>(i);
      }
    });
  });
}

// --- eig ---

template <typename T, bool kVectors>
struct EigPlaces {
  using Real = typename lapack::RealOf<T>::type;
  T *a, *w, *imaginary, *v, *work;
  Real* reals;
  int64_t size;
  EigPlaces(Places& p, int64_t n, int64_t)
      : a(p.take<T>(n * n)),
        w(p.take<T>(n)),
        imaginary(p.take<T>(n)),
        v(p.take<T>(kVectors ? n * n : 1)),
        work(nullptr),
        reals(p.take<Real>(2 * n)),
        size((kBlock + 8) * n) {
    work = p.take<T>(size);
  }
};
template <typename T>
using EigAll = EigPlaces<T, true>;
template <typename T>
using EigValues = EigPlaces<T, false>;

using C64 = std::complex<float>;

/// Element (i, j) of the eigenvectors: real matrices keep the parts of a pair in two columns.
template <typename T>
C64 vector_element(const T* v, const T* imaginary, int64_t n, int64_t i, int64_t j) {
  if constexpr (std::is_floating_point_v<T>) {
    const T x = v[j * n + i];
    if (imaginary[j] == 0) return {static_cast<float>(x), 0.0f};
    // The first of a pair has a positive imaginary part.
    if (imaginary[j] > 0) return {static_cast<float>(x), static_cast<float>(v[(j + 1) * n + i])};
    return {static_cast<float>(v[(j - 1) * n + i]), static_cast<float>(-x)};
  } else {
    return v[j * n + i];
  }
}

template <typename T, bool kVectors>
void eig_matrix(const KernelArgs& args, const Matrix& m) {
  const int64_t n = m.rows;
  auto* values = args.outputs[0].as<C64>() + m.at[1];
  C64* vectors = nullptr;
  if constexpr (kVectors) vectors = args.outputs[1].as<C64>() + m.at[2];
  if (n == 0) return;
  Places p(args.workspace);
  const EigPlaces<T, kVectors> w(p, n, n);
  load(args, m, w.a);
  if (!lapack::all_finite(w.a, n * n)) {
    fill_nan(values, n);
    if (kVectors) fill_nan(vectors, n * n);
    return;
  }
  const Int info = lapack::geev(kVectors ? 'V' : 'N', static_cast<Int>(n), w.a, w.w, w.imaginary,
                                w.v, w.work, static_cast<Int>(w.size), w.reals);
  PLIMSOLL_CHECK(info == 0, Error,
                 "[linalg.eig] expected LAPACK's QR iteration to converge, got info {}; scale the "
                 "matrix or use float64",
                 info);
  for (int64_t j = 0; j < n; ++j) {
    if constexpr (std::is_floating_point_v<T>)
      values[j] = {static_cast<float>(w.w[j]), static_cast<float>(w.imaginary[j])};
    else
      values[j] = w.w[j];
  }
  if (kVectors)
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < n; ++j)
        vectors[i * n + j] = vector_element(w.v, w.imaginary, n, i, j);
}

template <bool kVectors>
void eig(const KernelArgs& args) {
  each_matrix(args, [&](const Matrix& m) {
    with_type(args.inputs[0].dtype, [&]<typename T>(T) { eig_matrix<T, kVectors>(args, m); });
  });
}

}  // namespace

void add_factor_kernels(device::KernelTable& table) {
  device::KernelRow row;
  row.strided_inputs = device::kAllInputs;
  row.can_fail = true;
  const auto add = [&](const char* op, std::span<const Dtype> dtypes,
                       void (*run)(const KernelArgs&), size_t (*workspace)(const OpInstance&)) {
    row.run = run;
    row.workspace = workspace;
    table.add(op, dtypes, row);
  };
  add("cholesky", kReal, cholesky, workspace<CholeskyPlaces>);
  add("qr", kReal, qr, workspace<QrPlaces>);
  add("svd", kInexact, svd<true>, workspace<SvdAll>);
  add("singular_values", kInexact, svd<false>, workspace<SvdValues>);
  add("lu_factor", kReal, lu_factor, workspace<LuPlaces>);
  add("eig", kInexact, eig<true>, workspace<EigAll>);
  add("eigvals", kInexact, eig<false>, workspace<EigValues>);
}

}  // namespace plimsoll::cpu
