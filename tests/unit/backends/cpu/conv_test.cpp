#include "backends/cpu/kernels/conv.h"

#include <cmath>

#include "backends/cpu/kernels/conv_plan.h"
#include "opset/conv.h"
#include "tests/unit/backends/cpu/struct_harness.h"

namespace plimsoll::testing {
namespace {

const device::KernelTable& table() {
  static const device::KernelTable* kTable = [] {
    auto* t = new device::KernelTable;
    cpu::add_conv_kernels(*t);
    return t;
  }();
  return *kTable;
}

// One spatial axis: x [N, L, G, C], w [G, O, taps, C].
Call line_call(Dtype dtype, const Shape& x, const Shape& w, const ConvAttrs& a) {
  const int64_t wide = (x[1] - 1) * a.input_dilation[0] + 1 + a.low[0] + a.high[0];
  const int64_t out = (wide - (w[2] - 1) * a.dilation[0] - 1) / a.strides[0] + 1;
  return {&table(),
          "conv",
          {random_values(dtype, x, 1), random_values(dtype, w, 2)},
          {{dtype, {x[0], out, w[0], w[1]}}},
          &a,
          conv_tiling};
}

void expect_near_naive(const Call& call, const HostArray& got) {
  const auto& a = static_cast<const ConvAttrs&>(*call.attrs);
  const HostArray &x = call.inputs[0], &w = call.inputs[1];
  const int64_t taps = w.shape[2], channels = x.shape[3];
  const double unit = got.dtype == Dtype::kFloat64    ? 0x1p-53
                      : got.dtype == Dtype::kBfloat16 ? 0x1p-8
                      : got.dtype == Dtype::kFloat16  ? 0x1p-11
                                                      : 0x1p-24;
  for (int64_t i = 0; i < got.count(); ++i) {
    const int64_t j = i % got.shape[3], g = i / got.shape[3] % got.shape[2];
    const int64_t o = i / got.shape[3] / got.shape[2] % got.shape[1];
    const int64_t n = i / got.shape[3] / got.shape[2] / got.shape[1];
    double sum = 0, magnitude = 0;
    for (int64_t p = 0; p < taps; ++p) {
      const int64_t at = o * a.strides[0] + p * a.dilation[0] - a.low[0];
      if (at < 0 || at % a.input_dilation[0] || at / a.input_dilation[0] >= x.shape[1]) continue;
      for (int64_t c = 0; c < channels; ++c) {
        const int64_t in = at / a.input_dilation[0];
        const double term = x.get(((n * x.shape[1] + in) * x.shape[2] + g) * channels + c).real() *
                            w.get(((g * w.shape[1] + j) * taps + p) * channels + c).real();
        sum += term;
        magnitude += std::fabs(term);
      }
    }
    const double float_part =
        got.dtype == Dtype::kFloat64 ? 0x1p-50 : 0x1p-24 * 2 * std::sqrt(taps * channels + 1.0);
    ASSERT_LE(std::fabs(got.get(i).real() - sum),
              unit * std::fabs(sum) + float_part * magnitude + 1e-7)
        << i;
  }
}

void check(Dtype dtype, const Shape& x, const Shape& w, const ConvAttrs& a) {
  const Call call = line_call(dtype, x, w, a);
  expect_near_naive(call, run_whole(call)[0]);
  expect_cuts_and_threads_keep_bits(call);
}

TEST(Conv, AgreesWithNaiveAndKeepsBitsUnderEveryCut) {
  const ConvAttrs plain({1}, {1}, {1}, {1}, {1}), odd({2}, {3}, {-1}, {3}, {2});
  for (Dtype dtype : device::kFloatDtypes) {
    for (const ConvAttrs* a : {&plain, &odd}) {
      check(dtype, {3, 19, 1, 5}, {1, 37, 3, 5}, *a);
      check(dtype, {2, 11, 3, 4}, {3, 2, 3, 4}, *a);
      check(dtype, {2, 23, 41, 3}, {41, 1, 4, 3}, *a);  // a lane a group
    }
  }
}

TEST(Conv, AddsLongSumsInPanelsWhereverTheyAreCut) {
  const ConvAttrs plain({1}, {0}, {0}, {1}, {1});
  for (Dtype dtype : {Dtype::kFloat32, Dtype::kBfloat16}) {
    check(dtype, {2, 7, 1, 300}, {1, 9, 3, 300}, plain);    // blocks of channels
    check(dtype, {2, 1003, 1, 3}, {1, 5, 1000, 3}, plain);  // boxes of taps
    check(dtype, {130, 40, 1, 2}, {1, 70, 38, 2}, plain);   // more rows than a block
  }
}

TEST(Conv, SumsOfNothingAreZero) {
  const ConvAttrs plain({1}, {0}, {0}, {1}, {1});
  const auto out = run_whole(line_call(Dtype::kFloat32, {2, 4, 1, 0}, {1, 3, 2, 0}, plain));
  for (int64_t i = 0; i < out[0].count(); ++i) EXPECT_EQ(out[0].get(i).real(), 0);
}

TEST(ConvPanels, HoldAtMostAPanelOfTermsAndCutEvenly) {
  const ConvPanels small = conv_panels({1, 3, 3}, 64);
  EXPECT_EQ(small.channels, 32);
  EXPECT_EQ(small.taps[1] * small.taps[2], 9);
  const ConvPanels large = conv_panels({1, 64, 64}, 16);
  EXPECT_EQ(large.channels, 1);
  EXPECT_EQ(large.taps[2], 64);
  EXPECT_LE(large.taps[1] * large.taps[2], kConvPanel);
}

TEST(ConvAxisMap, LeavesOutInputsThatNoTapMeets) {
  using cpu::conv::axis_map;
  EXPECT_EQ(axis_map(8, 3, 1, 1).count, 10);
  EXPECT_EQ(axis_map(8, 3, 2, 2).count, 10);   // every other input
  EXPECT_EQ(axis_map(8, 2, 16, 1).count, 16);  // pairs far apart
  EXPECT_EQ(axis_map(1, 3, 5, 7).count, 3);
}

}  // namespace
}  // namespace plimsoll::testing
