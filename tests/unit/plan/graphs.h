// Small graphs, each about one thing that plans do.
#pragma once

#include "plimsoll/ops/scan.h"
#include "plimsoll/transforms.h"
#include "tests/unit/plan/planning.h"

namespace plimsoll::plan {

// One program; its first input is nobody else's, so the result takes its place.
inline std::vector<array> chain(Planning& p) {
  array x = p.existing({64, 64}), y = p.existing({64, 1});
  p.held.push_back(y);
  return {exp(add(multiply(x, y), 1.0f))};
}

// A transposed view that the product reads as it is, one that a sort does not, and a result that
// somebody holds in the middle of a program.
inline std::vector<array> views(Planning& p) {
  array a = p.existing({64, 32}), b = p.existing({64, 32});
  array product = matmul(transpose(a), b);
  p.held.push_back(negative(product));
  return {sort(transpose(b), -1), exp(p.held.back())};
}

// Several outputs of which one is read, and values that come from slabs.
inline std::vector<array> tuple(Planning& p) {
  array a = p.existing({64, 64}), b = p.existing({64, 64});
  array quotient = divmod(a, b)[0];
  return {add(sum(quotient, Dims{1}), 1.0f), max(quotient, Dims{0})};
}

// Left operands are made first and wait for what their right ones need.
inline std::vector<array> waiting(Planning& p) {
  array x = p.existing({96, 96});
  p.held.push_back(x);
  array y = sort(x, -1);
  for (int i = 0; i < 4; ++i) y = add(sort(multiply(x, static_cast<float>(i)), -1), sum(y));
  return {y};
}

// Values and gradients of two layers: results of the forward pass are read again in reverse order.
inline std::vector<array> layers(Planning& p, int depth, int64_t side) {
  std::vector<array> weights;
  for (int i = 0; i < depth; ++i) weights.push_back(p.existing({side, side}));
  array x = p.existing({side, side});
  for (const array& w : weights) p.held.push_back(w);
  auto loss = [&x](const Arrays& w) -> Arrays {
    array h = x;
    for (const array& a : w) h = multiply(matmul(h, a), sigmoid(matmul(h, a)));
    return {sum(square(h))};
  };
  auto [value, grads] = value_and_grad(loss, weights);
  value.insert(value.end(), grads.begin(), grads.end());
  return value;
}
inline std::vector<array> train(Planning& p) { return layers(p, 2, 64); }

// A cheap result is needed again much later.
inline std::vector<array> cheap(Planning& p) {
  array x = p.existing({64, 64});
  p.held.push_back(x);
  array gate = exp(negative(x));
  array y = sort(matmul(gate, x), -1);
  for (int i = 0; i < 4; ++i) y = sort(matmul(y, x), -1);
  return {multiply(gate, y)};
}

inline std::vector<array> rows(Planning& p) { return {softmax(p.existing({256, 256}), Dims{-1})}; }

inline std::vector<array> product(Planning& p) {
  return {matmul(p.existing({192, 256}), transpose(p.existing({128, 256})))};
}

// What the steps pass to each other never exists whole.
inline std::vector<array> stream(Planning& p) {
  array x = p.existing({512, 32}), w = p.existing({32, 128}), v = p.existing({128, 32});
  p.held.push_back(x);
  array h = matmul(x, w);
  array y = matmul(multiply(h, sigmoid(h)), v);
  return {sum(softmax(y, Dims{-1}), Dims{0})};
}

// Whole in its memory, and no axis to cut.
inline std::vector<array> one_row(Planning& p) {
  return {cumsum(p.existing({1, 16384}), -1, true)};
}

// An exported array stays where it is; one outside of the graph makes room.
inline std::vector<array> others(Planning& p) {
  array a = p.existing({96, 96}), b = p.existing({96, 96});
  p.exports.push_back(a.node()->storage->buffer->export_pin("a view"));
  p.held = {a, p.existing({96, 96})};
  return {matmul(a, sort(b, -1))};
}

}  // namespace plimsoll::plan
