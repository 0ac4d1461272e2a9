// Evaluations under limits: the bits of unlimited ones, inside of what was planned, and whole
// after whatever goes wrong.
#include "runtime/executor.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "plimsoll/ops/gather.h"
#include "plimsoll/ops/scan.h"
#include "tests/unit/plan/graphs.h"

namespace plimsoll::runtime {
namespace {

using plan::kPage;
using plan::kPlenty;
using plan::Planning;
using ::testing::HasSubstr;

using Bits = std::vector<std::vector<std::byte>>;
using Make = std::vector<array> (*)(Planning&);

struct Run : testing::Test {
  Run() {
    directory = std::filesystem::path("/var/tmp") / ("plimsoll-run-" + std::to_string(getpid()));
    options = plan::small_blocks();
    options.spill_directory = directory.string();
    options.threads = 2;
    options.faults = &faults;
  }
  ~Run() override { std::filesystem::remove_all(directory); }

  static Bits bits_of(Planning& p, const std::vector<array>& arrays) {
    Bits bits;
    for (const array& a : arrays) {
      bits.emplace_back(a.nbytes());
      p.context.copy_out(*a.node(), bits.back().data());
    }
    return bits;
  }
  /// Floor and peak of the context's own planner.
  static Bytes limit_at(Planning& p, const std::vector<array>& outputs, double share) {
    MemoryPlan free = p.context.dry_run(outputs, kPlenty);
    auto above = static_cast<double>(free.unlimited_peak - free.floor);
    return free.floor + static_cast<Bytes>(share * above);
  }
  Bits unlimited(Make make) {
    Planning p(options);
    std::vector<array> outputs = make(p);
    p.context.eval(outputs);
    return bits_of(p, outputs);
  }

