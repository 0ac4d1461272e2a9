// Steps that are alike: whatever their tiles depend on is equal.
#pragma once

#include <cstdint>
#include <unordered_map>

#include "plan/plan.h"

namespace plimsoll::plan {

/// Graphs repeat themselves, so what is found out about a step holds for most that follow it.
class LikeSteps {
 public:
  explicit LikeSteps(const Plan& plan) : plan_(plan) {}
  /// The first step asked for that `step` is like; itself where there was none.
  StepId first_like(StepId step);

 private:
  uint64_t hash_of(const Step& step) const;
  bool alike(const Step& a, const Step& b) const;

  const Plan& plan_;
  std::unordered_multimap<uint64_t, StepId> known_;
};

}  // namespace plimsoll::plan
