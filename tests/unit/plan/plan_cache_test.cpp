#include "plan/plan_cache.h"

#include <set>

#include "plan/build.h"
#include "plan/schedule.h"
#include "tests/unit/plan/graphs.h"

namespace plimsoll::plan {
namespace {

using Make = std::function<std::vector<array>(Planning&)>;

struct PlanReuse : testing::Test {
  /// The plan of a graph that is made for it and gone afterwards.
  Plan once(const Make& make, Bytes limit) {
    outputs.clear();
    planning.held.clear();
    planning.exports.clear();
    outputs = make(planning);
    return planner.plan(outputs, limit);
  }
  /// As Planning::limit, of a planner that has planned nothing.
  Bytes limit(const Make& make, double share) {
    (void)once(make, kPlenty);
    const Bytes bytes = limit_at(planner, outputs, share);
    planner.forget_plans();
    return bytes;
  }
  static runtime::ContextOptions little_spill_space() {
    runtime::ContextOptions options = small_blocks();
    options.spill_limit = 64 * kMiB;
    return options;
  }
  Planning planning{little_spill_space()};
  Planner planner{
      planning.backend, planning.context.pool(), fixed_costs(), {}, &planning.context.store()};
  std::vector<array> outputs;
};

TEST_F(PlanReuse, a_graph_like_one_before_takes_its_plan) {
  for (auto* make : {train, cheap, rows, product, stream, others}) {
    const Bytes tight = limit(make, 0.3);
    std::string text;
    {
      Plan first = once(make, tight);
      EXPECT_FALSE(first.reused);
      first.limit = first.floor = 0;  // beside what is free of headers; only a search finds a floor
      text = print(first);
    }
    Plan again = once(make, tight);
    EXPECT_TRUE(again.reused) << text;
    EXPECT_EQ(planning.check(again), "");
    again.limit = 0;
    EXPECT_EQ(print(again), text);
    planner.forget_plans();
    EXPECT_FALSE(once(make, tight).reused);
  }
}

TEST_F(PlanReuse, what_fits_as_it_is_needs_none) {
  const Bytes peak = once(train, kPlenty).peak;
  EXPECT_FALSE(once(train, peak).reused);
  EXPECT_FALSE(once(train, peak).reused);
  EXPECT_EQ(planner.known_plans(), 0u);
}

TEST_F(PlanReuse, what_another_order_makes_fit_is_reused_up_to_a_byte_below_the_peak) {
  const Bytes peak = limit(waiting, 1);
  for (Bytes less : {1, 64, 4096}) {
    const Plan first = once(waiting, peak - less);
    ASSERT_STREQ(first.stage, "reorder");
    EXPECT_TRUE(once(waiting, peak - less).reused) << less;
    planner.forget_plans();
  }
}

TEST_F(PlanReuse, much_more_or_less_room_is_planned_anew) {
  const Bytes tight = limit(train, 0.3);
  (void)once(train, tight);
  EXPECT_TRUE(once(train, tight + tight / 128).reused);
  EXPECT_FALSE(once(train, tight + tight / 8).reused);
  EXPECT_FALSE(once(train, tight - tight / 8).reused);
  EXPECT_TRUE(once(train, tight).reused);
}

TEST_F(PlanReuse, what_has_less_room_than_before_is_planned_anew_and_then_done_for_both) {
  const Bytes tight = limit(train, 0.3);
  (void)once(train, tight);
  {
    const Plan less = once(train, tight - 64);
    EXPECT_FALSE(less.reused);
    EXPECT_LE(less.peak, tight - 64);
  }
  EXPECT_TRUE(once(train, tight - 64).reused);
  EXPECT_TRUE(once(train, tight).reused);
  EXPECT_EQ(planner.known_plans(), 1u);
}

TEST_F(PlanReuse, the_floor_that_is_shown_does_not_depend_on_plans_before) {
  for (auto* make : {train, cheap, rows, product, stream, waiting}) {
    for (double share : {0.1, 0.5, 0.9}) {
      const Bytes tight = limit(make, share);
      (void)once(make, tight);
      const Bytes floor = planner.dry_run(outputs, tight).floor;
      planner.forget_plans();
      EXPECT_EQ(planner.dry_run(outputs, tight).floor, floor);
    }
  }
}

TEST_F(PlanReuse, a_store_with_less_room_is_planned_for_anew) {
  const Bytes tight = limit(train, 0.1);
  const Bytes space = once(train, tight).spill_space;
  ASSERT_GT(space, 0u);
  EXPECT_TRUE(once(train, tight).reused);
  memory::SpillStore& store = planning.context.store();
  auto held = store.reserve_space(store.available() - space / 2);
  EXPECT_FALSE(once(train, tight).reused);
}

TEST_F(PlanReuse, measured_costs_make_plans_old) {
  bool known = false;
  planner.set_calibration([&]() -> std::optional<Costs> {
    if (known) return fixed_costs();
    return std::nullopt;
  });
  const Bytes tight = limit(train, 0.2);
  (void)once(train, tight);
  EXPECT_TRUE(once(train, tight).reused);
  known = true;
  (void)once(train, limit(train, 0.8));
  EXPECT_FALSE(once(train, tight).reused);
}

TEST_F(PlanReuse, random_graphs_are_planned_once_and_right) {
  size_t reused = 0, planned = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    auto make = [seed](Planning& p) { return random_graph(p, seed, 5 + seed % 40); };
    for (double share : {0.0, 0.2, 0.6}) {
      const Bytes tight = limit(make, share);
      double seconds;
      {
        const Plan first = once(make, tight);
        if (first.stage == std::string("fits")) continue;
        seconds = first.seconds;
      }
      const Plan again = once(make, tight);
      ++planned;
      reused += again.reused;
      EXPECT_EQ(planning.check(again), "") << seed;
      EXPECT_LE(again.peak, tight) << seed;
      EXPECT_EQ(again.seconds, seconds) << seed;
    }
  }
  EXPECT_GT(planned, 300u);
  EXPECT_EQ(reused, planned);
}

// The key ---------------------------------------------------------------------------------------

struct Structure : testing::Test {
  uint64_t of(const Make& make) {
    std::vector<array> outputs = make(planning);
    const uint64_t structure =
        structure_of(Builder(planning.backend, planning.context.pool()).build(outputs));
    planning.held.clear();
    planning.exports.clear();
    return structure;
  }
  void expect_all_differ(const std::vector<Make>& makes) {
    std::set<uint64_t> found;
    for (const Make& make : makes) {
      const uint64_t structure = of(make);
      EXPECT_EQ(of(make), structure);
      EXPECT_TRUE(found.insert(structure).second) << found.size();
    }
  }
  Planning planning;
};

// All of one size, and of as many steps.
TEST_F(Structure, ops_attributes_forms_edges_and_holders_count) {
  expect_all_differ({
      [](Planning& p) {
        return std::vector{softmax(sort(p.existing({64, 64}), 1), Dims{1})};
      },
      [](Planning& p) {
        return std::vector{softmax(sort(p.existing({64, 64}), 1), Dims{0})};
      },
      [](Planning& p) {
        return std::vector{softmax(sort(p.existing({64, 64}), 0), Dims{1})};
      },
      [](Planning& p) {
        return std::vector{sort(softmax(p.existing({64, 64}), Dims{1}), 1)};
      },
      [](Planning& p) {
        return std::vector{softmax(sort(p.existing({32, 128}), 1), Dims{1})};
      },
      [](Planning& p) {
        array x = p.existing({64, 64});
        p.held.push_back(x);
        return std::vector{softmax(sort(x, 1), Dims{1})};
      },
      [](Planning& p) {
        array x = p.existing({64, 64});
        p.exports.push_back(x.node()->storage->buffer->export_pin("a view"));
        return std::vector{softmax(sort(x, 1), Dims{1})};
      },
      [](Planning& p) {
        array y = sort(p.existing({64, 64}), 1);
        p.held.push_back(y);
        return std::vector{softmax(y, Dims{1})};
      },
  });
  expect_all_differ({
      [](Planning& p) {
        array x = p.existing({64, 64}), y = p.existing({64, 64});
        return std::vector{matmul(x, y)};
      },
      [](Planning& p) {
        array x = p.existing({64, 64}), y = p.existing({64, 64});
        return std::vector{matmul(y, x), matmul(x, y)};
      },
      [](Planning& p) {
        array x = p.existing({64, 64}), y = p.existing({64, 64});
        return std::vector{matmul(x, y), matmul(x, y)};
      },
      [](Planning& p) {
        array x = p.existing({64, 64}), y = p.existing({64, 64});
        return std::vector{matmul(x, transpose(y)), matmul(x, y)};
      },
  });
}

TEST_F(Structure, programs_count_without_their_constants) {
  auto with = [](float number) {
    return [number](Planning& p) { return std::vector{exp(multiply(p.existing({64}), number))}; };
  };
  EXPECT_EQ(of(with(2)), of(with(3)));
  expect_all_differ({with(2),
                     [](Planning& p) { return std::vector{exp(add(p.existing({64}), 2.f))}; },
                     [](Planning& p) { return std::vector{sin(multiply(p.existing({64}), 2.f))}; },
                     [](Planning& p) {
                       array y = multiply(p.existing({64}), 2.f);
                       return std::vector{exp(y), y};
                     }});
}

TEST_F(Structure, what_is_in_memory_counts) {
  array x = planning.existing({64, 64});
  const memory::BufferRef& buffer = x.node()->storage->buffer;
  memory::SpillStore& store = planning.context.store();
  auto now = [&] { return of([&](Planning&) { return std::vector{sort(x, 1)}; }); };
  std::set<uint64_t> found{now()};
  auto expect_other = [&] { EXPECT_TRUE(found.insert(now()).second) << found.size(); };
  memory::Ticket ticket = store.write(buffer, buffer->all());
  store.wait(ticket);
  expect_other();  // there is a copy of it
  buffer->evict({0, kPage});
  expect_other();
  buffer->evict(buffer->all());
  expect_other();
}

// Entries ---------------------------------------------------------------------------------------

struct Entries : testing::Test {
  Plan built() {
    Plan plan = Builder(planning.backend, planning.context.pool()).build(outputs);
    schedule_default(plan, planning.context.pool());
    plan.limit = kPlenty;
    return plan;
  }
  bool take(const PlanCache::Entry& entry) {
    Plan plan = built();
    return reuse(entry, plan, planning.backend, planning.context.pool(), nullptr);
  }
  Planning planning;
  std::vector<array> outputs = train(planning);
  PlanCache cache;
};

TEST_F(Entries, a_plan_that_is_not_right_is_not_taken) {
  const Bytes tight = planning.limit(outputs, 0.2);
  cache.add(1, 1000, planning.planner.plan(outputs, tight));
  const PlanCache::Entry& good = *cache.find(1, 1000);
  EXPECT_TRUE(take(good));
  auto spoiled = [&](auto spoil) {
    PlanCache::Entry entry = good;
    spoil(entry);
    return take(entry);
  };
  EXPECT_FALSE(spoiled([](auto& e) { e.course.actions.pop_back(); }));
  EXPECT_FALSE(spoiled([](auto& e) { e.course.actions.erase(e.course.actions.begin()); }));
  EXPECT_FALSE(spoiled([](auto& e) { e.above -= kPage; }));
  EXPECT_FALSE(spoiled([](auto& e) { ++e.values; }));
  EXPECT_FALSE(spoiled([](auto& e) { ++e.operands; }));
  EXPECT_FALSE(spoiled([](auto& e) { e.order.pop_back(); }));
  EXPECT_FALSE(spoiled([](auto& e) { e.donors.push_back(kNone); }));
}

TEST_F(Entries, what_is_past_the_limit_is_not_taken) {
  cache.add(1, 1000, planning.planner.plan(outputs, planning.limit(outputs, 0.2)));
  const PlanCache::Entry& entry = *cache.find(1, 1000);
  Plan plan = built();
  plan.limit = entry.above;  // headers come on top
  EXPECT_FALSE(reuse(entry, plan, planning.backend, planning.context.pool(), nullptr));
}

TEST_F(Entries, a_budget_holds_for_a_little_more) {
  const Plan plan = planning.planner.plan(outputs, planning.limit(outputs, 0.2));
  cache.add(1, 3200, plan);
  EXPECT_FALSE(cache.find(2, 3200));
  EXPECT_FALSE(cache.find(1, 3199));
  EXPECT_TRUE(cache.find(1, 3300));
  EXPECT_FALSE(cache.find(1, 3301));
  cache.add(1, 3150, plan);  // does for the other, too
  EXPECT_EQ(cache.size(), 1u);
  cache.add(1, 3000, plan);
  cache.add(2, 3000, plan);
  EXPECT_EQ(cache.size(), 3u);
}

TEST_F(Entries, are_bounded_in_number_and_bytes_and_the_least_used_goes_first) {
  const Plan plan = planning.planner.plan(outputs, planning.limit(outputs, 0.2));
  for (uint64_t structure = 0; structure < 1000; ++structure) {
    cache.add(structure, 1, plan);
    EXPECT_TRUE(cache.find(0, 1));
  }
  EXPECT_LE(cache.size(), 256u);
  EXPECT_GT(cache.size(), 100u);
  EXPECT_TRUE(cache.find(999, 1));
  EXPECT_FALSE(cache.find(1, 1));
  const size_t many = cache.size();
  outputs = layers(planning, 100, 64);
  const Plan large = planning.planner.plan(outputs, planning.limit(outputs, 0.5));
  cache.add(1000, 1, large);
  EXPECT_TRUE(cache.find(1000, 1));
  EXPECT_LE(cache.size(), many);
  for (uint64_t structure = 1001; structure < 1100; ++structure) cache.add(structure, 1, large);
  EXPECT_LT(cache.size(), 50u);
  outputs = layers(planning, 5000, 64);
  cache.add(2000, 1, planning.planner.plan(outputs, planning.limit(outputs, 0.5)));
  EXPECT_FALSE(cache.find(2000, 1));  // too large to be kept
  EXPECT_TRUE(cache.find(1099, 1));
}

}  // namespace
}  // namespace plimsoll::plan
