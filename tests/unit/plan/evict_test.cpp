#include "plan/evict.h"

#include <algorithm>
#include <limits>

#include "plan/build.h"
#include "plan/remake.h"
#include "plan/schedule.h"
#include "tests/unit/plan/graphs.h"

namespace plimsoll::plan {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();
constexpr Bytes kSquare = 64 * 64 * 4;

struct Evict : testing::Test {
  template <typename F>
  void build(F make) {
    outputs = {make()};
    plan = Builder(planning.backend, planning.context.pool()).build(outputs);
    schedule_default(plan, planning.context.pool());
  }
  std::optional<Schedule> run(EvictOptions options) {
    return evict(plan, plan.units, {}, options, fixed_costs(), planning.context.pool());
  }
  /// Least budget that leaves room for each step alone.
  Bytes least() const {
    Bytes most = 0;
    for (const Step& step : plan.steps) {
      std::vector<ValueId> seen;
      Bytes bytes = fresh_bytes(plan, step);
      for (const Operand& o : plan.inputs(step))
        if (std::find(seen.begin(), seen.end(), o.value) == seen.end()) {
          seen.push_back(o.value);
          bytes += plan.values[o.value].small ? 0 : plan.values[o.value].bytes;
        }
      most = std::max(most, bytes + plan.slabs);
    }
    return most;
  }
  array held(int64_t rows = 64) {
    planning.held.push_back(planning.existing({rows, 64}));
    return planning.held.back();
  }
  ValueId value_of(const array& a) const {
    for (ValueId v = 0; v < plan.values.size(); ++v)
      if (plan.values[v].buffer == a.node()->storage->buffer.get()) return v;
    return kNone;
  }
  /// Its bytes are in the store, too.
  void make_clean(const array& a) {
    const memory::BufferRef& buffer = a.node()->storage->buffer;
    memory::Ticket ticket = planning.context.store().write(buffer, buffer->all());
    planning.context.store().wait(ticket);
  }
  Planning planning;
  std::vector<array> outputs;
  Plan plan;
};

size_t count(const Schedule& s, ActionKind kind) {
  return static_cast<size_t>(std::count_if(s.actions.begin(), s.actions.end(),
                                           [&](const Action& a) { return a.kind == kind; }));
}
size_t place(const Schedule& s, ActionKind kind, uint32_t id) {
  return static_cast<size_t>(
      std::find_if(s.actions.begin(), s.actions.end(),
                   [&](const Action& a) { return a.kind == kind && a.id == id; }) -
      s.actions.begin());
}

// Three held arrays of which two are needed at a time.
array three_products(const array& a, const array& b, const array& c) {
  return add(sum(matmul(a, b)), add(sum(matmul(b, c)), sum(matmul(a, c))));
}

TEST_F(Evict, nothing_moves_where_all_fits) {
  build([&] { return three_products(held(), held(), held()); });
  Schedule s = *run({.budget = plan.peak, .recompute_price = kNever});
  EXPECT_EQ(s.actions.size(), plan.actions.size());
  EXPECT_EQ(s.written + s.loaded + s.recomputed, 0u);
}

TEST_F(Evict, finds_a_way_wherever_each_step_fits_alone_and_none_below) {
  build([&] { return three_products(held(), held(), held()); });
  ASSERT_LT(least(), plan.peak);
  EXPECT_TRUE(run({.budget = least(), .recompute_price = kNever}));
  EXPECT_FALSE(run({.budget = least() - 1, .recompute_price = kNever}));
}

TEST_F(Evict, what_is_needed_last_goes_first) {
  array a = held(), b = held(), c = held(), d = held();
  build([&] { return matmul(matmul(matmul(a, b), c), d); });
  Schedule s = *run({.budget = least() + kSquare, .recompute_price = kNever});
  EXPECT_LT(place(s, ActionKind::kDrop, value_of(d)), place(s, ActionKind::kRun, 0));
  EXPECT_GT(place(s, ActionKind::kDrop, value_of(c)), place(s, ActionKind::kRun, 0));
}

TEST_F(Evict, what_is_clean_goes_before_what_has_to_be_written) {
  array a = held(), b = held(), c = held(), d = held();
  make_clean(c);
  build([&] { return matmul(matmul(matmul(a, b), c), d); });
  Schedule s = *run({.budget = least() + kSquare, .recompute_price = kNever});
  EXPECT_LT(place(s, ActionKind::kDrop, value_of(c)), place(s, ActionKind::kRun, 0));
  EXPECT_GT(place(s, ActionKind::kDrop, value_of(d)), place(s, ActionKind::kRun, 0));
  EXPECT_EQ(place(s, ActionKind::kWrite, value_of(c)), s.actions.size());
}

TEST_F(Evict, a_spill_is_written_as_soon_as_its_value_is_idle) {
  array a = held(), b = held();
  build([&] {
    array early = sort(matmul(a, b), -1);
    array y = early;
    for (int i = 0; i < 4; ++i) y = sort(matmul(y, b), -1);
    return matmul(early, y);
  });
  Schedule s = *run({.budget = least(), .recompute_price = kNever});
  const ValueId early = plan.outputs(plan.steps[1])[0].value;
  const size_t write = place(s, ActionKind::kWrite, early);
  ASSERT_LT(write, s.actions.size());
  // Its last reader before the pause is the third step.
  EXPECT_EQ(write, place(s, ActionKind::kRun, 2) + 1);
  EXPECT_GT(place(s, ActionKind::kDrop, early), write);
  EXPECT_GT(place(s, ActionKind::kLoad, early), place(s, ActionKind::kDrop, early));
}

TEST_F(Evict, price_decides_between_computing_again_and_spilling) {
  build([&] { return cheap(planning)[0]; });
  const Bytes budget = plan.peak - kPage;
  Schedule spilled = *run({.budget = budget, .recompute_price = kNever});
  EXPECT_EQ(spilled.recomputed, 0u);
  EXPECT_EQ(count(spilled, ActionKind::kForget), 0u);
  EXPECT_GT(spilled.written, 0u);
  std::optional<Schedule> again = run({.budget = budget, .recompute_price = 0});
  ASSERT_TRUE(again);
  EXPECT_GT(again->recomputed, 0u);
  EXPECT_EQ(again->written, 0u);
  EXPECT_EQ(count(*again, ActionKind::kForget), count(*again, ActionKind::kRecompute));
}

TEST_F(Evict, what_recomputing_reads_is_held_no_longer_than_that) {
  size_t again = 0;
  for (uint64_t seed = 0; seed < 1000; ++seed) {
    Planning random;
    std::vector<array> targets = random_graph(random, seed / 5, 2 + seed / 5 % 37);
    const Bytes tenths = 5 + seed % 5;
    Plan p = Builder(random.backend, random.context.pool()).build(targets);
    schedule_default(p, random.context.pool());
    std::optional<Schedule> s =
        evict(p, p.units, {}, {.budget = p.peak * tenths / 10, .recompute_price = 0}, fixed_costs(),
              random.context.pool());
    if (!s) continue;
    again += count(*s, ActionKind::kRecompute);
    for (ValueId v = 0; v < p.values.size(); ++v) {
      if (p.values[v].kept || (p.values[v].producer == kNone && !p.values[v].donatable)) continue;
      bool given = false;
      for (StepId step = 0; step < p.steps.size(); ++step)
        given |= p.steps[step].donor == v &&
                 std::count(s->undonated.begin(), s->undonated.end(), step) == 0;
      EXPECT_TRUE(given || place(*s, ActionKind::kFree, v) < s->actions.size())
          << "seed " << seed << ", value " << v;
    }
  }
  EXPECT_GT(again, 50u);
}

TEST_F(Evict, a_donor_that_is_read_again_keeps_its_buffer) {
  size_t undonated = 0;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    Planning random;
    std::vector<array> targets = random_graph(random, seed, 30);
    Plan p = Builder(random.backend, random.context.pool()).build(targets);
    schedule_default(p, random.context.pool());
    std::optional<Schedule> s =
        evict(p, p.units, {}, {.budget = p.peak * 3 / 4, .recompute_price = 0}, fixed_costs(),
              random.context.pool());
    if (!s) continue;
    for (StepId step : s->undonated) {
      ++undonated;
      const size_t ran = place(*s, ActionKind::kRun, step);
      bool read_later = false;
      for (size_t i = ran + 1; i < s->actions.size(); ++i)
        if (s->actions[i].kind == ActionKind::kRecompute)
          for (const Operand& o : p.inputs(p.steps[s->units[s->actions[i].id].step]))
            read_later |= o.value == p.steps[step].donor;
      EXPECT_TRUE(read_later) << "seed " << seed << ", step " << step;
    }
  }
  EXPECT_GT(undonated, 0u);
}

