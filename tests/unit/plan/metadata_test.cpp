#include "plan/metadata.h"

#include "tests/unit/plan/planning.h"

namespace plimsoll::plan {
namespace {

TEST(MetadataNeed, counts_the_headers_of_all_that_is_alive) {
  Planning planning;
  array x = planning.existing({16});
  std::vector<array> all;
  for (int i = 0; i < 1000; ++i) all.push_back(sort(multiply(x, static_cast<float>(i)), -1));
  Plan plan = planning.planner.plan(all, kPlenty);
  const memory::Pool& pool = planning.context.pool();
  MetadataNeed need = metadata_need(plan, pool, false, false);
  EXPECT_GE(need.buffers, 1000u);
  EXPECT_LT(need.buffers, 1010u);  // what was sorted is dead
  EXPECT_GE(need.slabs * pool.shape_of(64).slab_blocks, 1000u);
  EXPECT_GE(plan.metadata + memory::MetadataArena::kChunkBytes, 1000 * pool.metadata_of(64));
  EXPECT_EQ(plan.metadata, metadata_charge(need, pool, nullptr));
}

TEST(MetadataNeed, counts_a_header_once_where_a_result_takes_over_a_buffer) {
  Planning planning;
  array x = planning.existing({64, 64});
  array y = exp(matmul(x, x));
  for (int i = 0; i < 50; ++i) y = exp(matmul(y, x));
  std::vector<array> all{y};
  Plan plan = planning.planner.plan(all, kPlenty);
  EXPECT_LE(metadata_need(plan, planning.context.pool(), false, false).buffers, 5u);
}

TEST(MetadataNeed, counts_records_of_all_that_can_be_in_the_store_at_one_time) {
  Planning planning;
  std::vector<array> all;
  for (int i = 0; i < 20; ++i) all.push_back(exp(planning.existing({32, 32})));  // a page each
  Plan plan = planning.planner.plan(all, kPlenty);
  const memory::Pool& pool = planning.context.pool();
  EXPECT_EQ(metadata_need(plan, pool, false, false).extents, 0u);
  EXPECT_GE(metadata_need(plan, pool, true, true).extents, 20u);
  EXPECT_LE(metadata_need(plan, pool, true, true).extents, 41u);
}

TEST(MetadataNeed, is_the_same_whether_arrays_are_in_memory_or_in_the_store) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Planning planning;
    std::vector<array> outputs = random_graph(planning, seed, 2 + seed % 37);
    const Bytes floor = planning.context.dry_run(outputs, kPlenty).floor;
    planning.context.set_limit(floor, true);  // which evicts
    ASSERT_EQ(planning.context.dry_run(outputs, kPlenty).floor, floor) << "seed " << seed;
  }
}

}  // namespace
}  // namespace plimsoll::plan
