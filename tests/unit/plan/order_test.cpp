#include "plan/order.h"

#include <algorithm>
#include <numeric>

#include "plan/build.h"
#include "tests/unit/plan/graphs.h"

namespace plimsoll::plan {
namespace {

std::vector<StepId> present(const Plan& plan) {
  std::vector<StepId> order(plan.steps.size());
  std::iota(order.begin(), order.end(), 0);
  return order;
}

bool legal(const Plan& plan, const std::vector<StepId>& order) {
  std::vector<size_t> place(plan.steps.size(), order.size());
  for (size_t i = 0; i < order.size(); ++i) place[order[i]] = i;
  for (StepId s : order)
    for (const Operand& o : plan.inputs(plan.steps[s]))
      if (StepId p = plan.values[o.value].producer; p != kNone && place[p] >= place[s])
        return false;
  std::vector<StepId> sorted = order;
  std::sort(sorted.begin(), sorted.end());
  return sorted == present(plan);
}

bool reads(const Plan& plan, StepId s, ValueId v) {
  auto inputs = plan.inputs(plan.steps[s]);
  return std::any_of(inputs.begin(), inputs.end(), [v](auto& o) { return o.value == v; });
}

// Every value at every step: alive from its maker to its last reader.
Bytes slow_peak(const Plan& plan, const std::vector<StepId>& order) {
  Bytes peak = 0;
  for (const Value& v : plan.values) peak += v.producer == kNone ? v.bytes : 0;
  for (size_t now = 0; now < order.size(); ++now) {
    Bytes live = plan.steps[order[now]].scratch;
    for (ValueId id = 0; id < plan.values.size(); ++id) {
      const Value& v = plan.values[id];
      size_t made = v.producer == kNone
                        ? 0
                        : static_cast<size_t>(std::find(order.begin(), order.end(), v.producer) -
                                              order.begin());
      size_t last = v.producer == kNone ? order.size() : made;
      bool read = false;
      for (size_t i = 0; i < order.size(); ++i)
        if (reads(plan, order[i], id)) last = read ? std::max(last, i) : i, read = true;
      if (v.kept || (v.producer == kNone && !v.donatable)) last = order.size();
      if (made <= now && now <= last) live += v.bytes;
    }
    peak = std::max(peak, live);
  }
  return peak;
}

struct RandomPlan {
  explicit RandomPlan(uint64_t seed) : outputs(random_graph(planning, seed, 20 + seed % 30)) {
    plan = Builder(planning.backend, planning.context.pool()).build(outputs, {.donate = false});
  }
  Planning planning;
  std::vector<array> outputs;
  Plan plan;
};

TEST(Order, other_orders_keep_what_steps_wait_for) {
  size_t late = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    RandomPlan random(seed);
    EXPECT_TRUE(legal(random.plan, greedy_order(random.plan))) << seed;
    std::vector<StepId> order = late_order(random.plan);
    if (order.empty()) continue;
    EXPECT_TRUE(legal(random.plan, order)) << seed;
    ++late;
  }
  EXPECT_GT(late, 100u);
}

TEST(Order, peak_is_that_of_what_is_alive) {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    RandomPlan random(seed);
    for (const auto& order : {present(random.plan), greedy_order(random.plan)})
      EXPECT_EQ(peak_of(random.plan, order), slow_peak(random.plan, order)) << seed;
  }
}

TEST(Order, greedy_runs_the_last_readers_of_large_values_first) {
  Planning planning;
  array x = planning.existing({64, 64});
  std::vector<array> outputs;
  std::vector<array> large;
  for (int i = 0; i < 6; ++i) large.push_back(sort(multiply(x, static_cast<float>(i)), -1));
  for (const array& l : large) outputs.push_back(sum(l));
  for (const array& l : large) outputs.push_back(max(l));
  large.clear();
  Plan plan = Builder(planning.backend, planning.context.pool()).build(outputs);
  const Bytes one = x.nbytes();
  EXPECT_GE(peak_of(plan, present(plan)), 7 * one);
  EXPECT_LT(peak_of(plan, greedy_order(plan)), 5 * one);
}

TEST(Order, greedy_knows_who_is_the_last_reader) {
  Planning planning;
  array x = planning.existing({64, 64}), w = planning.existing({64, 96});
  std::vector<array> large, outputs;
  for (int i = 0; i < 3; ++i) large.push_back(sort(multiply(x, static_cast<float>(i)), -1));
  for (const array& l : large) outputs.push_back(sum(l));
  for (const array& l : large) outputs.push_back(matmul(l, w));
  large.clear();
  Plan plan = Builder(planning.backend, planning.context.pool()).build(outputs);
  std::vector<std::string> names;
  for (StepId s : greedy_order(plan)) names.push_back(plan.steps[s].def->name);
  // A product makes more than the next step, unless it is the last to read its input.
  std::vector<std::string> one{"multiply", "sort", "sum", "matmul"}, all;
  for (int i = 0; i < 3; ++i) all.insert(all.end(), one.begin(), one.end());
  EXPECT_EQ(names, all);
}

TEST(Order, late_makes_results_just_before_their_first_reader) {
  Planning planning;
  array x = planning.existing({64, 64});
  array early = sort(x, -1);
  array other = sort(negative(x), -1);
  for (int i = 0; i < 4; ++i) other = sort(exp(other), -1);
  std::vector<array> outputs{matmul(early, other)};
  Plan plan = Builder(planning.backend, planning.context.pool()).build(outputs);
  const StepId first = plan.values[plan.inputs(plan.steps.back())[0].value].producer;
  ASSERT_EQ(first, 0u);
  std::vector<StepId> order = late_order(plan);
  ASSERT_EQ(order.size(), plan.steps.size());
  EXPECT_EQ(order.back(), plan.steps.size() - 1);
  EXPECT_GE(std::find(order.begin(), order.end(), first) - order.begin(),
            static_cast<ptrdiff_t>(order.size()) - 3);
}

TEST(Order, applying_an_order_and_its_inverse_changes_nothing) {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    RandomPlan random(seed);
    Plan plan = random.plan;
    std::vector<StepId> order = greedy_order(plan), inverse(order.size());
    for (StepId i = 0; i < order.size(); ++i) inverse[order[i]] = i;
    apply_order(plan, order);
    for (StepId i = 0; i < order.size(); ++i) {
      EXPECT_EQ(plan.steps[i].first_input, random.plan.steps[order[i]].first_input);
      for (const Operand& o : plan.outputs(plan.steps[i]))
        EXPECT_EQ(plan.values[o.value].producer, i);
    }
    EXPECT_TRUE(legal(plan, present(plan)));
    apply_order(plan, inverse);
    for (StepId i = 0; i < order.size(); ++i)
      EXPECT_EQ(plan.steps[i].first_input, random.plan.steps[i].first_input);
  }
}

}  // namespace
}  // namespace plimsoll::plan
