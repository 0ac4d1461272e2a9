#include "backends/cpu/gemm.h"

#include <gtest/gtest.h>
#include <hwy/targets.h>
#include <xmmintrin.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "plimsoll/error.h"
#include "tests/unit/backends/cpu/gemm_test_util.h"
#include "tests/unit/backends/cpu/threads.h"

namespace plimsoll::cpu::gemm_test {
namespace {

class GemmTest : public testing::TestWithParam<GemmType> {
 protected:
  GemmTest() { test::allow_sixteen_threads(); }
  GemmType type() const { return GetParam(); }
  size_t size() const { return element_size(type()); }
  Matrix random(int64_t rows, int64_t cols, Layout layout = Layout::kRowMajor) {
    Matrix x(type(), rows, cols, layout);
    x.randomise(rng_);
    return x;
  }
  Matrix stored_as(Matrix& x, Layout layout) {
    Matrix y(type(), x.rows(), x.cols(), layout);
    y.copy_from(x);
    return y;
  }
  int64_t uniform(int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(rng_);
  }
  Layout any_layout() { return static_cast<Layout>(uniform(0, kNumLayouts - 1)); }
  /// Rows [i0, i1) and columns [j0, j1) of a tight m × n result.
  Bytes part(const Bytes& c, int64_t n, int64_t i0, int64_t i1, int64_t j0, int64_t j1) const {
    Bytes out;
    for (int64_t i = i0; i < i1; ++i) {
      const auto row = c.begin() + i * n * size();
      out.insert(out.end(), row + j0 * size(), row + j1 * size());
    }
    return out;
  }
  std::vector<int64_t> random_k_cuts(int64_t k) {
    std::vector<int64_t> cuts;
    for (int64_t e = gemm_panel(type()); e < k; e += gemm_panel(type())) {
      if (uniform(0, 1)) cuts.push_back(e);
    }
    return cuts;
  }
  void expect_near_oracle(Matrix& a, Matrix& b, const Bytes& c);

