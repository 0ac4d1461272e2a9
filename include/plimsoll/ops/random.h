// Random numbers from explicit keys. A key is an array of two uint32; the same key gives the same
// numbers, whatever else runs. float16, bfloat16 and float32 are made from the same 32 bits.
#pragma once

#include <optional>
#include <variant>

#include "plimsoll/array.h"

namespace plimsoll::random {

/// The key of a seed.
array key(uint64_t seed);
/// `num` keys [num, 2] that are independent of `key` and of each other.
array split(const array& key, int64_t num = 2);
/// 32 random bits an element.
array bits(const Shape& shape, const array& key);
/// In [low, high); the bounds broadcast to `shape`.
array uniform(const array& low, const array& high, const Shape& shape, std::optional<Dtype> dtype,
              const array& key);
/// Integers in [low, high); the bounds broadcast to `shape`.
array randint(const array& low, const array& high, const Shape& shape, std::optional<Dtype> dtype,
              const array& key);
array normal(const Shape& shape, std::optional<Dtype> dtype, const std::optional<array>& loc,
             const std::optional<array>& scale, const array& key);
/// Normal numbers within [lower, upper].
array truncated_normal(const array& lower, const array& upper, const std::optional<Dims>& shape,
                       std::optional<Dtype> dtype, const array& key);
array gumbel(const Shape& shape, std::optional<Dtype> dtype, const array& key);
array laplace(const Shape& shape, std::optional<Dtype> dtype, double loc, double scale,
              const array& key);
/// True with probability p.
array bernoulli(const array& p, const std::optional<Dims>& shape, const array& key);
/// 0 … x-1 in random order (uint32), or the slices of x along `axis` in random order.
array permutation(const std::variant<int64_t, array>& x, int64_t axis, const array& key);
/// Positions drawn with the probabilities softmax(logits) along `axis` (uint32).
array categorical(const array& logits, int64_t axis, const std::optional<Dims>& shape,
                  std::optional<int64_t> num_samples, const array& key);
/// Vectors with a mean [..., n] and a covariance [..., n, n]; `shape` may be empty.
array multivariate_normal(const array& mean, const array& cov, const Shape& shape,
                          std::optional<Dtype> dtype, const array& key);

}  // namespace plimsoll::random
