// Arrays made from a description.
#pragma once

#include <optional>
#include <variant>

#include "plimsoll/array.h"

namespace plimsoll {

/// `vals` broadcast to `shape`, converted to `dtype` (nullopt: the dtype of vals).
array full(const Shape& shape, const array& vals, std::optional<Dtype> dtype = std::nullopt);
array zeros(const Shape& shape, std::optional<Dtype> dtype = Dtype::kFloat32);
array ones(const Shape& shape, std::optional<Dtype> dtype = Dtype::kFloat32);
/// Of a's shape, and of its dtype where none is given.
array full_like(const array& a, const array& vals, std::optional<Dtype> dtype = std::nullopt);
array zeros_like(const array& a, std::optional<Dtype> dtype = std::nullopt);
array ones_like(const array& a, std::optional<Dtype> dtype = std::nullopt);

using IntOrFloat = std::variant<int64_t, double>;
/// start, start + step, … before stop. Integers give int32 unless one number is a float (float32)
/// or `dtype` says otherwise. arange(n) counts from 0.
array arange(IntOrFloat start, std::optional<IntOrFloat> stop = std::nullopt,
             std::optional<IntOrFloat> step = std::nullopt,
             std::optional<Dtype> dtype = std::nullopt);
/// `num` numbers at equal distances from start to stop, which is included where `endpoint`.
array linspace(double start, double stop, int64_t num = 50, bool endpoint = true,
               std::optional<Dtype> dtype = Dtype::kFloat32);

/// n × m (n × n) zeros with ones on the k-th diagonal.
array eye(int64_t n, std::optional<int64_t> m = std::nullopt, int64_t k = 0,
          std::optional<Dtype> dtype = Dtype::kFloat32);
array identity(int64_t n, std::optional<Dtype> dtype = Dtype::kFloat32);
/// n × m ones on and below the k-th diagonal, else zeros.
array tri(int64_t n, std::optional<int64_t> m = std::nullopt, int64_t k = 0,
          std::optional<Dtype> dtype = std::nullopt);
/// The matrices (last two axes) with zeros above, or below, the k-th diagonal.
array tril(const array& x, int64_t k = 0);
array triu(const array& x, int64_t k = 0);

}  // namespace plimsoll
