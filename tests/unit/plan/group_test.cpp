#include "plan/group.h"

#include <algorithm>

#include "plan/build.h"
#include "tests/unit/plan/graphs.h"

namespace plimsoll::plan {
namespace {

struct Group : testing::Test {
  std::vector<std::shared_ptr<Nest>> group(const std::vector<array>& targets, Bytes budget) {
    outputs = targets;
    plan = Builder(planning.backend, planning.context.pool()).build(outputs);
    NestShaper shaper(plan, planning.backend, planning.context.pool());
    return group_steps(plan, shaper, budget);
  }
  std::vector<std::string> names(const Nest& nest) const {
    std::vector<std::string> out;
    for (StepId s : nest.body) out.push_back(plan.steps[s].def->name);
    return out;
  }
  array held(const Shape& shape) {
    planning.held.push_back(planning.existing(shape));
    return planning.held.back();
  }
  Planning planning;
  std::vector<array> outputs;
  Plan plan;
};

using Names = std::vector<std::string>;
constexpr Bytes kBudget = 128 * 1024;

bool in_order(const Plan& plan) {
  for (StepId s = 0; s < plan.steps.size(); ++s)
    for (const Operand& o : plan.inputs(plan.steps[s]))
      if (StepId p = plan.values[o.value].producer; p != kNone && p >= s) return false;
  return true;
}

TEST_F(Group, a_chain_over_rows_is_one_nest_and_what_it_passes_on_is_local) {
  auto nests = group(stream(planning), kBudget);
  ASSERT_EQ(nests.size(), 1u);
  const Nest& nest = *nests[0];
  EXPECT_EQ(names(nest), (Names{"matmul", "multiply", "matmul", "softmax"}));
  EXPECT_EQ(nest.local.size(), 3u);
  for (ValueId v : nest.local) EXPECT_FALSE(plan.values[v].kept);
  EXPECT_LE(nest.working_set(), kBudget);
}

TEST_F(Group, nothing_is_grouped_where_all_is_small_beside_the_budget) {
  EXPECT_TRUE(group(stream(planning), 64 * kBudget).empty());
}

TEST_F(Group, what_others_read_is_not_local) {
  array x = held({512, 32});
  array h = matmul(x, held({32, 128}));
  planning.held.push_back(h);
  auto nests = group({matmul(sigmoid(h), held({128, 32}))}, kBudget);
  ASSERT_EQ(nests.size(), 1u);
  for (ValueId v : nests[0]->local) EXPECT_FALSE(plan.values[v].kept);
  const ValueId of_h = plan.outputs(plan.steps[nests[0]->body[0]])[0].value;
  EXPECT_EQ(std::count(nests[0]->local.begin(), nests[0]->local.end(), of_h), 0);
}

TEST_F(Group, what_is_summed_over_the_turns_is_read_after_them) {
  array y = softmax(held({8192, 64}), Dims{-1});
  array total = sum(y, Dims{0});  // 64 numbers, final after the last turn
  y = array();
  auto nests = group({sort(exp(total), -1)}, 4 * kBudget);
  ASSERT_EQ(nests.size(), 1u);
  EXPECT_EQ(names(*nests[0]), (Names{"softmax", "sum"}));
  // Nor by one that reads the rows, too.
  y = softmax(held({8192, 64}), Dims{-1});
  array divided = divide(y, sum(y, Dims{0}, true));
  y = array();
  nests = group({sum(divided)}, 4 * kBudget);
  ASSERT_EQ(nests.size(), 2u);
  EXPECT_EQ(names(*nests[0]), (Names{"softmax", "sum"}));
}

TEST_F(Group, steps_that_pass_over_one_array_share_it) {
  array x = held({512, 64});
  auto nests = group({sort(x, -1), softmax(x, Dims{-1})}, kBudget / 2);
  ASSERT_EQ(nests.size(), 1u);
  EXPECT_EQ(nests[0]->body.size(), 2u);
  EXPECT_EQ(nests[0]->read, x.nbytes());
}

TEST_F(Group, a_loop_goes_through_a_reshape) {
  array h = matmul(held({512, 32}), held({32, 64}));
  array rows = softmax(reshape(h, {512, 8, 8}), Dims{-1});
  h = array();
  auto nests = group({matmul(reshape(rows, {512, 64}), held({64, 16}))}, kBudget / 2 + kPage);
  ASSERT_EQ(nests.size(), 1u);
  EXPECT_EQ(names(*nests[0]), (Names{"matmul", "softmax", "matmul"}));
}

TEST_F(Group, groups_keep_order_and_budget_and_follow_each_other) {
  size_t found = 0;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    Planning random;
    std::vector<array> targets = random_graph(random, seed, 30);
    Plan p = Builder(random.backend, random.context.pool()).build(targets);
    NestShaper shaper(p, random.backend, random.context.pool());
    const Bytes budget = 20 * kPage;
    auto nests = group_steps(p, shaper, budget);
    EXPECT_TRUE(in_order(p)) << seed;
    std::vector<bool> taken(p.steps.size(), false);
    for (auto& nest : nests) {
      ++found;
      EXPECT_LE(nest->working_set(), budget) << seed;
      ASSERT_GE(nest->body.size(), 2u);
      for (size_t i = 0; i < nest->body.size(); ++i) {
        EXPECT_EQ(nest->body[i], nest->body[0] + i);
        EXPECT_FALSE(taken[nest->body[i]]);
        taken[nest->body[i]] = true;
      }
    }
  }
  EXPECT_GT(found, 50u);
}

}  // namespace
}  // namespace plimsoll::plan
