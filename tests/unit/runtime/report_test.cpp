#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "plimsoll/memory.h"

namespace plimsoll {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

MemoryPlan small_plan() {
  MemoryPlan plan;
  plan.stage = "evict";
  plan.limit = 3'000'000;
  plan.peak = 2'900'000;
  plan.floor = 1'500'000;
  plan.unlimited_peak = 8'000'000;
  plan.bytes_written = 4'000'000;
  plan.seconds = 0.003;
  plan.unlimited_seconds = 0.002;
  plan.peak_operation = "matmul float32[8, 8]";
  plan.actions = {{"run", "matmul float32[8, 8]", "2 tiles of 4", 1'000, 2'000'000, 0.001},
                  {"write", "exp float32[1]", "", 4, 1'000'000, 0.0001}};
  return plan;
}

TEST(MemoryPlanTable, sums_up_and_lists_actions) {
  EXPECT_EQ(small_plan().table(),
            "stage evict · peak 2.90 MB · limit 3.00 MB · floor 1.50 MB · peak without limit "
            "8.00 MB\n"
            "predicted 3.0 ms, 1.50 × unlimited · 4.00 MB written · 0 B loaded · 0 B recomputed\n"
            "peak set by matmul float32[8, 8]\n"
            "action  operation                bytes    in use\n"
            "run     matmul float32[8, 8]   1.00 kB   2.00 MB  2 tiles of 4\n"
            "write   exp float32[1]             4 B   1.00 MB\n");
}

TEST(MemoryPlanTable, says_how_many_rows_are_left_out) {
  std::string text = small_plan().table(1);
  EXPECT_THAT(text, HasSubstr("… and 1 more actions\n"));
  EXPECT_THAT(text, Not(HasSubstr("exp")));
}

TEST(MemoryPlanTable, is_the_refusal_where_no_plan_fits) {
  MemoryPlan plan = small_plan();
  plan.stage = "refused";
  plan.refusal = "this evaluation needs more";
  std::string text = plan.table();
  EXPECT_THAT(text, HasSubstr("stage refused"));
  EXPECT_THAT(text, HasSubstr("\nthis evaluation needs more\n"));
  EXPECT_THAT(text, Not(HasSubstr("action ")));
}

TEST(MemoryReport, names_limit_source_and_owners_of_pins) {
  MemoryReport report;
  report.limit = 5'000'000;
  report.limit_source = "PLIMSOLL_MEMORY_LIMIT";
  report.strict = true;
  report.pinned = 4096;
  report.pinned_by = {{"NumPy", 4096}};
  std::string text = report.text();
  EXPECT_THAT(text, HasSubstr("limit         5.00 MB  strict limit, from PLIMSOLL_MEMORY_LIMIT\n"));
  EXPECT_THAT(text, HasSubstr("pinned        4.10 kB  "));
  EXPECT_THAT(text, HasSubstr("              4.10 kB  NumPy\n"));
  report.strict = false;
  EXPECT_THAT(report.text(), HasSubstr("guideline limit"));
}

TEST(EvaluationReport, reads_as_a_few_lines) {
  EvaluationReport report;
  report.stage = "evict";
  report.nodes = 7;
  report.written = 2'000'000;
  report.seconds = 1.5;
  report.planning_seconds = 2e-6;
  std::string text = report.text();
  EXPECT_THAT(text, HasSubstr("stage evict, 7 nodes"));
  EXPECT_THAT(text, HasSubstr("2.00 MB written"));
  EXPECT_THAT(text, HasSubstr("1.50 s, of which 2 µs were for planning"));
  EXPECT_THAT(text, Not(HasSubstr("planned before")));
  report.plan_reused = true;
  EXPECT_THAT(report.text(), HasSubstr("0 tiles, planned before\n"));
}

}  // namespace
}  // namespace plimsoll
