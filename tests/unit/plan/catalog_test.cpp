#include "plan/catalog.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "tests/unit/plan/planning.h"

namespace plimsoll::plan {
namespace {

TEST(Catalog, equal_forms_are_one) {
  Catalog catalog;
  const SharedForm* plain = catalog.form(Dtype::kFloat32, {3, 4});
  EXPECT_TRUE(plain->plain);
  EXPECT_TRUE(plain->contiguous);
  EXPECT_EQ(plain->nbytes, 48u);
  EXPECT_EQ(catalog.form(Dtype::kFloat32, {3, 4}), plain);
  EXPECT_EQ(catalog.form(Dtype::kFloat32, {3, 4}, {0, {4, 1}}), plain);
  EXPECT_NE(catalog.form(Dtype::kInt32, {3, 4}), plain);
  EXPECT_NE(catalog.form(Dtype::kFloat32, {4, 3}), plain);
  EXPECT_NE(catalog.form(Dtype::kFloat32, {3, 4, 1}), plain);

  const SharedForm* across = catalog.form(Dtype::kFloat32, {3, 4}, {0, {1, 3}});
  EXPECT_FALSE(across->contiguous);
  EXPECT_EQ(catalog.form(Dtype::kFloat32, {3, 4}, {0, {1, 3}}), across);
  const SharedForm* later = catalog.form(Dtype::kFloat32, {3, 4}, {4, {4, 1}});
  EXPECT_TRUE(later->contiguous);
  EXPECT_FALSE(later->plain);
  EXPECT_EQ(std::set({plain, across, later}).size(), 3u);
}

TEST(Catalog, forms_stay_where_they_are) {
  Catalog catalog;
  std::vector<const SharedForm*> forms;
  for (int64_t n = 0; n < 1000; ++n) forms.push_back(catalog.form(Dtype::kFloat32, {n, 2}));
  for (int64_t n = 0; n < 1000; ++n) {
    EXPECT_EQ(forms[n]->shape, (Shape{n, 2}));
    EXPECT_EQ(catalog.form(Dtype::kFloat32, {n, 2}), forms[n]);
  }
}

TEST(Catalog, programs_are_one_where_they_are_equal_bit_for_bit) {
  Planning planning;
  const device::Backend& backend = planning.backend;
  Catalog catalog;
  TileProgram program;
  program.inputs = {Dtype::kFloat32};
  program.constants = {{.real = 0.0}};
  program.instrs = {{.op = TileOp::kAdd,
                     .dtype = Dtype::kFloat32,
                     .in_dtype = Dtype::kFloat32,
                     .src = {0, 1, kNoTile},
                     .dst = 2}};
  program.outputs = {2};
  const SharedProgram& known = catalog.program(program, backend);
  EXPECT_EQ(known.workspace, backend.program_workspace(program));
  EXPECT_EQ(&catalog.program(program, backend), &known);

  auto differs = [&](auto change) {
    TileProgram other = program;
    change(other);
    return &catalog.program(other, backend) != &known;
  };
  EXPECT_TRUE(differs([](TileProgram& p) { p.constants[0].real = -0.0; }));
  EXPECT_TRUE(differs([](TileProgram& p) { p.constants[0].integer = 1; }));
  EXPECT_TRUE(differs([](TileProgram& p) { p.instrs[0].op = TileOp::kSubtract; }));
  EXPECT_TRUE(differs([](TileProgram& p) { p.instrs[0].src[1] = 0; }));
  EXPECT_TRUE(differs([](TileProgram& p) { p.instrs[0].imm[1] = 1; }));
  EXPECT_TRUE(differs([](TileProgram& p) { p.outputs = {0}; }));
  EXPECT_TRUE(differs([](TileProgram& p) { p.outputs = {2, 0}; }));

  program.constants[0].real = std::nan("");
  const SharedProgram& not_a_number = catalog.program(program, backend);
  EXPECT_EQ(&catalog.program(program, backend), &not_a_number);
}

}  // namespace
}  // namespace plimsoll::plan
