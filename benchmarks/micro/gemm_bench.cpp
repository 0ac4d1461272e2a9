// GFLOP/s of matrix products on warm operands: plimsoll_gemm_bench [threads] [runs] [type] [m].
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>

#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

#include "backends/cpu/gemm.h"

namespace plimsoll::cpu {
namespace {

struct Case {
  int64_t m, n, k;
  bool a_transposed, b_transposed;
};
constexpr Case kCases[] = {
    {512, 512, 512, false, false},    {1024, 1024, 1024, false, false},
    {2048, 2048, 2048, false, false}, {4096, 4096, 4096, false, false},
    {2048, 256, 1024, false, true},   {2048, 1024, 256, false, true},
    {1024, 256, 2048, true, false},   {256, 1024, 2048, true, false},
    {8192, 1, 8192, false, false},    {1, 8192, 8192, false, false},
    {4, 8192, 8192, false, false},    {8192, 4, 8192, false, false},
    {8192, 16, 8192, false, false},   {8192, 64, 2048, false, false},
};

struct Type {
  const char* name;
  GemmType type;
  int64_t bytes;
};
constexpr Type kTypes[] = {{"f32", GemmType::kF32, 4},
                           {"f64", GemmType::kF64, 8},
                           {"bf16", GemmType::kBF16, 2},
                           {"f16", GemmType::kF16, 2}};

/// Memory on huge pages, as the pool's large buffers are.
class Memory {
 public:
  explicit Memory(size_t bytes) : size_((bytes + kPage - 1) / kPage * kPage) {
    data_ = static_cast<std::byte*>(std::aligned_alloc(kPage, size_));
    madvise(data_, size_, MADV_HUGEPAGE);
    std::memset(data_, 0, size_);
  }
  ~Memory() { std::free(data_); }
  Memory(const Memory&) = delete;
  std::byte* data() const { return data_; }
  std::span<std::byte> span() const { return {data_, size_}; }

 private:
  static constexpr size_t kPage = 2 << 20;
  size_t size_;
  std::byte* data_;
};

/// Values around 1, so that no sum leaves the type's range.
void fill(const Type& t, int64_t n, std::byte* data) {
  for (int64_t i = 0; i < n; ++i) {
    const double x = 1 + static_cast<double>(i * 7919 % 1009) / 2048;
    const float f = static_cast<float>(x);
    if (t.type == GemmType::kF64) std::memcpy(&data[i * 8], &x, 8);
    if (t.type == GemmType::kF32) std::memcpy(&data[i * 4], &f, 4);
    if (t.type == GemmType::kBF16)
      std::memcpy(&data[i * 2], reinterpret_cast<const char*>(&f) + 2, 2);
    if (t.type == GemmType::kF16) {
      const auto h = static_cast<_Float16>(f);
      std::memcpy(&data[i * 2], &h, 2);
    }
  }
}

void time_case(const Type& t, const Case& c, int threads, int runs) {
  const Memory a(c.m * c.k * t.bytes), b(c.k * c.n * t.bytes), out(c.m * c.n * t.bytes);
  const Memory work(gemm_workspace(t.type, c.m, c.n, c.k, threads));
  fill(t, c.m * c.k, a.data());
  fill(t, c.k * c.n, b.data());
  const GemmArgs args{.type = t.type,
                      .a = {a.data(), c.m, c.k, c.a_transposed ? 1 : c.k, c.a_transposed ? c.m : 1},
                      .b = {b.data(), c.k, c.n, c.b_transposed ? 1 : c.n, c.b_transposed ? c.k : 1},
                      .c = out.data(),
                      .c_row_stride = c.n,
                      .workspace = work.span()};
  std::vector<double> ms;
  tbb::task_arena arena(threads);
  for (int i = 0; i < runs + 1; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    arena.execute([&] { gemm(args); });
    const std::chrono::duration<double, std::milli> t = std::chrono::steady_clock::now() - begin;
    if (i) ms.push_back(t.count());
  }
  std::sort(ms.begin(), ms.end());
  const double flop = 2e-6 * static_cast<double>(c.m * c.n * c.k), median = ms[ms.size() / 2];
  std::printf("%-5s %5ld x %5ld x %5ld %s%s %9.3f ms %8.1f GFLOP/s (best %.1f) %6.1f GB/s\n",
              t.name, c.m, c.n, c.k, c.a_transposed ? "T" : "N", c.b_transposed ? "T" : "N", median,
              flop / median, flop / ms[0],
              1e-6 * static_cast<double>((c.m * c.k + c.k * c.n + c.m * c.n) * t.bytes) / median);
}

}  // namespace
}  // namespace plimsoll::cpu

int main(int argc, char** argv) {
  using namespace plimsoll::cpu;
  const int threads = argc > 1 ? std::atoi(argv[1]) : 2, runs = argc > 2 ? std::atoi(argv[2]) : 9;
  const std::string_view only = argc > 3 ? argv[3] : "";
  const int64_t size = argc > 4 ? std::atol(argv[4]) : 0;
  for (const Type& t : kTypes)
    if (only.empty() || only == t.name)
      for (const Case& c : kCases)
        if (size == 0 || c.m == size) time_case(t, c, threads, runs);
}
