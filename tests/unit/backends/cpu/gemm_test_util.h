// Matrices of every GemmType in every storage layout, and products of them, for gemm_test.cpp.
#pragma once

#include <tbb/task_arena.h>

#include <bit>
#include <complex>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "backends/cpu/gemm.h"

namespace plimsoll::cpu::gemm_test {

using Value = std::complex<double>;
using Bytes = std::vector<std::byte>;

inline size_t element_size(GemmType t) {
  if (t == GemmType::kF32) return 4;
  return t == GemmType::kF64 || t == GemmType::kC64 ? 8 : 2;
}

template <typename T>
void put_as(std::byte* p, T v) {
  std::memcpy(p, &v, sizeof v);
}
template <typename T>
T get_as(const std::byte* p) {
  T v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

inline void put(GemmType t, std::byte* p, Value v) {
  const auto re = static_cast<float>(v.real());
  switch (t) {
    case GemmType::kF32:
      return put_as(p, re);
    case GemmType::kF64:
      return put_as(p, v.real());
    case GemmType::kC64:
      put_as(p, re);
      return put_as(p + 4, static_cast<float>(v.imag()));
    case GemmType::kBF16:  // truncated: any value will do
      return put_as(p, static_cast<uint16_t>(std::bit_cast<uint32_t>(re) >> 16));
    case GemmType::kF16:
      return put_as(p, std::bit_cast<uint16_t>(static_cast<_Float16>(re)));
  }
}

inline Value get(GemmType t, const std::byte* p) {
  switch (t) {
    case GemmType::kF32:
      return get_as<float>(p);
    case GemmType::kF64:
      return get_as<double>(p);
    case GemmType::kC64:
      return {get_as<float>(p), get_as<float>(p + 4)};
    case GemmType::kBF16:
      return std::bit_cast<float>(static_cast<uint32_t>(get_as<uint16_t>(p)) << 16);
    default:
      return static_cast<float>(std::bit_cast<_Float16>(get_as<uint16_t>(p)));
  }
}

enum class Layout { kRowMajor, kColumnMajor, kReversed, kSpacedRows, kSpacedBoth };
inline constexpr int kNumLayouts = 5;

/// A matrix stored in some layout, with nothing readable around it.
class Matrix {
 public:
  Matrix(GemmType type, int64_t rows, int64_t cols, Layout layout)
      : type_(type), rows_(rows), cols_(cols) {
    struct Steps {
      int64_t row, col;
    };
    const Steps steps[] = {{cols, 1}, {1, rows}, {-cols, -1}, {cols + 5, 1}, {3, 3 * rows + 1}};
    allocate(steps[static_cast<int>(layout)].row, steps[static_cast<int>(layout)].col);
  }

  std::byte* at(int64_t i, int64_t j) {
    return bytes_.data() + (origin_ + i * row_stride_ + j * col_stride_) * element_size(type_);
  }
  MatView view(int64_t i0, int64_t i1, int64_t j0, int64_t j1) {
    return {at(i0, j0), i1 - i0, j1 - j0, row_stride_, col_stride_};
  }
  MatView view() { return view(0, rows_, 0, cols_); }
  int64_t rows() const { return rows_; }
  int64_t cols() const { return cols_; }

  void randomise(std::mt19937& rng) {
    std::normal_distribution<double> normal;
    for (int64_t i = 0; i < rows_; ++i) {
      for (int64_t j = 0; j < cols_; ++j) put(type_, at(i, j), {normal(rng), normal(rng)});
    }
  }
  void copy_from(Matrix& other) {
    for (int64_t i = 0; i < rows_; ++i) {
      for (int64_t j = 0; j < cols_; ++j) {
        std::memcpy(at(i, j), other.at(i, j), element_size(type_));
      }
    }
  }

 private:
  void allocate(int64_t row_stride, int64_t col_stride) {
    row_stride_ = row_stride;
    col_stride_ = col_stride;
    const int64_t last = (rows_ - 1) * row_stride + (cols_ - 1) * col_stride;
    origin_ = last < 0 ? -last : 0;
    if (rows_ > 0 && cols_ > 0) bytes_.resize((std::abs(last) + 1) * element_size(type_));
  }

  GemmType type_;
  int64_t rows_, cols_, row_stride_ = 0, col_stride_ = 0, origin_ = 0;
  Bytes bytes_;
};

struct RunOptions {
  int threads = 1;
  std::vector<int64_t> k_cuts = {};  // inner edges of K windows
  int64_t row_gap = 0;               // C's rows are this much longer than N
};

/// Computes views' product into C (its rows tight, gaps checked by the caller through `row_gap`).
inline Bytes product(GemmType type, const MatView& a, const MatView& b,
                     const RunOptions& opt = {}) {
  const int64_t m = a.rows, n = b.cols, k = a.cols, step = n + opt.row_gap;
  const size_t size = element_size(type);
  Bytes c(m * step * size, std::byte{0x5A});
  std::vector<float> accum(m * n, 1e30f);
  Bytes workspace(gemm_workspace(type, m, n, k, opt.threads));
  std::vector<int64_t> edges = opt.k_cuts;
  edges.push_back(k);
  tbb::task_arena arena(opt.threads);
  arena.execute([&] {
    int64_t begin = 0;
    for (int64_t end : edges) {
      GemmArgs args{.type = type, .a = a, .b = b, .c = c.data(), .c_row_stride = step};
      args.a.cols = args.b.rows = end - begin;
      args.a.data =
          static_cast<const std::byte*>(a.data) + begin * a.col_stride * static_cast<int64_t>(size);
      args.b.data =
          static_cast<const std::byte*>(b.data) + begin * b.row_stride * static_cast<int64_t>(size);
      args.accumulate = begin > 0;
      args.finish = end == k;
      if (edges.size() > 1) {
        args.accum = accum.data();
        args.accum_row_stride = n;
      }
      args.workspace = workspace;
      gemm(args);
      begin = end;
    }
  });
  return c;
}

}  // namespace plimsoll::cpu::gemm_test
