#include "core/shape.h"

#include <gtest/gtest.h>

#include "plimsoll/error.h"

namespace plimsoll {
namespace {

TEST(Shape, strides_of_empty_arrays_are_numbers_too) {
  constexpr int64_t kMany = int64_t{1} << 40;
  EXPECT_EQ(num_elements({0, kMany, 1 << 20}), 0);
  EXPECT_EQ(num_elements({0, kMany, 1 << 22}), 0);
  EXPECT_THROW(num_elements({0, kMany, 1 << 23}), ValueError);
  EXPECT_THROW(num_elements({kMany, 1 << 23, 0}), ValueError);
}

}  // namespace
}  // namespace plimsoll
