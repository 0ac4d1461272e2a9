#include "backends/cpu/kernels/sort.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "opset/sort.h"
#include "tests/unit/backends/cpu/struct_harness.h"

namespace plimsoll::testing {
namespace {

const device::KernelTable& table() {
  static const device::KernelTable* kTable = [] {
    auto* t = new device::KernelTable;
    cpu::add_sort_kernels(*t);
    return t;
  }();
  return *kTable;
}

Call sort_call(const char* op, HostArray a, const SortAttrs& attrs) {
  const TensorSpec out{op == std::string("sort") ? a.dtype : Dtype::kUint32, a.shape};
  return {&table(), op, {std::move(a)}, {out}, &attrs, sort_tiling};
}

// The documented order, by comparing values.
bool before(double a, double b) {
  if (std::isnan(a) || std::isnan(b)) return !std::isnan(a) && std::isnan(b);
  if (a == 0 && b == 0) return std::signbit(a) && !std::signbit(b);
  return a < b;
}

bool before(Dtype t, std::complex<double> a, std::complex<double> b) {
  if (t != Dtype::kComplex64) return before(a.real(), b.real());
  const bool a_nan = std::isnan(a.real()) || std::isnan(a.imag());
  const bool b_nan = std::isnan(b.real()) || std::isnan(b.imag());
  if (a_nan || b_nan) return !a_nan && b_nan;
  if (before(a.real(), b.real())) return true;
  return !before(b.real(), a.real()) && before(a.imag(), b.imag());
}

// Both outputs by std::stable_sort along the axis.
std::pair<HostArray, HostArray> oracle(const HostArray& a, int axis) {
  HostArray sorted(a.dtype, a.shape), positions(Dtype::kUint32, a.shape);
  const int64_t n = a.shape[axis];
  int64_t inner = 1;
  for (size_t d = axis + 1; d < a.shape.size(); ++d) inner *= a.shape[d];
  std::vector<int64_t> order(n);
  const size_t size = size_of(a.dtype);
  for (int64_t row = 0; n && row < a.count() / n; ++row) {
    const int64_t at = row / inner * inner * n + row % inner;
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int64_t x, int64_t y) {
      return before(a.dtype, a.get(at + x * inner), a.get(at + y * inner));
    });
    for (int64_t i = 0; i < n; ++i) {
      positions.set(at + i * inner, static_cast<double>(order[i]));
      std::memcpy(sorted.bytes.data() + (at + i * inner) * size,
                  a.bytes.data() + (at + order[i] * inner) * size, size);
    }
  }
  return {sorted, positions};
}

void check(const HostArray& a, int axis, bool cuts = true) {
  const SortAttrs attrs(axis);
  const auto [sorted, positions] = oracle(a, axis);
  const std::string what = std::string(name_of(a.dtype)) + to_string(a.shape);
  const Call sort = sort_call("sort", a, attrs), argsort = sort_call("argsort", a, attrs);
  expect_same_bits(run_whole(sort), {sorted}, "sort " + what);
  expect_same_bits(run_whole(argsort), {positions}, "argsort " + what);
  if (!cuts) return;
  expect_cuts_and_threads_keep_bits(sort);
  expect_cuts_and_threads_keep_bits(argsort);
}

TEST(Sort, AgreesWithStableSortForEveryDtypeAxisAndCut) {
  for (Dtype dtype : device::kAllDtypes)
    for (int axis = 0; axis < 3; ++axis) check(random_values(dtype, {5, 9, 4}, 1), axis);
}

TEST(Sort, AgreesWithStableSortForLongRows) {
  for (Dtype dtype : device::kAllDtypes) {
    check(random_values(dtype, {3, 1000}, 2), 1);
    check(random_values(dtype, {700, 2}, 3), 0);
  }
}

TEST(Sort, SharesOneLongRowOutOverThreads) {
  for (Dtype dtype : {Dtype::kFloat32, Dtype::kInt16, Dtype::kFloat64}) {
    HostArray a = random_values(dtype, {300001}, 4);
    check(a, 0, false);
    const SortAttrs attrs(0);
    for (const char* op : {"sort", "argsort"}) {
      const Call call = sort_call(op, a, attrs);
      const auto want = run_whole(call);
      for (int threads : {1, 3, 8}) expect_same_bits(run_whole(call, threads), want, op);
      expect_same_bits(run_cut(call, {{0, 100 << 10}}, false), want, op);
      expect_same_bits(run_cut(call, {{1, 100 << 10}}, false), want, op);
      expect_same_bits(run_cut(call, {{0, 270 << 10}, {1, 30 << 10}}, true), want, op);
    }
  }
}

