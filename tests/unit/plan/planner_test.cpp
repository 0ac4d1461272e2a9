#include "plan/planner.h"

#include <algorithm>

#include "tests/unit/plan/graphs.h"

namespace plimsoll::plan {
namespace {

struct PlannerStages : testing::Test {
  Plan at(const std::vector<array>& targets, double share) {
    outputs = targets;
    return planning.planner.plan(outputs, planning.limit(outputs, share));
  }
  Planning planning;
  std::vector<array> outputs;
};

TEST_F(PlannerStages, what_fits_is_planned_in_one_pass) {
  Plan plan = at(train(planning), 1);
  EXPECT_STREQ(plan.stage, "fits");
  EXPECT_EQ(plan.floor, 0u);  // nobody asked
  EXPECT_EQ(plan.peak, plan.unlimited_peak);
  EXPECT_EQ(plan.seconds, 0);
}

TEST_F(PlannerStages, a_page_less_than_the_peak_is_kept_too) {
  outputs = train(planning);
  const Bytes peak = planning.planner.plan(outputs, kPlenty).peak;
  Plan plan = planning.planner.plan(outputs, peak - 1);
  EXPECT_STRNE(plan.stage, "fits");
  EXPECT_LT(plan.peak, peak);
  EXPECT_EQ(planning.check(plan), "");
}

TEST_F(PlannerStages, a_refusal_names_the_step_that_is_too_large) {
  Plan plan = at(one_row(planning), -1);
  EXPECT_STREQ(plan.stage, "refused");
  EXPECT_TRUE(plan.actions.empty());
  EXPECT_GT(plan.floor, plan.limit);
  ASSERT_NE(plan.floor_step, kNone);
  EXPECT_STREQ(plan.steps[plan.floor_step].def->name, "cumsum");
}

TEST_F(PlannerStages, smaller_programs_are_tried_where_large_ones_do_not_fit) {
  // One program of eight inputs, none of which a loop can make smaller than a page.
  array total = planning.existing({32, 32});
  for (int i = 0; i < 7; ++i) total = add(total, planning.existing({32, 32}));
  outputs = {total};
  total = array();
  const Bytes limit = planning.limit(outputs, 0);
  Plan plan = planning.planner.plan(outputs, limit);
  EXPECT_STRNE(plan.stage, "refused");
  EXPECT_GT(plan.steps.size(), 1u);
  EXPECT_EQ(planning.planner.plan(outputs, kPlenty).steps.size(), 1u);
}

TEST_F(PlannerStages, smaller_programs_are_tried_where_only_tiny_tiles_of_large_ones_fit) {
  // Rows of 96 floats straddle pages: a tile of whole rows takes two of each of seven operands, and
  // one page holds tiles of a few elements.
  array total = planning.existing({256, 96});
  for (int i = 0; i < 5; ++i) total = add(total, planning.existing({256, 96}));
  outputs = {total};
  total = array();
  const Bytes limit = planning.limit(outputs, 0) + 4 * kPage;
  Plan plan = planning.planner.plan(outputs, limit);
  EXPECT_STRNE(plan.stage, "refused");
  EXPECT_GT(plan.steps.size(), 1u);
  for (const Unit& unit : plan.units) {
    if (unit.nest) EXPECT_LE(num_turns(*unit.nest), 256u);
  }
  EXPECT_EQ(planning.check(plan), "");
}

TEST_F(PlannerStages, arrays_outside_of_the_graph_make_room) {
  Plan plan = at(others(planning), 0.8);
  ASSERT_EQ(plan.others.size(), 1u);
  const ValueId outside = static_cast<ValueId>(plan.values.size() - 1);
  EXPECT_EQ(plan.values[outside].buffer, plan.others[0].get());
  EXPECT_TRUE(std::any_of(plan.actions.begin(), plan.actions.end(), [&](const Action& a) {
    return a.kind == ActionKind::kDrop && a.id == outside;
  }));
}

TEST_F(PlannerStages, exported_arrays_outside_of_the_graph_raise_the_floor) {
  outputs = rows(planning);
  auto floor = [&] {
    Plan plan = planning.planner.plan(outputs, 1);
    return plan.floor - plan.fixed;
  };
  const Bytes before = floor();
  planning.held.push_back(planning.existing({64, 64}));
  const memory::BufferRef& buffer = planning.held.back().node()->storage->buffer;
  EXPECT_EQ(floor(), before);
  planning.exports.push_back(buffer->export_pin("a view"));
  EXPECT_EQ(floor(), before + 64 * 64 * 4);
}

TEST_F(PlannerStages, costs_are_measured_before_the_first_plan_under_pressure) {
  int asked = 0;
  bool known = false;
  planning.planner.set_calibration([&]() -> std::optional<Costs> {
    ++asked;
    if (!known) return std::nullopt;
    Costs costs = fixed_costs();
    costs.flops = 1;
    return costs;
  });
  outputs = train(planning);
  const Bytes tight = planning.limit(outputs, 0.2), limit = planning.limit(outputs, 0.8);
  EXPECT_EQ(asked, 0);
  (void)planning.planner.plan(outputs, tight);
  EXPECT_EQ(asked, 1);
  known = true;  // there was no room for it: it is asked again where there is more
  (void)planning.planner.plan(outputs, tight);
  EXPECT_EQ(asked, 1);
  (void)planning.planner.plan(outputs, limit);
  EXPECT_EQ(asked, 2);
  EXPECT_EQ(planning.planner.costs().flops, 1);
  (void)planning.planner.plan(outputs, limit);
  EXPECT_EQ(asked, 2);
}

TEST_F(PlannerStages, the_quickest_of_several_policies_is_taken) {
  outputs = cheap(planning);
  const Bytes limit = planning.limit(outputs, 0.8);
  Plan plan = planning.planner.plan(outputs, limit);
  Pressure spill;
  spill.spill_always = true;
  Planner spilling(planning.backend, planning.context.pool(), fixed_costs(), spill);
  Plan spilled = spilling.plan(outputs, limit);
  EXPECT_EQ(spilled.recomputed, 0u);
  EXPECT_LT(plan.seconds, spilled.seconds);
}

TEST_F(PlannerStages, a_result_with_a_file_of_its_own_is_written_there) {
  array y = exp(planning.existing({64, 64})), view = transpose(sort(planning.existing({64, 64})));
  outputs = {y, view};
  auto sink = [](const array& a) {
    return std::make_shared<memory::FileSink>(nullptr, 0, a.nbytes());
  };
  std::vector<Sink> sinks{{y.node(), sink(y)}, {view.node(), sink(view)}};
  Plan plan = planning.planner.plan(outputs, kPlenty, sinks);
  ASSERT_EQ(plan.sinks.size(), 1u);  // the view lies in another order
  EXPECT_EQ(plan.sinks[0].second, sinks[0].sink);
  EXPECT_TRUE(plan.values[plan.sinks[0].first].sunk);
  EXPECT_EQ(plan.values[plan.sinks[0].first].node, y.node());
  for (const Step& s : plan.steps) {
    const bool sunk = plan.outputs(s)[0].value == plan.sinks[0].first;
    EXPECT_TRUE(!sunk || s.donor == kNone);
  }
}

TEST_F(PlannerStages, the_floor_that_is_shown_is_the_least_of_all_ways_to_build) {
  for (uint64_t seed = 0; seed < 30; ++seed) {
    Planning random;
    std::vector<array> targets = random_graph(random, seed, 30);
    const Bytes floor = random.planner.dry_run(targets, kPlenty).floor;
    EXPECT_EQ(random.planner.plan(targets, floor - kPage).floor, floor) << seed;
  }
}

// Pressure settings ----------------------------------------------------------------------------

Planner forced(Planning& planning, bool Pressure::*member) {
  Pressure pressure;
  pressure.*member = true;
  return Planner(planning.backend, planning.context.pool(), fixed_costs(), pressure,
                 &planning.context.store());
}

size_t count(const Plan& plan, ActionKind kind, ValueId id) {
  return static_cast<size_t>(
      std::count_if(plan.actions.begin(), plan.actions.end(),
                    [&](const Action& a) { return a.kind == kind && a.id == id; }));
}

TEST_F(PlannerStages, spill_always_keeps_nothing_between_two_steps) {
  outputs = layers(planning, 3, 64);
  Plan plan = forced(planning, &Pressure::spill_always).plan(outputs, kPlenty);
  EXPECT_EQ(planning.check(plan), "");
  EXPECT_EQ(plan.recomputed, 0u);
  for (ValueId id = 0; id < plan.values.size(); ++id) {
    const Value& v = plan.values[id];
    if (v.small) continue;
    size_t reads = 0;
    for (const Action& a : plan.actions)
      if (a.kind == ActionKind::kRun)
        plan.each_input(plan.steps[plan.units[a.id].step], [&](ValueId in) { reads += in == id; });
    // Read back for each of its readers; it is there for the first where no step makes it.
    const size_t loads = v.buffer && reads > 0 ? reads - 1 : reads;
    EXPECT_EQ(count(plan, ActionKind::kLoad, id), loads) << id << '\n' << print(plan);
  }
}

TEST_F(PlannerStages, recompute_always_makes_what_is_not_kept_for_each_of_its_readers) {
  outputs = layers(planning, 3, 64);
  Plan plan = forced(planning, &Pressure::recompute_always).plan(outputs, kPlenty);
  EXPECT_EQ(planning.check(plan), "");
  EXPECT_EQ(plan.written, 0u);
  size_t forgotten = 0;
  for (ValueId id = 0; id < plan.values.size(); ++id) {
    const Value& v = plan.values[id];
    if (v.small || v.kept || v.producer == kNone || plan.steps[v.producer].can_fail) continue;
    EXPECT_GT(count(plan, ActionKind::kForget, id), 0u) << id << '\n' << print(plan);
    ++forgotten;
  }
  EXPECT_GT(forgotten, 5u);
}

TEST_F(PlannerStages, recompute_always_fuses_less_where_nothing_else_can_be_computed_again) {
  outputs = {exp(add(planning.existing({64, 64}), 1.0f))};
  EXPECT_EQ(planning.planner.plan(outputs, kPlenty).steps.size(), 1u);
  Plan plan = forced(planning, &Pressure::recompute_always).plan(outputs, kPlenty);
  EXPECT_EQ(planning.check(plan), "");
  EXPECT_EQ(plan.steps.size(), 2u);
  EXPECT_GT(plan.recomputed, 0u);
}

TEST_F(PlannerStages, a_tiny_limit_below_what_spilling_takes_for_itself_is_kept) {
  // In core a result takes its input's place, and there is nothing to spill.
  outputs = {sort(planning.existing({32, 32}), -1)};
  Planner planner(planning.backend, planning.context.pool(), fixed_costs(), {},
                  &planning.context.store());
  const Bytes peak = planner.plan(outputs, kPlenty).peak;
  Plan plan = forced(planning, &Pressure::tiny_limit).plan(outputs, kPlenty);
  EXPECT_EQ(planning.check(plan), "");
  EXPECT_LE(plan.peak, peak);
}

}  // namespace
}  // namespace plimsoll::plan