  std::mt19937 rng_{12345};
};

/// Unit roundoff of the sums and of the stored element.
std::pair<double, double> roundoffs(GemmType t) {
  if (t == GemmType::kF64) return {0x1p-53, 0x1p-53};
  if (t == GemmType::kBF16) return {0x1p-24, 0x1p-8};
  if (t == GemmType::kF16) return {0x1p-24, 0x1p-11};
  return {0x1p-24, 0x1p-24};
}

void GemmTest::expect_near_oracle(Matrix& a, Matrix& b, const Bytes& c) {
  const auto [sum_eps, store_eps] = roundoffs(type());
  const int64_t k = a.cols(), n = b.cols();
  const int64_t panel = gemm_panel(type());
  // Any order of a chain per panel and of the panels: (terms + panels) roundings at most; complex
  // numbers have two chains and one more addition.
  const double steps = static_cast<double>(std::min(k, panel) + k / panel + 4);
  for (int64_t i = 0; i < a.rows(); ++i) {
    for (int64_t j = 0; j < n; ++j) {
      std::complex<long double> sum = 0;
      long double bound = 0;
      for (int64_t x = 0; x < k; ++x) {
        const std::complex<long double> p = get(type(), a.at(i, x)), q = get(type(), b.at(x, j));
        sum += p * q;
        bound +=
            (std::abs(p.real()) + std::abs(p.imag())) * (std::abs(q.real()) + std::abs(q.imag()));
      }
      const auto got = get(type(), c.data() + (i * n + j) * size());
      const auto error = std::abs(std::complex<long double>(got) - sum);
      ASSERT_LE(error, steps * sum_eps * bound + 1.01 * store_eps * std::abs(sum))
          << i << ' ' << j << " of " << a.rows() << 'x' << n << 'x' << k;
    }
  }
}

TEST_P(GemmTest, agrees_with_a_long_double_oracle) {
  const int64_t shapes[][3] = {{1, 1, 1},     {7, 5, 3},      {14, 32, 64},  {15, 33, 385},
                               {1, 200, 500}, {200, 1, 500},  {31, 70, 401}, {70, 31, 401},
                               {97, 101, 29}, {33, 40, 1153}, {6, 100, 2051}};
  for (const auto& [m, n, k] : shapes) {
    Matrix a = random(m, k, any_layout()), b = random(k, n, any_layout());
    expect_near_oracle(a, b, product(type(), a.view(), b.view()));
  }
}

TEST_P(GemmTest, bits_do_not_depend_on_cuts_layouts_threads_or_k_windows) {
  for (int round = 0; round < 12; ++round) {
    const int64_t m = uniform(1, 130), n = uniform(1, 130), k = uniform(1, 2500);
    Matrix a = random(m, k), b = random(k, n);
    const Bytes whole = product(type(), a.view(), b.view());
    for (int cut = 0; cut < 6; ++cut) {
      Matrix a2 = stored_as(a, any_layout()), b2 = stored_as(b, any_layout());
      const int64_t i0 = uniform(0, m - 1), i1 = uniform(i0 + 1, m);
      const int64_t j0 = uniform(0, n - 1), j1 = uniform(j0 + 1, n);
      const RunOptions opt{.threads = static_cast<int>(uniform(1, 4)), .k_cuts = random_k_cuts(k)};
      const Bytes got = product(type(), a2.view(i0, i1, 0, k), b2.view(0, k, j0, j1), opt);
      ASSERT_EQ(got, part(whole, n, i0, i1, j0, j1))
          << m << 'x' << n << 'x' << k << " rows " << i0 << ".." << i1 << " cols " << j0 << ".."
          << j1 << " threads " << opt.threads << " windows " << opt.k_cuts.size() + 1;
    }
  }
}

TEST_P(GemmTest, bits_of_large_blocks_equal_those_of_small_ones) {
  const int64_t m = 700, n = 1100, k = 520;
  Matrix a = random(m, k), b = random(k, n, Layout::kColumnMajor);
  const Bytes whole = product(type(), a.view(), b.view());
  ASSERT_EQ(whole, product(type(), a.view(), b.view(), {.threads = 2}));
  for (int64_t i0 : {0, 333, 690}) {
    const Bytes rows = product(type(), a.view(i0, i0 + 10, 0, k), b.view());
    ASSERT_EQ(rows, part(whole, n, i0, i0 + 10, 0, n));
  }
  for (int64_t j0 : {0, 511, 1091}) {
    const Bytes cols = product(type(), a.view(), b.view(0, k, j0, j0 + 9));
    ASSERT_EQ(cols, part(whole, n, 0, m, j0, j0 + 9));
  }
}

TEST_P(GemmTest, thin_products_have_the_bits_of_a_wide_one) {
  const int64_t n = 300, k = 1101;
  Matrix a = random(64, k), b = random(k, n);
  const Bytes whole = product(type(), a.view(), b.view());
  for (int64_t rows : {1, 2, 3, 4, 5, 8, 13, 14, 15, 31, 32, 33}) {
    for (int layout = 0; layout < kNumLayouts; ++layout) {
      Matrix b2 = stored_as(b, static_cast<Layout>(layout));
      for (const std::vector<int64_t>& cuts : {std::vector<int64_t>{}, {gemm_panel(type())}}) {
        ASSERT_EQ(product(type(), a.view(0, rows, 0, k), b2.view(), {.threads = 2, .k_cuts = cuts}),
                  part(whole, n, 0, rows, 0, n))
            << rows << " rows, layout " << layout << ", windows " << cuts.size() + 1;
      }
    }
  }
}

TEST_P(GemmTest, single_elements_have_the_bits_of_a_wide_product) {
  for (int64_t k : {1, 3, 17, 383, 384, 385, 1025, 1537, 2500, 6144, 6145, 18000}) {
    const int64_t m = 5, n = 40;
    Matrix a = random(m, k), b = random(k, n, Layout::kColumnMajor);
    const Bytes whole = product(type(), a.view(), b.view());
    for (int64_t i = 0; i < m; ++i) {
      const std::vector<int64_t> cuts = i % 2 ? random_k_cuts(k) : std::vector<int64_t>{};
      ASSERT_EQ(product(type(), a.view(i, i + 1, 0, k), b.view(0, k, i, i + 1), {.k_cuts = cuts}),
                part(whole, n, i, i + 1, i, i + 1))
          << "row " << i << " of " << k << " terms, windows " << cuts.size() + 1;
    }
  }
}

TEST_P(GemmTest, transposing_the_product_transposes_the_bits) {
  const int64_t m = 90, n = 20, k = 800;
  Matrix a = random(m, k), b = random(k, n);
  const MatView at{a.at(0, 0), k, m, a.view().col_stride, a.view().row_stride};
  const MatView bt{b.at(0, 0), n, k, b.view().col_stride, b.view().row_stride};
  const Bytes c = product(type(), a.view(), b.view()), ct = product(type(), bt, at);
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      ASSERT_EQ(part(c, n, i, i + 1, j, j + 1), part(ct, m, j, j + 1, i, i + 1));
    }
  }
}

