#include "backends/cpu/kernels/concat.h"

#include "opset/concat.h"
#include "tests/unit/backends/cpu/struct_harness.h"

namespace plimsoll::testing {
namespace {

const device::KernelTable& table() {
  static const device::KernelTable* kTable = [] {
    auto* t = new device::KernelTable;
    cpu::add_concat_kernels(*t);
    return t;
  }();
  return *kTable;
}

TEST(Concatenate, JoinsAlongEveryAxisForEveryDtype) {
  for (Dtype dtype : device::kAllDtypes) {
    for (int axis = 0; axis < 3; ++axis) {
      const ConcatAttrs attrs(axis);
      Shape out{4, 3, 5};
      std::vector<HostArray> inputs;
      out[axis] = 0;
      for (int64_t n : {2, 0, 1, 6}) {
        Shape shape{4, 3, 5};
        shape[axis] = n;
        out[axis] += n;
        inputs.push_back(random_values(dtype, shape, static_cast<uint32_t>(n)));
      }
      HostArray want(dtype, out);
      for (int64_t i = 0; i < want.count(); ++i) {
        int64_t at[3] = {i / out[2] / out[1], i / out[2] % out[1], i % out[2]};
        size_t which = 0;
        while (at[axis] >= inputs[which].shape[axis]) at[axis] -= inputs[which++].shape[axis];
        const Shape& s = inputs[which].shape;
        want.set(i, inputs[which].get((at[0] * s[1] + at[1]) * s[2] + at[2]));
      }
      Call call{&table(), "concatenate", inputs, {{dtype, out}}, &attrs, concatenate_tiling};
      expect_same_bits(run_whole(call), {want}, "concatenate");
      expect_cuts_and_threads_keep_bits(call);
    }
  }
}

TEST(Concatenate, JoinsLargeRowsOnAnyNumberOfThreads) {
  const ConcatAttrs attrs(1);
  Call call{&table(),
            "concatenate",
            {random_values(Dtype::kFloat32, {100, 700}, 1),
             random_values(Dtype::kFloat32, {100, 301}, 2)},
            {{Dtype::kFloat32, {100, 1001}}},
            &attrs,
            concatenate_tiling};
  const HostArray out = run_whole(call)[0];
  for (int64_t i = 0; i < out.count(); ++i) {
    const int64_t r = i / 1001, c = i % 1001;
    ASSERT_EQ(out.get(i),
              c < 700 ? call.inputs[0].get(r * 700 + c) : call.inputs[1].get(r * 301 + c - 700));
  }
  expect_cuts_and_threads_keep_bits(call);
}

void check_slice(const Dims& start, const Dims& stop, const Dims& step) {
  const Shape shape{7, 10};
  Shape part(2);
  for (int d = 0; d < 2; ++d)
    part[d] = (stop[d] - start[d] + step[d] - (step[d] > 0 ? 1 : -1)) / step[d];
  HostArray base = random_values(Dtype::kFloat32, shape, 1);
  HostArray update = random_values(Dtype::kFloat32, part, 2);
  HostArray want = base;
  for (int64_t i = 0; i < part[0]; ++i)
    for (int64_t j = 0; j < part[1]; ++j)
      want.set((start[0] + i * step[0]) * 10 + start[1] + j * step[1], update.get(i * part[1] + j));
  const SliceUpdateAttrs attrs(start, stop, step);
  Call call{&table(), "slice_update",     {base, update}, {{Dtype::kFloat32, shape}},
            &attrs,   slice_update_tiling};
  expect_same_bits(run_whole(call), {want}, "slice_update");
  expect_cuts_and_threads_keep_bits(call);
}

TEST(SliceUpdate, WritesEverySliceUnderEveryCut) {
  check_slice({0, 0}, {7, 10}, {1, 1});
  check_slice({2, 0}, {5, 10}, {1, 1});
  check_slice({0, 0}, {3, 5}, {1, 1});
  check_slice({1, 3}, {7, 10}, {2, 3});
  check_slice({6, 9}, {-1, 0}, {-1, -4});
  check_slice({5, 1}, {1, 9}, {-2, 5});
  check_slice({3, 4}, {3, 8}, {1, 1});
}

TEST(SliceUpdate, MayWriteOverItsBase) {
  HostArray base = random_values(Dtype::kInt64, {6}, 1);
  HostArray update = random_values(Dtype::kInt64, {2}, 2);
  HostArray want = base;
  want.set(1, update.get(0));
  want.set(4, update.get(1));
  const SliceUpdateAttrs attrs({1}, {6}, {3});
  const std::vector<device::Tensor> in{base.tensor(), update.tensor()}, out{base.tensor()};
  table().find("slice_update", Dtype::kInt64)->run({in, out, {}, {}, &attrs, {}});
  expect_same_bits({base}, {want}, "slice_update");
}

}  // namespace
}  // namespace plimsoll::testing
