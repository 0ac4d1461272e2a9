// Nanoseconds a node of planning (and of throwing the plan away), when all fits and under a
// limit, by the number of nodes.
//
//   chrt -f 1 build/release/benchmarks/plimsoll_plan_bench --benchmark_repetitions=5
#include <benchmark/benchmark.h>

#include <vector>

#include "plan/planner.h"
#include "plimsoll/ops/binary.h"
#include "plimsoll/ops/matmul.h"
#include "plimsoll/ops/reduce.h"
#include "plimsoll/ops/softmax.h"
#include "plimsoll/ops/sort.h"
#include "plimsoll/ops/unary.h"
#include "plimsoll/ops/view.h"
#include "plimsoll/transforms.h"
#include "runtime/context.h"

namespace plimsoll::plan {
namespace {

constexpr Bytes kPlenty = Bytes{1} << 40;

struct Machine {
  Machine()
      : context([] {
          runtime::ContextOptions options;
          options.limit = kPlenty;
          options.threads = 1;
          options.pool.slab_threshold = 4 * kKiB;  // small arrays that can be evicted
          options.pool.extent_bytes = 4 * kKiB;
          return options;
        }()),
        planner(context.backend(), context.pool(), Costs{}, {}) {}
  array data(const Shape& shape) {
    Bytes bytes = static_cast<Bytes>(num_elements(shape)) * sizeof(float);
    held.push_back(graph::from_storage(
        {*context.pool().try_make_resident(bytes), {0, row_major(shape)}}, shape, Dtype::kFloat32));
    return held.back();
  }
  runtime::Context context;
  Planner planner;
  std::vector<array> held;
};

constexpr int64_t kSide = 48;

// A training step: blocks of attention-like products, a normalisation and a gated layer, and the
// gradients of their weights.
std::vector<array> training(Machine& m, size_t nodes) {
  array x = m.data({kSide, kSide});
  auto block = [](array h, const array& w, const array& v) {
    array centred = subtract(h, mean(h, Dims{-1}, true));
    array normal = multiply(centred, rsqrt(add(mean(square(centred), Dims{-1}, true), 1e-5f)));
    array scores = softmax(matmul(matmul(normal, w), transpose(normal)), Dims{-1});
    h = add(h, matmul(scores, normal));
    array gate = matmul(h, v);
    return add(h, multiply(gate, sigmoid(gate)));
  };
  // A block has 73 nodes with its gradient.
  const size_t blocks = std::max<size_t>(1, nodes / 73);
  Arrays weights;
  for (size_t i = 0; i < 2 * blocks; ++i) weights.push_back(m.data({kSide, kSide}));
  auto loss = [&](const Arrays& w) -> Arrays {
    array h = x;
    for (size_t i = 0; i < blocks; ++i) h = block(h, w[2 * i], w[2 * i + 1]);
    return {sum(square(h))};
  };
  auto [value, gradients] = value_and_grad(loss, weights);
  value.insert(value.end(), gradients.begin(), gradients.end());
  return value;
}

// Elementwise chains that are read at their ends only: all of it fuses.
std::vector<array> chains(Machine& m, size_t nodes) {
  array x = m.data({kSide, kSide});
  std::vector<array> ends;
  for (size_t made = 0; made < nodes; made += 133) {
    array y = multiply(x, static_cast<float>(made));
    for (int i = 0; i < 44; ++i) y = tanh(add(multiply(y, x), 0.5f));
    ends.push_back(y);
  }
  return ends;
}

// Nothing fuses: every node is a step.
std::vector<array> kernels(Machine& m, size_t nodes) {
  array x = m.data({kSide, kSide});
  std::vector<array> recent(8, x);
  for (size_t i = 0; i < nodes; ++i) {
    array& y = recent[i % recent.size()];
    y = i % 2 ? matmul(y, recent[(i + 3) % recent.size()]) : sort(y, -1);
  }
  return recent;
}

// Each product alone is more than the limit.
std::vector<array> products(Machine& m, size_t nodes) {
  array x = m.data({kSide, kSide});
  for (size_t made = 0; made < nodes; made += 2) x = tanh(matmul(x, x));
  return {x};
}

using Make = std::vector<array> (*)(Machine&, size_t);

void plan_at(benchmark::State& state, Make make, double share, bool again = false) {
  Machine m;
  std::vector<array> outputs = make(m, static_cast<size_t>(state.range(0)));
  Plan whole = m.planner.dry_run(outputs, kPlenty);
  Bytes limit = kPlenty;
  if (share < 1)
    limit = whole.floor +
            static_cast<Bytes>(share * static_cast<double>(whole.unlimited_peak - whole.floor));
  size_t nodes = 0;
  std::string stage;
  for (auto _ : state) {
    if (!again) m.planner.forget_plans();
    Plan plan = m.planner.plan(outputs, limit);
    nodes = plan.nodes;
    stage = plan.stage;
  }
  state.SetLabel(stage);
  state.counters["a_node"] =
      benchmark::Counter(static_cast<double>(nodes), benchmark::Counter::kIsIterationInvariantRate |
                                                         benchmark::Counter::kInvert);
  state.counters["nodes"] = static_cast<double>(nodes);
}

void sizes(benchmark::internal::Benchmark* b) {
  for (int64_t n : {1'000, 10'000, 100'000}) b->Arg(n);
  b->Unit(benchmark::kMicrosecond);
}

BENCHMARK_CAPTURE(plan_at, training_fits, training, 1.0)->Apply(sizes);
BENCHMARK_CAPTURE(plan_at, chains_fits, chains, 1.0)->Apply(sizes);
BENCHMARK_CAPTURE(plan_at, kernels_fits, kernels, 1.0)->Apply(sizes);
BENCHMARK_CAPTURE(plan_at, training_half, training, 0.5)->Apply(sizes);
BENCHMARK_CAPTURE(plan_at, training_half_again, training, 0.5, true)->Apply(sizes);
BENCHMARK_CAPTURE(plan_at, kernels_fifth, kernels, 0.2)->Apply(sizes);
BENCHMARK_CAPTURE(plan_at, training_least, training, 0.002)->Apply(sizes);
BENCHMARK_CAPTURE(plan_at, products_tiled, products, 0.3)->Apply(sizes);
BENCHMARK_CAPTURE(plan_at, products_tiled_again, products, 0.3, true)->Apply(sizes);

}  // namespace
}  // namespace plimsoll::plan

BENCHMARK_MAIN();
