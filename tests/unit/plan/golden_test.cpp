// Plans of small graphs as text, in golden/. Where a change of the planner changes them on purpose,
//   PLIMSOLL_UPDATE_GOLDEN=1 build/release/plimsoll_tests --gtest_filter='Golden*'
// writes them anew; look at the difference before committing it.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/unit/plan/graphs.h"

namespace plimsoll::plan {
namespace {

using Make = std::vector<array> (*)(Planning&);

struct Case {
  const char* name;
  double share;  // of what is between floor and peak that the limit leaves; < 0: below the floor
  Make make;
};

constexpr double kUnlimited = 2;
constexpr double kBelow = -1;

constexpr Case kCases[] = {
    {"fits_chain", kUnlimited, chain}, {"fits_views", kUnlimited, views},
    {"fits_tuple", kUnlimited, tuple}, {"reorder_waiting", 0.8, waiting},
    {"evict_train", 0.6, train},       {"evict_cheap", 0.8, cheap},
    {"evict_others", 0.8, others},     {"tile_rows", 0.1, rows},
    {"tile_product", 0.3, product},    {"tile_train_at_floor", 0, train},
    {"stream_layers", 0.2, stream},    {"refused_one_row", kBelow, one_row},
};

std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

struct Golden : testing::TestWithParam<Case> {};

TEST_P(Golden, plan_is_the_stored_one) {
  const Case& c = GetParam();
  Planning planning;
  std::vector<array> outputs = c.make(planning);
  const Bytes limit = c.share <= 1 ? planning.limit(outputs, c.share) : kPlenty;
  Plan plan = planning.planner.plan(outputs, limit);
  ASSERT_EQ(planning.check(plan), "");
  if (limit == kPlenty) plan.limit = plan.fixed;  // how much plenty is says nothing
  const std::string text = print(plan);
  const auto path = std::filesystem::path(PLIMSOLL_GOLDEN_DIR) / (std::string(c.name) + ".txt");
  if (std::getenv("PLIMSOLL_UPDATE_GOLDEN")) std::ofstream(path, std::ios::binary) << text;
  EXPECT_EQ(read_file(path), text) << path;
  // A case is named after the stage that it is about.
  EXPECT_EQ(std::string(c.name).substr(0, std::string(c.name).find('_')), plan.stage);
}

INSTANTIATE_TEST_SUITE_P(Plans, Golden, testing::ValuesIn(kCases),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace plimsoll::plan
