#include <gtest/gtest.h>

#include "graph/node.h"
#include "ops/promote.h"
#include "plimsoll/error.h"
#include "plimsoll/ops/binary.h"
#include "plimsoll/ops/cast.h"
#include "plimsoll/ops/compare.h"
#include "plimsoll/ops/creation.h"
#include "plimsoll/ops/select.h"
#include "plimsoll/ops/unary.h"

namespace plimsoll {
namespace {

array of(Shape shape, Dtype t) { return zeros(shape, t); }
std::string name(const array& a) { return a.node()->def ? a.node()->def->name : "constant"; }

template <typename E, typename F>
std::string text_of(F f) {
  try {
    f();
  } catch (const E& e) {
    return e.what();
  }
  return "no error";
}

TEST(Elementwise, same_specs_are_recorded_without_casts) {
  array a = of({2, 3}, Dtype::kFloat32), b = of({2, 3}, Dtype::kFloat32);
  array c = add(a, b);
  EXPECT_EQ(c.shape(), (Shape{2, 3}));
  EXPECT_EQ(c.dtype(), Dtype::kFloat32);
  EXPECT_EQ(c.node()->inputs[0], a.node());
  EXPECT_EQ(c.node()->inputs[1], b.node());
}

TEST(Elementwise, broadcasting_is_implicit) {
  array c = multiply(of({4, 1, 3}, Dtype::kFloat32), of({2, 1}, Dtype::kFloat32));
  EXPECT_EQ(c.shape(), (Shape{4, 2, 3}));
  EXPECT_EQ(name(array::share(c.node()->inputs[1])), "full");
}

TEST(Elementwise, shapes_that_do_not_broadcast_are_refused_when_recorded) {
  EXPECT_EQ(text_of<ShapeError>([] { of({2}, Dtype::kFloat32) + of({3}, Dtype::kFloat32); }),
            "[add] expected shapes that broadcast together, got (2,) and (3,)");
}

TEST(Elementwise, arrays_promote_as_in_mlx) {
  auto t = [](Dtype a, Dtype b) { return (of({2}, a) + of({2}, b)).dtype(); };
  EXPECT_EQ(t(Dtype::kInt32, Dtype::kFloat16), Dtype::kFloat16);
  EXPECT_EQ(t(Dtype::kUint8, Dtype::kInt8), Dtype::kInt16);
  EXPECT_EQ(t(Dtype::kUint64, Dtype::kInt32), Dtype::kFloat32);
  EXPECT_EQ(t(Dtype::kFloat16, Dtype::kBfloat16), Dtype::kFloat32);
  EXPECT_EQ(t(Dtype::kFloat64, Dtype::kComplex64), Dtype::kComplex64);
}

TEST(Elementwise, weak_numbers_take_the_dtype_of_the_array) {
  EXPECT_EQ((of({2}, Dtype::kUint8) + 2).dtype(), Dtype::kUint8);
  EXPECT_EQ((of({2}, Dtype::kFloat16) + 2).dtype(), Dtype::kFloat16);
  EXPECT_EQ((of({2}, Dtype::kFloat16) * 2.5).dtype(), Dtype::kFloat16);
  EXPECT_EQ((of({2}, Dtype::kInt32) + 2.5).dtype(), Dtype::kFloat32);
  EXPECT_EQ((of({2}, Dtype::kBool) + 2).dtype(), Dtype::kInt32);
  EXPECT_EQ(add(scalar(2), scalar(3)).dtype(), Dtype::kInt32);
  EXPECT_EQ(add(scalar(2), scalar(3.0)).dtype(), Dtype::kFloat32);
  EXPECT_EQ(add(scalar(int64_t{1} << 40), scalar(1)).dtype(), Dtype::kInt64);
}

TEST(Elementwise, weak_numbers_become_constants_and_not_casts) {
  array c = of({2}, Dtype::kFloat16) * 2.5;
  const graph::Node* k = c.node()->inputs[1];
  EXPECT_TRUE(k->is(graph::Node::kConstant));
  EXPECT_EQ(k->dtype, Dtype::kFloat16);
  EXPECT_EQ(k->constant.real, 2.5);
  EXPECT_FALSE(k->is(graph::Node::kWeak));
}

TEST(Elementwise, weak_integers_that_do_not_fit_are_refused) {
  EXPECT_EQ(text_of<ValueError>([] { of({2}, Dtype::kUint8) + 300; }),
            "[astype] expected a number that uint8 holds, got 300; cast the array to a wider dtype "
            "first");
  EXPECT_NE(text_of<ValueError>([] { of({2}, Dtype::kUint32) + (-1); }), "no error");
}

TEST(Elementwise, functions_with_fractional_results_take_integers_as_float32) {
  EXPECT_EQ(exp(of({2}, Dtype::kInt32)).dtype(), Dtype::kFloat32);
  EXPECT_EQ(divide(of({2}, Dtype::kInt8), of({2}, Dtype::kInt8)).dtype(), Dtype::kFloat32);
  EXPECT_EQ(exp(of({2}, Dtype::kBfloat16)).dtype(), Dtype::kBfloat16);
  EXPECT_EQ(floor(of({2}, Dtype::kInt32)).dtype(), Dtype::kInt32);
  EXPECT_EQ(abs(of({2}, Dtype::kComplex64)).dtype(), Dtype::kFloat32);
}

TEST(Elementwise, dtypes_without_a_meaning_are_refused_by_name) {
  EXPECT_EQ(text_of<ValueError>([] { negative(of({2}, Dtype::kBool)); }),
            "[negative] expected numbers, got bool; use logical_not for bool");
  EXPECT_EQ(text_of<ValueError>([] { erf(of({2}, Dtype::kComplex64)); }),
            "[erf] expected a real dtype, got complex64; take real or imag first");
  EXPECT_EQ(text_of<Error>([] { bitwise_and(of({2}, Dtype::kFloat32), of({2}, Dtype::kInt32)); }),
            "[bitwise_and] expected integers or bool, got float32 and int32");
  EXPECT_NE(text_of<ValueError>([] { clip(of({2}, Dtype::kFloat32), std::nullopt, std::nullopt); }),
            "no error");
}

TEST(Elementwise, comparisons_give_bool_and_select_takes_the_branches_dtype) {
  array a = of({2}, Dtype::kFloat16);
  EXPECT_EQ((a > 2).dtype(), Dtype::kBool);
  EXPECT_EQ(where(a > 2, a, scalar(0)).dtype(), Dtype::kFloat16);
  EXPECT_EQ(where(a > 2, scalar(1), scalar(0)).dtype(), Dtype::kInt32);
  EXPECT_EQ(where(a > 2, scalar(1), scalar(0)).shape(), (Shape{2}));
}

TEST(Elementwise, casts_round_constants_and_leave_equal_dtypes_alone) {
  array a = of({2}, Dtype::kFloat32);
  EXPECT_EQ(astype(a, Dtype::kFloat32).node(), a.node());
  EXPECT_EQ(name(astype(a, Dtype::kInt8)), "astype");
  array c = astype(array(0.1), Dtype::kFloat16);
  EXPECT_EQ(c.node()->constant.real, 0.0999755859375);
  EXPECT_EQ(astype(array(70000.0), Dtype::kFloat16).node()->constant.real, HUGE_VAL);
  EXPECT_EQ(astype(array(-1.9), Dtype::kInt32).node()->constant.integer, -1);
}

TEST(Elementwise, gradients_are_recorded_for_needed_inputs_only) {
  array a = of({2}, Dtype::kFloat32), b = of({2}, Dtype::kFloat32), y = a * b;
  array in[] = {a, b}, g = of({2}, Dtype::kFloat32);
  bool needed[] = {false, true};
  auto grads = y.node()->def->vjp({in, {&y, 1}, {&g, 1}, nullptr, needed});
  ASSERT_EQ(grads.size(), 2u);
  EXPECT_FALSE(static_cast<bool>(grads[0]));
  EXPECT_EQ(name(grads[1]), "multiply");
  EXPECT_EQ(grads[1].node()->inputs[0], g.node());
}

TEST(Creation, arange_counts_and_types_as_mlx) {
  EXPECT_EQ(arange(int64_t{5}).dtype(), Dtype::kInt32);
  EXPECT_EQ(arange(5.0).dtype(), Dtype::kFloat32);
  EXPECT_EQ(arange(int64_t{0}, 1.0, 0.1).shape(), (Shape{10}));
  EXPECT_EQ(arange(int64_t{5}, int64_t{0}).shape(), (Shape{0}));
  EXPECT_EQ(arange(int64_t{0}, int64_t{-5}, int64_t{-2}).shape(), (Shape{3}));
  EXPECT_EQ(text_of<ValueError>([] { arange(int64_t{0}, int64_t{5}, int64_t{0}); }),
            "[arange] expected a step that is not 0");
}

TEST(Creation, filled_arrays_hold_one_constant) {
  array z = zeros({1000, 1000});
  EXPECT_EQ(name(z), "full");
  EXPECT_TRUE(z.node()->inputs[0]->is(graph::Node::kConstant));
  EXPECT_EQ(text_of<ValueError>([] { zeros({-1}); }),
            "[zeros] expected dimensions of at least 0, got (-1,)");
}

}  // namespace
}  // namespace plimsoll
