#include "plan/schedule.h"

#include "plan/build.h"
#include "plimsoll/ops/linalg.h"
#include "tests/unit/plan/graphs.h"

namespace plimsoll::plan {
namespace {

constexpr Bytes kSquare = 64 * 64 * 4;

struct DefaultSchedule : testing::Test {
  Plan scheduled(const std::vector<array>& targets) {
    Plan plan = Builder(planning.backend, planning.context.pool()).build(targets);
    schedule_default(plan, planning.context.pool());
    return plan;
  }
  /// Of what a function returns: nobody holds what it made on the way.
  template <typename F>
  Plan scheduled(F make) {
    return scheduled(std::vector<array>{make()});
  }
  array data(int64_t rows = 64) { return planning.existing({rows, 64}); }
  array held() {
    planning.held.push_back(data());
    return planning.held.back();
  }
  Planning planning;
};

std::string kinds(const Plan& plan) {
  std::string text;
  for (const Action& a : plan.actions) text += "rlwdgfa"[static_cast<int>(a.kind)];
  return text;
}

TEST_F(DefaultSchedule, a_step_takes_its_outputs_and_scratch_beside_its_inputs) {
  Plan plan = scheduled({matmul(held(), held())});
  EXPECT_EQ(plan.peak, 3 * kSquare + plan.steps[0].scratch);
  EXPECT_EQ(plan.peak_unit, 0u);
  EXPECT_GT(plan.steps[0].scratch, 0u);
}

TEST_F(DefaultSchedule, a_result_in_place_of_its_input_takes_nothing) {
  EXPECT_EQ(scheduled([&] { return exp(data()); }).peak, kSquare);
  EXPECT_EQ(scheduled({exp(held())}).peak, 2 * kSquare);
}

TEST_F(DefaultSchedule, values_are_freed_at_once_after_their_last_use) {
  array y = sort(held(), -1);
  array z = sort(matmul(y, y), -1);
  y = array();
  Plan plan = scheduled({z});
  EXPECT_EQ(kinds(plan), "rrfrf");
  EXPECT_EQ(plan.actions[2].id, plan.outputs(plan.steps[0])[0].value);
}

TEST_F(DefaultSchedule, results_that_nobody_reads_are_freed_at_once) {
  std::vector<array> both = linalg::eigh(data());
  array vectors = both[1];
  both.clear();
  Plan plan = scheduled({vectors});
  ASSERT_EQ(plan.steps.size(), 1u);
  EXPECT_EQ(kinds(plan), "rff");  // the input, and the eigenvalues
}

TEST_F(DefaultSchedule, what_is_spilled_comes_in_before_its_first_reader) {
  array a = held(), b = held();
  const memory::BufferRef& buffer = b.node()->storage->buffer;
  memory::Ticket ticket = planning.context.store().write(buffer, buffer->all());
  planning.context.store().wait(ticket);
  ASSERT_EQ(buffer->evict(buffer->all()), kSquare);
  Plan plan = scheduled([&] { return matmul(sort(a, -1), b); });
  EXPECT_EQ(kinds(plan), "rlrf");
  EXPECT_EQ(plan.loaded, kSquare);
  EXPECT_EQ(plan.values[plan.actions[1].id].buffer, buffer.get());
}

TEST_F(DefaultSchedule, small_values_are_counted_by_slabs) {
  Plan plan = scheduled([&] { return exp(planning.existing({16})); });
  const memory::BlockShape shape = planning.context.pool().shape_of(64);
  EXPECT_EQ(plan.slabs, shape.slab_bytes);
  EXPECT_EQ(plan.peak, shape.slab_bytes);
}

TEST(SlabCount, a_slab_is_counted_when_it_is_taken_and_kept) {
  Planning planning;
  const memory::Pool& pool = planning.context.pool();
  const memory::BlockShape shape = pool.shape_of(64);
  const Value small{.nbytes = 64, .bytes = shape.bytes, .small = true};
  const Value larger{.nbytes = 1024, .bytes = pool.shape_of(1024).bytes, .small = true};
  SlabCount count;
  for (uint32_t i = 0; i < shape.slab_blocks; ++i) count.add(small, pool);
  EXPECT_EQ(count.bytes(), shape.slab_bytes);
  count.add(small, pool);
  EXPECT_EQ(count.bytes(), 2 * shape.slab_bytes);
  count.remove(small);
  count.remove(small);
  count.add(small, pool);
  count.add(small, pool);
  EXPECT_EQ(count.bytes(), 2 * shape.slab_bytes);
  count.add(larger, pool);
  EXPECT_EQ(count.bytes(), 2 * shape.slab_bytes + pool.shape_of(1024).slab_bytes);
  EXPECT_EQ(count.count(), 3u);
}

TEST_F(DefaultSchedule, time_is_that_of_memory_or_of_arithmetic) {
  Costs costs{.memory_bandwidth = 1e9, .flops = 1e9, .step_overhead = 1};
  Step step;
  step.traffic = 2'000'000'000;
  step.flops = 3e9;
  EXPECT_DOUBLE_EQ(step_seconds(step, costs), 4);
  step.elementwise = true;
  EXPECT_DOUBLE_EQ(step_seconds(step, costs), 3);
}

TEST_F(DefaultSchedule, steps_are_described_by_their_largest_result) {
  Plan plan = scheduled({matmul(data(128), held()), exp(negative(held()))});
  EXPECT_EQ(describe(plan, plan.steps[0]), "matmul float32[128, 64]");
  EXPECT_EQ(describe(plan, plan.steps[1]), "exp (+1 fused) float32[64, 64]");
}

}  // namespace
}  // namespace plimsoll::plan
