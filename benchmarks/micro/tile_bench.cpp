// Times tile programs over large and tiny arrays. Buffers are on huge pages and touched before.
//   tile_bench [threads] [repeats]     prints the median and the best milliseconds of each case
#include <sys/mman.h>
#include <tbb/global_control.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <functional>
#include <vector>

#include "backends/cpu/tile_interpreter.h"

namespace plimsoll::cpu {
namespace {

using device::Tensor;
constexpr Dtype kF32 = Dtype::kFloat32;
constexpr int64_t kElements = 16 << 20;

float* huge_buffer(int64_t elements) {
  const size_t bytes = static_cast<size_t>(elements) * sizeof(float);
  void* p =
      mmap(nullptr, bytes + (2 << 20), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) std::exit(1);
  const auto at = (reinterpret_cast<uintptr_t>(p) + (2 << 20) - 1) >> 21 << 21;
  madvise(reinterpret_cast<void*>(at), bytes, MADV_HUGEPAGE);
  std::memset(reinterpret_cast<void*>(at), 0, bytes);
  return reinterpret_cast<float*>(at);
}

Tensor tensor(float* data, const Shape& shape, const Strides& strides) {
  Tensor t;
  t.data = data, t.dtype = kF32, t.shape = shape, t.strides = strides;
  return t;
}
Tensor flat(float* data, int64_t n) { return tensor(data, {n}, {1}); }

struct Program {
  explicit Program(int inputs) : next(static_cast<uint16_t>(inputs)) {
    program.inputs.assign(inputs, kF32);
  }
  // All constants come before the first op.
  uint16_t constant(double x) {
    program.constants.push_back({kF32, x, 0, 0});
    return next++;
  }
  uint16_t op(TileOp op, std::initializer_list<uint16_t> src) {
    TileInstr in{};
    in.op = op, in.dtype = in.in_dtype = kF32, in.dst = next;
    std::copy(src.begin(), src.end(), in.src);
    program.instrs.push_back(in);
    program.outputs = {next};
    return next++;
  }
  TileProgram program;
  uint16_t next;
};

TileProgram single(TileOp op, int inputs) {
  Program p(inputs);
  inputs == 1 ? p.op(op, {0}) : p.op(op, {0, 1});
  return p.program;
}

// 0.5·x·(1 + tanh(√(2/π)·(x + 0.044715·x³))), every step an op.
TileProgram gelu() {
  Program p(1);
  const uint16_t half = p.constant(0.5), one = p.constant(1), root = p.constant(0.7978845608),
                 cubic = p.constant(0.044715);
  const uint16_t x2 = p.op(TileOp::kMultiply, {0, 0}), x3 = p.op(TileOp::kMultiply, {x2, 0});
  const uint16_t scaled = p.op(TileOp::kMultiply, {x3, cubic});
  const uint16_t inner = p.op(TileOp::kMultiply, {p.op(TileOp::kAdd, {scaled, 0}), root});
  const uint16_t gate = p.op(TileOp::kAdd, {p.op(TileOp::kTanh, {inner}), one});
  p.op(TileOp::kMultiply, {p.op(TileOp::kMultiply, {0, half}), gate});
  return p.program;
}

// Ten cheap ops over two inputs.
TileProgram chain() {
  Program p(2);
  const uint16_t c = p.constant(1.5), d = p.constant(0.25);
  uint16_t x = p.op(TileOp::kAdd, {0, 1});
  x = p.op(TileOp::kMultiply, {x, c});
  x = p.op(TileOp::kSubtract, {x, 1});
  x = p.op(TileOp::kMaximum, {x, d});
  x = p.op(TileOp::kMultiply, {x, x});
  x = p.op(TileOp::kAdd, {x, d});
  x = p.op(TileOp::kSqrt, {x});
  x = p.op(TileOp::kSubtract, {x, 0});
  x = p.op(TileOp::kMinimum, {x, c});
  p.op(TileOp::kNegative, {x});
  return p.program;
}

struct Times {
  double median, best;  // wall clock
  double cpu;           // best processor time of all threads: what a busy machine does not distort
};
Times time_ms(int repeats, const std::function<void()>& f) {
  f();
  std::vector<double> ms, cpu;
  for (int i = 0; i < repeats; ++i) {
    const std::clock_t cpu_begin = std::clock();
    const auto begin = std::chrono::steady_clock::now();
    f();
    const auto wall = std::chrono::steady_clock::now() - begin;
    ms.push_back(std::chrono::duration<double, std::milli>(wall).count());
    cpu.push_back(static_cast<double>(std::clock() - cpu_begin) * 1e3 / CLOCKS_PER_SEC);
  }
  std::sort(ms.begin(), ms.end());
  std::sort(cpu.begin(), cpu.end());
  return {ms[ms.size() / 2], ms[0], cpu[0]};
}

class Bench {
 public:
  Bench(int threads, int repeats) : threads_(threads), repeats_(repeats) {}

