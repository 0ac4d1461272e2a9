#include "plan/tile.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "plan/build.h"
#include "plimsoll/ops/scan.h"
#include "tests/unit/plan/graphs.h"

namespace plimsoll::plan {
namespace {

struct Tile : testing::Test {
  Tile() = default;
  explicit Tile(runtime::ContextOptions options) : planning(std::move(options)) {}
  template <typename F>
  StepId build(F make) {
    outputs = {make()};
    plan = Builder(planning.backend, planning.context.pool()).build(outputs);
    for (StepId s = 0; s < plan.steps.size(); ++s) tiling_of(plan, s);
    return static_cast<StepId>(plan.steps.size() - 1);
  }
  array data(const Shape& shape) { return planning.existing(shape); }
  NestShaper shaper() { return {plan, planning.backend, planning.context.pool()}; }
  Planning planning;
  std::vector<array> outputs;
  Plan plan;
};

Nest nest_over(const Plan& plan, StepId s, const std::vector<std::pair<int, int64_t>>& loops) {
  Nest nest;
  nest.body = {s};
  for (auto [axis, tile] : loops) {
    const TileAxis& t = plan.tilings[s][static_cast<size_t>(axis)];
    Loop loop{.extent = t.extent, .tile = tile, .ordered = t.ordered, .axis = {}, .scale = {}};
    loop.axis.push_back(static_cast<int16_t>(axis));
    loop.scale.push_back(1);
    nest.loops.push_back(loop);
  }
  return nest;
}

// Positions in the buffer of all elements of a form.
std::multiset<int64_t> elements(const Form& o) {
  std::multiset<int64_t> out;
  const int64_t n = num_elements(o.shape);
  for (int64_t i = 0; i < n; ++i) {
    int64_t rest = i, at = o.layout.offset;
    for (size_t d = o.shape.size(); d-- > 0; rest /= o.shape[d])
      at += rest % o.shape[d] * o.layout.strides[d];
    out.insert(at);
  }
  return out;
}

// Loops --------------------------------------------------------------------------------------

TEST_F(Tile, elementwise_steps_loop_over_every_axis_longer_than_one) {
  StepId s = build([&] { return exp(data({4, 1, 6})); });
  const Tiling& tiling = plan.tilings[s];
  ASSERT_EQ(tiling.size(), 2u);
  EXPECT_EQ(tiling[0].extent, 4);
  EXPECT_EQ(tiling[1].extent, 6);
  EXPECT_EQ(tiling[1].input_axis[0], 2);
  EXPECT_EQ(tiling[1].output_axis[0], 2);
}

TEST_F(Tile, turns_cover_every_index_once_and_the_last_loop_is_the_fastest) {
  StepId s = build([&] { return exp(data({10, 7})); });
  Nest nest = nest_over(plan, s, {{0, 4}, {1, 3}});
  ASSERT_EQ(num_turns(nest), 9u);
  std::map<std::pair<int64_t, int64_t>, int> seen;
  std::vector<Window> windows(2);
  for (size_t turn = 0; turn < num_turns(nest); ++turn) {
    set_windows(nest, turn, windows);
    EXPECT_EQ(windows[0].begin == 0, turn < 3);
    for (int64_t i = windows[0].begin; i < windows[0].end; ++i)
      for (int64_t j = windows[1].begin; j < windows[1].end; ++j) ++seen[{i, j}];
  }
  EXPECT_EQ(seen.size(), 70u);
  for (auto& [index, times] : seen) EXPECT_EQ(times, 1);
}

TEST_F(Tile, parts_of_an_operand_are_all_of_it) {
  StepId s = build([&] { return matmul(transpose(data({12, 10})), data({12, 9})); });
  for (auto& loops : std::vector<std::vector<std::pair<int, int64_t>>>{
           {{0, 3}}, {{1, 4}}, {{0, 4}, {1, 5}}, {{1, 2}, {0, 7}}}) {
    Nest nest = nest_over(plan, s, loops);
    const Step& step = plan.steps[s];
    for (size_t k = 0; k < step.end - step.first_input; ++k) {
      std::multiset<int64_t> parts;
      std::vector<Window> windows(loops.size());
      size_t repeats = 1;
      for (size_t l = 0; l < loops.size(); ++l)
        if (cut_axis(plan, nest, l, 0, k) < 0)
          repeats *= static_cast<size_t>(nest.loops[l].trips());
      for (size_t turn = 0; turn < num_turns(nest); ++turn) {
        set_windows(nest, turn, windows);
        for (int64_t e : elements(cut(plan, nest, 0, k, windows))) parts.insert(e);
      }
      for (int64_t e : elements(*plan.operands[step.first_input + k].form))
        EXPECT_EQ(parts.count(e), repeats) << "operand " << k;
    }
  }
}

// Bytes --------------------------------------------------------------------------------------

TEST_F(Tile, the_bytes_that_a_tile_holds_contain_its_elements) {
  StepId s = build([&] { return matmul(transpose(data({12, 10})), data({12, 9})); });
  for (auto& loops : std::vector<std::vector<std::pair<int, int64_t>>>{
           {{0, 3}}, {{1, 4}}, {{0, 4}, {1, 5}}, {{0, 1}, {1, 1}}}) {
    Nest nest = nest_over(plan, s, loops);
    const Step& step = plan.steps[s];
    std::vector<Window> windows(loops.size());
    for (size_t turn = 0; turn < num_turns(nest); ++turn) {
      set_windows(nest, turn, windows);
      for (size_t k = 0; k < step.end - step.first_input; ++k) {
        ByteRange range = held_range(plan, nest, 0, k, windows);
        for (int64_t e : elements(cut(plan, nest, 0, k, windows))) {
          EXPECT_GE(e * 4, static_cast<int64_t>(range.begin));
          EXPECT_LE(e * 4 + 4, static_cast<int64_t>(range.end));
        }
      }
    }
  }
}

TEST_F(Tile, rows_narrow_what_is_held_and_columns_do_not) {
  StepId s = build([&] { return exp(data({8, 16})); });
  std::vector<Window> windows(1);
  Nest by_rows = nest_over(plan, s, {{0, 2}});
  set_windows(by_rows, 1, windows);
  ByteRange rows = held_range(plan, by_rows, 0, 0, windows);
  EXPECT_EQ(rows.begin, 2u * 16 * 4);
  EXPECT_EQ(rows.end, 4u * 16 * 4);
  Nest by_columns = nest_over(plan, s, {{1, 4}});
  set_windows(by_columns, 1, windows);
  EXPECT_EQ(held_range(plan, by_columns, 0, 0, windows).size(), 8u * 16 * 4);
  // One row, cut further.
  windows.resize(2);
  Nest both = nest_over(plan, s, {{0, 1}, {1, 4}});
  set_windows(both, 5, windows);  // row 1, columns 4 to 8
  ByteRange part = held_range(plan, both, 0, 0, windows);
  EXPECT_EQ(part.begin, (16u + 4) * 4);
  EXPECT_EQ(part.size(), 4u * 4);
}

TEST_F(Tile, operands_that_are_one_value_are_one_access) {
  StepId s = build([&] {
    array x = data({8, 8});
    return matmul(x, transpose(x));
  });
  Nest nest = nest_over(plan, s, {{0, 2}});
  std::vector<Access> all = accesses(plan, nest);
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].operands.size(), 2u);
  EXPECT_FALSE(all[0].made);
  EXPECT_TRUE(all[1].made);
  std::vector<Window> windows(1);
  set_windows(nest, 0, windows);
  EXPECT_EQ(held_range(plan, nest, all[0], windows).size(), 8u * 8 * 4);  // the hull
}