TEST_P(GemmTest, zero_strides_broadcast) {
  const int64_t m = 40, n = 50, k = 70;
  Matrix row = random(1, k), b = random(k, n);
  MatView a = row.view();
  a.rows = m;
  a.row_stride = 0;
  const Bytes c = product(type(), a, b.view()), one = product(type(), row.view(), b.view());
  for (int64_t i = 0; i < m; ++i) ASSERT_EQ(part(c, n, i, i + 1, 0, n), one);
}

TEST_P(GemmTest, gaps_between_rows_of_c_are_left_alone) {
  for (const auto& [m, n] : {std::pair<int64_t, int64_t>{37, 45}, {60, 3}, {3, 70}}) {
    Matrix a = random(m, 500), b = random(500, n);
    const Bytes tight = product(type(), a.view(), b.view());
    const Bytes spaced = product(type(), a.view(), b.view(), {.threads = 2, .row_gap = 3});
    EXPECT_EQ(part(spaced, n + 3, 0, m, 0, n), tight);
    for (std::byte x : part(spaced, n + 3, 0, m, n, n + 3)) ASSERT_EQ(x, std::byte{0x5A});
  }
}

TEST_P(GemmTest, a_batch_equals_its_products_one_by_one) {
  for (int64_t n : {4, 30, 90}) {
    const int64_t m = 41, k = 450, outer = 3, inner = 2;
    Matrix a = random(outer * m, k), b = random(inner * k, n);
    Bytes c(outer * inner * m * n * size());
    Bytes workspace(gemm_workspace(type(), m, n, k, 2, outer * inner));
    const int64_t shape[] = {outer, inner}, a_strides[] = {m * k, 0}, b_strides[] = {0, k * n},
                  c_strides[] = {inner * m * n, m * n};
    tbb::task_arena(2).execute([&] {
      gemm_batched({.type = type(),
                    .a = a.view(0, m, 0, k),
                    .b = b.view(0, k, 0, n),
                    .c = c.data(),
                    .c_row_stride = n,
                    .workspace = workspace},
                   {shape, a_strides, b_strides, c_strides, {}});
    });
    Bytes expected;
    for (int64_t i = 0; i < outer * inner; ++i) {
      const int64_t o = i / inner, in = i % inner;
      const Bytes one =
          product(type(), a.view(o * m, o * m + m, 0, k), b.view(in * k, in * k + k, 0, n));
      expected.insert(expected.end(), one.begin(), one.end());
    }
    ASSERT_EQ(c, expected) << n;
  }
}

TEST_P(GemmTest, every_nan_is_the_canonical_one) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double inf = std::numeric_limits<double>::infinity();
  const int64_t m = 40, n = 60, k = 900;
  Matrix a = random(m, k), b = random(k, n);
  put(type(), a.at(2, 5), {nan, nan});
  put(type(), a.at(3, 700), {-nan, nan});
  put(type(), b.at(5, 7), {-nan, -nan});
  put(type(), b.at(899, 33), {nan, -nan});
  put(type(), a.at(4, 10), {inf, inf});
  put(type(), a.at(4, 11), {-inf, -inf});
  const Bytes whole = product(type(), a.view(), b.view());
  Bytes canonical(size());
  put(type(), canonical.data(), {nan, nan});
  const auto expect_canonical = [&](int64_t i, int64_t j) {
    EXPECT_EQ(part(whole, n, i, i + 1, j, j + 1), canonical) << i << ' ' << j;
  };
  for (int64_t j = 0; j < n; ++j) expect_canonical(2, j), expect_canonical(3, j);
  for (int64_t i = 0; i < m; ++i) expect_canonical(i, 7), expect_canonical(i, 33);
  for (int layout = 0; layout < kNumLayouts; ++layout) {
    Matrix b2 = stored_as(b, static_cast<Layout>(layout));
    for (int64_t i : {2, 3, 4, 5}) {
      ASSERT_EQ(product(type(), a.view(i, i + 1, 0, k), b2.view()), part(whole, n, i, i + 1, 0, n));
    }
    ASSERT_EQ(product(type(), a.view(), b2.view(0, k, 7, 8)), part(whole, n, 0, m, 7, 8));
  }
}

