// Cross entropy, written in terms of other ops: the planner streams over the classes.
#include "plimsoll/ops/cross_entropy.h"

#include "ops/common.h"
#include "ops/lists.h"
#include "plimsoll/ops/binary.h"
#include "plimsoll/ops/gather.h"
#include "plimsoll/ops/reduce.h"
#include "plimsoll/ops/view.h"

namespace plimsoll {
namespace ops {
namespace {

constinit const OpDef kCrossEntropy = composite(
    "cross_entropy", boxed<&fast::cross_entropy>::call,
    "fast.cross_entropy(logits: array, targets: array, *, stream: None | Stream | Device = None) "
    "-> array",
    R"(Cross entropy of softmax(logits), over the last axis, against class numbers.

logsumexp(logits, axis=-1) - logits[..., target], computed in float32 or better whatever the float
dtype of the logits. ``targets`` has integers and the shape of the logits without the last axis.
Returns float32 losses of the shape of ``targets``. Raises ValueError for other shapes and dtypes;
evaluating raises IndexError for a class that is not there.

Example:
    >>> mx.fast.cross_entropy(mx.array([[2.0, -1.0]]), mx.array([0]))
    array([0.0485873], dtype=float32)
)");

}  // namespace

OpList cross_entropy_ops() {
  static constexpr const OpDef* kOps[] = {&kCrossEntropy};
  return kOps;
}

}  // namespace ops

namespace fast {

array cross_entropy(const array& logits, const array& targets) {
  using namespace ops;
  PLIMSOLL_CHECK(logits.ndim() >= 1, ValueError,
                 "[cross_entropy] logits must have at least 1 dimension but got input with 0 "
                 "dimensions.");
  PLIMSOLL_CHECK(is_floating(logits.dtype()), ValueError,
                 "[cross_entropy] Received unsupported logits type {}.", name_of(logits.dtype()));
  PLIMSOLL_CHECK(is_integral(targets.dtype()) && targets.dtype() != Dtype::kBool, ValueError,
                 "[cross_entropy] targets must be integer class indices but got {}.",
                 name_of(targets.dtype()));
  Shape rows = logits.shape();
  rows.pop_back();
  PLIMSOLL_CHECK(targets.shape() == rows, ValueError,
                 "[cross_entropy] targets shape {} does not match logits shape {} with the last "
                 "axis removed.",
                 to_string(targets.shape()), to_string(logits.shape()));
  array wide = cast(logits, promote_types(logits.dtype(), Dtype::kFloat32));
  // Gathered before it is widened: only one element of a row is read.
  array score = take_along_axis(logits, expand_dims(targets, {-1}), -1);
  array loss = logsumexp(wide, Dims{-1}) - cast(squeeze(score, Dims{-1}), wide.dtype());
  return cast(loss, Dtype::kFloat32);
}

}  // namespace fast
}  // namespace plimsoll
