// What a function did to arrays of given shapes, to be done again to others.
#pragma once

#include <vector>

#include "transforms/trace.h"

namespace plimsoll::transforms {

class Recording {
 public:
  /// Calls `fn` on stand-ins.
  Recording(const Function& fn, const Arrays& inputs);
  /// Of what `outputs` were recorded from `placeholders`.
  Recording(Arrays placeholders, Arrays outputs);

  const Arrays& inputs() const { return inputs_; }
  const Arrays& outputs() const { return outputs_; }
  bool fits(const Arrays& inputs) const;
  /// The operations once more. REQUIRES: fits(inputs).
  Arrays replay(const Arrays& inputs) const;
  /// As replay, for inputs of other shapes: shapes are inferred and checked again. Raises
  /// ValueError where an operation does not fit them.
  Arrays replay_anew(const Arrays& inputs) const;

 private:
  template <typename Again>
  Arrays run(const Arrays& inputs, const Again& again) const;
  void find_order();

  Arrays inputs_, outputs_;
  std::vector<const graph::Node*> order_;
};

/// Records an operation of a file: everything that its own function would have seen to is checked.
/// One array, or one an output where it has several. Raises ValueError where it does not fit; other
/// errors (no memory) stay what they are.
Arrays record_checked(const graph::OpDef& def, const Arrays& inputs, const AttrsPtr& attrs);

}  // namespace plimsoll::transforms