TEST_F(Tile, operands_of_one_value_are_held_apart_where_that_takes_less) {
  StepId s = build([&] {
    array x = data({16, 1 << 16});
    return subtract(slice(x, {0, 0}, {1, 1 << 16}), slice(x, {15, 0}, {16, 1 << 16}));
  });
  Nest far = nest_over(plan, s, {{0, 1024}});
  shaper().shape(far);
  ASSERT_EQ(far.apart.size(), 2u);
  const Bytes tile = 1024 * 4;
  EXPECT_LE(far.tile_bytes, 3 * round_up(tile, kPage) + 3 * kPage);
  EXPECT_EQ(far.read, 2u * (1 << 16) * 4);  // two rows of sixteen
  std::vector<Access> all = accesses(plan, far);
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0].value, all[1].value);
  std::vector<Window> windows(1);
  set_windows(far, 3, windows);
  EXPECT_EQ(held_range(plan, far, all[0], windows).size(), tile);
  EXPECT_EQ(held_range(plan, far, all[1], windows).begin,
            15u * (1 << 16) * 4 + 3 * static_cast<Bytes>(tile));
}

TEST_F(Tile, operands_that_overlap_are_held_together) {
  StepId s = build([&] {
    array x = data({1 << 16});
    return subtract(slice(x, {1}, {1 << 16}), slice(x, {0}, {(1 << 16) - 1}));
  });
  Nest near = nest_over(plan, s, {{0, 8192}});
  shaper().shape(near);
  EXPECT_TRUE(near.apart.empty());
  EXPECT_EQ(near.read, (1u << 16) * 4);  // once, not twice
}