TEST_F(Evict, small_and_exported_values_stay) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Planning random;
    std::vector<array> targets = random_graph(random, seed, 30);
    Plan p = Builder(random.backend, random.context.pool()).build(targets);
    schedule_default(p, random.context.pool());
    std::optional<Schedule> s =
        evict(p, p.units, {}, {.budget = p.peak * 2 / 3}, fixed_costs(), random.context.pool());
    if (!s) continue;
    for (const Action& a : s->actions) {
      if (a.kind != ActionKind::kDrop && a.kind != ActionKind::kForget) continue;
      EXPECT_FALSE(p.values[a.id].small || p.values[a.id].pinned) << seed;
    }
  }
}

TEST_F(Evict, a_schedule_within_the_bound_is_the_one_without_it) {
  size_t given_up = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Planning random;
    std::vector<array> targets = random_graph(random, seed, 30);
    Plan p = Builder(random.backend, random.context.pool()).build(targets);
    schedule_default(p, random.context.pool());
    EvictOptions options{.budget = p.peak * 2 / 3, .recompute_price = seed % 2 ? 1 : kNever};
    auto run = [&] { return evict(p, p.units, {}, options, fixed_costs(), random.context.pool()); };
    std::optional<Schedule> free = run();
    if (!free) continue;
    hoist_loads(p, *free, options.budget, fixed_costs());
    predict(p, *free, options.budget, fixed_costs());
    options.bound = free->seconds;
    std::optional<Schedule> bound = run();
    ASSERT_TRUE(bound) << seed;
    EXPECT_EQ(bound->written, free->written);
    EXPECT_EQ(bound->loaded, free->loaded);
    EXPECT_EQ(bound->recomputed, free->recomputed);
    double in_core = 0;
    for (const Step& step : p.steps) in_core += step_seconds(step, fixed_costs());
    options.bound = in_core * 0.99;
    EXPECT_FALSE(run()) << seed;
    ++given_up;
  }
  EXPECT_GT(given_up, 30u);
}

