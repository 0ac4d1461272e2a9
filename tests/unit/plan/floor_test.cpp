// The promise of the floor over many graphs: a plan at it, none a page below; and every plan is
// verified.
#include "plan/floor.h"

#include <map>

#include "plan/build.h"
#include "plan/schedule.h"
#include "plan/tile.h"
#include "tests/unit/plan/planning.h"

namespace plimsoll::plan {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr uint64_t kGraphs = 200;
#else
constexpr uint64_t kGraphs = 4000;
#endif

size_t graph_size(uint64_t seed) { return 2 + seed % 37; }

TEST(Floor, a_plan_exists_at_it_and_none_a_page_below) {
  std::map<std::string, int> stages;
  int recomputed = 0, spilled = 0;
  for (uint64_t seed = 0; seed < kGraphs && !HasFailure(); ++seed) {
    Planning planning({}, seed % 3 ? kPage : 4 * kPage);
    std::vector<array> outputs = random_graph(planning, seed, graph_size(seed));
    auto plan_at = [&](Bytes limit) {
      Plan plan = planning.planner.plan(outputs, limit);
      EXPECT_EQ(planning.check(plan), "") << "seed " << seed << " at " << limit;
      ++stages[plan.stage];
      recomputed += plan.recomputed > 0;
      spilled += plan.written > 0;
      return plan;
    };
    Bytes most = plan_at(kPlenty).peak;
    Bytes floor = planning.planner.dry_run(outputs, kPlenty).floor;
    EXPECT_STRNE(plan_at(floor).stage, "refused") << "seed " << seed << ", floor " << floor;
    Plan below = plan_at(floor - kPage);
    EXPECT_STREQ(below.stage, "refused") << "seed " << seed << ", floor " << floor;
    EXPECT_TRUE(below.actions.empty());
    for (double share : {0.2, 0.5, 0.8}) {
      Bytes more = most > floor ? static_cast<Bytes>(share * static_cast<double>(most - floor)) : 0;
      EXPECT_STRNE(plan_at(floor + more).stage, "refused") << "seed " << seed << " at +" << more;
    }
  }
  // Each mechanism was looked at.
  for (const char* stage : {"fits", "reorder", "evict", "tile", "stream", "refused"})
    EXPECT_GT(stages[stage], static_cast<int>(kGraphs / 100)) << stage;
  EXPECT_GT(recomputed, static_cast<int>(kGraphs / 100));
  EXPECT_GT(spilled, static_cast<int>(kGraphs / 4));
}

TEST(Floor, it_is_the_largest_of_the_least_working_sets) {
  for (uint64_t seed = 0; seed < kGraphs / 10; ++seed) {
    Planning planning({}, seed % 3 ? kPage : 4 * kPage);
    std::vector<array> outputs = random_graph(planning, seed, graph_size(seed));
    Plan plan = Builder(planning.backend, planning.context.pool()).build(outputs);
    plan.peak = plan.unlimited_peak = kPlenty;
    find_floor(plan, planning.backend, planning.context.pool());
    NestShaper shaper(plan, planning.backend, planning.context.pool());
    Bytes most = 0;
    for (StepId s = 0; s < plan.steps.size(); ++s)
      most = std::max(most, shaper.least(s) - pinned_operands(plan, plan.steps[s]));
    EXPECT_EQ(plan.floor, plan.pinned + most) << seed;
    const Step& step = plan.steps[plan.floor_step];
    EXPECT_EQ(shaper.least(plan.floor_step) - pinned_operands(plan, step), most) << seed;
  }
}

TEST(Floor, plans_under_each_pressure_setting_are_legal) {
  for (bool Pressure::*member :
       {&Pressure::spill_always, &Pressure::recompute_always, &Pressure::smallest_tiles,
        &Pressure::no_cache, &Pressure::tiny_limit}) {
    Pressure pressure;
    pressure.*member = true;
    for (uint64_t seed = 0; seed < kGraphs / 20 && !HasFailure(); ++seed) {
      runtime::ContextOptions options = small_blocks();
      if (seed % 2) options.pool.slab_threshold = 1;  // as in tools/test
      Planning planning(options, pressure);
      std::vector<array> outputs = random_graph(planning, seed, graph_size(seed));
      Plan plan = planning.planner.plan(outputs, kPlenty);
      EXPECT_EQ(planning.check(plan), "") << "seed " << seed;
    }
  }
}

}  // namespace
}  // namespace plimsoll::plan
