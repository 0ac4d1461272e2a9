// Who is in memory when: the order of units is given; loads, spills, recomputations and frees are
// put between them so that a budget holds.
#pragma once

#include <limits>
#include <optional>

#include "memory/pool.h"
#include "plan/plan.h"

namespace plimsoll::plan {

struct Schedule {
  std::vector<Unit> units;
  std::vector<Action> actions;
  std::vector<StepId> undonated;  // steps whose donor is needed again: they may not take it over
  Bytes peak = 0;
  uint32_t peak_unit = kNone;
  Bytes loaded = 0, written = 0, recomputed = 0;
  Bytes slabs = 0;        // of new small buffers
  Bytes metadata = 0;     // charge of its bookkeeping
  Bytes spill_space = 0;  // most bytes in the spill store at one time, beside what is there now
  double seconds = 0;
};

/// What becomes of a value as soon as it is idle, whatever room there is (for tests).
enum class Force : uint8_t { kNothing, kSpill, kForget };

struct EvictOptions {
  Bytes budget = 0;   // for values and scratch
  Bytes reserve = 0;  // of it, left for what is prefetched
  /// How dear a second of computing is beside a second of I/O: 0 recomputes all that can be,
  /// infinity nothing.
  double recompute_price = 1;
  Bytes spill_room = ~Bytes{0};  // past it, what can be recomputed is not written
  /// A schedule that takes more seconds is of no use.
  double bound = std::numeric_limits<double>::infinity();
  Force force = Force::kNothing;
};

/// `remakes`: per value a step that makes it again, or kNone; empty for none.
/// Null where the policy finds no way (never with an infinite price when every unit's working set
/// fits into budget − reserve), or none within the bound.
std::optional<Schedule> evict(const Plan& plan, std::vector<Unit> units,
                              const std::vector<StepId>& remakes, const EvictOptions& options,
                              const Costs& costs, const memory::Pool& pool);

/// Moves loads ahead as far as memory allows, so that they overlap with what runs before.
void hoist_loads(const Plan& plan, Schedule& schedule, Bytes budget, const Costs& costs);

/// Replays the actions on a clock with one disk: fills `seconds` and `spill_space`.
void predict(const Plan& plan, Schedule& schedule, Bytes budget, const Costs& costs);

/// Replays the actions: fills the peak, where it is, and the slabs of new small buffers.
void measure_peak(const Plan& plan, Schedule& schedule, const memory::Pool& pool);

double unit_seconds(const Plan& plan, const Unit& unit, const Costs& costs);
/// Values that a unit has resident while it runs: inputs and outputs that are not streamed and not
/// local, each once. `made` are its outputs.
void whole_values(const Plan& plan, const Unit& unit, std::vector<ValueId>& read,
                  std::vector<ValueId>& made);

}  // namespace plimsoll::plan