TEST_P(GemmTest, infinities_follow_ieee) {
  const double inf = std::numeric_limits<double>::infinity();
  Matrix a(type(), 2, 3, Layout::kRowMajor), b(type(), 3, 1, Layout::kRowMajor);
  for (int64_t i = 0; i < 3; ++i) put(type(), b.at(i, 0), 1.0);
  put(type(), a.at(0, 1), inf);
  put(type(), a.at(1, 1), inf);
  put(type(), a.at(1, 2), -inf);
  const Bytes c = product(type(), a.view(), b.view());
  EXPECT_EQ(get(type(), c.data()).real(), inf);
  EXPECT_TRUE(std::isnan(get(type(), c.data() + size()).real()));
}

TEST_P(GemmTest, the_callers_float_mode_changes_nothing_and_is_kept) {
  const int64_t m = 33, n = 35, k = 400;
  Matrix a = random(m, k), b = random(k, n);
  const double tiny = type() == GemmType::kF64 ? 1e-310 : 1e-39;
  for (int64_t i = 0; i < m; ++i) put(type(), a.at(i, i), {tiny, tiny});
  const Bytes expected = product(type(), a.view(), b.view());
  const unsigned mode = _mm_getcsr();
  const unsigned flush_and_round_up = 0x1F80 | 0x8040 | 0x4000;
  _mm_setcsr(flush_and_round_up);
  const Bytes got = product(type(), a.view(), b.view(), {.threads = 2});
  const unsigned after = _mm_getcsr();
  _mm_setcsr(mode);
  EXPECT_EQ(got, expected);
  EXPECT_EQ(after & ~0x3Fu, flush_and_round_up);
}

TEST_P(GemmTest, empty_extents) {
  Matrix a(type(), 3, 0, Layout::kRowMajor), b(type(), 0, 4, Layout::kRowMajor);
  EXPECT_EQ(product(type(), {nullptr, 3, 0, 0, 1}, {nullptr, 0, 4, 4, 1}), Bytes(12 * size()));
  EXPECT_TRUE(product(type(), {nullptr, 0, 5, 5, 1}, {nullptr, 5, 4, 4, 1}).empty());
  EXPECT_TRUE(product(type(), {nullptr, 3, 5, 5, 1}, {nullptr, 5, 0, 0, 1}).empty());
}

TEST_P(GemmTest, a_workspace_that_is_too_small_is_refused) {
  Matrix a = random(50, 60), b = random(60, 70);
  Bytes c(50 * 70 * size()), workspace(gemm_workspace(type(), 50, 70, 60, 1) - 1);
  GemmArgs args{.type = type(), .a = a.view(), .b = b.view(), .c = c.data(), .c_row_stride = 70};
  args.workspace = workspace;
  EXPECT_THROW(gemm(args), Error);
}

TEST_P(GemmTest, writes_nothing_past_its_workspace) {
  for (int64_t m : {1, 4, 9, 32, 45, 600}) {
    for (int64_t n : {1, 17, 32, 64, 530}) {
      const int64_t k = 500;
      Matrix a = random(m, k), b = random(k, n, any_layout());
      Bytes c(m * n * size());
      const size_t bytes = gemm_workspace(type(), m, n, k, 1);
      Bytes workspace(bytes + 256, std::byte{0x77});
      gemm({.type = type(),
            .a = a.view(),
            .b = b.view(),
            .c = c.data(),
            .c_row_stride = n,
            .workspace = std::span(workspace).first(bytes)});
      EXPECT_TRUE(std::all_of(workspace.begin() + bytes, workspace.end(),
                              [](std::byte x) { return x == std::byte{0x77}; }))
          << m << " x " << n;
      expect_near_oracle(a, b, c);
    }
  }
}

std::string type_name(const testing::TestParamInfo<GemmType>& info) {
  static constexpr const char* kNames[] = {"f32", "f64", "c64", "bf16", "f16"};
  return kNames[static_cast<int>(info.param)];
}
constexpr GemmType kTypes[] = {GemmType::kF32, GemmType::kF64, GemmType::kC64, GemmType::kBF16,
                               GemmType::kF16};
INSTANTIATE_TEST_SUITE_P(Types, GemmTest, testing::ValuesIn(kTypes), type_name);

/// Restores the CPU's own target at the end.
class ScopedTarget {
 public:
  explicit ScopedTarget(int64_t target) { choose(target); }
  ~ScopedTarget() { choose(0); }
  static bool available(int64_t target) { return (hwy::SupportedTargets() & target) != 0; }

