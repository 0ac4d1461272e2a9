// What kind of number an element is.
#pragma once

#include <optional>

#include "plimsoll/array.h"

namespace plimsoll {

/// True where NaN; a complex number is NaN where a part is.
array isnan(const array& a);
array isinf(const array& a);
array isfinite(const array& a);
array isposinf(const array& a);
array isneginf(const array& a);
/// NaN and infinities replaced; nullopt: the dtype's greatest and least finite numbers.
array nan_to_num(const array& a, float nan = 0, std::optional<float> posinf = std::nullopt,
                 std::optional<float> neginf = std::nullopt);

}  // namespace plimsoll
