#include "plan/build.h"

#include <gmock/gmock.h>

#include <map>
#include <set>

#include "plimsoll/ops/linalg.h"
#include "tests/unit/plan/graphs.h"

namespace plimsoll::plan {
namespace {

using ::testing::HasSubstr;

struct Build : testing::Test {
  Plan build(const std::vector<array>& targets, const BuildOptions& options = {}) {
    return Builder(planning.backend, planning.context.pool()).build(targets, options);
  }
  /// Of what a function returns: nobody holds what it made on the way.
  template <typename F>
  Plan build(F make, const BuildOptions& options = {}) {
    return build(std::vector<array>{make()}, options);
  }
  array data(const Shape& shape) { return planning.existing(shape); }
  /// An array that somebody else holds, too.
  array held(const Shape& shape) {
    planning.held.push_back(planning.existing(shape));
    return planning.held.back();
  }
  Planning planning;
};

std::vector<std::string> names(const Plan& plan) {
  std::vector<std::string> out;
  for (const Step& s : plan.steps) out.push_back(s.def ? s.def->name : "copy");
  return out;
}

using Names = std::vector<std::string>;

// Programs ------------------------------------------------------------------------------------

TEST_F(Build, an_elementwise_chain_is_one_program) {
  Plan plan = build([&] { return exp(add(multiply(data({8, 8}), data({8, 8})), 1.0f)); });
  ASSERT_EQ(plan.steps.size(), 1u);
  const Step& step = plan.steps[0];
  EXPECT_EQ(step.members, 3u);
  EXPECT_EQ(plan.inputs(step).size(), 2u);
  EXPECT_EQ(plan.outputs(step).size(), 1u);
  ASSERT_EQ(step.program->constants.size(), 1u);
  EXPECT_EQ(step.program->constants[0].real, 1);
  // Sources are numbered inputs first, then constants, then results.
  const std::vector<TileInstr>& code = step.program->instrs;
  ASSERT_EQ(code.size(), 3u);
  EXPECT_EQ(code[0].op, TileOp::kMultiply);
  EXPECT_EQ((std::set<int>{code[0].src[0], code[0].src[1]}), (std::set<int>{0, 1}));
  EXPECT_EQ(code[1].op, TileOp::kAdd);
  EXPECT_EQ(code[1].src[0], 3);
  EXPECT_EQ(code[1].src[1], 2);
  EXPECT_EQ(code[2].src[0], 4);
  EXPECT_EQ(step.program->outputs, std::vector<uint16_t>{5});
}

TEST_F(Build, steps_that_do_the_same_share_their_program_and_forms) {
  array x = held({8, 8}), y = held({8, 8});
  Plan plan = build({exp(add(x, 1.0f)), exp(add(y, 1.0f)), exp(add(y, 2.0f))});
  ASSERT_EQ(plan.steps.size(), 3u);
  EXPECT_EQ(plan.steps[0].program, plan.steps[1].program);
  EXPECT_NE(plan.steps[0].program, plan.steps[2].program);
  for (const Operand& o : plan.operands) EXPECT_EQ(o.form, plan.operands[0].form);
}

TEST_F(Build, an_input_that_is_read_twice_is_one_operand) {
  array x = data({8, 8});
  Plan plan = build({add(x, multiply(x, x))});
  ASSERT_EQ(plan.steps.size(), 1u);
  EXPECT_EQ(plan.inputs(plan.steps[0]).size(), 1u);
}

TEST_F(Build, an_input_that_is_read_in_two_layouts_is_two_operands) {
  array x = data({8, 8});
  Plan plan = build({add(x, transpose(x))});
  ASSERT_EQ(plan.steps.size(), 1u);
  auto inputs = plan.inputs(plan.steps[0]);
  ASSERT_EQ(inputs.size(), 2u);
  EXPECT_EQ(inputs[0].value, inputs[1].value);
  EXPECT_EQ(inputs[1].form->layout.strides, (Strides{1, 8}));
}

TEST_F(Build, what_somebody_outside_reads_is_stored) {
  array inner = exp(data({8, 8}));
  array middle = negative(inner);
  planning.held.push_back(middle);
  Plan plan = build({exp(middle)});
  ASSERT_EQ(plan.steps.size(), 1u);
  EXPECT_EQ(plan.outputs(plan.steps[0]).size(), 3u);  // `inner` is held by this test
  inner = array();
  plan = build({exp(middle)});
  EXPECT_EQ(plan.outputs(plan.steps[0]).size(), 2u);
}

TEST_F(Build, programs_that_meet_become_one) {
  Plan plan = build({add(exp(data({8, 8})), log(data({8, 8})))});
  ASSERT_EQ(plan.steps.size(), 1u);
  EXPECT_EQ(plan.steps[0].members, 3u);
}

TEST_F(Build, programs_of_different_shapes_stay_apart) {
  Plan plan = build({add(exp(data({8, 1})), log(data({8, 8})))});
  ASSERT_EQ(plan.steps.size(), 2u);
  auto inputs = plan.inputs(plan.steps[1]);
  auto broadcast = std::find_if(inputs.begin(), inputs.end(), [&](const Operand& o) {
    return o.value == plan.outputs(plan.steps[0])[0].value;
  });
  ASSERT_NE(broadcast, inputs.end());
  EXPECT_EQ(broadcast->form->layout.strides, (Strides{1, 0}));
  EXPECT_EQ(broadcast->form->shape, (Shape{8, 8}));
}

TEST_F(Build, nothing_is_fused_around_another_step) {
  array y = exp(data({8, 8}));
  EXPECT_EQ(names(build({add(y, sort(y, -1))})), (Names{"exp", "sort", "add"}));
}

TEST_F(Build, long_chains_are_cut) {
  array x = data({8, 8});
  for (int i = 0; i < 300; ++i) x = exp(x);
  Plan plan = build({x}, {.max_members = 128});
  ASSERT_EQ(plan.steps.size(), 3u);
  EXPECT_EQ(plan.steps[0].members + plan.steps[1].members + plan.steps[2].members, 300u);
  for (const Step& s : plan.steps) EXPECT_LE(s.members, 128u);
  EXPECT_EQ(build({x}, {.fuse = false}).steps.size(), 300u);
}

TEST_F(Build, programs_read_few_inputs) {
  array x = data({8, 8});
  for (int i = 0; i < 64; ++i) x = add(x, data({8, 8}));
  Plan plan = build({x}, {.max_inputs = 16});
  EXPECT_GE(plan.steps.size(), 4u);
  for (const Step& s : plan.steps) EXPECT_LE(plan.inputs(s).size(), 17u);
}

TEST_F(Build, constants_cost_no_value_unless_a_kernel_reads_them) {
  EXPECT_EQ(build({add(data({8}), 2.0f)}).values.size(), 2u);
  Plan plan = build({matmul(reshape(array(2.0f), {1, 1}), data({1, 4}))});
  ASSERT_EQ(names(plan), (Names{"full", "matmul"}));
  EXPECT_EQ(plan.steps[0].program->constants[0].real, 2);
  EXPECT_EQ(plan.inputs(plan.steps[1])[0].value, plan.outputs(plan.steps[0])[0].value);
}

TEST_F(Build, keys_of_random_numbers_are_read_whole) {
  Plan plan = build({add(random::uniform(0.0f, 1.0f, {64, 64}, Dtype::kFloat32, random::key(7)),
                         data({64, 64}))});
  const Step* step = nullptr;
  for (const Step& s : plan.steps)
    if (s.key_inputs) step = &s;
  ASSERT_NE(step, nullptr);
  const Operand& key = plan.inputs(*step)[static_cast<size_t>(__builtin_ctz(step->key_inputs))];
  EXPECT_EQ(key.form->dtype, Dtype::kUint32);
  EXPECT_EQ(num_elements(key.form->shape), 2);
}

// Views ---------------------------------------------------------------------------------------

TEST_F(Build, views_are_layouts_of_their_base) {
  array a = held({4, 6});
  Plan plan = build({matmul(transpose(a), held({4, 6})), slice(a, {1, 0}, {3, 6})});
  ASSERT_EQ(plan.steps.size(), 1u);
  const Operand& first = plan.inputs(plan.steps[0])[0];
  EXPECT_EQ(first.form->shape, (Shape{6, 4}));
  EXPECT_EQ(first.form->layout.strides, (Strides{1, 6}));
  const Binding& sliced = plan.bindings.back();
  EXPECT_EQ(sliced.value, first.value);
  EXPECT_EQ(sliced.form->layout.offset, 6);
}

TEST_F(Build, a_view_that_no_layout_can_say_is_copied) {
  Plan plan = build({sort(reshape(transpose(data({4, 6})), {24}), -1)});
  ASSERT_EQ(names(plan), (Names{"copy", "sort"}));
  EXPECT_EQ(plan.steps[0].program->instrs[0].op, TileOp::kCopy);
  EXPECT_EQ(plan.inputs(plan.steps[1])[0].form->layout.strides, (Strides{1}));
}

TEST_F(Build, a_kernel_that_wants_rows_gets_a_copy) {
  EXPECT_EQ(names(build({softmax(transpose(data({4, 6})), Dims{-1})})), (Names{"copy", "softmax"}));
  EXPECT_EQ(names(build({sort(transpose(data({4, 6})), -1)})), (Names{"sort"}));
}

// Donation ------------------------------------------------------------------------------------

ValueId donor_of(const Plan& plan, size_t step = 0) { return plan.steps[step].donor; }

TEST_F(Build, an_input_that_dies_gives_its_buffer) {
  Plan plan = build([&] { return exp(data({64, 64})); });
  EXPECT_EQ(donor_of(plan), plan.inputs(plan.steps[0])[0].value);
  EXPECT_EQ(donor_of(build([&] { return exp(data({64, 64})); }, {.donate = false})), kNone);
}

TEST_F(Build, what_others_hold_or_see_is_not_given) {
  EXPECT_EQ(donor_of(build([&] { return exp(held({64, 64})); })), kNone);
  array exported = data({64, 64});
  planning.exports.push_back(exported.node()->storage->buffer->export_pin("a view"));
  array result = exp(exported);
  exported = array();
  EXPECT_EQ(donor_of(build([&] { return result; })), kNone);
}

TEST_F(Build, only_whole_values_of_the_same_size_are_given) {
  EXPECT_EQ(donor_of(build([&] { return exp(slice(data({65, 64}), {0, 0}, {64, 64})); })), kNone);
  EXPECT_EQ(donor_of(build([&] { return exp(transpose(data({64, 64}))); })), kNone);
  EXPECT_EQ(donor_of(build([&] { return add(data({64, 1}), held({64, 64})); })), kNone);
  EXPECT_EQ(donor_of(build([&] { return exp(data({4, 4})); })), kNone);  // a slab block
}

TEST_F(Build, an_operand_that_is_read_twice_is_not_given) {
  array x = data({64, 64});
  array sum_of_both = add(x, transpose(x));
  x = array();
  EXPECT_EQ(donor_of(build([&] { return sum_of_both; })), kNone);
}

TEST_F(Build, kernels_are_given_only_what_they_can_overwrite) {
  Plan in_place = build([&] { return softmax(data({64, 64}), Dims{-1}); });
  EXPECT_EQ(donor_of(in_place), in_place.inputs(in_place.steps[0])[0].value);
  EXPECT_EQ(donor_of(build([&] { return matmul(data({64, 64}), held({64, 64})); })), kNone);
}

TEST_F(Build, a_value_is_given_to_its_last_reader) {
  array x = data({64, 64});
  array y = sort(x, -1);
  array z = add(y, matmul(y, held({64, 64})));
  x = y = array();
  Plan plan = build({z});
  ASSERT_EQ(names(plan), (Names{"sort", "matmul", "add"}));
  EXPECT_EQ(donor_of(plan, 2), plan.outputs(plan.steps[0])[0].value);
}

// Targets -------------------------------------------------------------------------------------

TEST_F(Build, available_targets_need_no_step_and_equal_ones_one) {
  array there = data({8, 8});
  EXPECT_TRUE(build({there, array(1.0f)}).steps.empty());
  array made = exp(there);
  Plan plan = build({made, made});
  EXPECT_EQ(plan.steps.size(), 1u);
  EXPECT_EQ(plan.bindings.size(), 1u);
  EXPECT_TRUE(plan.bindings[0].kept);
}

TEST_F(Build, each_output_of_a_tuple_is_a_value) {
  std::vector<array> both = linalg::eigh(data({8, 8}));
  Plan plan = build({both[1]});
  ASSERT_EQ(plan.steps.size(), 1u);
  auto outputs = plan.outputs(plan.steps[0]);
  ASSERT_EQ(outputs.size(), 2u);
  EXPECT_EQ(plan.values[outputs[0].value].tuple_index, 0);
  EXPECT_EQ(plan.values[outputs[1].value].tuple_index, 1);
  EXPECT_EQ(plan.bindings.back().value, outputs[1].value);
}

TEST_F(Build, a_missing_kernel_is_an_error_of_the_type) {
  array a = sort(data({8, 8}), -1);
  struct NoKernels final : device::Backend {
    device::KernelTable table;
    std::string name() const override { return "empty"; }
    const device::KernelTable& kernels() const override { return table; }
    bool supports(TileOp, Dtype, Dtype) const override { return false; }
    size_t program_workspace(const TileProgram&) const override { return 0; }
    void run_program(const TileProgram&, std::span<const device::Tensor>,
                     std::span<const device::Tensor>, std::span<std::byte>,
                     const TileOrigin*) override {}
    void execute(void (*)(void*), void*) override {}
    int num_threads() const override { return 1; }
  } empty;
  Builder builder(empty, planning.context.pool());
  try {
    builder.build({&a, 1});
    FAIL() << "no error";
  } catch (const TypeError& e) {
    EXPECT_STREQ(e.what(),
                 "[sort] the empty backend has no kernel for float32; cast the input first");
  }
}

TEST_F(Build, a_chain_of_many_nodes_needs_no_stack) {
  array x = data({8});
  for (int i = 0; i < 200'000; ++i) x = exp(x);
  Plan plan = build({x}, {.fuse = false});
  EXPECT_EQ(plan.steps.size(), 200'000u);
  EXPECT_EQ(plan.nodes, 200'001u);
}

// All of it, on random graphs -----------------------------------------------------------------

TEST_F(Build, steps_read_what_former_steps_made) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Planning random;
    std::vector<array> outputs = random_graph(random, seed, 40);
    Plan plan = Builder(random.backend, random.context.pool()).build(outputs);
    std::set<ValueId> there;
    for (ValueId v = 0; v < plan.values.size(); ++v)
      if (plan.values[v].buffer) there.insert(v);
    for (StepId s = 0; s < plan.steps.size(); ++s) {
      for (const Operand& o : plan.inputs(plan.steps[s]))
        ASSERT_TRUE(there.count(o.value)) << "seed " << seed << ", step " << s;
      for (const Operand& o : plan.outputs(plan.steps[s])) {
        ASSERT_TRUE(there.insert(o.value).second) << "seed " << seed << ", step " << s;
        EXPECT_EQ(plan.values[o.value].producer, s);
      }
    }
    for (const array& a : outputs) {
      auto bound = std::find_if(plan.bindings.begin(), plan.bindings.end(),
                                [&](const Binding& b) { return b.node == a.node(); });
      if (a.is_available()) continue;
      ASSERT_NE(bound, plan.bindings.end());
      EXPECT_TRUE(bound->kept && plan.values[bound->value].kept);
    }
  }
}

TEST_F(Build, first_and_last_uses_are_those_of_the_steps) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Planning random;
    std::vector<array> outputs = random_graph(random, seed, 40);
    Plan plan = Builder(random.backend, random.context.pool()).build(outputs);
    std::map<ValueId, std::vector<StepId>> readers;
    for (StepId s = 0; s < plan.steps.size(); ++s)
      for (const Operand& o : plan.inputs(plan.steps[s])) readers[o.value].push_back(s);
    for (ValueId v = 0; v < plan.values.size(); ++v) {
      EXPECT_EQ(plan.values[v].first_use, readers[v].empty() ? kNone : readers[v].front());
      EXPECT_EQ(plan.values[v].last_use, readers[v].empty() ? kNone : readers[v].back());
    }
  }
}

TEST_F(Build, programs_are_well_formed) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Planning random;
    std::vector<array> outputs = random_graph(random, seed, 40);
    Plan plan = Builder(random.backend, random.context.pool()).build(outputs);
    for (const Step& step : plan.steps) {
      if (!step.program) continue;
      const TileProgram& p = *step.program;
      ASSERT_EQ(p.inputs.size(), plan.inputs(step).size());
      ASSERT_EQ(p.outputs.size(), plan.outputs(step).size());
      size_t next = p.inputs.size() + p.constants.size();
      for (const TileInstr& i : p.instrs) {
        for (uint16_t src : i.src) EXPECT_TRUE(src == kNoTile || src < next);
        EXPECT_EQ(i.dst, next++);
      }
      for (uint16_t out : p.outputs) EXPECT_LT(out, next);
      for (size_t k = 0; k < p.inputs.size(); ++k)
        EXPECT_EQ(p.inputs[k], plan.inputs(step)[k].form->dtype);
    }
  }
}

}  // namespace
}  // namespace plimsoll::plan
