#include "backends/cpu/tile_interpreter.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <random>

#include "plimsoll/error.h"
#include "tests/unit/backends/cpu/tile_testing.h"

namespace plimsoll::cpu {
namespace {

using namespace testing;
using device::Tensor;
constexpr Dtype kF32 = Dtype::kFloat32;

std::vector<float> ramp(size_t n, float scale = 0.37f) {
  std::vector<float> v(n);
  for (size_t i = 0; i < n; ++i) v[i] = scale * static_cast<float>(i) - 11.0f;
  return v;
}

TEST(TileInterpreter, AddsContiguousArraysOfAnyLength) {
  const TileProgram p = one_op(TileOp::kAdd, kF32, kF32, 2);
  for (int64_t n : {0, 1, 5, 16, 63, 1023, 1024, 1025, 70000, 300001}) {
    std::vector<float> a = ramp(n), b = ramp(n, -1.5f), r(n + 1, 99.0f);
    EXPECT_TRUE(run(p, {tensor(a.data(), kF32, {n}), tensor(b.data(), kF32, {n})},
                    {tensor(r.data(), kF32, {n})}, {.num_threads = 2}));
    for (int64_t i = 0; i < n; ++i) ASSERT_EQ(r[i], a[i] + b[i]) << i << " of " << n;
    EXPECT_EQ(r[n], 99.0f);
  }
}

TEST(TileInterpreter, RunsOnScalarsWithoutAxes) {
  float a = 2, b = 3, r = 0;
  EXPECT_TRUE(run(one_op(TileOp::kMultiply, kF32, kF32, 2),
                  {tensor(&a, kF32, {}), tensor(&b, kF32, {})}, {tensor(&r, kF32, {})}));
  EXPECT_EQ(r, 6);
}

// Where two steps run as one, the bits are those of the two.
TEST(TileInterpreter, PairsOfSumsAndProductsRoundTwice) {
  const TileOp ops[] = {TileOp::kAdd, TileOp::kSubtract, TileOp::kMultiply};
  const auto apply = [](TileOp op, float x, float y) {
    volatile float r = op == TileOp::kAdd ? x + y : op == TileOp::kSubtract ? x - y : x * y;
    return r;
  };
  for (int64_t n : {1, 15, 16, 17, 1023, 1024, 2500}) {
    std::vector<float> in[3] = {ramp(n, 0.3781f), ramp(n, -1.513f), ramp(n, 7.19f)};
    for (TileOp first : ops) {
      for (TileOp second : ops) {
        for (int form = 0; form < 16; ++form) {
          const bool on_right = form & 1;
          Builder b;
          uint16_t x[3];
          bool splat[3];
          std::vector<Tensor> inputs;
          for (int s = 0; s < 3; ++s) {
            splat[s] = form >> (s + 1) & 1;
            x[s] = b.input(kF32);
            inputs.push_back(tensor(in[s].data(), kF32, {n}, {splat[s] ? 0 : 1}));
          }
          const uint16_t between = b.op(first, kF32, {x[0], x[1]});
          const uint16_t y =
              on_right ? b.op(second, kF32, {x[2], between}) : b.op(second, kF32, {between, x[2]});
          const TileProgram p = b.output({y});
          std::vector<float> r(n);
          EXPECT_TRUE(run(p, inputs, {tensor(r.data(), kF32, {n})}));
          for (int64_t i = 0; i < n; ++i) {
            const auto at = [&](int s) { return in[s][splat[s] ? 0 : i]; };
            const float t = apply(first, at(0), at(1));
            ASSERT_EQ(r[i], on_right ? apply(second, at(2), t) : apply(second, t, at(2)))
                << static_cast<int>(first) << static_cast<int>(second) << " form " << form;
          }
        }
      }
    }
  }
}

// Of two NaN the one that passes would depend on where a vector ends and on what runs in one step.
TEST(TileInterpreter, SumsAndProductsHaveOneNan) {
  const float quiet = std::bit_cast<float>(0x7fc00001u),
              negative = std::bit_cast<float>(0xffc00002u);
  const auto bits = [](float x) { return std::bit_cast<uint32_t>(x); };
  for (TileOp first : {TileOp::kAdd, TileOp::kSubtract, TileOp::kMultiply}) {
    for (TileOp second : {TileOp::kAdd, TileOp::kMultiply}) {
      for (int64_t n : {1, 5, 64, 1029}) {
        Builder b;
        const uint16_t x = b.input(kF32), y = b.input(kF32), z = b.input(kF32);
        const TileProgram p = b.output({b.op(second, kF32, {b.op(first, kF32, {x, y}), z})});
        std::vector<float> in(n, quiet), other(n, negative), third(n, -quiet), r(n);
        EXPECT_TRUE(run(p,
                        {tensor(in.data(), kF32, {n}), tensor(other.data(), kF32, {n}),
                         tensor(third.data(), kF32, {n})},
                        {tensor(r.data(), kF32, {n})}));
        for (float v : r) ASSERT_EQ(bits(v), 0x7fc00000u);
        EXPECT_TRUE(run(one_op(second, kF32, kF32, 2),
                        {tensor(in.data(), kF32, {n}), tensor(other.data(), kF32, {n})},
                        {tensor(r.data(), kF32, {n})}));
        for (float v : r) ASSERT_EQ(bits(v), 0x7fc00000u);
      }
    }
  }
}

// A value that something else reads, too, is computed by itself; so is a square of it.
TEST(TileInterpreter, WhatIsReadTwiceIsNoPair) {
  Builder b;
  const uint16_t x = b.input(kF32), y = b.input(kF32);
  const uint16_t t = b.op(TileOp::kMultiply, kF32, {x, y});
  const uint16_t u = b.op(TileOp::kAdd, kF32, {t, x});
  const uint16_t v = b.op(TileOp::kSubtract, kF32, {u, t});
  const uint16_t w = b.op(TileOp::kMultiply, kF32, {v, v});
  const TileProgram p = b.output({u, w});
  std::vector<float> in = ramp(1500), other = ramp(1500, -0.7f), r(1500), q(1500);
  EXPECT_TRUE(run(p, {tensor(in.data(), kF32, {1500}), tensor(other.data(), kF32, {1500})},
                  {tensor(r.data(), kF32, {1500}), tensor(q.data(), kF32, {1500})}));
  for (size_t i = 0; i < in.size(); ++i) {
    volatile float product = in[i] * other[i];
    volatile float sum = product + in[i];
    volatile float difference = sum - product;
    ASSERT_EQ(r[i], sum);
    ASSERT_EQ(q[i], difference * difference);
  }
}

// Reads element `flat` of a strided operand, one coordinate at a time.
float element(const float* data, const Shape& shape, const Strides& strides, int64_t flat) {
  int64_t offset = 0;
  for (size_t i = shape.size(); i-- > 0;) {
    offset += flat % shape[i] * strides[i];
    flat /= shape[i];
  }
  return data[offset];
}

struct Layouts {
  const char* name;
  Shape shape;
  Strides a, b;
};

TEST(TileInterpreter, ReadsStridedBroadcastAndTransposedInputs) {
  const Layouts cases[] = {
      {"row bias", {300, 700}, {700, 1}, {0, 1}},
      {"column", {300, 700}, {700, 1}, {1, 0}},
      {"short rows", {5000, 3}, {3, 1}, {0, 1}},
      {"short columns", {5000, 3}, {3, 1}, {1, 0}},
      {"transposed", {130, 257}, {257, 1}, {1, 130}},
      {"both transposed", {130, 257}, {1, 130}, {1, 130}},
      {"outer product", {400, 300}, {1, 0}, {0, 1}},
      {"every second", {4000}, {2}, {1}},
      {"scalar", {33, 70}, {0, 0}, {70, 1}},
      {"both scalar", {33, 70}, {0, 0}, {0, 0}},
      {"permuted", {20, 30, 40}, {1, 800, 20}, {1200, 40, 1}},
      {"swapped outer", {20, 30, 40}, {40, 800, 1}, {1200, 40, 1}},
      {"middle broadcast", {7, 50, 9, 11}, {99, 0, 11, 1}, {4950, 99, 11, 1}},
      {"five axes", {3, 4, 5, 6, 7}, {1, 3, 12, 60, 360}, {0, 7, 0, 28, 1}},
      {"ones", {1, 1, 1}, {5, 7, 9}, {0, 0, 0}},
      {"window", {60, 50}, {100, 1}, {50, 1}},
  };
  const TileProgram p = one_op(TileOp::kSubtract, kF32, kF32, 2);
  std::vector<float> a = ramp(220000), b = ramp(220000, 0.11f);
  for (const Layouts& c : cases) {
    int64_t n = 1;
    for (int64_t d : c.shape) n *= d;
    for (int threads : {1, 2}) {
      std::vector<float> r(n);
      EXPECT_TRUE(run(p,
                      {tensor(a.data(), kF32, c.shape, c.a), tensor(b.data(), kF32, c.shape, c.b)},
                      {tensor(r.data(), kF32, c.shape)}, {.num_threads = threads}));
      for (int64_t i = 0; i < n; ++i)
        ASSERT_EQ(r[i], element(a.data(), c.shape, c.a, i) - element(b.data(), c.shape, c.b, i))
            << c.name << " at " << i;
    }
  }
}

TEST(TileInterpreter, ReadsBackwards) {
  std::vector<float> a = ramp(5000), r(5000);
  const Shape shape{5000};
  EXPECT_TRUE(run(one_op(TileOp::kNegative, kF32, kF32, 1),
                  {tensor(a.data() + 4999, kF32, shape, {-1})}, {tensor(r.data(), kF32, shape)}));
  for (int i = 0; i < 5000; ++i) ASSERT_EQ(r[i], -a[4999 - i]);
}

TEST(TileInterpreter, CopiesEveryDtypeFromAnyLayout) {
  std::vector<uint64_t> bits(6000);
  std::mt19937_64 rng(1);
  for (auto& x : bits) x = rng();
  const Shape shape{40, 70};
  for (Dtype t : device::kAllDtypes) {
    const size_t size = size_of(t);
    for (const Strides& s : {Strides{70, 1}, Strides{1, 40}, Strides{0, 1}, Strides{1, 0}}) {
      std::vector<char> r(40 * 70 * size);
      EXPECT_TRUE(run(one_op(TileOp::kCopy, t, t, 1), {tensor(bits.data(), t, shape, s)},
                      {tensor(r.data(), t, shape)}));
      for (int i = 0; i < 40; ++i)
        for (int j = 0; j < 70; ++j)
          ASSERT_EQ(0,
                    std::memcmp(&r[(i * 70 + j) * size],
                                reinterpret_cast<char*>(bits.data()) + (i * s[0] + j * s[1]) * size,
                                size))
              << name_of(t);
    }
  }
}

// (a + b) * a - 3 with a and b in `t`, as one program and as three.
template <class Store>
void expect_fusion_keeps_bits(Dtype t, const std::vector<Store>& a, const std::vector<Store>& b) {
  const auto n = static_cast<int64_t>(a.size());
  Builder build;
  const uint16_t x = build.input(t), y = build.input(t), c = build.constant(t, 3);
  const uint16_t sum = build.op(TileOp::kAdd, t, {x, y});
  const uint16_t product = build.op(TileOp::kMultiply, t, {sum, x});
  const uint16_t rest = build.op(TileOp::kSubtract, t, {product, c});
  std::vector<Store> fused(n), s(n), p(n), r(n), three(1);
  EXPECT_TRUE(run(build.output({rest}),
                  {tensor((void*)a.data(), t, {n}), tensor((void*)b.data(), t, {n})},
                  {tensor(fused.data(), t, {n})}));
  Builder constant;
  constant.constant(t, 3);
  const uint16_t copy = constant.op(TileOp::kCopy, t, {0});
  EXPECT_TRUE(run(constant.output({copy}), {}, {tensor(three.data(), t, {1})}));
  auto two = [&](TileOp op, const std::vector<Store>& u, const void* v, int64_t stride,
                 std::vector<Store>& out) {
    EXPECT_TRUE(run(one_op(op, t, t, 2),
                    {tensor((void*)u.data(), t, {n}), tensor((void*)v, t, {n}, {stride})},
                    {tensor(out.data(), t, {n})}));
  };
  two(TileOp::kAdd, a, b.data(), 1, s);
  two(TileOp::kMultiply, s, a.data(), 1, p);
  two(TileOp::kSubtract, p, three.data(), 0, r);
  EXPECT_EQ(0, std::memcmp(fused.data(), r.data(), n * sizeof(Store))) << name_of(t);
}

TEST(TileInterpreter, FusingNeverChangesBits) {
  for (size_t n : {1, 17, 2000}) {
    expect_fusion_keeps_bits(kF32, ramp(n), ramp(n, 1.7f));
    std::vector<uint16_t> a(n), b(n);
    for (size_t i = 0; i < n; ++i) a[i] = 0x3c00 + i % 900, b[i] = 0xb800 + i * 7 % 900;
    expect_fusion_keeps_bits(Dtype::kFloat16, a, b);
    expect_fusion_keeps_bits(Dtype::kBfloat16, a, b);
    std::vector<int8_t> c(n), d(n);
    for (size_t i = 0; i < n; ++i) c[i] = i * 37, d[i] = i * 11;
    expect_fusion_keeps_bits(Dtype::kInt8, c, d);
  }
}

// Gathered 16-bit tiles are widened inside their slot.
TEST(TileInterpreter, SixteenBitFloatsAreReadFromAnyLayout) {
  const Shape shape{150, 90};
  std::vector<uint16_t> a(150 * 90), plain(150 * 90), want(150 * 90), got(150 * 90);
  for (Dtype t : {Dtype::kFloat16, Dtype::kBfloat16}) {
    for (size_t i = 0; i < a.size(); ++i) a[i] = static_cast<uint16_t>(0x3800 + i * 13 % 2000);
    const TileProgram p = one_op(TileOp::kSquare, t, t, 1);
    for (const Strides& s :
         {Strides{1, 150}, Strides{0, 1}, Strides{1, 0}, Strides{0, 0}, Strides{-90, 1}}) {
      uint16_t* from = a.data() + (s[0] < 0 ? 149 * 90 : 0);
      for (int i = 0; i < 150; ++i)
        for (int j = 0; j < 90; ++j) plain[i * 90 + j] = from[i * s[0] + j * s[1]];
      EXPECT_TRUE(run(p, {tensor(from, t, shape, s)}, {tensor(got.data(), t, shape)}));
      EXPECT_TRUE(run(p, {tensor(plain.data(), t, shape)}, {tensor(want.data(), t, shape)}));
      EXPECT_EQ(got, want) << name_of(t) << " " << s[0] << " " << s[1];
    }
  }
}

TEST(TileInterpreter, OutputMayBeTheBytesOfAnInput) {
  // out0 lies over a, which the second instruction still reads; out1 lies over b.
  const int64_t n = 5000;
  std::vector<float> a = ramp(n), b = ramp(n, 2.1f);
  const std::vector<float> a0 = a, b0 = b;
  Builder build;
  const uint16_t x = build.input(kF32), y = build.input(kF32);
  const uint16_t sum = build.op(TileOp::kAdd, kF32, {x, y});
  const uint16_t product = build.op(TileOp::kMultiply, kF32, {x, y});
  EXPECT_TRUE(run(build.output({sum, product}),
                  {tensor(a.data(), kF32, {n}), tensor(b.data(), kF32, {n})},
                  {tensor(a.data(), kF32, {n}), tensor(b.data(), kF32, {n})}));
  for (int64_t i = 0; i < n; ++i) {
    ASSERT_EQ(a[i], a0[i] + b0[i]);
    ASSERT_EQ(b[i], a0[i] * b0[i]);
  }
}

TEST(TileInterpreter, OutputsMayBeInputsSwapped) {
  const int64_t n = 3000;
  std::vector<float> a = ramp(n), b = ramp(n, 2.1f);
  const std::vector<float> a0 = a, b0 = b;
  Builder build;
  const uint16_t x = build.input(kF32), y = build.input(kF32);
  EXPECT_TRUE(run(build.output({y, x}), {tensor(a.data(), kF32, {n}), tensor(b.data(), kF32, {n})},
                  {tensor(a.data(), kF32, {n}), tensor(b.data(), kF32, {n})}));
  EXPECT_EQ(a, b0);
  EXPECT_EQ(b, a0);
}

TEST(TileInterpreter, LongChainsReuseAFewSlots) {
  Builder build;
  uint16_t x = build.input(kF32);
  const uint16_t c = build.constant(kF32, 1);
  for (int i = 0; i < 1000; ++i) x = build.op(TileOp::kAdd, kF32, {x, c});
  const TileProgram& p = build.output({x});
  EXPECT_LT(program_workspace(p, 1), 300u << 10);
  std::vector<float> a(16, 0.5f), r(16);
  EXPECT_TRUE(run(p, {tensor(a.data(), kF32, {16})}, {tensor(r.data(), kF32, {16})}));
  EXPECT_EQ(r, std::vector<float>(16, 1000.5f));
}

TEST(TileInterpreter, StreamedOutputsHoldTheSame) {
  const int64_t n = 200003;
  std::vector<float> a = ramp(n), r(n + 8), s(n + 8);
  const TileProgram p = one_op(TileOp::kSquare, kF32, kF32, 1);
  EXPECT_TRUE(run(p, {tensor(a.data(), kF32, {n})}, {tensor(r.data() + 1, kF32, {n})}));
  EXPECT_TRUE(run(p, {tensor(a.data(), kF32, {n})}, {tensor(s.data() + 1, kF32, {n})},
                  {.num_threads = 2, .stream_outputs = true}));
  EXPECT_EQ(r, s);
}

TEST(TileInterpreter, RefusesAnOpWithoutAKernel) {
  float a = 0, r = 0;
  EXPECT_FALSE(supports(TileOp::kBitwiseAnd, kF32, kF32));
  EXPECT_TRUE(supports(TileOp::kCast, Dtype::kFloat16, Dtype::kInt8));
  const TileProgram p = one_op(TileOp::kBitwiseAnd, kF32, kF32, 2);
  EXPECT_THROW(program_workspace(p, 1), TypeError);
  Workspace w(1 << 16);
  const Tensor t = tensor(&a, kF32, {}), o = tensor(&r, kF32, {});
  EXPECT_THROW(run_program(p, std::vector{t, t}, std::vector{o}, w.span(), nullptr, {}), TypeError);
}

}  // namespace
}  // namespace plimsoll::cpu
