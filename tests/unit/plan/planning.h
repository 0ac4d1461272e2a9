// A planner over a memory space of its own, with blocks and extents so small that small arrays
// exercise everything; and random graphs. Nothing is executed.
#pragma once

#include <gtest/gtest.h>

#include <random>

#include "graph/node.h"
#include "plan/planner.h"
#include "plan/print.h"
#include "plan/verify.h"
#include "plimsoll/ops/binary.h"
#include "plimsoll/ops/creation.h"
#include "plimsoll/ops/matmul.h"
#include "plimsoll/ops/random.h"
#include "plimsoll/ops/reduce.h"
#include "plimsoll/ops/softmax.h"
#include "plimsoll/ops/sort.h"
#include "plimsoll/ops/unary.h"
#include "plimsoll/ops/view.h"
#include "runtime/context.h"

namespace plimsoll::plan {

constexpr Bytes kPage = 4096;
constexpr Bytes kPlenty = Bytes{1} << 40;

inline runtime::ContextOptions small_blocks(Bytes extent = kPage) {
  runtime::ContextOptions options;
  options.limit = kPlenty;
  options.strict = true;
  options.threads = 1;
  options.pool.slab_threshold = kPage;
  options.pool.extent_bytes = extent;
  return options;
}

/// Costs never measured, so that plans are the same everywhere.
inline Costs fixed_costs() {
  return {.memory_bandwidth = 20e9,
          .flops = 250e9,
          .write_bandwidth = 2.5e9,
          .read_bandwidth = 2e9,
          .io_tax = 0.1e-9,
          .step_overhead = 3e-6};
}

/// The backend's kernels with scratch that depends neither on the machine's cores nor on how the
/// kernels are written. It runs nothing.
class FixedBackend final : public device::Backend {
 public:
  explicit FixedBackend(const device::Backend& real) : kernels_(real.kernels()) {
    replace("matmul", 2 * kPage);
    replace("sort", kPage);
    replace("softmax", 0);
  }
  std::string name() const override { return "fixed"; }
  const device::KernelTable& kernels() const override { return kernels_; }
  bool supports(TileOp, Dtype, Dtype) const override { return true; }
  size_t program_workspace(const TileProgram& p) const override {
    return p.instrs.size() > 1 ? kPage : 0;
  }
  void run_program(const TileProgram&, std::span<const device::Tensor>,
                   std::span<const device::Tensor>, std::span<std::byte>,
                   const TileOrigin*) override {}
  void execute(void (*work)(void*), void* context) override { work(context); }
  int num_threads() const override { return 1; }

 private:
  void replace(const char* op, Bytes workspace) {
    device::KernelRow row = *kernels_.find(op, Dtype::kFloat32);
    row.workspace = nullptr;
    if (workspace == kPage) row.workspace = [](const OpInstance&) -> size_t { return kPage; };
    if (workspace == 2 * kPage)
      row.workspace = [](const OpInstance&) -> size_t { return 2 * kPage; };
    const Dtype dtypes[] = {Dtype::kFloat32};
    kernels_.add(op, dtypes, row);
  }
  device::KernelTable kernels_;
};

/// The floor and so much of what is between it and the peak; a page below for a negative share.
inline Bytes limit_at(Planner& planner, std::span<const array> outputs, double share) {
  const Plan free = planner.dry_run(outputs, kPlenty);
  if (share < 0) return free.floor - kPage;
  auto above = static_cast<double>(free.unlimited_peak - free.floor);
  return free.floor + round_down(static_cast<Bytes>(share * above), kPage);
}

struct Planning {
  explicit Planning(Pressure pressure = {}, Bytes extent = kPage)
      : Planning(small_blocks(extent), pressure) {}
  explicit Planning(const runtime::ContextOptions& options, Pressure pressure = {})
      : context(options),
        backend(context.backend()),
        planner(backend, context.pool(), fixed_costs(), pressure) {}