// Few different values, so that tiles end among equal ones; NaNs with many bits.
HostArray repeated(Dtype dtype, Shape shape, uint32_t seed) {
  HostArray a = random_ints(dtype, std::move(shape), 0, 1, seed);
  std::mt19937 rng(seed);
  for (int64_t i = 0; is_inexact(dtype) && i < a.count(); ++i) {
    if (rng() % 3) continue;
    a.set(i, {NAN, dtype == Dtype::kComplex64 ? static_cast<double>(rng() % 3) : 0});
    // The last byte of a NaN's first part has its sign.
    const size_t part = size_of(dtype) / (dtype == Dtype::kComplex64 ? 2 : 1);
    a.bytes[static_cast<size_t>(i) * size_of(dtype) + part - 1] ^= std::byte(rng() % 2 << 7);
  }
  return a;
}

TEST(Sort, SelectsTilesOfTheSortedAxis) {
  for (Dtype dtype : device::kAllDtypes) {
    for (auto [shape, axis] : {std::pair{Shape{5000}, 0}, {Shape{3, 2500}, 1}, {Shape{2500, 3}, 0}})
      for (HostArray a : {random_values(dtype, shape, 5), repeated(dtype, shape, 6)}) {
        const SortAttrs attrs(axis);
        for (const char* op : {"sort", "argsort"}) {
          const Call call = sort_call(op, a, attrs);
          expect_cuts_and_threads_keep_bits(call);
          const auto want = run_whole(call);
          const int kept = static_cast<int>(shape.size()) - 1;
          for (int64_t out : {1024, 2048, 4096, 5120})
            for (int64_t in : {1024, 2048, 5120})
              expect_same_bits(run_cut(call, {{kept, out}, {kept + 1, in}}, out == in), want,
                               std::string(op) + " of " + std::string(name_of(dtype)));
        }
      }
  }
}

TEST(Sort, SelectsFromRowsInEveryOrder) {
  for (int order = 0; order < 3; ++order) {
    HostArray a(Dtype::kInt32, {20000});
    for (int i = 0; i < 20000; ++i) a.data<int32_t>()[i] = order == 0 ? i : order == 1 ? -i : i / 9;
    const SortAttrs attrs(0);
    for (const char* op : {"sort", "argsort"}) {
      const Call call = sort_call(op, a, attrs);
      expect_same_bits(run_cut(call, {{0, 3072}, {1, 2048}}, false), run_whole(call), op);
    }
  }
}

TEST(Sort, PutsNanLastAndNegativeZeroFirst) {
  for (Dtype dtype : device::kFloatDtypes) {
    const HostArray a = make(dtype, {9}, {NAN, 0.0, -INFINITY, -0.0, 2, INFINITY, NAN, -3, 0.0});
    check(a, 0);
    const SortAttrs attrs(0);
    const HostArray out = run_whole(sort_call("sort", a, attrs))[0];
    EXPECT_TRUE(std::signbit(out.get(2).real()));
    EXPECT_FALSE(std::signbit(out.get(3).real()));
    EXPECT_TRUE(std::isnan(out.get(7).real()) && std::isnan(out.get(8).real()));
  }
}

TEST(Sort, KeepsTheBitsOfEveryNan) {
  HostArray a(Dtype::kFloat32, {5});
  const uint32_t bits[] = {0xFFC00001, 0x7FC00002, 0x3F800000, 0xFFFFFFFF, 0x7F800001};
  std::memcpy(a.bytes.data(), bits, sizeof bits);
  const SortAttrs attrs(0);
  const HostArray sorted = run_whole(sort_call("sort", a, attrs))[0];
  std::vector<uint32_t> got(sorted.data<uint32_t>(), sorted.data<uint32_t>() + 5);
  EXPECT_EQ(got[0], 0x3F800000u);
  EXPECT_TRUE(std::is_permutation(got.begin(), got.end(), bits));
  const HostArray order = run_whole(sort_call("argsort", a, attrs))[0];
  expect_same_bits({order}, {make(Dtype::kUint32, {5}, {2, 0, 1, 3, 4})}, "argsort");
}

TEST(Sort, OrdersExtremeIntegers) {
  HostArray a(Dtype::kInt64, {4});
  const int64_t values[] = {0, INT64_MIN, INT64_MAX, -1};
  std::memcpy(a.bytes.data(), values, sizeof values);
  const SortAttrs attrs(0);
  const HostArray out = run_whole(sort_call("sort", a, attrs))[0];
  EXPECT_TRUE(std::is_sorted(out.data<int64_t>(), out.data<int64_t>() + 4));
}

TEST(Sort, OrdersComplexByRealThenImaginaryPart) {
  HostArray a(Dtype::kComplex64, {5});
  a.set(0, {1, 2});
  a.set(1, {NAN, 0});
  a.set(2, {1, -1});
  a.set(3, {-5, NAN});
  a.set(4, {0, 5});
  check(a, 0);
}

TEST(Sort, AcceptsEmptyAndSingleRows) {
  check(HostArray(Dtype::kFloat32, {0}), 0);
  check(HostArray(Dtype::kFloat32, {3, 0}), 1);
  check(HostArray(Dtype::kFloat32, {0, 3}), 1);
  check(random_values(Dtype::kInt8, {4, 1}, 1), 1);
}

}  // namespace
}  // namespace plimsoll::testing
