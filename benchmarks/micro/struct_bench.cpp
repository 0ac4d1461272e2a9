// Milliseconds of the structured CPU kernels on two threads, into resident buffers.
#include <benchmark/benchmark.h>
#include <oneapi/tbb/task_arena.h>

#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "backends/cpu/kernels/attention.h"
#include "backends/cpu/kernels/gather.h"
#include "backends/cpu/kernels/matmul.h"
#include "backends/cpu/kernels/scatter.h"
#include "backends/cpu/kernels/sort.h"
#include "opset/attention.h"
#include "opset/gather.h"
#include "opset/scatter.h"
#include "opset/sort.h"

namespace plimsoll {
namespace {

const device::KernelTable& table() {
  static const device::KernelTable* kTable = [] {
    auto* t = new device::KernelTable;
    cpu::add_gather_kernels(*t);
    cpu::add_scatter_kernels(*t);
    cpu::add_sort_kernels(*t);
    cpu::add_matmul_kernels(*t);
    cpu::add_attention_kernels(*t);
    return t;
  }();
  return *kTable;
}

struct AlignedDelete {
  void operator()(std::byte* p) const { ::operator delete (p, std::align_val_t{64}); }
};

class Operand {
 public:
  Operand(Dtype dtype, const Shape& shape)
      : spec_{dtype, shape}, data_(allocate(num_elements(shape) * size_of(dtype))) {}
  static std::unique_ptr<std::byte, AlignedDelete> allocate(size_t n) {
    auto* p = static_cast<std::byte*>(::operator new (n + 64, std::align_val_t{64}));
    std::memset(p, 0, n + 64);
    return std::unique_ptr<std::byte, AlignedDelete>(p);
  }
  static Operand normal(const Shape& shape, uint32_t seed = 1) {
    Operand o(Dtype::kFloat32, shape);
    std::mt19937 rng(seed);
    std::normal_distribution<float> value;
    for (int64_t i = 0; i < num_elements(shape); ++i)
      reinterpret_cast<float*>(o.data_.get())[i] = value(rng);
    return o;
  }
  static Operand indices(int64_t n, uint32_t below) {
    Operand o(Dtype::kUint32, {n});
    std::mt19937 rng(7);
    for (int64_t i = 0; i < n; ++i)
      reinterpret_cast<uint32_t*>(o.data_.get())[i] = static_cast<uint32_t>(rng()) % below;
    return o;
  }
  device::Tensor tensor() const {
    return {data_.get(), spec_.dtype, spec_.shape, row_major(spec_.shape)};
  }
  const TensorSpec& spec() const { return spec_; }

 private:
  TensorSpec spec_;
  std::unique_ptr<std::byte, AlignedDelete> data_;
};

void time_op(benchmark::State& state, const char* op, const std::vector<Operand>& inputs,
             const std::vector<Operand>& outputs, const AttrBase* attrs) {
  std::vector<device::Tensor> in, out;
  std::vector<TensorSpec> in_specs, out_specs;
  for (const Operand& o : inputs) in.push_back(o.tensor()), in_specs.push_back(o.spec());
  for (const Operand& o : outputs) out.push_back(o.tensor()), out_specs.push_back(o.spec());
  const device::KernelRow* row = table().find(op, in_specs[0].dtype);
  const size_t bytes = row->workspace ? row->workspace({in_specs, out_specs, attrs}) : 0;
  const auto work = Operand::allocate(bytes);
  tbb::task_arena arena(2);
  for (auto _ : state)
    arena.execute([&] { row->run({in, out, {work.get(), bytes}, {}, attrs, {}}); });
  state.counters["workspace_MB"] = static_cast<double>(bytes) / 1e6;
}

void take_million_rows(benchmark::State& state) {
  const int64_t width = state.range(0);
  std::vector<Operand> in, out;
  in.push_back(Operand::normal({50000, width}));
  in.push_back(Operand::indices(1 << 20, 50000));
  out.emplace_back(Dtype::kFloat32, Shape{1 << 20, width});
  const TakeAttrs attrs(0);
  time_op(state, "take", in, out, &attrs);
}

void scatter_add_million(benchmark::State& state) {
  const int64_t width = state.range(0);
  std::vector<Operand> in, out;
  in.push_back(Operand::normal({50000, width}));
  in.push_back(Operand::indices(1 << 20, 50000));
  in.push_back(Operand::normal({1 << 20, width}));
  out.emplace_back(Dtype::kFloat32, Shape{50000, width});
  const ScatterAttrs attrs(0);
  time_op(state, "scatter_add", in, out, &attrs);
}

void sort_four_million(benchmark::State& state, const char* op) {
  std::vector<Operand> in, out;
  in.push_back(Operand::normal({4 << 20}));
  out.emplace_back(op == std::string("sort") ? Dtype::kFloat32 : Dtype::kUint32, Shape{4 << 20});
  const SortAttrs attrs(0);
  time_op(state, op, in, out, &attrs);
}

void sdpa(benchmark::State& state, bool gradient) {
  const int64_t heads = state.range(0), length = state.range(1), dim = 64;
  const Shape shape{1, heads, length, dim}, rows{1, heads, length};
  std::vector<Operand> in, out;
  for (uint32_t i = 0; i < 3; ++i) in.push_back(Operand::normal(shape, i));
  const SdpaAttrs attrs(0.125f, true, false);
  std::vector<Operand> forward;
  forward.emplace_back(Dtype::kFloat32, shape);
  forward.emplace_back(Dtype::kFloat32, rows);
  if (!gradient) return time_op(state, "sdpa", in, forward, &attrs);
  for (Operand& o : forward) in.push_back(std::move(o));  // values do not change the time
  in.push_back(Operand::normal(shape, 4));
  for (int i = 0; i < 3; ++i) out.emplace_back(Dtype::kFloat32, shape);
  time_op(state, "sdpa_vjp", in, out, &attrs);
}

void matmul(benchmark::State& state) {
  const int64_t n = state.range(0);
  std::vector<Operand> in, out;
  in.push_back(Operand::normal({n, n}));
  in.push_back(Operand::normal({n, n}));
  out.emplace_back(Dtype::kFloat32, Shape{n, n});
  time_op(state, "matmul", in, out, nullptr);
}

BENCHMARK(take_million_rows)->Arg(1)->Arg(64)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(scatter_add_million)->Arg(1)->Arg(64)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK_CAPTURE(sort_four_million, sort, "sort")->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK_CAPTURE(sort_four_million, argsort, "argsort")
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();
BENCHMARK_CAPTURE(sdpa, causal, false)
    ->Args({16, 1024})
    ->Args({4, 256})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();
BENCHMARK_CAPTURE(sdpa, causal_vjp, true)
    ->Args({16, 1024})
    ->Args({4, 256})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();
BENCHMARK(matmul)->Arg(1024)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace plimsoll

BENCHMARK_MAIN();
