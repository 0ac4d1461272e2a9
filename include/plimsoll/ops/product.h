// Products of vectors and matrices that need no matrix product, and convolve.
#pragma once

#include <string>

#include "plimsoll/array.h"

namespace plimsoll {

array kron(const array& a, const array& b);
array vecdot(const array& a, const array& b, int64_t axis = -1);

array convolve(const array& a, const array& v, const std::string& mode = "full");

namespace linalg {
array cross(const array& a, const array& b, int64_t axis = -1);
}  // namespace linalg

}  // namespace plimsoll
