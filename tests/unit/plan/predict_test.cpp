#include <algorithm>

#include "plan/build.h"
#include "plan/evict.h"
#include "plan/schedule.h"
#include "plan/tile.h"
#include "tests/unit/plan/graphs.h"

namespace plimsoll::plan {
namespace {

constexpr Bytes kSquare = 64 * 64 * 4;
constexpr Bytes kRoom = Bytes{1} << 30;

/// A second a step; what moves takes a second a square, whichever way.
Costs slow() {
  Costs c;
  c.memory_bandwidth = 1e30;
  c.flops = 1e30;
  c.write_bandwidth = c.read_bandwidth = static_cast<double>(kSquare);
  c.io_tax = 0;
  c.step_overhead = 1;
  return c;
}

/// Five products in a row; b is there before and dropped in between where a test says so.
struct Predict : testing::Test {
  Predict() {
    planning.held = {planning.existing({64, 64}), planning.existing({64, 64})};
    array y = planning.held[0];
    for (int i = 0; i < 5; ++i) y = matmul(y, planning.held[0]);
    outputs = {matmul(y, planning.held[1])};
    y = array();
    plan = Builder(planning.backend, planning.context.pool()).build(outputs);
    schedule_default(plan, planning.context.pool());
    schedule.units = plan.units;
    for (uint32_t u = 0; u < 6; ++u) schedule.actions.push_back({ActionKind::kRun, u});
    for (ValueId v = 0; v < plan.values.size(); ++v)
      if (plan.values[v].buffer == planning.held[1].node()->storage->buffer.get()) b = v;
  }
  void insert(size_t at, ActionKind kind) {
    schedule.actions.insert(schedule.actions.begin() + static_cast<ptrdiff_t>(at), {kind, b});
  }
  double seconds(Bytes room = kRoom) {
    predict(plan, schedule, room, slow());
    return schedule.seconds;
  }
  /// The first product, whose second matrix no turn cuts.
  std::shared_ptr<Nest> eight_rows_at_a_time() {
    const Tiling& tiling = tiling_of(plan, 0);
    size_t rows = 0;
    while (tiling[rows].input_axis[0] < 0 || tiling[rows].input_axis[1] >= 0) ++rows;
    auto nest = std::make_shared<Nest>();
    nest->body = {0};
    Loop& loop = nest->loops.emplace_back();
    loop.extent = 64;
    loop.tile = 8;
    loop.axis.push_back(static_cast<int16_t>(rows));
    loop.scale.push_back(1);
    return nest;
  }
  size_t place_of_load() const {
    return static_cast<size_t>(
        std::find_if(schedule.actions.begin(), schedule.actions.end(),
                     [](const Action& a) { return a.kind == ActionKind::kLoad; }) -
        schedule.actions.begin());
  }
  Planning planning;
  std::vector<array> outputs;
  Plan plan;
  Schedule schedule;
  ValueId b = kNone;
};

TEST_F(Predict, without_transfers_time_is_that_of_the_steps) { EXPECT_DOUBLE_EQ(seconds(), 6); }

TEST_F(Predict, a_late_load_is_waited_for_and_an_early_one_is_not) {
  insert(0, ActionKind::kWrite);
  insert(1, ActionKind::kDrop);
  insert(7, ActionKind::kLoad);  // just before its reader
  EXPECT_DOUBLE_EQ(seconds(), 7);
  hoist_loads(plan, schedule, kRoom, slow());
  EXPECT_DOUBLE_EQ(seconds(), 6);
}

TEST_F(Predict, a_load_moves_ahead_as_far_as_its_own_actions_allow) {
  insert(4, ActionKind::kWrite);
  insert(5, ActionKind::kDrop);
  insert(7, ActionKind::kLoad);
  ASSERT_EQ(schedule.actions[8].kind, ActionKind::kRun);
  hoist_loads(plan, schedule, kRoom, slow());
  EXPECT_EQ(place_of_load(), 6u);  // right after the drop
}

TEST_F(Predict, a_load_moves_ahead_no_further_than_it_needs) {
  insert(0, ActionKind::kWrite);
  insert(1, ActionKind::kDrop);
  insert(7, ActionKind::kLoad);
  hoist_loads(plan, schedule, kRoom, slow());
  EXPECT_EQ(place_of_load(), 4u);  // three times its second
}

TEST_F(Predict, a_load_moves_ahead_only_where_there_is_room) {
  insert(0, ActionKind::kWrite);
  insert(1, ActionKind::kDrop);
  insert(7, ActionKind::kLoad);
  // Beside the fifth step, its input and the results so far there is none for b.
  const Bytes fifth = 6 * kSquare + plan.steps[4].scratch;
  hoist_loads(plan, schedule, fifth + kSquare - 1, slow());
  EXPECT_EQ(place_of_load(), 7u);
  hoist_loads(plan, schedule, fifth + kSquare, slow());
  EXPECT_EQ(place_of_load(), 4u);
}

TEST_F(Predict, room_that_a_write_still_holds_is_waited_for) {
  insert(0, ActionKind::kWrite);
  insert(1, ActionKind::kDrop);
  insert(7, ActionKind::kLoad);
  const Bytes step = 3 * kSquare + plan.steps[0].scratch;
  const double in_room = seconds(step + kSquare);
  // The first step cannot start before the write is over: one second later.
  EXPECT_DOUBLE_EQ(seconds(step - kSquare), in_room + 1);
}

TEST_F(Predict, spill_space_is_the_most_that_is_stored_at_once) {
  seconds();
  EXPECT_EQ(schedule.spill_space, 0u);
  insert(0, ActionKind::kWrite);
  seconds();
  EXPECT_EQ(schedule.spill_space, kSquare);
  insert(3, ActionKind::kFree);
  schedule.actions.push_back({ActionKind::kWrite, plan.outputs(plan.steps[0])[0].value});
  schedule.spill_space = 0;
  seconds();
  EXPECT_EQ(schedule.spill_space, kSquare);
  plan.values[b].sunk = true;  // goes to a file of its own
  schedule.actions.pop_back();
  schedule.spill_space = 0;
  seconds();
  EXPECT_EQ(schedule.spill_space, 0u);
}

TEST_F(Predict, the_peak_is_where_most_is_in_use) {
  measure_peak(plan, schedule, planning.context.pool());
  // Nothing is freed: two inputs and all six results at the last step.
  EXPECT_EQ(schedule.peak, 8 * kSquare + plan.steps[5].scratch);
  EXPECT_EQ(schedule.peak_unit, 5u);
  insert(0, ActionKind::kDrop);
  measure_peak(plan, schedule, planning.context.pool());
  EXPECT_EQ(schedule.peak, 7 * kSquare + plan.steps[5].scratch);
}

TEST_F(Predict, turns_of_a_nest_overlap_what_they_move) {
  std::shared_ptr<Nest> nest = eight_rows_at_a_time();
  nest->read = 4 * kSquare;
  Unit unit{0, nest};
  // Computing: a second, and one a turn; reading: four; the shorter one is hidden but for a turn.
  EXPECT_DOUBLE_EQ(unit_seconds(plan, unit, slow()), 4 + 1.0 / 8 + 8);
}

TEST_F(Predict, turns_pass_all_of_what_they_do_not_cut_again) {
  Costs costs = slow();
  costs.step_overhead = 0;
  costs.memory_bandwidth = static_cast<double>(kSquare);
  EXPECT_DOUBLE_EQ(unit_seconds(plan, {0, nullptr}, costs), 3);
  // Each of the eight turns reads the second matrix.
  EXPECT_DOUBLE_EQ(unit_seconds(plan, {0, eight_rows_at_a_time()}, costs), 3 + 7);
}

}  // namespace
}  // namespace plimsoll::plan