 private:
  static void choose(int64_t target) {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
};

TEST(GemmTargetTest, avx2_and_avx512_give_the_same_bits) {
  if (!ScopedTarget::available(HWY_AVX3)) GTEST_SKIP() << "this CPU has no AVX-512";
  std::mt19937 rng(7);
  for (GemmType type : kTypes) {
    if (type == GemmType::kBF16) continue;  // vdpbf16ps rounds in its own way
    Matrix a(type, 61, 500, Layout::kRowMajor), b(type, 500, 83, Layout::kColumnMajor);
    a.randomise(rng);
    b.randomise(rng);
    const Bytes avx512 = product(type, a.view(), b.view());
    const Bytes thin = product(type, a.view(0, 2, 0, 500), b.view());
    const ScopedTarget avx2(HWY_AVX2);
    EXPECT_EQ(product(type, a.view(), b.view()), avx512) << static_cast<int>(type);
    EXPECT_EQ(product(type, a.view(0, 2, 0, 500), b.view()), thin) << static_cast<int>(type);
  }
}

TEST(GemmTargetTest, the_baseline_target_is_stable_under_cuts) {
  const ScopedTarget sse4(HWY_SSE4);
  std::mt19937 rng(7);
  for (GemmType type : kTypes) {
    Matrix a(type, 61, 500, Layout::kRowMajor), b(type, 500, 83, Layout::kColumnMajor);
    a.randomise(rng);
    b.randomise(rng);
    const Bytes whole = product(type, a.view(), b.view());
    for (int64_t i = 0; i < 61; i += 7) {
      const Bytes row = product(type, a.view(i, i + 1, 0, 500), b.view());
      EXPECT_TRUE(std::equal(row.begin(), row.end(),
                             whole.begin() + i * 83 * static_cast<int64_t>(element_size(type))));
    }
  }
}

/// float32 to the nearest bfloat16, ties to even, from the definition.
uint16_t nearest_bf16(float x) {
  if (std::isnan(x)) return 0x7FC0;
  const uint32_t bits = std::bit_cast<uint32_t>(x), rest = bits & 0xFFFF;
  const uint32_t low = bits >> 16;
  return static_cast<uint16_t>(low + (rest > 0x8000 || (rest == 0x8000 && (low & 1))));
}
uint16_t nearest_f16(float x) {
  return std::isnan(x) ? 0x7E00 : std::bit_cast<uint16_t>(static_cast<_Float16>(x));
}

/// Outer products of every kind of value: exact in float32, so that only the last rounding shows.
void expect_nearest(GemmType type, uint16_t (*nearest)(float), bool keep_denormals) {
  const int64_t m = 256, n = 300;
  Matrix a(type, m, 1, Layout::kRowMajor), b(type, 1, n, Layout::kRowMajor);
  std::mt19937 rng(3);
  for (int64_t i = 0; i < m; ++i) put_as(a.at(i, 0), static_cast<uint16_t>(rng()));
  for (int64_t j = 0; j < n; ++j) put_as(b.at(0, j), static_cast<uint16_t>(rng()));
  const Bytes c = product(type, a.view(), b.view());
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      const auto x = static_cast<float>(get(type, a.at(i, 0)).real());
      const auto y = static_cast<float>(get(type, b.at(0, j)).real());
      const auto subnormal = [](float v) { return std::fpclassify(v) == FP_SUBNORMAL; };
      if (!keep_denormals && (subnormal(x) || subnormal(y) || subnormal(x * y))) continue;
      if (x * y == 0 && x != 0 && y != 0) continue;  // the zero's sign is per target
      const float sum = std::fma(x, y, 0.0f);        // the chain starts from +0
      ASSERT_EQ(get_as<uint16_t>(c.data() + (i * n + j) * 2), nearest(sum)) << x << " * " << y;
    }
  }
}

TEST(GemmHalfTest, sums_are_rounded_to_nearest_even_on_every_target) {
  for (int64_t target : {int64_t{HWY_SSE4}, int64_t{HWY_AVX2}, int64_t{HWY_AVX3}}) {
    if (!ScopedTarget::available(target)) continue;
    const ScopedTarget scoped(target);
    expect_nearest(GemmType::kF16, &nearest_f16, true);
    expect_nearest(GemmType::kBF16, &nearest_bf16, target != HWY_AVX3);
  }
}

}  // namespace
}  // namespace plimsoll::cpu::gemm_test