TEST_F(Tile, values_that_are_kept_whole_after_all_are_not_held_apart) {
  StepId s = build([&] {
    array x = data({1 << 16});
    return multiply(x, slice(x, {(1 << 16) - 1}, {-(1 << 16) - 1}, {-1}));
  });
  Nest nest = nest_over(plan, s, {{0, 1024}});
  NestShaper shape = shaper();
  shape.shape(nest);
  ASSERT_EQ(nest.apart.size(), 2u);
  EXPECT_EQ(nest.read, 2u * (1 << 16) * 4);
  shape.promote(nest, nest.working_set() + (1 << 20));
  EXPECT_TRUE(nest.apart.empty());
  EXPECT_EQ(nest.read, 0u);
}

// Fitting ------------------------------------------------------------------------------------

TEST_F(Tile, a_step_fits_from_its_least_working_set_on) {
  size_t tiled = 0;
  for (uint64_t seed = 0; seed < 60; ++seed) {
    Planning random;
    std::vector<array> targets = random_graph(random, seed, 30);
    Plan p = Builder(random.backend, random.context.pool()).build(targets);
    NestShaper shape(p, random.backend, random.context.pool());
    for (StepId s = 0; s < p.steps.size(); ++s) {
      Bytes whole = p.steps[s].scratch;
      std::set<ValueId> seen;
      for (uint32_t k = p.steps[s].first_input; k < p.steps[s].end; ++k) {
        const Operand& o = p.operands[k];
        bool donated = k == p.steps[s].first_output && p.steps[s].donor != kNone;
        if (seen.insert(o.value).second && !donated && !p.values[o.value].small)
          whole += p.values[o.value].bytes;
      }
      const Bytes least = shape.least(s);
      EXPECT_LE(least, whole);
      if (least == whole) continue;
      ++tiled;
      std::shared_ptr<Nest> nest = shape.fit(s, least);
      ASSERT_NE(nest, nullptr) << "seed " << seed << ", step " << s;
      EXPECT_LE(nest->working_set(), least);
      std::shared_ptr<Nest> roomy = shape.fit(s, (least + whole) / 2);
      ASSERT_NE(roomy, nullptr);
      EXPECT_LE(roomy->working_set(), (least + whole) / 2);
    }
  }
  EXPECT_GT(tiled, 100u);
}

runtime::ContextOptions fine_blocks() {
  runtime::ContextOptions options = small_blocks(4 * kPage);
  options.pool.fine_extent_bytes = kPage;
  return options;
}

struct FineTile : Tile {
  FineTile() : Tile(fine_blocks()) {}
};

TEST_F(FineTile, extents_are_fine_only_where_coarse_ones_do_not_fit) {
  StepId s = build([&] { return add(data({64, 1024}), data({64, 1024})); });
  const Bytes least = shaper().least(s);
  const Bytes scratch = shaper().smallest(s)->scratch;
  EXPECT_EQ(least, 3 * kPage + scratch);
  auto fit = [&](Bytes budget) { return shaper().fit(s, budget); };
  EXPECT_EQ(fit(least - 1), nullptr);
  for (Bytes budget : {least, 11 * kPage + scratch}) {
    ASSERT_TRUE(fit(budget));
    EXPECT_TRUE(fit(budget)->fine);
    EXPECT_LE(fit(budget)->working_set(), budget);
  }
  for (Bytes budget : {12 * kPage + scratch, 40 * kPage + scratch}) {
    ASSERT_TRUE(fit(budget));
    EXPECT_FALSE(fit(budget)->fine);
  }
}

TEST_F(FineTile, rows_that_straddle_extents_are_not_cut_into_elements_for_coarse_ones) {
  StepId s = build([&] { return add(data({512, 33}), data({512, 33})); });
  const Bytes scratch = shaper().smallest(s)->scratch;
  // One element fits into one coarse extent an operand, a row into two fine ones.
  auto nest = shaper().fit(s, 12 * kPage + scratch);
  ASSERT_TRUE(nest);
  EXPECT_TRUE(nest->fine);
  EXPECT_LT(num_turns(*nest), 512u);
}

TEST_F(Tile, steps_that_are_alike_get_the_nests_that_they_would_get_alone) {
  build([&] {
    array x = data({200, 300}), y = data({300, 200});
    array a = x;
    for (int i = 0; i < 4; ++i) a = matmul(matmul(a, y), x) + matmul(a, matmul(y, x));
    return a;
  });
  NestShaper together = shaper();
  for (StepId s = 0; s < plan.steps.size(); ++s) {
    const Bytes whole = 3 * plan.values[plan.operands[plan.steps[s].first_output].value].bytes;
    for (Bytes budget : {whole / 3, whole / 2, whole / 3}) {
      auto shared = together.fit(s, budget), alone = shaper().fit(s, budget);
      ASSERT_EQ(shared == nullptr, alone == nullptr);
      if (!shared) continue;
      ASSERT_EQ(shared->loops.size(), alone->loops.size());
      for (size_t l = 0; l < shared->loops.size(); ++l) {
        EXPECT_EQ(shared->loops[l].tile, alone->loops[l].tile);
        EXPECT_EQ(shared->loops[l].axis[0], alone->loops[l].axis[0]);
      }
      EXPECT_EQ(shared->streamed, alone->streamed);
      EXPECT_EQ(shared->working_set(), alone->working_set());
      EXPECT_EQ(shared->read, alone->read);
      EXPECT_EQ(shared->written, alone->written);
      EXPECT_EQ(shared->fine, alone->fine);
      EXPECT_EQ(shared->body, alone->body);
      EXPECT_EQ(shared->scratch, alone->scratch);
    }
  }
}

