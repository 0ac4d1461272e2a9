// Tapering windows: sums of cosines over counting numbers, in float64 until the last step.
#include "plimsoll/ops/window.h"

#include <algorithm>
#include <numbers>

#include "ops/common.h"
#include "ops/lists.h"
#include "plimsoll/ops/binary.h"
#include "plimsoll/ops/cast.h"
#include "plimsoll/ops/creation.h"
#include "plimsoll/ops/unary.h"

namespace plimsoll {
namespace ops {
namespace {

constinit const OpDef kHanning =
    composite("hanning", boxed<&hanning>::call,
              "hanning(M: int, *, stream: None | Stream | Device = None) -> array",
              R"(The Hann window of M points: 0.5 - 0.5 cos(2 pi n / (M - 1)), float32.

One point is 1; fewer than one give an empty array.

Example:
    >>> mx.hanning(3).shape
    (3,)
)");

constinit const OpDef kHamming =
    composite("hamming", boxed<&hamming>::call,
              "hamming(M: int, *, stream: None | Stream | Device = None) -> array",
              R"(The Hamming window of M points: 0.54 - 0.46 cos(2 pi n / (M - 1)), float32.

One point is 1; fewer than one give an empty array.

Example:
    >>> mx.hamming(3)
    array([0.08, 1, 0.08], dtype=float32)
)");

constinit const OpDef kBlackman =
    composite("blackman", boxed<&blackman>::call,
              "blackman(M: int, *, stream: None | Stream | Device = None) -> array",
              R"(The Blackman window of M points, float32.

0.42 - 0.5 cos(2 pi n / (M - 1)) + 0.08 cos(4 pi n / (M - 1)). One point is 1; fewer than one give an
empty array.

Example:
    >>> mx.blackman(3).shape
    (3,)
)");

constinit const OpDef kBartlett =
    composite("bartlett", boxed<&bartlett>::call,
              "bartlett(M: int, *, stream: None | Stream | Device = None) -> array",
              R"(The triangular (Bartlett) window of M points: 1 - abs(2 n / (M - 1) - 1), float32.

One point is 1; fewer than one give an empty array.

Example:
    >>> mx.bartlett(5)
    array([0, 0.5, 1, 0.5, 0], dtype=float32)
)");

// `whole` times the way from the first point to the last.
array places(int64_t m, double whole) {
  return arange(0.0, static_cast<double>(m), 1.0, Dtype::kFloat64) *
         array(whole / static_cast<double>(m - 1), Dtype::kFloat64);
}

array window(int64_t m, array (*formula)(int64_t)) {
  if (m <= 1) return ones({std::max<int64_t>(m, 0)});
  return astype(formula(m), Dtype::kFloat32);
}

constexpr double kTurn = 2 * std::numbers::pi;

}  // namespace

OpList window_ops() {
  static constexpr const OpDef* kOps[] = {&kHanning, &kHamming, &kBlackman, &kBartlett};
  return kOps;
}

}  // namespace ops

array hanning(int64_t m) {
  return ops::window(m, [](int64_t n) { return 0.5 - 0.5 * cos(ops::places(n, ops::kTurn)); });
}

array hamming(int64_t m) {
  return ops::window(m, [](int64_t n) { return 0.54 - 0.46 * cos(ops::places(n, ops::kTurn)); });
}

array blackman(int64_t m) {
  return ops::window(m, [](int64_t n) {
    return 0.42 - 0.5 * cos(ops::places(n, ops::kTurn)) +
           0.08 * cos(ops::places(n, 2 * ops::kTurn));
  });
}

array bartlett(int64_t m) {
  return ops::window(m, [](int64_t n) { return 1.0 - abs(ops::places(n, 2) - 1.0); });
}

}  // namespace plimsoll
