#include "backends/cpu/kernels/gather.h"

#include "opset/gather.h"
#include "plimsoll/error.h"
#include "tests/unit/backends/cpu/struct_harness.h"

namespace plimsoll::testing {
namespace {

const device::KernelTable& table() {
  static const device::KernelTable* kTable = [] {
    auto* t = new device::KernelTable;
    cpu::add_gather_kernels(*t);
    return t;
  }();
  return *kTable;
}

int64_t wrapped(const HostArray& index, int64_t at, int64_t extent) {
  const int64_t i = static_cast<int64_t>(index.get(at).real());
  return i < 0 ? i + extent : i;
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

Shape take_shape(const Shape& a, const Shape& index, int axis) {
  Shape out(a.begin(), a.begin() + axis);
  for (int64_t n : index) out.push_back(n);
  for (size_t d = axis + 1; d < a.size(); ++d) out.push_back(a[d]);
  return out;
}

Call take_call(HostArray a, HostArray index, const TakeAttrs& attrs) {
  const Shape shape = take_shape(a.shape, index.shape, attrs.axis);
  const Dtype dtype = a.dtype;
  return {&table(),         "take", {std::move(a), std::move(index)},
          {{dtype, shape}}, &attrs, take_tiling};
}

Call along_call(HostArray a, HostArray index, const TakeAlongAxisAttrs& attrs) {
  const TensorSpec out{a.dtype, index.shape};
  return {&table(), "take_along_axis",     {std::move(a), std::move(index)}, {out},
          &attrs,   take_along_axis_tiling};
}

HostArray take_oracle(const HostArray& a, const HostArray& index, int axis) {
  HostArray out(a.dtype, take_shape(a.shape, index.shape, axis));
  const size_t size = size_of(a.dtype), nd = index.shape.size();
  for (int64_t i = 0; i < out.count(); ++i) {
    const Dims at = coordinates(out.shape, i);
    Dims where(at.begin(), at.begin() + axis);
    const Dims which(at.begin() + axis, at.begin() + axis + nd);
    where.push_back(wrapped(index, flat_of(index.shape, which), a.shape[axis]));
    for (size_t d = axis + nd; d < at.size(); ++d) where.push_back(at[d]);
    std::memcpy(out.bytes.data() + i * size, a.bytes.data() + flat_of(a.shape, where) * size, size);
  }
  return out;
}

TEST(Take, AgreesWithNaiveForEveryDtypeAxisAndCut) {
  for (Dtype dtype : device::kAllDtypes) {
    for (int axis = 0; axis < 3; ++axis) {
      HostArray a = random_values(dtype, {5, 7, 3}, 1);
      const int n = static_cast<int>(a.shape[axis]);
      const TakeAttrs attrs(axis);
      Call call = take_call(a, random_ints(Dtype::kInt32, {2, 9}, -n, n - 1, 2), attrs);
      expect_same_bits(run_whole(call), {take_oracle(a, call.inputs[1], axis)}, "take");
      expect_cuts_and_threads_keep_bits(call);
    }
  }
}

TEST(Take, ReadsEveryIntegerIndexDtype) {
  HostArray a = random_values(Dtype::kFloat32, {100}, 3);
  const TakeAttrs attrs(0);
  for (Dtype t : {Dtype::kUint8, Dtype::kUint16, Dtype::kUint32, Dtype::kUint64, Dtype::kInt8,
                  Dtype::kInt16, Dtype::kInt32, Dtype::kInt64}) {
    const int low = kind_of(t) == DtypeKind::kSigned ? -100 : 0;
    Call call = take_call(a, random_ints(t, {4, 33}, low, 99, 5), attrs);
    expect_same_bits(run_whole(call), {take_oracle(a, call.inputs[1], 0)}, "take");
  }
}

TEST(Take, GivesTheSameOnManyThreadsForLargeInputs) {
  const TakeAttrs rows(0), columns(1);
  HostArray a = random_values(Dtype::kFloat32, {700, 65}, 7);
  HostArray i = random_ints(Dtype::kUint32, {3000}, 0, 64, 8);
  for (const TakeAttrs* attrs : {&rows, &columns}) {
    Call call = take_call(a, i, *attrs);
    const auto want = take_oracle(a, i, attrs->axis);
    for (int threads : {1, 2, 5}) expect_same_bits(run_whole(call, threads), {want}, "take");
  }
}

TEST(Take, AcceptsScalarIndexAndEmptyOnes) {
  const TakeAttrs attrs(1);
  HostArray a = random_values(Dtype::kInt16, {4, 6}, 3);
  Call scalar = take_call(a, make(Dtype::kInt32, {}, {-2}), attrs);
  expect_same_bits(run_whole(scalar), {take_oracle(a, scalar.inputs[1], 1)}, "take");
  expect_cuts_and_threads_keep_bits(scalar);
  Call none = take_call(HostArray(Dtype::kFloat32, {4, 0}), HostArray(Dtype::kInt32, {0}), attrs);
  EXPECT_EQ(run_whole(none)[0].count(), 0);
}

TEST(Take, NamesTheFirstIndexOutOfRangeAndLeavesTheOutputAlone) {
  const TakeAttrs attrs(0);
  HostArray a = random_values(Dtype::kFloat32, {5, 2}, 3);
  HostArray index = random_ints(Dtype::kInt64, {20000}, 0, 4, 4);
  index.set(9000, -6);
  index.set(15000, 5);
  Call call = take_call(a, index, attrs);
  const TensorSpec spec = call.outputs[0];
  HostArray out(spec.dtype, spec.shape);
  std::fill(out.bytes.begin(), out.bytes.end(), std::byte{7});
  const std::vector<device::Tensor> ins{call.inputs[0].tensor(), call.inputs[1].tensor()};
  const std::vector<device::Tensor> outs{out.tensor()};
  try {
    table().find("take", Dtype::kFloat32)->run({ins, outs, {}, {}, &attrs, {}});
    FAIL() << "no error";
  } catch (const IndexError& e) {
    EXPECT_STREQ(e.what(),
                 "[take] expected an index in [-5, 5) for axis 0 of size 5, got -6; clip the "
                 "indices first");
  }
  EXPECT_TRUE(std::all_of(out.bytes.begin(), out.bytes.end(),
                          [](std::byte b) { return b == std::byte{7}; }));
}

TEST(Take, RefusesHugeUnsignedIndexAndAnyIndexIntoNothing) {
  const TakeAttrs attrs(0);
  HostArray index(Dtype::kUint64, {1});
  index.data<uint64_t>()[0] = ~uint64_t{0};
  EXPECT_THROW(run_whole(take_call(HostArray(Dtype::kInt8, {5}), index, attrs)), IndexError);
  index.data<uint64_t>()[0] = 0;
  EXPECT_THROW(run_whole(take_call(HostArray(Dtype::kInt8, {0}), index, attrs)), IndexError);
}

TEST(Take, RefusesIndexOutOfRangeInACutSource) {
  const TakeAttrs attrs(0);
  Call call =
      take_call(random_values(Dtype::kFloat32, {9}, 3), make(Dtype::kInt32, {3}, {0, 9, 1}), attrs);
  EXPECT_THROW(run_cut(call, {{1, 2}}, true), IndexError);
}

TEST(TakeAlongAxis, AgreesWithNaiveForEveryAxisAndCut) {
  for (Dtype dtype : {Dtype::kBool, Dtype::kBfloat16, Dtype::kInt32, Dtype::kComplex64}) {
    for (int axis = 0; axis < 3; ++axis) {
      HostArray a = random_values(dtype, {4, 6, 5}, 1);
      Shape shape = a.shape;
      shape[axis] = 7;
      const int n = static_cast<int>(a.shape[axis]);
      const TakeAlongAxisAttrs attrs(axis);
      Call call = along_call(a, random_ints(Dtype::kInt8, shape, -n, n - 1, 2), attrs);
      HostArray want(dtype, shape);
      for (int64_t i = 0; i < want.count(); ++i) {
        Dims at = coordinates(shape, i);
        at[axis] = wrapped(call.inputs[1], i, n);
        want.set(i, a.get(flat_of(a.shape, at)));
      }
      expect_same_bits(run_whole(call), {want}, "take_along_axis");
      expect_cuts_and_threads_keep_bits(call);
    }
  }
}

TEST(TakeAlongAxis, PicksOneOfEachLongRow) {
  const TakeAlongAxisAttrs attrs(1);
  HostArray a = random_values(Dtype::kFloat32, {3000, 31}, 1);
  HostArray index = random_ints(Dtype::kInt32, {3000, 1}, -31, 30, 2);
  HostArray want(Dtype::kFloat32, {3000, 1});
  for (int64_t i = 0; i < 3000; ++i) want.set(i, a.get(31 * i + wrapped(index, i, 31)));
  Call call = along_call(a, index, attrs);
  expect_same_bits(run_whole(call), {want}, "take_along_axis");
  expect_cuts_and_threads_keep_bits(call);
  call.inputs[1].set(2999, 31);
  EXPECT_THROW(run_whole(call), IndexError);
}

// out[i…, rest] = a[… idx_k[i] …].
void check_gather(Dtype dtype, const Shape& a_shape, const Dims& axes, const Shape& index_shape) {
  HostArray a = random_values(dtype, a_shape, 1);
  std::vector<HostArray> inputs{a};
  Shape out = index_shape;
  for (size_t k = 0; k < axes.size(); ++k) {
    const int n = static_cast<int>(a_shape[axes[k]]);
    inputs.push_back(random_ints(k % 2 ? Dtype::kInt16 : Dtype::kInt32, index_shape, -n, n - 1,
                                 static_cast<uint32_t>(k + 2)));
  }
  for (size_t d = 0; d < a_shape.size(); ++d)
    if (std::find(axes.begin(), axes.end(), static_cast<int64_t>(d)) == axes.end())
      out.push_back(a_shape[d]);
  HostArray want(dtype, out);
  for (int64_t i = 0; i < want.count(); ++i) {
    const Dims at = coordinates(out, i);
    const int64_t turn = flat_of(index_shape, Dims(at.begin(), at.begin() + index_shape.size()));
    Dims where;
    for (size_t d = 0, k = 0, o = index_shape.size(); d < a_shape.size(); ++d) {
      const bool indexed = k < axes.size() && axes[k] == static_cast<int64_t>(d);
      where.push_back(indexed ? wrapped(inputs[k + 1], turn, a_shape[d]) : at[o++]);
      k += indexed;
    }
    want.set(i, a.get(flat_of(a_shape, where)));
  }
  const GatherAttrs attrs(axes);
  const Call call{&table(), "gather", inputs, {{dtype, out}}, &attrs, gather_tiling};
  expect_same_bits(run_whole(call), {want}, "gather");
  expect_cuts_and_threads_keep_bits(call);
}

TEST(Gather, IndexesSeveralAxesAtOnce) {
  check_gather(Dtype::kFloat32, {5, 7}, {0, 1}, {11});
  check_gather(Dtype::kFloat16, {5, 7, 3}, {0, 1}, {2, 6});
  check_gather(Dtype::kInt64, {3, 5, 7, 2}, {1, 2}, {9});
  check_gather(Dtype::kUint8, {3, 5, 7, 2}, {0, 2}, {4, 3});
  check_gather(Dtype::kFloat32, {4, 5, 6}, {0, 1, 2}, {});
}

TEST(Gather, NamesTheAxisOfAnIndexOutOfRange) {
  const GatherAttrs attrs({0, 2});
  Call call{&table(),
            "gather",
            {HostArray(Dtype::kFloat32, {4, 3, 2}), make(Dtype::kInt32, {2}, {0, 3}),
             make(Dtype::kInt32, {2}, {1, 2})},
            {{Dtype::kFloat32, {2, 3}}},
            &attrs,
            gather_tiling};
  try {
    run_whole(call);
    FAIL() << "no error";
  } catch (const IndexError& e) {
    EXPECT_NE(std::string(e.what()).find("for axis 2 of size 2, got 2"), std::string::npos);
  }
}

}  // namespace
}  // namespace plimsoll::testing
