// Dense linear algebra.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "plimsoll/array.h"

namespace plimsoll::linalg {

/// Eigenvalues (ascending) and eigenvectors (columns) of symmetric or Hermitian matrices, of which
/// the lower ("L") or upper ("U") triangle is read.
std::vector<array> eigh(const array& a, const std::string& uplo = "L");
array eigvalsh(const array& a, const std::string& uplo = "L");

using NormOrder = std::variant<std::monostate, int64_t, double, std::string>;
/// Norm over one axis (vectors) or two (matrices); without order and axes that of all elements.
array norm(const array& a, const NormOrder& ord = {},
           const std::optional<Dims>& axes = std::nullopt, bool keepdims = false);

}  // namespace plimsoll::linalg