TEST_F(Evict, a_reserve_is_left_free_where_that_is_possible) {
  build([&] { return three_products(held(), held(), held()); });
  const Bytes budget = least() + 2 * kSquare;
  auto peak = [&](Bytes reserve) {
    Schedule s = *run({.budget = budget, .reserve = reserve, .recompute_price = kNever});
    measure_peak(plan, s, planning.context.pool());
    return s.peak;
  };
  EXPECT_LE(peak(2 * kSquare), budget - 2 * kSquare);
  EXPECT_GT(peak(0), budget - kSquare);
}

TEST_F(Evict, what_is_forced_to_be_computed_again_is_bounded) {
  // Each reader in the second half needs all of the chain again.
  constexpr size_t kLong = 60;
  build([&] {
    std::vector<array> links{held()};
    for (size_t i = 0; i < kLong; ++i) links.push_back(sort(links.back(), -1));
    array y = links.back();
    for (size_t i = kLong; i-- > 1;) y = sort(matmul(y, links[i]), -1);
    return y;
  });
  for (Step& step : plan.steps) step.donor = kNone;
  auto schedule = run({.budget = kPlenty, .recompute_price = 0, .force = Force::kForget});
  ASSERT_TRUE(schedule);
  size_t again = 0;
  for (const Action& a : schedule->actions) again += a.kind == ActionKind::kRecompute;
  EXPECT_GT(again, plan.steps.size());
  EXPECT_LT(again, 6 * plan.steps.size());
}

}  // namespace
}  // namespace plimsoll::plan
