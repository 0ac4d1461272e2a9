#include "plimsoll/dtype.h"

#include <gtest/gtest.h>

#include "plimsoll/error.h"

namespace plimsoll {
namespace {

TEST(Dtype, PromotesAsMlxDoes) {
  EXPECT_EQ(promote_types(Dtype::kInt32, Dtype::kFloat16), Dtype::kFloat16);
  EXPECT_EQ(promote_types(Dtype::kUint8, Dtype::kInt8), Dtype::kInt16);
  EXPECT_EQ(promote_types(Dtype::kUint32, Dtype::kInt8), Dtype::kInt64);
  EXPECT_EQ(promote_types(Dtype::kUint64, Dtype::kInt64), Dtype::kFloat32);
  EXPECT_EQ(promote_types(Dtype::kFloat16, Dtype::kBfloat16), Dtype::kFloat32);
  EXPECT_EQ(promote_types(Dtype::kFloat64, Dtype::kComplex64), Dtype::kComplex64);
}

TEST(Dtype, PromotionIsSymmetricAndKeepsNames) {
  for (int i = 0; i < kNumDtypes; ++i) {
    Dtype a = static_cast<Dtype>(i);
    EXPECT_EQ(dtype_from_name(name_of(a)), a);
    for (int j = 0; j < kNumDtypes; ++j) {
      Dtype b = static_cast<Dtype>(j);
      EXPECT_EQ(promote_types(a, b), promote_types(b, a));
    }
  }
  EXPECT_THROW(dtype_from_name("float8"), ValueError);
}

}  // namespace
}  // namespace plimsoll
