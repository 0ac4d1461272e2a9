#include "plan/remake.h"

#include <cstring>

#include "plan/build.h"
#include "tests/unit/plan/graphs.h"

namespace plimsoll::plan {
namespace {

struct Remake : testing::Test {
  void build(const std::vector<array>& made) {
    targets = made;
    plan = Builder(planning.backend, planning.context.pool()).build(targets);
    own = plan.steps.size();
    remakes = add_remakes(plan, planning.backend, planning.context.pool());
  }
  array held(const Shape& shape) {
    planning.held.push_back(planning.existing(shape));
    return planning.held.back();
  }
  Planning planning;
  std::vector<array> targets;
  Plan plan;
  size_t own = 0;
  std::vector<StepId> remakes;
};

// Two results of one program: u is read once more later, v as well.
std::vector<array> two_results(Remake& t, bool u_lives_longer) {
  array x = t.held({64, 64});
  array u = exp(x), v = negative(multiply(u, x));
  array y = matmul(v, u);
  array first = u_lives_longer ? matmul(y, v) : matmul(y, u);
  array second = u_lives_longer ? matmul(first, u) : matmul(first, v);
  return {second};
}

const Step* remake_of(const Remake& t, TileOp last) {
  for (size_t s = t.own; s < t.plan.steps.size(); ++s)
    if (t.plan.steps[s].program->instrs.back().op == last) return &t.plan.steps[s];
  return nullptr;
}

TEST_F(Remake, only_the_instructions_that_lead_to_a_result_run) {
  build(two_results(*this, false));
  const Step* exp_step = remake_of(*this, TileOp::kExp);
  ASSERT_NE(exp_step, nullptr);
  EXPECT_EQ(exp_step->program->instrs.size(), 1u);
  EXPECT_EQ(plan.inputs(*exp_step).size(), 1u);
  EXPECT_EQ(exp_step->members, 1u);
}

TEST_F(Remake, a_result_that_lives_longer_is_read_and_not_computed) {
  build(two_results(*this, true));
  const Step* step = remake_of(*this, TileOp::kNegative);
  ASSERT_NE(step, nullptr);
  EXPECT_EQ(step->program->instrs.size(), 2u);  // without the exponential
  EXPECT_EQ(plan.inputs(*step).size(), 2u);
  build(two_results(*this, false));
  step = remake_of(*this, TileOp::kNegative);
  ASSERT_NE(step, nullptr);
  EXPECT_EQ(step->program->instrs.size(), 3u);
}

TEST_F(Remake, what_is_kept_or_single_or_random_has_none) {
  array x = held({64, 64});
  build({exp(x), negative(exp(x))});
  EXPECT_EQ(plan.steps.size(), own);
  build({matmul(exp(x), x)});
  EXPECT_EQ(plan.steps.size(), own);
  array r = random::uniform(0.0f, 1.0f, {64, 64}, Dtype::kFloat32, random::key(1));
  array u = multiply(r, x), v = exp(u);
  std::vector<array> result{matmul(matmul(v, u), matmul(u, v))};
  r = u = v = array();
  build(result);
  for (size_t s = own; s < plan.steps.size(); ++s)
    for (const TileInstr& i : plan.steps[s].program->instrs) EXPECT_NE(i.op, TileOp::kRandomBits);
}

TEST_F(Remake, each_is_charged_like_a_step) {
  build(two_results(*this, false));
  ASSERT_GT(plan.steps.size(), own);
  for (size_t s = own; s < plan.steps.size(); ++s) {
    const Step& step = plan.steps[s];
    EXPECT_EQ(step.workspace, planning.backend.program_workspace(*step.program));
    EXPECT_GE(step.scratch, step.workspace);
    EXPECT_EQ(remakes[plan.outputs(step)[0].value], s);
    EXPECT_EQ(step.traffic, (plan.inputs(step).size() + 1) * 64 * 64 * 4);
  }
}

// The oracle: the whole program.
TEST_F(Remake, gives_the_bits_of_the_whole_program) {
  device::Backend& cpu = planning.context.backend();
  size_t compared = 0;
  for (uint64_t seed = 0; seed < 150; ++seed) {
    Planning random;
    std::vector<array> outputs = random_graph(random, seed, 40);
    Plan p = Builder(random.backend, random.context.pool()).build(outputs);
    const size_t before = p.steps.size();
    add_remakes(p, random.backend, random.context.pool());
    std::vector<std::vector<float>> bytes(p.values.size());
    std::mt19937_64 rng(seed);
    for (ValueId v = 0; v < p.values.size(); ++v) {
      bytes[v].resize(p.values[v].nbytes / 4);
      for (float& f : bytes[v]) f = static_cast<float>(rng() % 1000) / 500;
    }
    auto run = [&](const Step& step, std::vector<std::vector<float>>& into) {
      std::vector<device::Tensor> in, out;
      for (const Operand& o : p.inputs(step))
        in.push_back({bytes[o.value].data() + o.form->layout.offset, o.form->dtype, o.form->shape,
                      o.form->layout.strides});
      for (const Operand& o : p.outputs(step)) {
        into.emplace_back(bytes[o.value].size());
        out.push_back({into.back().data(), o.form->dtype, o.form->shape, o.form->layout.strides});
      }
      std::vector<std::byte> scratch(cpu.program_workspace(*step.program) + 64);
      void* at = scratch.data();
      size_t room = scratch.size();
      std::align(64, room - 64, at, room);
      cpu.run_program(*step.program, in, out, {static_cast<std::byte*>(at), room}, nullptr);
    };
    for (size_t s = before; s < p.steps.size(); ++s) {
      const ValueId v = p.outputs(p.steps[s])[0].value;
      const Step& whole = p.steps[p.values[v].producer];
      std::vector<std::vector<float>> all, again;
      run(whole, all);
      for (size_t k = 0; k < all.size(); ++k) bytes[p.outputs(whole)[k].value] = all[k];
      run(p.steps[s], again);
      EXPECT_EQ(std::memcmp(again[0].data(), bytes[v].data(), p.values[v].nbytes), 0) << seed;
      ++compared;
    }
  }
  EXPECT_GT(compared, 50u);
}

}  // namespace
}  // namespace plimsoll::plan
