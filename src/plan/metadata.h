// What the bookkeeping of an evaluation takes of memory: headers and extent tables of its buffers,
// headers of slabs, records of what is spilled.
#pragma once

#include "memory/pool.h"
#include "memory/spill_store.h"
#include "plan/evict.h"
#include "plan/plan.h"

namespace plimsoll::plan {

/// Counts while a plan's actions are followed: the most that is needed at once.
struct MetadataNeed {
  size_t buffers = 0;  // new headers
  size_t slabs = 0;    // of new small values
  Bytes tables = 0;    // of new buffers
  size_t extents = 0;  // of all values that can be spilled, or are, each once
  size_t stored = 0;   // extents that are spilled already
};

/// Of the plan as it stands. A value that is spilled keeps its header; where `spills`, all that is
/// alive may be in the store at one time; where `always_new`, no result takes over a buffer.
MetadataNeed metadata_need(const Plan& plan, const memory::Pool& pool, bool spills,
                           bool always_new);
MetadataNeed metadata_need(const Plan& plan, const Schedule& schedule, const memory::Pool& pool);

/// The charge of it, beside what is charged already. `store` may be null where nothing spills.
Bytes metadata_charge(const MetadataNeed& need, const memory::Pool& pool,
                      const memory::SpillStore* store);

}  // namespace plimsoll::plan
