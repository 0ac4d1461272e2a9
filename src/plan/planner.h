// From arrays to a plan that keeps a limit: the stages, each tried only where the former does not
// fit.
#pragma once

#include <functional>
#include <optional>

#include "plan/build.h"
#include "plan/evict.h"
#include "plan/plan_cache.h"
#include "plan/tile.h"

namespace plimsoll::plan {

/// What the test suite's pressure settings force.
struct Pressure {
  bool spill_always = false;      // keep nothing between two steps that can be spilled
  bool recompute_always = false;  // nor anything that can be computed again; give no buffer on
  bool smallest_tiles = false;    // every step that can loop does, over its smallest tiles
  bool no_cache = false;
  bool tiny_limit = false;  // every evaluation runs at its floor
  Force force() const {
    return spill_always ? Force::kSpill : recompute_always ? Force::kForget : Force::kNothing;
  }
  bool any() const { return forces_plans() || no_cache; }
  bool forces_plans() const {
    return spill_always || recompute_always || smallest_tiles || tiny_limit;
  }
};

/// A node whose bytes are wanted in a file.
struct Sink {
  const graph::Node* node;
  std::shared_ptr<memory::FileSink> sink;
};

class Planner {
 public:
  /// `store` says what records of spilled extents cost; null: nothing.
  Planner(const device::Backend& backend, memory::Pool& pool, Costs costs, Pressure pressure,
          memory::SpillStore* store = nullptr);

  /// Stage "refused" where the floor is above the limit; then there are no actions. The plan holds
  /// raw pointers into the graph and to buffers: run it or drop it before either changes.
  Plan plan(std::span<const array> outputs, Bytes limit, std::span<const Sink> sinks = {});
  /// The same, with the least floor of all ways to build the steps, for showing.
  Plan dry_run(std::span<const array> outputs, Bytes limit);
  /// Asked before the first plan under pressure, and again where it returned nothing and there is
  /// more room now.
  void set_calibration(std::function<std::optional<Costs>()> calibration) {
    calibration_ = std::move(calibration);
  }
  const Costs& costs() const { return costs_; }
  /// Plans everything anew.
  void forget_plans() { known_.clear(); }
  size_t known_plans() const { return known_.size(); }

 private:
  /// What is asked for.
  struct Task {
    std::span<const array> outputs;
    Bytes limit;
    std::span<const Sink> sinks;
  };
  Plan find(const Task& task);
  Plan search(const Task& task, Plan plan);
  Plan build(const Task& task, uint32_t way);
  Plan build_beside_others(const Task& task, uint32_t way);
  void add_others(Plan& plan);
  uint64_t spill_class(const Plan& plan) const;
  Bytes charge_of_metadata(const Plan& plan, bool spills) const;
  void promise_metadata(Plan& plan, bool spills, Bytes at_least = 0);
  [[nodiscard]] Bytes reorder(Plan& plan);
  bool climb(Plan& plan, Bytes budget);
  bool cuts_programs_small(const Plan& plan) const;
  /// False where there is none, or none that is quicker than `bound` seconds.
  bool plan_under_pressure(Plan& plan, Bytes budget, double bound);
  std::vector<Unit> make_units(Plan& plan, std::span<const std::shared_ptr<Nest>> groups,
                               Bytes unpinned, bool* tiled);
  bool room_for_metadata(const Plan& plan, Schedule& schedule, Bytes budget) const;
  bool schedule(Plan& plan, const std::vector<Unit>& units, Bytes budget, double bound,
                Schedule& best);
  bool better(const Schedule& a, const Schedule& b) const;
  void consider(const Plan& plan, const std::vector<Unit>& units,
                const std::vector<StepId>& remakes, const EvictOptions& options, Schedule& best);
  void adopt(Plan& plan, Schedule schedule);

  Builder builder_;
  const device::Backend& backend_;
  memory::Pool& pool_;
  memory::SpillStore* store_;
  Costs costs_;
  std::function<std::optional<Costs>()> calibration_;
  Bytes calibration_failed_ = 0;                 // the largest budget that was too small for it
  Bytes spill_room_ = memory::Ledger::kNoLimit;  // of the store; plans that need more come last
  Pressure pressure_;
  PlanCache known_;
};

}  // namespace plimsoll::plan
