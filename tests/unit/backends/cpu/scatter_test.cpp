#include "backends/cpu/kernels/scatter.h"

#include <algorithm>
#include <cmath>

#include "opset/scatter.h"
#include "plimsoll/error.h"
#include "tests/unit/backends/cpu/struct_harness.h"

namespace plimsoll::testing {
namespace {

constexpr ScatterMode kModes[] = {ScatterMode::kSet, ScatterMode::kAdd, ScatterMode::kMax,
                                  ScatterMode::kMin, ScatterMode::kProd};

const device::KernelTable& table() {
  static const device::KernelTable* kTable = [] {
    auto* t = new device::KernelTable;
    cpu::add_scatter_kernels(*t);
    return t;
  }();
  return *kTable;
}

// One update in double, rounded to the array's dtype after every step.
void update(HostArray& out, int64_t at, ScatterMode mode, const HostArray& updates, int64_t from) {
  const std::complex<double> a = out.get(at), b = updates.get(from);
  const bool logical = out.dtype == Dtype::kBool;
  auto less = [](std::complex<double> x, std::complex<double> y) {
    return x.real() < y.real() || (x.real() == y.real() && x.imag() < y.imag());
  };
  switch (mode) {
    case ScatterMode::kSet:
      return out.set(at, b);
    case ScatterMode::kAdd:
      return out.set(at, logical ? std::max(a.real(), b.real()) : a + b);
    case ScatterMode::kMax:
      return out.set(at, less(a, b) ? b : a);
    case ScatterMode::kMin:
      return out.set(at, less(b, a) ? b : a);
    case ScatterMode::kProd:
      return out.set(at, logical ? std::min(a.real(), b.real()) : a * b);
  }
}

Dims coordinates(const Shape& shape, int64_t flat) {
  Dims at(shape.size());
  for (int d = static_cast<int>(shape.size()) - 1; d >= 0; flat /= shape[d--])
    at[d] = flat % shape[d];
  return at;
}

int64_t flat_of(const Shape& shape, const Dims& at) {
  int64_t flat = 0;
  for (size_t d = 0; d < shape.size(); ++d) flat = flat * shape[d] + at[d];
  return flat;
}

int64_t wrapped(const HostArray& index, int64_t at, int64_t extent) {
  const int64_t i = static_cast<int64_t>(index.get(at).real());
  return i < 0 ? i + extent : i;
}

// Values whose sums and products in the test are exact, so that the oracle's double is no wider.
HostArray small_values(Dtype dtype, const Shape& shape, uint32_t seed) {
  if (dtype == Dtype::kBool) return random_ints(dtype, shape, 0, 1, seed);
  return random_ints(dtype, shape, kind_of(dtype) == DtypeKind::kUnsigned ? 0 : -2, 2, seed);
}

Call scatter_call(ScatterMode mode, HostArray base, HostArray index, HostArray updates,
                  const ScatterAttrs& attrs) {
  const TensorSpec out{base.dtype, base.shape};
  return {
      &table(), scatter_name(mode), {std::move(base), std::move(index), std::move(updates)}, {out},
      &attrs,   scatter_tiling};
}

void check_scatter(ScatterMode mode, Dtype dtype, int axis) {
  const Shape base_shape{4, 5, 3}, index_shape{2, 6};
  Shape shape(base_shape.begin(), base_shape.begin() + axis);
  for (int64_t n : index_shape) shape.push_back(n);
  for (int d = axis + 1; d < 3; ++d) shape.push_back(base_shape[d]);
  HostArray base = small_values(dtype, base_shape, 1), updates = small_values(dtype, shape, 2);
  const int extent = static_cast<int>(base_shape[axis]);
  HostArray index = random_ints(Dtype::kInt32, index_shape, -extent, extent - 1, 3);
  HostArray want = base;
  for (int64_t i = 0; i < updates.count(); ++i) {
    const Dims at = coordinates(shape, i);
    Dims where(at.begin(), at.begin() + axis);
    where.push_back(wrapped(index, at[axis] * 6 + at[axis + 1], extent));
    for (int d = axis + 2; d < 4; ++d) where.push_back(at[d]);
    update(want, flat_of(base_shape, where), mode, updates, i);
  }
  const ScatterAttrs attrs(axis);
  const Call call = scatter_call(mode, base, index, updates, attrs);
  expect_same_bits(run_whole(call), {want}, call.op + " " + std::string(name_of(dtype)));
  expect_cuts_and_threads_keep_bits(call);
}

TEST(Scatter, AgreesWithNaiveForEveryModeDtypeAxisAndCut) {
  for (ScatterMode mode : kModes)
    for (Dtype dtype : device::kAllDtypes)
      for (int axis = 0; axis < 3; ++axis) {
        ASSERT_NE(table().find(scatter_name(mode), dtype), nullptr) << name_of(dtype);
        check_scatter(mode, dtype, axis);
      }
}

TEST(Scatter, AddsDuplicatesInAscendingOrderOnAnyNumberOfThreads) {
  HostArray base = random_values(Dtype::kFloat32, {37}, 1);
  HostArray index = random_ints(Dtype::kInt64, {60000}, -37, 36, 2);
  HostArray updates = random_values(Dtype::kFloat32, {60000}, 3);
  HostArray want = base;
  for (int64_t i = 0; i < 60000; ++i)
    want.data<float>()[wrapped(index, i, 37)] += updates.data<float>()[i];
  const ScatterAttrs attrs(0);
  const Call call = scatter_call(ScatterMode::kAdd, base, index, updates, attrs);
  expect_same_bits(run_whole(call), {want}, "scatter_add");
  expect_cuts_and_threads_keep_bits(
      {call.table, call.op, call.inputs, call.outputs, call.attrs, [](const OpInstance& op) {
         Tiling t = scatter_tiling(op);
         t.back().grain = 10007;  // fewer turns, odd cuts
         return t;
       }});
}

TEST(Scatter, AddsWideRowsOnAnyNumberOfThreads) {
  HostArray base(Dtype::kFloat32, {50, 129});
  HostArray index = random_ints(Dtype::kUint16, {500}, 0, 49, 2);
  HostArray updates = random_values(Dtype::kFloat32, {500, 129}, 3);
  HostArray want = base;
  for (int64_t i = 0; i < 500; ++i)
    for (int64_t c = 0; c < 129; ++c)
      want.data<float>()[wrapped(index, i, 50) * 129 + c] += updates.data<float>()[i * 129 + c];
  const ScatterAttrs attrs(0);
  const Call call = scatter_call(ScatterMode::kAdd, base, index, updates, attrs);
  expect_same_bits(run_whole(call), {want}, "scatter_add");
  for (int threads : {1, 3, 16}) expect_same_bits(run_whole(call, threads), {want}, "scatter_add");
}

TEST(Scatter, RoundsHalfPrecisionAfterEveryUpdateAsMlxDoes) {
  const ScatterAttrs attrs(0);
  for (auto [dtype, big] : {std::pair{Dtype::kBfloat16, 256.0}, {Dtype::kFloat16, 2048.0}}) {
    HostArray index(Dtype::kInt32, {300}), ones(dtype, {300});
    for (int i = 0; i < 300; ++i) ones.set(i, 1);
    const auto out =
        run_whole(scatter_call(ScatterMode::kAdd, make(dtype, {1}, {big}), index, ones, attrs));
    EXPECT_EQ(out[0].get(0).real(), big);
  }
}

TEST(Scatter, LastDuplicateWinsWhenSetting) {
  const ScatterAttrs attrs(0);
  const auto out = run_whole(scatter_call(ScatterMode::kSet, make(Dtype::kInt32, {3}, {0, 0, 0}),
                                          make(Dtype::kInt32, {4}, {1, -2, 2, 1}),
                                          make(Dtype::kInt32, {4}, {5, 6, 7, 8}), attrs));
  expect_same_bits(out, {make(Dtype::kInt32, {3}, {0, 8, 7})}, "scatter_set");
}

TEST(Scatter, MaxAndMinKeepNan) {
  const ScatterAttrs attrs(0);
  for (ScatterMode mode : {ScatterMode::kMax, ScatterMode::kMin}) {
    const auto out = run_whole(scatter_call(mode, make(Dtype::kFloat32, {2}, {NAN, 1}),
                                            make(Dtype::kInt32, {3}, {0, 1, 1}),
                                            make(Dtype::kFloat32, {3}, {2, NAN, 3}), attrs));
    EXPECT_TRUE(std::isnan(out[0].get(0).real()));
    EXPECT_TRUE(std::isnan(out[0].get(1).real()));
  }
}

TEST(Scatter, WrapsIntegersWithoutOverflow) {
  const ScatterAttrs attrs(0);
  const auto out = run_whole(scatter_call(ScatterMode::kProd, make(Dtype::kUint16, {1}, {65535}),
                                          make(Dtype::kInt32, {1}, {0}),
                                          make(Dtype::kUint16, {1}, {65535}), attrs));
  EXPECT_EQ(out[0].get(0).real(), 1);
}

TEST(Scatter, NamesAnIndexOutOfRangeBeforeWriting) {
  const ScatterAttrs attrs(1);
  HostArray base(Dtype::kFloat32, {2, 4}), updates(Dtype::kFloat32, {2, 3});
  HostArray index = make(Dtype::kInt32, {3}, {0, 1, 4});
  const std::vector<device::Tensor> in{base.tensor(), index.tensor(), updates.tensor()};
  HostArray want = random_values(Dtype::kFloat32, {2, 4}, 4), got = want;
  const std::vector<device::Tensor> out{got.tensor()};
  try {
    table().find("scatter_add", Dtype::kFloat32)->run({in, out, {}, {}, &attrs, {}});
    FAIL() << "no error";
  } catch (const IndexError& e) {
    EXPECT_STREQ(e.what(),
                 "[scatter_add] expected an index in [-4, 4) for axis 1 of size 4, got 4; clip the "
                 "indices first");
  }
  expect_same_bits({got}, {want}, "scatter_add");
}

TEST(Scatter, CopiesTheBaseWhereThereAreNoUpdates) {
  const ScatterAttrs attrs(0);
  HostArray base = random_values(Dtype::kFloat64, {3, 2}, 1);
  const Call call = scatter_call(ScatterMode::kAdd, base, HostArray(Dtype::kInt32, {0}),
                                 HostArray(Dtype::kFloat64, {0, 2}), attrs);
  expect_same_bits(run_whole(call), {base}, "scatter_add");
  expect_cuts_and_threads_keep_bits(call);
}

TEST(ScatterAlong, AgreesWithNaiveForEveryModeAxisAndCut) {
  for (Dtype dtype : {Dtype::kFloat32, Dtype::kFloat16, Dtype::kInt8})
    for (ScatterMode mode : kModes)
      for (int axis = 0; axis < 3; ++axis) {
        const Shape shape{4, 5, 3};
        Shape index_shape = shape;
        index_shape[axis] = 8;
        const int extent = static_cast<int>(shape[axis]);
        HostArray base = small_values(dtype, shape, 1), want = base;
        HostArray index = random_ints(Dtype::kInt32, index_shape, -extent, extent - 1, 3);
        HostArray updates = small_values(dtype, index_shape, 2);
        for (int64_t i = 0; i < updates.count(); ++i) {
          Dims at = coordinates(index_shape, i);
          at[axis] = wrapped(index, i, extent);
          update(want, flat_of(shape, at), mode, updates, i);
        }
        const ScatterAttrs attrs(axis);
        const Call call{
            &table(), scatter_along_name(mode), {base, index, updates}, {{dtype, shape}},
            &attrs,   scatter_along_tiling};
        expect_same_bits(run_whole(call), {want}, call.op);
        expect_cuts_and_threads_keep_bits(call);
      }
}

TEST(ScatterAlong, SharesLongAxesOutOverThreads) {
  for (int axis : {0, 1}) {
    const Shape shape{axis ? 3 : 211, axis ? 211 : 3},
        index_shape{axis ? 3 : 9000, axis ? 9000 : 3};
    HostArray base = random_values(Dtype::kFloat32, shape, 1), want = base;
    HostArray index = random_ints(Dtype::kInt32, index_shape, -211, 210, 3);
    HostArray updates = random_values(Dtype::kFloat32, index_shape, 2);
    for (int64_t i = 0; i < updates.count(); ++i) {
      Dims at = coordinates(index_shape, i);
      at[axis] = wrapped(index, i, 211);
      want.data<float>()[flat_of(shape, at)] += updates.data<float>()[i];
    }
    const ScatterAttrs attrs(axis);
    const Call call{
        &table(), "scatter_along_add", {base, index, updates}, {{Dtype::kFloat32, shape}},
        &attrs,   scatter_along_tiling};
    for (int threads : {1, 2, 7}) expect_same_bits(run_whole(call, threads), {want}, call.op);
  }
}

void check_nd(ScatterMode mode, const Shape& shape, const Dims& axes, const Shape& index_shape) {
  Shape update_shape = index_shape;
  for (size_t d = 0; d < shape.size(); ++d)
    if (std::find(axes.begin(), axes.end(), static_cast<int64_t>(d)) == axes.end())
      update_shape.push_back(shape[d]);
  HostArray base = random_values(Dtype::kFloat32, shape, 1), want = base;
  std::vector<HostArray> inputs{base};
  for (size_t k = 0; k < axes.size(); ++k) {
    const int n = static_cast<int>(shape[axes[k]]);
    inputs.push_back(
        random_ints(Dtype::kInt64, index_shape, -n, n - 1, static_cast<uint32_t>(k + 5)));
  }
  inputs.push_back(random_values(Dtype::kFloat32, update_shape, 2));
  for (int64_t i = 0; i < inputs.back().count(); ++i) {
    const Dims at = coordinates(update_shape, i);
    const int64_t turn = flat_of(index_shape, Dims(at.begin(), at.begin() + index_shape.size()));
    Dims where;
    for (size_t d = 0, k = 0, u = index_shape.size(); d < shape.size(); ++d) {
      const bool indexed = k < axes.size() && axes[k] == static_cast<int64_t>(d);
      where.push_back(indexed ? wrapped(inputs[k + 1], turn, shape[d]) : at[u++]);
      k += indexed;
    }
    float& to = want.data<float>()[flat_of(shape, where)];
    const float b = inputs.back().data<float>()[i];
    to = mode == ScatterMode::kAdd ? to + b : b;
  }
  const ScatterNdAttrs attrs(axes);
  const Call call{&table(), scatter_nd_name(mode), inputs, {{Dtype::kFloat32, shape}},
                  &attrs,   scatter_nd_tiling};
  expect_same_bits(run_whole(call), {want}, call.op);
  expect_cuts_and_threads_keep_bits(call);
}

TEST(ScatterNd, MirrorsGather) {
  for (ScatterMode mode : {ScatterMode::kAdd, ScatterMode::kSet}) {
    check_nd(mode, {5, 7}, {0, 1}, {40});
    check_nd(mode, {3, 5, 4}, {0, 1}, {6, 5});
    check_nd(mode, {3, 5, 4}, {0, 2}, {1, 20});
    check_nd(mode, {3, 5, 4, 2}, {1, 2}, {33});
    check_nd(mode, {30, 40}, {0, 1}, {30000});
  }
}

}  // namespace
}  // namespace plimsoll::testing
