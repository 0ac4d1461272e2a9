#include "ops/registry.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

namespace plimsoll::ops {
namespace {

using graph::Kind;
using graph::OpDef;

TEST(Registry, names_are_unique_and_found) {
  std::set<std::string> names;
  for (const OpDef* def : all_ops()) {
    EXPECT_TRUE(names.insert(def->name).second) << def->name;
    EXPECT_EQ(find_op(def->name), def);
  }
  EXPECT_GT(names.size(), 100u);
  EXPECT_EQ(find_op("no_such_op"), nullptr);
}

TEST(Registry, every_op_is_documented_and_exposed_ops_have_an_example) {
  for (const OpDef* def : all_ops()) {
    ASSERT_NE(def->doc, nullptr) << def->name;
    EXPECT_GT(std::string(def->doc).size(), 20u) << def->name;
    EXPECT_EQ(def->entry != nullptr, def->signature != nullptr) << def->name;
    if (!def->entry) continue;
    EXPECT_NE(std::string(def->doc).find("Example:"), std::string::npos) << def->name;
  }
}

TEST(Registry, signatures_name_their_op) {
  for (const OpDef* def : all_ops()) {
    if (!def->signature) continue;
    std::string s = def->signature;
    std::string head = s.substr(0, s.find('('));
    std::string tail = head.substr(head.rfind('.') == std::string::npos ? 0 : head.rfind('.') + 1);
    EXPECT_NE(s.find(" -> "), std::string::npos) << s;
    EXPECT_NE(s.find("stream: None | Stream | Device = None)"), std::string::npos) << s;

    // Names of MLX's that are long, or that another op of the tree has.
    static const std::map<std::string, std::string> kRenamed = {
        {"sdpa", "scaled_dot_product_attention"},
        {"dynamic_slice", "slice"},
        {"dynamic_slice_update", "slice_update"}};
    auto renamed = kRenamed.find(def->name);
    std::string name = renamed == kRenamed.end() ? def->name : renamed->second;
    EXPECT_TRUE(name == tail || name == head) << s;
  }
}

TEST(Registry, recorded_ops_have_gradient_and_batching_rules) {
  for (const OpDef* def : all_ops()) {
    if (def->kind == Kind::kComposite) {
      EXPECT_NE(def->entry, nullptr) << def->name;
      continue;
    }
    EXPECT_TRUE(def->vjp != nullptr || !def->differentiable) << def->name;
    EXPECT_TRUE(def->vmap != nullptr || def->kind == Kind::kElementwise) << def->name;
    bool tiled = def->kind == Kind::kElementwise;
    EXPECT_TRUE(tiled ? def->tile_op != TileOp::kCount : def->infer != nullptr) << def->name;
    EXPECT_TRUE(def->kind != Kind::kView || def->view != nullptr) << def->name;
  }
}

TEST(Registry, structured_ops_say_how_they_are_cut) {
  for (const OpDef* def : all_ops()) switch (def->kind) {
      case Kind::kReduction:
      case Kind::kScan:
      case Kind::kContraction:
      case Kind::kGather:
      case Kind::kScatter:
      case Kind::kSort:
      case Kind::kRows:
      case Kind::kStructured:
        EXPECT_NE(def->tiling, nullptr) << def->name;
        break;
      default:
        break;
    }
}

}  // namespace
}  // namespace plimsoll::ops
