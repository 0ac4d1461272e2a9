// Stage 0: every step whole, in the default order, everything resident. If its peak fits, no other
// pass runs.
#pragma once

#include "memory/pool.h"
#include "plan/plan.h"

namespace plimsoll::plan {

/// Slabs that small values take: by class, as many as its most live blocks need.
class SlabCount {
 public:
  void add(const Value& v, const memory::Pool& pool);
  void remove(const Value& v);
  Bytes bytes() const { return bytes_; }
  size_t count() const { return count_; }

 private:
  struct Class {
    Bytes block;
    uint32_t live, room;
  };
  std::vector<Class> classes_;
  Bytes bytes_ = 0;
  size_t count_ = 0;
};

/// Fills units (one a step), actions (load, run and free), the peak without what is fixed, and the
/// bound on slabs.
void schedule_default(Plan& plan, const memory::Pool& pool);
/// Charge of what a run of the step makes: outputs that are not donated and not small, and scratch.
Bytes fresh_bytes(const Plan& plan, const Step& step);
/// Charge of all that a run of the step touches: that, and its inputs, each once.
Bytes working_set(const Plan& plan, const Step& step);
/// Predicted seconds of one step in core.
double step_seconds(const Step& step, const Costs& costs);
/// "matmul float32[2048, 256]", for tables and errors.
std::string describe(const Plan& plan, const Step& step);

}  // namespace plimsoll::plan
