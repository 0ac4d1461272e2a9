// Plans that are corrupted on purpose: each violation is found, and named.
#include "plan/verify.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <functional>
#include <optional>

#include "tests/unit/plan/graphs.h"

namespace plimsoll::plan {
namespace {

using ::testing::HasSubstr;
using Make = std::vector<array> (*)(Planning&);

struct Verify : testing::Test {
  Plan plan_of(Make make, double share) {
    outputs.clear();
    planning.emplace();
    outputs = make(*planning);
    Plan plan = planning->planner.plan(outputs, planning->limit(outputs, share));
    EXPECT_EQ(wrong(plan), "");
    return plan;
  }
  std::string wrong(const Plan& plan) { return verify(plan, planning->context.pool()); }
  /// What is said of the plan after a change to its first nest.
  std::string wrong_nest(Plan plan, const std::function<void(Plan&, Nest&)>& change) {
    auto unit = std::find_if(plan.units.begin(), plan.units.end(), [](auto& u) { return u.nest; });
    auto nest = std::make_shared<Nest>(*unit->nest);
    change(plan, *nest);
    unit->nest = nest;
    return wrong(plan);
  }

  std::optional<Planning> planning;
  std::vector<array> outputs;
};

std::optional<size_t> find(const Plan& plan, ActionKind kind, size_t from = 0) {
  for (size_t i = from; i < plan.actions.size(); ++i)
    if (plan.actions[i].kind == kind) return i;
  return std::nullopt;
}

bool is_unit(const Action& a) {
  return a.kind == ActionKind::kRun || a.kind == ActionKind::kRecompute;
}

bool loaded_later(const Plan& plan, size_t i) {
  for (size_t j = i + 1; j < plan.actions.size(); ++j)
    if (plan.actions[j].kind == ActionKind::kLoad && plan.actions[j].id == plan.actions[i].id)
      return true;
  return false;
}

std::vector<std::pair<Make, double>> plans() {
  return {{chain, 1},   {views, 1},    {tuple, 1},  {waiting, 0.8}, {train, 0.6}, {train, 0},
          {cheap, 0.8}, {others, 0.8}, {rows, 0.1}, {product, 0.3}, {stream, 0.2}};
}

TEST_F(Verify, no_action_can_be_left_out) {
  size_t tried[7] = {};
  for (auto& [make, share] : plans()) {
    const Plan plan = plan_of(make, share);
    for (size_t i = 0; i < plan.actions.size(); ++i) {
      const Action a = plan.actions[i];
      // What stays in memory for longer may fit.
      if (a.kind == ActionKind::kDrop && !loaded_later(plan, i)) continue;
      Plan less = plan;
      less.actions.erase(less.actions.begin() + static_cast<ptrdiff_t>(i));
      EXPECT_NE(wrong(less), "") << "without action " << i << " of\n" << print(plan);
      ++tried[static_cast<int>(a.kind)];
    }
  }
  for (size_t kind = 0; kind < std::size(tried); ++kind) EXPECT_GT(tried[kind], 0u) << kind;
}

TEST_F(Verify, no_action_can_be_done_twice) {
  for (auto& [make, share] : plans()) {
    const Plan plan = plan_of(make, share);
    for (size_t i = 0; i < plan.actions.size(); ++i) {
      Plan more = plan;
      more.actions.insert(more.actions.begin() + static_cast<ptrdiff_t>(i), plan.actions[i]);
      EXPECT_NE(wrong(more), "") << "action " << i << " twice in\n" << print(plan);
    }
  }
}

TEST_F(Verify, nothing_is_freed_before_it_is_read_or_read_before_it_is_there) {
  for (auto& [make, share] : plans()) {
    const Plan plan = plan_of(make, share);
    for (size_t i = 0; i < plan.actions.size(); ++i) {
      const Action a = plan.actions[i];
      Plan moved = plan;
      auto at = moved.actions.begin() + static_cast<ptrdiff_t>(i);
      if (a.kind == ActionKind::kFree || a.kind == ActionKind::kForget) {
        std::rotate(moved.actions.begin(), at, at + 1);  // first of all
      } else if (a.kind == ActionKind::kLoad || a.kind == ActionKind::kRecompute) {
        std::rotate(at, at + 1, moved.actions.end());  // last of all
      } else if (is_unit(a) && i + 1 < plan.actions.size()) {
        std::rotate(at, at + 1, moved.actions.end());
        // The last run of all may trade places with actions that do not concern it.
        if (!find(plan, ActionKind::kRun, i + 1)) continue;
      } else {
        continue;
      }
      EXPECT_NE(wrong(moved), "") << "action " << i << " elsewhere in\n" << print(plan);
    }
  }
}

TEST_F(Verify, the_violation_and_its_action_are_named) {
  const Plan plan = plan_of(train, 0.6);
  auto without = [&](ActionKind kind) {
    Plan less = plan;
    less.actions.erase(less.actions.begin() + static_cast<ptrdiff_t>(*find(plan, kind)));
    return wrong(less);
  };
  EXPECT_THAT(without(ActionKind::kWrite), HasSubstr("which was not written"));
  EXPECT_THAT(without(ActionKind::kLoad), HasSubstr("which is not in memory"));
  EXPECT_THAT(without(ActionKind::kRun), HasSubstr("which is not made yet"));
  Plan leak = plan;
  leak.actions.pop_back();
  ASSERT_EQ(plan.actions.back().kind, ActionKind::kFree);
  EXPECT_THAT(wrong(leak), HasSubstr("is not kept and ends alive"));
  EXPECT_THAT(without(ActionKind::kDrop), HasSubstr("action "));
  Plan strange = plan;
  strange.actions[3].id = 100'000;
  EXPECT_THAT(wrong(strange), HasSubstr("action 3 ("));
  EXPECT_THAT(wrong(strange), HasSubstr("100000 does not exist"));
}

TEST_F(Verify, bytes_are_counted) {
  const Plan plan = plan_of(train, 0.6);
  auto changed = [&](auto change) {
    Plan other = plan;
    change(other);
    return wrong(other);
  };
  EXPECT_THAT(changed([](Plan& p) { p.peak += kPage; }), HasSubstr("the peak is said to be"));
  EXPECT_THAT(changed([](Plan& p) { p.peak -= kPage; }), HasSubstr("the peak is said to be"));
  EXPECT_THAT(changed([](Plan& p) { p.limit = p.peak - 1; }), HasSubstr("the limit is"));
  EXPECT_THAT(changed([](Plan& p) { p.fixed += kPage; }), HasSubstr("the limit is"));
  const StepId largest = plan.units[plan.peak_unit].step;
  EXPECT_NE(changed([&](Plan& p) { p.steps[largest].scratch += kPage; }), "");
  EXPECT_THAT(changed([&](Plan& p) { p.steps[largest].workspace += 1 << 20; }),
              HasSubstr("has scratch of"));
  for (ValueId v = 0; v < plan.values.size(); ++v) {
    EXPECT_THAT(changed([&](Plan& p) { p.values[v].bytes += kPage; }), HasSubstr("is charged"));
    EXPECT_THAT(changed([&](Plan& p) { p.values[v].small ^= true; }), HasSubstr("is charged"));
  }
}

TEST_F(Verify, donors_are_checked) {
  const Plan plan = plan_of(chain, 2);
  const StepId s = plan.units[0].step;
  const ValueId donor = plan.steps[s].donor;
  ASSERT_NE(donor, kNone);
  auto changed = [&](auto change) {
    Plan other = plan;
    change(other);
    return wrong(other);
  };
  EXPECT_THAT(changed([&](Plan& p) { p.steps[s].can_fail = true; }), HasSubstr("can fail"));
  EXPECT_THAT(changed([&](Plan& p) { p.values[donor].kept = true; }), HasSubstr("others see it"));
  EXPECT_THAT(changed([&](Plan& p) { p.values[donor].pinned = true; }), HasSubstr("others see it"));
  EXPECT_THAT(changed([&](Plan& p) { p.values[donor].donatable = false; }), HasSubstr("not ours"));
  EXPECT_THAT(changed([&](Plan& p) { p.values[donor].nbytes /= 2, p.values[donor].bytes /= 2; }),
              HasSubstr("another size"));
  EXPECT_THAT(changed([&](Plan& p) { p.operands[p.steps[s].first_input + 1].value = donor; }),
              HasSubstr("not read once"));
  EXPECT_NE(changed([&](Plan& p) { p.steps[s].donor = kNone; }), "");
}

TEST_F(Verify, what_views_outside_hold_stays) {
  const Plan plan = plan_of(others, 0.8);
  const size_t drop = *find(plan, ActionKind::kDrop);
  Plan pinned = plan;
  pinned.values[plan.actions[drop].id].pinned = true;
  EXPECT_THAT(wrong(pinned), HasSubstr("which an exported view holds"));
}

TEST_F(Verify, what_is_computed_again_was_forgotten_and_reads_what_cannot_change) {
  const Plan plan = plan_of(cheap, 0.8);
  const Action again = plan.actions[*find(plan, ActionKind::kRecompute)];
  const Action forget = plan.actions[*find(plan, ActionKind::kForget)];
  const Step& step = plan.steps[plan.units[again.id].step];
  Plan pinned = plan;
  pinned.values[plan.inputs(step)[0].value].pinned = true;
  EXPECT_THAT(wrong(pinned), HasSubstr("which a view can change"));
  Plan kept = plan;
  kept.values[forget.id].kept = true;
  EXPECT_THAT(wrong(kept), HasSubstr("which is kept"));
  Plan donor = plan;
  donor.steps[plan.units[again.id].step].donor = plan.inputs(step)[0].value;
  EXPECT_NE(wrong(donor), "");
  Plan twice = plan;
  twice.actions.insert(twice.actions.begin() + 1, again);
  EXPECT_THAT(wrong(twice), HasSubstr("nothing that it makes was forgotten"));
}

TEST_F(Verify, charges_of_nests_are_checked) {
  const Plan plan = plan_of(stream, 0.2);
  auto changed = [&](auto change) {
    return wrong_nest(plan, [&](Plan&, Nest& nest) { change(nest); });
  };
  EXPECT_EQ(changed([](Nest&) {}), "");
  EXPECT_THAT(changed([](Nest& n) { n.tile_bytes /= 2; }), HasSubstr("and is charged"));
  EXPECT_THAT(changed([](Nest& n) { n.whole -= 1; }), HasSubstr("and is charged"));
  EXPECT_THAT(changed([](Nest& n) { n.scratch = 8; }), HasSubstr("has scratch of"));
  EXPECT_THAT(changed([](Nest& n) { n.scratch += 1 << 20; }), HasSubstr("the limit is"));
}

TEST_F(Verify, loops_of_nests_are_checked) {
  const Plan plan = plan_of(product, 0.3);
  auto changed = [&](auto change) {
    return wrong_nest(plan, [&](Plan& p, Nest& nest) { change(p, nest); });
  };
  EXPECT_THAT(changed([](Plan&, Nest& n) { n.loops.clear(); }), HasSubstr("no loops"));
  EXPECT_THAT(changed([](Plan&, Nest& n) { n.body.clear(); }), HasSubstr("no steps"));
  EXPECT_THAT(changed([](Plan&, Nest& n) { n.loops[0].tile = 0; }), HasSubstr("tiles of 0"));
  EXPECT_THAT(changed([](Plan&, Nest& n) { n.loops[0].extent += 8; }), HasSubstr("runs over"));
  EXPECT_THAT(changed([](Plan&, Nest& n) { n.loops[0].axis[0] = 100; }),
              HasSubstr("an axis that step"));
  EXPECT_THAT(changed([](Plan&, Nest& n) { n.loops[0].axis.push_back(0); }),
              HasSubstr("does not name an axis of each step"));
  EXPECT_THAT(changed([](Plan& p, Nest& n) {
                for (TileAxis& axis : p.tilings[n.body[0]]) axis.grain = 64;
              }),
              HasSubstr("no multiple of"));
  EXPECT_THAT(changed([](Plan&, Nest& n) { n.loops[0].ordered = true; }),
              HasSubstr("unordered inside of an ordered one"));
  EXPECT_THAT(changed([](Plan& p, Nest& n) {
                for (TileAxis& axis : p.tilings[n.body[0]]) axis.ordered = true;
              }),
              HasSubstr("in any order"));
}

TEST_F(Verify, streamed_and_local_values_are_checked) {
  const Plan plan = plan_of(stream, 0.2);
  auto changed = [&](auto change) {
    return wrong_nest(plan, [&](Plan& p, Nest& nest) { change(p, nest); });
  };
  EXPECT_THAT(changed([](Plan& p, Nest& n) { n.streamed.push_back(p.values.size() - 1); }),
              HasSubstr("no operand of its nest"));
  EXPECT_THAT(changed([](Plan& p, Nest& n) { p.values[n.streamed.back()].pinned = true; }),
              HasSubstr("cannot be evicted"));
  EXPECT_THAT(changed([](Plan&, Nest& n) { n.streamed.push_back(n.local[0]); }),
              HasSubstr("streamed and local"));
  EXPECT_THAT(changed([](Plan&, Nest& n) { n.local.push_back(n.streamed[0]); }),
              HasSubstr("streamed and local"));
  EXPECT_THAT(changed([](Plan& p, Nest& n) { p.values[n.local[0]].kept = true; }),
              HasSubstr("is kept"));
  EXPECT_THAT(changed([](Plan&, Nest& n) { std::swap(n.body[0], n.body[1]); }),
              HasSubstr("made after it was read"));
  // The last operand of the first step is what it makes.
  EXPECT_THAT(changed([](Plan& p, Nest& n) {
                const Step& first = p.steps[n.body[0]];
                n.apart = {{first.first_output - first.first_input}};
              }),
              HasSubstr("is not one that is only read in tiles"));
}

TEST_F(Verify, nothing_is_read_before_its_tile_is_made) {
  const Plan plan = plan_of(stream, 0.2);
  // The second step of the nest reads one row further on than the first has made.
  std::string text = wrong_nest(plan, [](Plan& p, Nest& n) {
    Operand& read = p.operands[p.steps[n.body[1]].first_input];
    Form further = *read.form;
    further.layout.offset += further.shape[1];
    read.form = p.catalog->form(further.dtype, further.shape, further.layout);
  });
  EXPECT_THAT(text, HasSubstr("and has made"));
}

TEST_F(Verify, a_refusal_has_no_actions_and_a_floor_above_the_limit) {
  Plan plan = plan_of(one_row, -1);
  ASSERT_STREQ(plan.stage, "refused");
  plan.actions.push_back({ActionKind::kRun, 0});
  EXPECT_EQ(wrong(plan), "a refused plan has actions");
  plan.actions.clear();
  plan.limit = plan.floor;
  EXPECT_THAT(wrong(plan), HasSubstr("the floor is inside of the limit"));
}

TEST_F(Verify, what_no_step_reads_may_stay) {
  Plan plan = plan_of(chain, 1);
  array unread = planning->existing({64, 64});
  memory::Buffer* buffer = unread.node()->storage->buffer.get();
  const Bytes bytes = buffer->resident_bytes();
  plan.values.push_back({.nbytes = bytes, .bytes = bytes, .buffer = buffer});
  plan.peak += bytes;
  plan.limit = kPlenty;
  EXPECT_EQ(wrong(plan), "");
  plan.values.back().last_use = 0;
  EXPECT_THAT(wrong(plan), HasSubstr("is not kept and ends alive"));
}

TEST_F(Verify, what_is_kept_is_bound_and_there_at_the_end) {
  const Plan plan = plan_of(chain, 1);
  Plan freed = plan;
  freed.actions.push_back({ActionKind::kFree, plan.bindings.back().value});
  EXPECT_THAT(wrong(freed), HasSubstr("which is kept"));
  Plan lost = plan;
  lost.values[plan.bindings.back().value].kept = false;
  EXPECT_NE(wrong(lost), "");
}

}  // namespace
}  // namespace plimsoll::plan