  runtime::Context context;
  FixedBackend backend;
  Planner planner;
  uint32_t state = 1;
  std::vector<array> held;  // by somebody outside of the graph
  std::vector<memory::ExportPin> exports;

  /// An array with data: float32 bits of numbers in [-1, 1) that depend on how many came before.
  array existing(const Shape& shape, Dtype dtype = Dtype::kFloat32) {
    Bytes bytes = static_cast<Bytes>(num_elements(shape)) * size_of(dtype);
    memory::BufferRef buffer = *context.pool().try_make_resident(bytes);
    auto* to = reinterpret_cast<float*>(buffer->pin().data());
    for (Bytes i = 0; i < bytes / sizeof(float); ++i, state = state * 1664525 + 1013904223)
      to[i] = static_cast<float>(static_cast<int32_t>(state)) * 0x1p-31f;
    return graph::from_storage({std::move(buffer), {0, row_major(shape)}}, shape, dtype);
  }
  Bytes limit(std::span<const array> outputs, double share) {
    return limit_at(planner, outputs, share);
  }
  /// Empty, or what is wrong and the plan.
  std::string check(const Plan& p) {
    std::string wrong = verify(p, context.pool());
    return wrong.empty() ? wrong : wrong + '\n' + print(p);
  }
};

/// Arrays of 256 bytes to 36 KiB, some with data, joined by ops of most kinds. Some are held by
/// others, some exported, some outside of the graph.
inline std::vector<array> random_graph(Planning& planning, uint64_t seed, size_t size) {
  std::mt19937_64 rng(seed);
  auto pick = [&](size_t n) { return static_cast<size_t>(rng() % n); };
  static constexpr int64_t kSides[] = {8, 32, 64, 96};
  std::vector<std::vector<array>> of(std::size(kSides));  // per side: square arrays
  for (size_t k = 0; k < of.size(); ++k) {
    Shape shape{kSides[k], kSides[k]};
    of[k].push_back(planning.existing(shape));
    if (pick(3) == 0) planning.held.push_back(of[k].back());
    if (pick(8) == 0)
      planning.exports.push_back(of[k].back().node()->storage->buffer->export_pin("a view"));
    if (pick(4) == 0) planning.held.push_back(planning.existing(shape));
    if (pick(2)) of[k].push_back(full(shape, array(1.5f), Dtype::kFloat32));
  }
  auto any = [&](size_t k) {
    return of[k][of[k].size() - 1 - pick(std::min<size_t>(of[k].size(), 6))];
  };
  for (size_t i = 0; i < size; ++i) {
    size_t k = pick(of.size());
    const Shape shape{kSides[k], kSides[k]};
    array a = any(k), b = any(k);
    switch (pick(11)) {
      case 0:
        of[k].push_back(exp(a));
        break;
      case 1:
        of[k].push_back(add(a, b));
        break;
      case 2:
        of[k].push_back(multiply(a, transpose(b)));
        break;
      case 3:
        of[k].push_back(matmul(a, b));
        break;
      case 4:
        of[k].push_back(divide(a, sum(b, Dims{1}, true)));
        break;
      case 5:
        of[k].push_back(softmax(a, Dims{-1}));
        break;
      case 6:
        of[k].push_back(sort(a, -1));
        break;
      case 7:
        of[k].push_back(matmul(transpose(a), b));
        break;
      case 8:
        of[k].push_back(divmod(a, b)[pick(2)]);
        break;
      case 9: {
        size_t other = pick(of.size());
        of[k].push_back(add(a, sum(any(other))));
        break;
      }
      default:
        of[k].push_back(subtract(a, maximum(b, a)));
        break;
    }
  }
  std::vector<array> outputs;
  for (auto& arrays : of) outputs.push_back(arrays.back());
  if (pick(2)) outputs.push_back(any(2));
  return outputs;
}

}  // namespace plimsoll::plan
