// The courses of plans that were found under pressure, for evaluations like those: a loop plans
// each kind of step once.
#pragma once

#include <cstdint>
#include <list>
#include <vector>

#include "device/backend.h"
#include "memory/pool.h"
#include "memory/spill_store.h"
#include "plan/plan.h"

namespace plimsoll::plan {

/// A hash of all that a plan is searched by, but for the room: steps, forms, attributes, edges, who
/// holds what, and what is in memory of it. Addresses of arrays do not matter, nor do constants.
uint64_t structure_of(const Plan& plan);

/// Not thread-safe.
class PlanCache {
 public:
  struct Entry {
    uint64_t structure = 0;
    Bytes budget = 0;  // that the search had
    uint32_t build = 0;
    size_t values = 0, operands = 0;
    std::vector<StepId> order;    // of each step: its place as built
    std::vector<ValueId> donors;  // of each step, those included that make values again
    Bytes above = 0;              // its peak, beside what is fixed
    Course course;
    Bytes bytes = 0;  // that it takes
  };

  /// The plan that was found for this structure and about this budget, or a little less; null where
  /// there is none.
  const Entry* find(uint64_t structure, Bytes budget);
  void add(uint64_t structure, Bytes budget, const Plan& found);
  void clear() { entries_.clear(), bytes_ = 0; }
  size_t size() const { return entries_.size(); }

 private:
  void drop(std::list<Entry>::iterator entry);
  std::list<Entry> entries_;  // the last used first
  Bytes bytes_ = 0;
};

/// Turns a plan as built, in the entry's way, into the one that was found. False where that does
/// not hold now: then the plan is of no use.
bool reuse(const PlanCache::Entry& entry, Plan& plan, const device::Backend& backend,
           const memory::Pool& pool, const memory::SpillStore* store);

}  // namespace plimsoll::plan