  std::filesystem::path directory;
  FaultPlan faults;
  ContextOptions options;
};

// Bits ---------------------------------------------------------------------------------------

TEST_F(Run, random_graphs_have_the_same_bits_under_every_limit) {
  size_t written = 0, recomputed = 0, tiles = 0;
  options.pool.cache_limit = 0;  // blocks kept for reuse are in no plan
  for (uint64_t seed = 0; seed < 40; ++seed) {
    Bits expected;
    for (double share : {2.0, 0.0, 0.3, 0.7}) {
      Planning p(options);
      std::vector<array> outputs = random_graph(p, seed, 2 + seed % 37);
      const Bytes limit = share > 1 ? kPlenty : limit_at(p, outputs, share);
      p.context.set_limit(limit, true);
      p.context.eval(outputs);
      EvaluationReport report = p.context.last_evaluation();
      EXPECT_LE(report.peak, limit) << "seed " << seed << " at " << share;
      // An empty chunk of metadata is kept where there is room for it, and tiles are read ahead.
      const Bytes spare = memory::MetadataArena::kChunkBytes;
      if (report.tiles == 0)
        EXPECT_LE(report.peak, report.planned_peak + spare) << "seed " << seed << " at " << share;
      written += report.written > 0;
      recomputed += report.recomputed > 0;
      tiles += report.tiles > 0;
      Bits bits = bits_of(p, outputs);
      if (share > 1)
        expected = std::move(bits);
      else
        EXPECT_EQ(bits == expected, true) << "seed " << seed << " at " << share;
    }
  }
  EXPECT_GT(written, 40u);
  EXPECT_GT(recomputed, 0u);
  EXPECT_GT(tiles, 20u);
}

TEST_F(Run, each_kind_of_plan_has_the_same_bits) {
  for (auto [make, share] : std::initializer_list<std::pair<Make, double>>{{plan::train, 0.5},
                                                                           {plan::cheap, 0.8},
                                                                           {plan::others, 0.5},
                                                                           {plan::rows, 0.1},
                                                                           {plan::product, 0.2},
                                                                           {plan::stream, 0.1},
                                                                           {plan::waiting, 0.8}}) {
    const Bits expected = unlimited(make);
    Planning p(options);
    std::vector<array> outputs = make(p);
    const Bytes limit = limit_at(p, outputs, share);
    p.context.set_limit(limit, true);
    p.context.eval(outputs);
    EXPECT_EQ(bits_of(p, outputs) == expected, true);
    EXPECT_LE(p.context.last_evaluation().peak, limit);
  }
}

TEST_F(Run, sums_and_scans_over_ordered_tiles_have_the_same_bits) {
  Make sums = [](Planning& p) -> std::vector<array> {
    array x = p.existing({8, 1 << 16});
    return {sum(x), cumsum(x, 1), sum(x, Dims{0}), sum(x, Dims{1})};
  };
  const Bits expected = unlimited(sums);
  for (double share : {0.0, 0.1, 0.4}) {
    Planning p(options);
    std::vector<array> outputs = sums(p);
    p.context.set_limit(limit_at(p, outputs, share), true);
    p.context.eval(outputs);
    EXPECT_GT(p.context.last_evaluation().tiles, 1u);
    EXPECT_EQ(bits_of(p, outputs) == expected, true) << share;
  }
}

// What is left -------------------------------------------------------------------------------

TEST_F(Run, nothing_is_left_in_use_but_what_somebody_holds) {
  for (double share : {2.0, 0.0, 0.5}) {
    Planning p(options);
    std::vector<array> outputs = plan::train(p);
    const Bytes limit = share > 1 ? kPlenty : limit_at(p, outputs, share);
    p.context.set_limit(limit, true);
    p.context.eval(outputs);
    std::vector<memory::BufferRef> live = p.context.pool().live_buffers();
    EXPECT_EQ(live.size(), 2u + 2u);  // two weights, two gradients; the loss is small
    live.clear();
    outputs.clear();
    p.held.clear();
    EXPECT_EQ(p.context.ledger().used(memory::Tag::kBuffer), 0u);
    EXPECT_EQ(p.context.ledger().used(memory::Tag::kWorkspace), 0u);
    EXPECT_EQ(p.context.store().stats().stored, 0u);
  }
}

TEST_F(Run, a_result_in_place_of_an_array_from_before_gives_its_memory_back) {
  Planning p(options);
  std::vector<array> outputs{sum(sort(exp(p.existing({64, 64})), -1))};
  std::vector<Bytes> used;
  p.context.set_interrupt_poll([&] {
    used.push_back(p.context.ledger().used(memory::Tag::kBuffer));
    return false;
  });
  p.context.eval(outputs);
  const Bytes one = 64 * 64 * 4;
  EXPECT_EQ(used, (std::vector<Bytes>{one, one, one}));  // before exp, sort and sum
}

TEST_F(Run, evaluated_nodes_let_go_of_their_inputs) {
  Planning p(options);
  array x = p.existing({64, 64});
  graph::Node* source = x.node();
  array y = exp(x);
  EXPECT_EQ(source->refs.load(), 2u);
  p.context.eval({{y}});
  EXPECT_EQ(source->refs.load(), 1u);
  EXPECT_EQ(y.node()->def, nullptr);
}

// The nodes refer to the old parameters until the evaluation ends; their blocks are used before.
TEST_F(Run, blocks_of_inputs_that_are_dead_serve_later_results) {
  Planning p(options);
  array x = p.existing({256, 256}), y = p.existing({256, 256});
  p.context.eval({{x, y}});
  uint64_t fresh = 0;
  for (int round = 0; round < 6; ++round) {
    if (round == 2) fresh = p.context.pool().stats().fresh;
    array next = sort(x + y, -1);
    y = sort(y, -1);
    x = next;
    p.context.eval({{x, y}});
  }
  EXPECT_EQ(p.context.pool().stats().fresh, fresh);
}

// Failures -----------------------------------------------------------------------------------

TEST_F(Run, an_interrupt_keeps_what_is_finished_and_the_rest_goes_on_from_there) {
  const Bits expected = unlimited(plan::train);
  size_t stopped = 0;
  for (int k = 1;; ++k) {
    Planning p(options);
    std::vector<array> outputs = plan::train(p);
    p.context.set_limit(limit_at(p, outputs, 0.5), true);
    int polls = 0;
    p.context.set_interrupt_poll([&] { return ++polls == k; });
    try {
      p.context.eval(outputs);
      EXPECT_LT(polls, k);
      break;
    } catch (const Interrupted&) {
      ++stopped;
    }
    p.context.set_interrupt_poll({});
    p.context.eval(outputs);
    ASSERT_EQ(bits_of(p, outputs) == expected, true) << "interrupted at poll " << k;
  }
  EXPECT_GT(stopped, 10u);
}

TEST_F(Run, a_step_that_fails_leaves_its_inputs_and_the_others_whole) {
  Planning p(options);
  array x = p.existing({64, 64});
  const Bits before = bits_of(p, {x});
  array good = sort(x, -1);
  auto row = [](int32_t i) { return array(&i, {1}, Dtype::kInt32); };
  array bad = take(good, row(64), 0);
  EXPECT_THROW(p.context.eval({{bad}}), IndexError);
  EXPECT_TRUE(good.is_available());
  EXPECT_FALSE(bad.is_available());
  EXPECT_EQ(bits_of(p, {x}) == before, true);
  EXPECT_THROW(p.context.eval({{bad}}), IndexError);  // again, from what is there
  array last = take(good, row(63), 0);
  p.context.eval({{last}});
  Bits rows = bits_of(p, {good, last});
  EXPECT_EQ(std::memcmp(rows[0].data() + size_t{63} * 64 * 4, rows[1].data(), 64 * 4), 0);
}

TEST_F(Run, whatever_the_system_refuses_arrays_stay_whole) {
  const Bits expected = unlimited(plan::train);
  uint64_t injected = 0;
  for (uint64_t k = 1;; ++k) {
    Planning p(options);
    std::vector<array> outputs = plan::train(p);
    p.context.set_limit(limit_at(p, outputs, 0.4), true);
    faults.fail_at(k);
    bool failed = false;
    try {
      p.context.eval(outputs);
    } catch (const OutOfMemory&) {
      failed = true;
    } catch (const IoError&) {
      failed = true;
    }
    const bool done = faults.injected() == 0;
    injected += faults.injected();
    faults.disarm();
    if (failed) p.context.eval(outputs);
    ASSERT_EQ(bits_of(p, outputs) == expected, true) << "fault at " << k;
    outputs.clear();
    p.held.clear();
    ASSERT_EQ(p.context.ledger().used(memory::Tag::kBuffer), 0u) << "fault at " << k;
    if (done) break;
  }
  EXPECT_GT(injected, 20u);
}

TEST_F(Run, a_full_store_is_an_error_before_anything_runs) {
  options.spill_limit = kPage;
  Planning p(options);
  std::vector<array> outputs = plan::train(p);
  p.context.set_limit(limit_at(p, outputs, 0.3), true);
  try {
    p.context.eval(outputs);
    FAIL() << "no error";
  } catch (const IoError& e) {
    EXPECT_EQ(e.error_number(), ENOSPC);
  }
  EXPECT_EQ(p.context.last_evaluation().actions, 0u);
  for (const array& a : outputs) EXPECT_FALSE(a.is_available());
  p.context.set_limit(kPlenty, true);
  p.context.eval(outputs);
  EXPECT_EQ(bits_of(p, outputs) == unlimited(plan::train), true);
}

// When reality differs -----------------------------------------------------------------------

struct Surprise : Run {
  /// Plans with plenty, changes something, and runs.
  template <typename Change>
  void run(Planning& p, const std::vector<array>& outputs, Change change) {
    plan::Plan plan = p.planner.plan(outputs, kPlenty);
    change();
    run(p, plan);
  }
  void run(Planning& p, plan::Plan& plan) {
    Machine machine{p.context.backend(), p.context.pool(), p.context.store(), {}, poll};
    Executor(machine, plan, report).run();
  }
  /// Transfers run only where somebody waits for them. For a store that has run none yet.
  void have_no_threads() { faults.fail_at(1, true, FaultPlan::mask(FaultSite::kThreadStart)); }
  EvaluationReport report;
  InterruptPoll poll;
};

TEST_F(Surprise, arrays_outside_are_evicted_where_the_limit_has_shrunk) {
  Make make = [](Planning& p) -> std::vector<array> {
    p.held.push_back(p.existing({256, 256}));
    return {sort(p.held[0], -1)};
  };
  const Bits expected = unlimited(make);
  Planning p(options);
  std::vector<array> outputs = make(p);
  p.held.push_back(p.existing({256, 256}));
  const Bits outside = bits_of(p, {p.held[1]});
  run(p, outputs, [&] { p.context.ledger().set_limit(p.context.ledger().used() + 16 * kPage); });
  EXPECT_GT(report.written, 0u);
  EXPECT_EQ(p.held[1].node()->storage->buffer->resident_bytes(), 0u);
  EXPECT_EQ(bits_of(p, outputs) == expected, true);
  EXPECT_EQ(bits_of(p, {p.held[1]}) == outside, true);
}

TEST_F(Surprise, without_room_the_step_is_named_and_its_inputs_are_kept) {
  Planning p(options);
  array x = p.existing({256, 256});
  const Bits before = bits_of(p, {x});
  array y = sort(x, -1);
  std::vector<array> outputs{y};
  try {
    run(p, outputs, [&] { p.context.ledger().set_limit(p.context.ledger().used()); });
    FAIL() << "no error";
  } catch (const OutOfMemory& e) {
    EXPECT_THAT(e.what(), HasSubstr("[sort float32[256, 256]] expected room for"));
  }
  EXPECT_FALSE(y.is_available());
  EXPECT_EQ(bits_of(p, {x}) == before, true);
}

TEST_F(Surprise, room_for_an_array_leaves_no_write_under_way) {
  Planning p(options);
  p.held = {p.existing({256, 256}), p.existing({256, 256})};
  have_no_threads();
  p.context.set_limit(p.context.ledger().used() + 25 * kPage, true);
  const memory::BufferRef more = p.context.allocate(75 * kPage);  // more than one of them has
  for (const array& a : p.held) EXPECT_FALSE(a.node()->storage->buffer->pinned());
}

// Loads that come early find their values evicted again when they are read.
struct Ahead : Surprise {
  static constexpr Bytes kBytes = 256 * 256 * 4;

