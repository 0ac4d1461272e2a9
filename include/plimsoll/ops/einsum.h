// Einstein's summation convention.
#pragma once

#include <string>
#include <vector>

#include "plimsoll/array.h"

namespace plimsoll {

array einsum(const std::string& subscripts, const std::vector<array>& operands);

/// The order in which einsum multiplies: each step takes the operands at its positions out of the
/// list and puts their product at the end. `summary` is for people.
struct EinsumPath {
  std::vector<Dims> steps;
  std::string summary;
};
EinsumPath einsum_path(const std::string& subscripts, const std::vector<array>& operands);

}  // namespace plimsoll