TEST_F(Tile, no_nest_is_larger_than_its_budget) {
  StepId s = build([&] { return matmul(data({96, 96}), data({96, 96})); });
  NestShaper shape = shaper();
  size_t found = 0;
  for (Bytes budget = kPage; budget < 30 * kPage; budget += kPage) {
    std::shared_ptr<Nest> nest = shape.fit(s, budget);
    if (!nest) continue;
    ++found;
    EXPECT_LE(nest->working_set(), budget);
  }
  EXPECT_GT(found, 10u);
  EXPECT_EQ(shape.fit(s, kPage), nullptr);
}

TEST_F(Tile, the_smallest_tiles_are_grains) {
  StepId s = build([&] { return matmul(data({96, 96}), data({96, 96})); });
  std::shared_ptr<Nest> nest = shaper().smallest(s);
  ASSERT_NE(nest, nullptr);
  for (const Loop& loop : nest->loops)
    EXPECT_EQ(loop.tile, plan.tilings[s][static_cast<size_t>(loop.axis[0])].grain);
  StepId row = build([&] { return sort(data({1, 64}), -1); });
  EXPECT_EQ(shaper().smallest(row), nullptr);
}

TEST_F(Tile, ordered_loops_run_inside_of_unordered_ones) {
  StepId s = build([&] { return cumsum(data({8, 1 << 16}), 1); });
  std::shared_ptr<Nest> nest = shaper().smallest(s);
  ASSERT_NE(nest, nullptr);
  ASSERT_GE(nest->loops.size(), 2u);
  EXPECT_FALSE(nest->loops.front().ordered);
  EXPECT_TRUE(nest->loops.back().ordered);
}

TEST_F(Tile, what_is_left_of_the_budget_keeps_values_that_are_read_often) {
  StepId s = build([&] { return matmul(data({256, 32}), data({32, 256})); });
  NestShaper shape = shaper();
  Nest nest = nest_over(plan, s, {{0, 8}});
  shape.shape(nest);
  const ValueId right = plan.inputs(plan.steps[s])[1].value;
  nest = nest_over(plan, s, {{0, 8}, {1, 8}});
  shape.shape(nest);
  const Bytes before = nest.working_set();
  const bool streamed = std::count(nest.streamed.begin(), nest.streamed.end(), right) > 0;
  if (streamed) {
    const Bytes reads = nest.read;
    shape.promote(nest, before + plan.values[right].bytes);
    EXPECT_EQ(std::count(nest.streamed.begin(), nest.streamed.end(), right), 0);
    EXPECT_LT(nest.read, reads);
  }
  EXPECT_LE(nest.working_set(), before + plan.values[right].bytes);
}

TEST_F(Tile, exported_values_stay_whole) {
  array x = data({64, 64});
  planning.exports.push_back(x.node()->storage->buffer->export_pin("a view"));
  planning.held.push_back(x);
  StepId s = build([&] { return exp(x); });
  Nest nest = nest_over(plan, s, {{0, 8}});
  shaper().shape(nest);
  EXPECT_EQ(nest.streamed, (std::vector<ValueId>{plan.outputs(plan.steps[s])[0].value}));
  EXPECT_EQ(nest.whole, x.nbytes());
}

TEST_F(Tile, parts_that_a_kernel_wants_contiguous_are_packed) {
  StepId s = build([&] { return softmax(data({16, 8, 64}), Dims{-1}); });
  Nest rows = nest_over(plan, s, {{0, 1}});
  shaper().shape(rows);
  EXPECT_TRUE(rows.packed.empty());
  ASSERT_GT(plan.tilings[s].size(), 1u);
  Nest across = nest_over(plan, s, {{1, 2}});
  shaper().shape(across);
  EXPECT_EQ(across.packed.size(), 2u);  // input and output
  EXPECT_GE(across.packing, 2u * 16 * 2 * 64 * 4);
  EXPECT_GE(across.scratch, across.packing);
}

}  // namespace
}  // namespace plimsoll::plan
