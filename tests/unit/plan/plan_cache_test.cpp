#include "plan/plan_cache.h"

#include "tests/unit/plan/graphs.h"

namespace plimsoll::plan {
namespace {

struct PlanReuse : testing::Test {
  using Make = std::vector<array> (*)(Planning&);
  /// The plan of a graph that is made for it and gone afterwards.
  Plan once(const std::function<std::vector<array>(Planning&)>& make, Bytes limit) {
    outputs.clear();
    planning.held.clear();
    planning.exports.clear();
    outputs = make(planning);
    return planning.planner.plan(outputs, limit);
  }
  Bytes limit(const std::function<std::vector<array>(Planning&)>& make, double share) {
    outputs = make(planning);
    const Bytes bytes = planning.limit(outputs, share);
    planning.planner.forget_plans();
    return bytes;
  }
  Planning planning;
  std::vector<array> outputs;
};

TEST_F(PlanReuse, a_graph_like_one_before_takes_its_plan) {
  for (Make make : {train, cheap, rows, product, stream, others}) {
    const Bytes tight = limit(make, 0.3);
    std::string text;
    {
      Plan first = once(make, tight);
      EXPECT_FALSE(first.reused);
      first.limit = 0;  // beside what is free of headers
      text = print(first);
    }
    Plan again = once(make, tight);
    EXPECT_TRUE(again.reused) << text;
    EXPECT_EQ(planning.check(again), "");
    again.limit = 0;
    EXPECT_EQ(print(again), text);
    planning.planner.forget_plans();
    EXPECT_FALSE(once(make, tight).reused);
  }
}

TEST_F(PlanReuse, what_fits_as_it_is_needs_none) {
  const Bytes peak = limit(train, 1);
  EXPECT_FALSE(once(train, peak).reused);
  EXPECT_FALSE(once(train, peak).reused);
}

TEST_F(PlanReuse, much_more_or_less_room_is_planned_anew) {
  const Bytes tight = limit(train, 0.3);
  (void)once(train, tight);
  EXPECT_TRUE(once(train, tight + tight / 64).reused);
  EXPECT_FALSE(once(train, tight + tight / 8).reused);
  EXPECT_FALSE(once(train, tight - tight / 8).reused);
  EXPECT_TRUE(once(train, tight).reused);
}

TEST_F(PlanReuse, what_has_less_room_than_before_is_planned_anew_and_then_done_for_both) {
  const Bytes tight = limit(train, 0.3);
  (void)once(train, tight);
  const Plan less = once(train, tight - 64);
  EXPECT_FALSE(less.reused);
  EXPECT_LE(less.peak, tight - 64);
  EXPECT_TRUE(once(train, tight - 64).reused);
  EXPECT_TRUE(once(train, tight).reused);
}

TEST_F(PlanReuse, what_is_in_memory_counts) {
  auto make = [](Planning& p) {
    array x = p.existing({64, 64});
    p.held.push_back(x);
    return std::vector<array>{add(exp(sort(x)), sort(exp(x)))};
  };
  const Bytes tight = limit(make, 0.5);
  (void)once(make, tight);
  EXPECT_TRUE(once(make, tight).reused);
  auto spilled = [&](Planning& p) {
    std::vector<array> made = make(p);
    const memory::BufferRef& buffer = p.held.back().node()->storage->buffer;
    memory::SpillStore& store = p.context.store();
    memory::Ticket ticket = store.write(buffer, buffer->all());
    store.wait(ticket);
    buffer->evict(buffer->all());
    return made;
  };
  EXPECT_FALSE(once(spilled, tight).reused);
}

TEST_F(PlanReuse, attributes_forms_edges_and_holders_count) {
  // All of them are of the same sizes.
  auto like = [](int change) {
    return [change](Planning& p) {
      array x = p.existing({32, 128});
      array a = softmax(exp(x), Dims{change == 1 ? 0 : -1});
      array b = softmax(change == 2 ? reshape(x, {64, 64}) : x, Dims{-1});
      array c = matmul(transpose(a), change == 3 ? a : reshape(b, {32, 128}));
      if (change == 4) p.held.push_back(b);
      return std::vector<array>{change == 5 ? c : softmax(c, Dims{-1})};
    };
  };
  const Bytes tight = limit(like(0), 0.4);
  (void)once(like(0), tight);
  EXPECT_TRUE(once(like(0), tight).reused);
  for (int change = 1; change <= 5; ++change) EXPECT_FALSE(once(like(change), tight).reused);
}

TEST_F(PlanReuse, entries_are_bounded_and_the_oldest_goes_first) {
  auto of_depth = [](int depth) { return [depth](Planning& p) { return layers(p, depth, 64); }; };
  constexpr int kFirst = 200, kMost = 230;  // in sum far more steps than are kept
  std::vector<Bytes> limits;
  for (int depth = kFirst; depth < kMost; ++depth) {
    const Bytes whole = once(of_depth(depth), kPlenty).unlimited_peak;
    limits.push_back(whole - whole / 8);
  }
  for (int depth = kFirst; depth < kMost; ++depth)
    (void)once(of_depth(depth), limits[depth - kFirst]);
  EXPECT_TRUE(once(of_depth(kMost - 1), limits.back()).reused);
  EXPECT_FALSE(once(of_depth(kFirst), limits.front()).reused);
}

TEST_F(PlanReuse, random_graphs_are_planned_once_and_right) {
  size_t reused = 0, planned = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    auto make = [seed](Planning& p) { return random_graph(p, seed, 5 + seed % 40); };
    for (double share : {0.0, 0.2, 0.6}) {
      once(make, kPlenty);
      const Bytes tight = planning.limit(outputs, share);
      planning.planner.forget_plans();
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

}  // namespace
}  // namespace plimsoll::plan
