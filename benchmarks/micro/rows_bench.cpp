// Row kernels: reductions, argmax, scans, softmax, norms. bytes_per_second counts each operand
// once.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "backends/cpu/kernels/arg_reduce.h"
#include "backends/cpu/kernels/norm.h"
#include "backends/cpu/kernels/reduce.h"
#include "backends/cpu/kernels/scan.h"
#include "backends/cpu/kernels/softmax.h"
#include "opset/arg_reduce.h"
#include "opset/norm.h"
#include "opset/reduce.h"
#include "opset/scan.h"
#include "opset/softmax.h"

namespace {
using namespace plimsoll;

struct Block {
  explicit Block(size_t bytes) : size(std::max<size_t>(bytes, 64)) {
    data = std::aligned_alloc(1 << 21, (size + (2 << 20)) >> 21 << 21);
    std::memset(data, 0, size);
  }
  ~Block() { std::free(data); }
  Block(const Block&) = delete;
  size_t size;
  void* data;
};

class Bench {
 public:
  Bench() {
    cpu::add_reduce_kernels(table_);
    cpu::add_arg_reduce_kernels(table_);
    cpu::add_scan_kernels(table_);
    cpu::add_softmax_kernels(table_);
    cpu::add_norm_kernels(table_);
  }

  template <class A>
  void run(const char* op, const A& attrs, std::vector<TensorSpec> in, std::vector<TensorSpec> out,
           const char* note) {
    const device::KernelRow* row = table_.find(op, in[0].dtype);
    benchmark::RegisterBenchmark(
        (std::string("rows/") + op + "/" + note).c_str(),
        [=](benchmark::State& state) { measure(state, *row, attrs, in, out); })
        ->UseRealTime();
  }

 private:
  static void measure(benchmark::State& state, const device::KernelRow& row, const AttrBase& attrs,
                      const std::vector<TensorSpec>& in, const std::vector<TensorSpec>& out) {
    std::vector<std::unique_ptr<Block>> blocks;
    int64_t bytes = 0;
    const auto tensors = [&](const std::vector<TensorSpec>& specs) {
      std::vector<device::Tensor> t;
      for (const TensorSpec& s : specs) {
        const int64_t n = num_elements(s.shape);
        blocks.push_back(std::make_unique<Block>(n * size_of(s.dtype)));
        bytes += n * static_cast<int64_t>(size_of(s.dtype));
        if (s.dtype == Dtype::kFloat32)
          for (int64_t i = 0; i < n; ++i)
            static_cast<float*>(blocks.back()->data)[i] =
                static_cast<float>((i * 2654435761u >> 8) % 65536) / 16384 - 2;
        t.push_back({blocks.back()->data, s.dtype, s.shape, row_major(s.shape)});
      }
      return t;
    };
    const auto it = tensors(in), ot = tensors(out);
    const OpInstance instance{in, out, &attrs};
    const size_t need = row.workspace ? row.workspace(instance) : 0;
    Block scratch(need);
    const device::KernelArgs args{it, ot,     {static_cast<std::byte*>(scratch.data), need},
                                  {}, &attrs, {}};
    for (auto _ : state) row.run(args);
    state.SetBytesProcessed(state.iterations() * bytes);
  }

  device::KernelTable table_;
};

void run_all(Bench& b) {
  const Dtype f = Dtype::kFloat32;
  const Shape big = {4096, 8192};
  const auto reduce = [&](const char* op, Shape s, Dims axes, const char* note, Dtype t, Dtype o) {
    const ReduceAttrs attrs(axes, false);
    b.run(op, attrs, {{t, s}}, {{o, reduce_shape(s, attrs)}}, note);
  };
  reduce("sum", {16}, {0}, "16", f, f);
  reduce("sum", {1000}, {0}, "1000", f, f);
  reduce("sum", big, {0, 1}, "4096x8192 all", f, f);
  reduce("sum", big, {0}, "4096x8192 axis 0", f, f);
  reduce("sum", big, {1}, "4096x8192 axis 1", f, f);
  reduce("sum", {256, 512, 256}, {1}, "256x512x256 axis 1", f, f);
  reduce("sum", {1000000, 16}, {1}, "1000000x16 axis 1", f, f);
  reduce("sum", {1000000, 16}, {0}, "1000000x16 axis 0", f, f);
  reduce("sum", {64, 64, 64, 64}, {0, 2, 3}, "64^4 axes 0 2 3", f, f);
  reduce("sum", big, {0, 1}, "4096x8192 all bfloat16", Dtype::kBfloat16, Dtype::kBfloat16);
  reduce("sum", big, {0, 1}, "4096x8192 all int8", Dtype::kInt8, Dtype::kInt32);
  reduce("max", big, {0, 1}, "4096x8192 all", f, f);
  reduce("max", big, {0}, "4096x8192 axis 0", f, f);
  reduce("any", big, {0, 1}, "4096x8192 all", f, Dtype::kBool);
  reduce("logsumexp", big, {1}, "4096x8192 axis 1", f, f);
  reduce("logsumexp", big, {0}, "4096x8192 axis 0", f, f);
  const auto arg = [&](Shape s, int axis, const char* note) {
    Shape out = s;
    out.erase(out.begin() + axis);
    b.run("argmax", ArgReduceAttrs(axis, false), {{f, s}}, {{Dtype::kUint32, out}}, note);
  };
  arg({4096 * 8192}, 0, "33554432");
  arg(big, 1, "4096x8192 axis 1");
  arg(big, 0, "4096x8192 axis 0");
  const auto scan = [&](const char* op, Shape s, int axis, const char* note) {
    b.run(op, ScanAttrs(axis, false, true), {{f, s}}, {{f, s}}, note);
  };
  scan("cumsum", {4096 * 8192}, 0, "33554432");
  scan("cumsum", big, 1, "4096x8192 axis 1");
  scan("cumsum", big, 0, "4096x8192 axis 0");
  scan("cummax", big, 1, "4096x8192 axis 1");
  scan("logcumsumexp", {1024, 8192}, 1, "1024x8192 axis 1");
  b.run("softmax", SoftmaxAttrs(false), {{f, big}}, {{f, big}}, "4096x8192");
  b.run("softmax", SoftmaxAttrs(false), {{f, {65536, 64}}}, {{f, {65536, 64}}}, "65536x64");
  b.run("softmax", SoftmaxAttrs(false), {{f, {8 << 20}}}, {{f, {8 << 20}}}, "8388608");
  b.run("softmax_vjp", SoftmaxAttrs(false), {{f, big}, {f, big}}, {{f, big}}, "4096x8192");
  const Shape n = {8192};
  const TensorSpec x{f, big}, w{f, n};
  b.run("layer_norm", NormAttrs(1e-5f, true, true), {x, w, w}, {x}, "4096x8192");
  b.run("rms_norm", NormAttrs(1e-5f, true, false), {x, w}, {x}, "4096x8192");
  b.run("layer_norm_vjp", NormAttrs(1e-5f, true, true), {x, w, x}, {x, w, w}, "4096x8192");
  b.run("rms_norm_vjp", NormAttrs(1e-5f, true, false), {x, w, x}, {x, w}, "4096x8192");
}

const int registered = [] {
  static Bench bench;
  run_all(bench);
  return 0;
}();

}  // namespace

BENCHMARK_MAIN();