  static std::vector<array> two_sorts(Planning& p) {
    p.held = {p.existing({256, 256}), p.existing({256, 256})};
    return {sort(p.held[0], -1), sort(p.held[1], -1)};
  }
  static void evict(Planning& p, const array& a) {
    const memory::BufferRef& buffer = a.node()->storage->buffer;
    memory::Ticket ticket = p.context.store().write(buffer, buffer->all());
    p.context.store().wait(ticket);
    ASSERT_EQ(buffer->evict(buffer->all()), a.nbytes());
  }
  /// Room for one sort beside what the other one has, and the second operand comes first.
  void run_both(Planning& p, const std::vector<array>& outputs) {
    evict(p, p.held[1]);
    plan::Plan plan = p.planner.plan(outputs, kPlenty);
    auto later = std::stable_partition(plan.actions.begin(), plan.actions.end(),
                                       [](auto& a) { return a.kind == plan::ActionKind::kLoad; });
    ASSERT_EQ(later - plan.actions.begin(), 1);
    p.context.ledger().set_limit(p.context.ledger().used() + kBytes + 24 * kPage);
    run(p, plan);
  }
};

TEST_F(Ahead, what_came_and_was_evicted_is_read_again) {
  const Bits expected = unlimited(two_sorts);
  Planning p(options);
  std::vector<array> outputs = two_sorts(p);
  poll = [&] {
    p.context.store().wait_all();  // nothing is under way when a step starts
    return false;
  };
  run_both(p, outputs);
  EXPECT_EQ(bits_of(p, outputs) == expected, true);
  EXPECT_GE(report.loaded, 2 * kBytes);
}

TEST_F(Ahead, what_is_on_its_way_is_awaited_and_evicted) {
  const Bits expected = unlimited(two_sorts);
  Planning p(options);
  std::vector<array> outputs = two_sorts(p);
  have_no_threads();
  run_both(p, outputs);
  EXPECT_EQ(bits_of(p, outputs) == expected, true);
  EXPECT_GE(report.loaded, 2 * kBytes);
}

TEST_F(Ahead, what_was_read_and_dropped_does_not_come_late) {
  Planning p(options);
  std::vector<array> outputs = two_sorts(p);
  for (const array& a : p.held) evict(p, a);
  plan::Plan plan = p.planner.plan(outputs, kPlenty);
  std::vector<plan::Action> loads;
  for (const plan::Action& a : plan.actions)
    if (a.kind == plan::ActionKind::kLoad) loads.push_back(a);
  ASSERT_EQ(loads.size(), 2u);
  std::erase_if(plan.actions, [](auto& a) { return a.kind == plan::ActionKind::kLoad; });
  const plan::Action drop{plan::ActionKind::kDrop, loads[0].id};
  plan.actions.insert(plan.actions.begin() + 1, drop);  // after the first sort
  plan.actions.insert(plan.actions.begin(), {loads[1], loads[0]});
  memory::Ledger& ledger = p.context.ledger();
  ledger.set_limit(ledger.used());  // no room for either load
  Bytes more = 2 * kBytes + 24 * kPage;
  poll = [&] {
    ledger.set_limit(ledger.used() + std::exchange(more, kPlenty / 2));
    return false;
  };
  run(p, plan);
  EXPECT_EQ(report.loaded, 2 * kBytes);
}

TEST_F(Surprise, a_result_in_place_of_what_is_being_written_is_written_and_dropped) {
  Make make = [](Planning& p) -> std::vector<array> {
    p.held = {p.existing({64, 64})};
    return {exp(sort(p.held[0], -1))};
  };
  const Bits expected = unlimited(make);
  Planning p(options);
  std::vector<array> outputs = make(p);
  plan::Plan plan = p.planner.plan(outputs, kPlenty);
  const plan::Step& last = plan.steps.back();
  ASSERT_NE(last.donor, plan::kNone);
  const plan::ValueId result = plan.outputs(last)[0].value;
  plan.actions.insert(plan.actions.end() - 1, {plan::ActionKind::kWrite, last.donor});
  plan.actions.push_back({plan::ActionKind::kWrite, result});
  plan.actions.push_back({plan::ActionKind::kDrop, result});
  have_no_threads();
  run(p, plan);
  EXPECT_EQ(report.written, 2 * outputs[0].nbytes());
  EXPECT_EQ(outputs[0].node()->storage->buffer->resident_bytes(), 0u);
  EXPECT_EQ(bits_of(p, outputs) == expected, true);
}

TEST_F(Surprise, what_was_made_in_tiles_and_read_whole_is_dropped_whole) {
  Planning p(options, {.smallest_tiles = true});
  array tiled = exp(p.existing({64, 64}));
  p.held.push_back(tiled);
  std::vector<array> outputs{sort(tiled, -1)};
  plan::Plan plan = p.planner.plan(outputs, kPlenty);
  ASSERT_EQ(plan.units.size(), 2u);
  ASSERT_NE(plan.units[0].nest, nullptr);
  plan.units[1].nest = nullptr;
  auto second = std::find_if(plan.actions.begin(), plan.actions.end(),
                             [](auto& a) { return a.kind == plan::ActionKind::kRun && a.id == 1; });
  const plan::ValueId value = plan.outputs(plan.steps[0])[0].value;
  plan.actions.insert(second + 1, {plan::ActionKind::kDrop, value});
  have_no_threads();
  run(p, plan);
  EXPECT_GT(report.tiles, 1u);
  EXPECT_EQ(report.written, 2 * tiled.nbytes());  // once, and its operand
  EXPECT_EQ(tiled.node()->storage->buffer->resident_bytes(), 0u);
}

}  // namespace
}  // namespace plimsoll::runtime