  void run(const char* name, const TileProgram& p, std::vector<Tensor> in, Tensor out,
           bool stream = false) {
    std::vector<std::byte> memory(program_workspace(p, threads_) + 64);
    auto* at = reinterpret_cast<std::byte*>((reinterpret_cast<uintptr_t>(memory.data()) + 63) &
                                            ~uintptr_t{63});
    const std::span<std::byte> workspace(at, memory.size() - 64);
    const std::vector<Tensor> outs{out};
    const Times t = time_ms(repeats_, [&] {
      run_program(p, in, outs, workspace, nullptr,
                  {.num_threads = threads_, .stream_outputs = stream});
    });
    double bytes = 4.0 * kElements;
    for (const Tensor& i : in) bytes += i.strides.size() == 1 || i.strides[0] ? 4.0 * kElements : 0;
    std::printf("%-22s %8.2f ms median %8.2f best %8.2f cpu %7.1f GB/s at best\n", name, t.median,
                t.best, t.cpu, bytes / t.best / 1e6);
  }

 private:
  int threads_, repeats_;
};

// Nanoseconds of a run over 16 elements.
void run_tiny() {
  alignas(64) static float a[16], b[16], r[16];
  const std::vector<Tensor> in{flat(a, 16), flat(b, 16)}, out{flat(r, 16)};
  Program longer(2);
  uint16_t x = 0;
  for (int i = 0; i < 1000; ++i) x = longer.op(TileOp::kAdd, {x, 1});
  const struct {
    const char* name;
    TileProgram program;
    int calls;
  } cases[] = {{"add of 16", single(TileOp::kAdd, 2), 1000000},
               {"1,000 adds of 16", longer.program, 1000}};
  for (const auto& c : cases) {
    std::vector<std::byte> memory(program_workspace(c.program, 1) + 64);
    auto* at = reinterpret_cast<std::byte*>((reinterpret_cast<uintptr_t>(memory.data()) + 63) &
                                            ~uintptr_t{63});
    const std::span<std::byte> workspace(at, memory.size() - 64);
    const Times t = time_ms(7, [&] {
      for (int i = 0; i < c.calls; ++i) run_program(c.program, in, out, workspace, nullptr, {});
    });
    std::printf("%-22s %8.1f ns median %8.1f best %8.1f cpu\n", c.name, t.median * 1e6 / c.calls,
                t.best * 1e6 / c.calls, t.cpu * 1e6 / c.calls);
  }
}

}  // namespace

void run_benchmarks(int threads, int repeats) {
  const tbb::global_control limit(tbb::global_control::max_allowed_parallelism, threads);
  float *a = huge_buffer(kElements), *b = huge_buffer(kElements), *r = huge_buffer(kElements);
  for (int64_t i = 0; i < kElements; ++i) {
    a[i] = static_cast<float>(i % 1999) * 0.004f - 4.0f;
    b[i] = static_cast<float>(i % 1013) * 0.002f;
  }
  Bench bench(threads, repeats);
  const Tensor x = flat(a, kElements), y = flat(b, kElements), out = flat(r, kElements);
  for (bool stream : {false, true}) {
    std::printf("-- %s stores\n", stream ? "streaming" : "ordinary");
    bench.run("add", single(TileOp::kAdd, 2), {x, y}, out, stream);
    bench.run("exp", single(TileOp::kExp, 1), {x}, out, stream);
    bench.run("erf", single(TileOp::kErf, 1), {x}, out, stream);
    bench.run("tanh", single(TileOp::kTanh, 1), {x}, out, stream);
    bench.run("sin", single(TileOp::kSin, 1), {x}, out, stream);
    bench.run("log", single(TileOp::kLog, 1), {y}, out, stream);
    bench.run("power", single(TileOp::kPower, 2), {y, x}, out, stream);
    bench.run("gelu (9 ops)", gelu(), {x}, out, stream);
    bench.run("chain (10 ops)", chain(), {x, y}, out, stream);
    const Shape square{4096, 4096};
    const Tensor rows = tensor(r, square, {4096, 1});
    bench.run("copy transposed", single(TileOp::kCopy, 1), {tensor(a, square, {1, 4096})}, rows,
              stream);
    bench.run("add row", single(TileOp::kAdd, 2),
              {tensor(a, square, {4096, 1}), tensor(b, square, {0, 1})}, rows, stream);
  }
  run_tiny();
}

}  // namespace plimsoll::cpu

int main(int argc, char** argv) {
  plimsoll::cpu::run_benchmarks(argc > 1 ? std::atoi(argv[1]) : 2,
                                argc > 2 ? std::atoi(argv[2]) : 15);
}
