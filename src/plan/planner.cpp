#include "plan/planner.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_set>

#include "base/check.h"
#include "plan/floor.h"
#include "plan/group.h"
#include "plan/metadata.h"
#include "plan/order.h"
#include "plan/remake.h"
#include "plan/schedule.h"
#include "plan/verify.h"

namespace plimsoll::plan {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();
// Less fusing makes smaller working sets.
constexpr BuildOptions kBuilds[] = {{}, {.max_members = 16, .max_inputs = 3}, {.fuse = false}};

struct Policy {
  double recompute_price;
  double reserve;  // share of the budget
};
// The first one always finds a way above the floor.
constexpr Policy kPolicies[] = {{kNever, 0}, {1, 0.1},      {kNever, 0.15}, {0.3, 0.1}, {3, 0.1},
                                {0, 0.05},   {kNever, 0.3}, {1, 0.25},      {0.1, 0.1}, {1, 0}};
constexpr int kRungs = 2;               // of the ladder of budgets, an octave
constexpr size_t kMostOnLadder = 1000;  // steps
constexpr double kQuickEnough = 1.05;
constexpr size_t kPolicyWork = 30'000;  // steps × policies that one evaluation looks at

}  // namespace

Planner::Planner(const device::Backend& backend, memory::Pool& pool, Costs costs, Pressure pressure,
                 memory::SpillStore* store)
    : builder_(backend, pool),
      backend_(backend),
      pool_(pool),
      store_(store),
      costs_(costs),
      pressure_(pressure) {}

namespace {

// A value that is stored as the file wants it is written there as it comes; others afterwards.
void attach_sinks(Plan& plan, std::span<const Sink> sinks) {
  if (sinks.empty()) return;
  for (const Binding& b : plan.bindings) {
    auto it =
        std::find_if(sinks.begin(), sinks.end(), [&](const Sink& s) { return s.node == b.node; });
    Value& v = plan.values[b.value];
    bool as_it_is = it != sinks.end() && b.form->contiguous && b.form->layout.offset == 0 &&
                    v.nbytes == it->sink->size() && v.node == b.node;
    if (!as_it_is || v.small || v.buffer || v.sunk) continue;
    v.sunk = true;
    plan.sinks.emplace_back(b.value, it->sink);
  }
  for (Step& step : plan.steps)
    if (step.donor != kNone && plan.values[plan.operands[step.first_output].value].sunk)
      step.donor = kNone;
}

}  // namespace

Plan Planner::build(const Task& task, uint32_t way) {
  BuildOptions options = kBuilds[way];
  options.donate = !pressure_.recompute_always;
  Plan plan = builder_.build(task.outputs, options);
  plan.build = way;
  attach_sinks(plan, task.sinks);
  schedule_default(plan, pool_);
  const memory::Ledger& ledger = pool_.ledger();
  Bytes held = 0;
  for (const Value& v : plan.values)
    if (v.buffer && !v.small) held += v.buffer->resident_bytes();
  Bytes used = ledger.used() - std::min(ledger.used(), pool_.reclaimable());
  plan.fixed = used - std::min(used, held);
  promise_metadata(plan, false);
  plan.peak += plan.fixed;
  plan.unlimited_peak = plan.peak;
  plan.limit = task.limit;
  return plan;
}

Plan Planner::build_beside_others(const Task& task, uint32_t way) {
  Plan plan = build(task, way);
  add_others(plan);
  return plan;
}

Plan Planner::plan(std::span<const array> outputs, Bytes limit, std::span<const Sink> sinks) {
  Plan found = find({outputs, limit, sinks});
#ifdef NDEBUG
  constexpr bool kDebug = false;
#else
  constexpr bool kDebug = true;
#endif
  if (kDebug || (pressure_.any() && found.steps.size() <= kMostOnLadder)) {
    std::string wrong = verify(found, pool_);
    PLIMSOLL_CHECK(wrong.empty(), Error, "internal error: a plan is wrong, {}; please report it",
                   wrong);
  }
  return found;
}

Plan Planner::find(const Task& task) {
  Plan plan = build(task, 0);
  if (plan.steps.empty()) return plan;  // all is there: nothing is asked for
  const bool forced = pressure_.forces_plans();
  if (plan.peak <= task.limit && !forced) return plan;
  add_others(plan);
  if (forced) return search(task, std::move(plan));
  const uint64_t structure = hash_mix(structure_of(plan), spill_class(plan));
  // Less than the search has, which takes one of several orders: its floor counts as much.
  const Bytes taken = plan.fixed - plan.metadata + charge_of_metadata(plan, true);
  const Bytes budget = task.limit - std::min(task.limit, taken);
  if (const PlanCache::Entry* known = known_.find(structure, budget)) {
    if (known->build != 0) plan = build_beside_others(task, known->build);
    const bool room = !store_ || known->course.spill_space <= store_->available();
    if (room && reuse(*known, plan, backend_, pool_, store_)) return plan;
    plan = build_beside_others(task, 0);
  }
  Plan found = search(task, std::move(plan));
  // One that fits in another way was built alone.
  if (!found.actions.empty() && found.stage != std::string_view("fits"))
    known_.add(structure, budget, found);
  return found;
}

// Which plan is best can depend on the spill space, where there is less than could be spilled.
uint64_t Planner::spill_class(const Plan& plan) const {
  Bytes all = 0;
  for (const Value& v : plan.values) all += v.bytes;
  return std::bit_width(store_ ? std::min(all, store_->available()) : all);
}

// Where it spills, with all that could be, and no buffer taken over.
Bytes Planner::charge_of_metadata(const Plan& plan, bool spills) const {
  return metadata_charge(metadata_need(plan, pool_, spills, spills), pool_,
                         spills ? store_ : nullptr);
}

// `plan` is built in the first way, beside others.
Plan Planner::search(const Task& task, Plan plan) {
  Bytes limit = task.limit;
  Plan best;
  Plan quickest;
  Plan nothing_again;
  for (uint32_t way = 0; way < std::size(kBuilds); ++way) {
    if (way > 0) {
      plan = build(task, way);
      plan.limit = limit;
      if (plan.peak <= limit && !pressure_.forces_plans()) return plan;
      add_others(plan);
    }
    const Bytes metadata = reorder(plan);
    if (plan.peak <= limit && !pressure_.forces_plans()) {
      plan.stage = "reorder";
      return plan;
    }
    // A setting can ask for more than a plan that fits needs: then that is the plan.
    Plan whole;
    if (pressure_.forces_plans()) whole = plan;
    promise_metadata(plan, true, metadata);
    find_floor(plan, backend_, pool_);
    if (pressure_.tiny_limit) plan.limit = limit = std::min(limit, plan.floor);
    // What spilling takes for itself can be more than all that does without it.
    if (plan.floor <= limit && plan.fixed <= limit && climb(plan, limit - plan.fixed)) {
      // Less fusing leaves more that can be computed again.
      if (pressure_.recompute_always && plan.recomputed == 0) {
        if (nothing_again.steps.empty()) nothing_again = std::move(plan);
        continue;
      }
      if (quickest.steps.empty() || plan.seconds < quickest.seconds) quickest = std::move(plan);
      if (pressure_.forces_plans() || !cuts_programs_small(quickest)) return quickest;
      continue;
    }
    if (pressure_.forces_plans() && whole.peak <= whole.limit) {
      whole.floor = plan.floor;
      return whole;
    }
    plan.stage = "refused";
    plan.actions.clear();
    if (best.steps.empty() || plan.floor < best.floor) best = std::move(plan);
  }
  if (!quickest.steps.empty()) return quickest;
  return nothing_again.steps.empty() ? best : nothing_again;
}

// Programs of many operands that only tiny tiles leave room for: with fewer, larger tiles fit.
bool Planner::cuts_programs_small(const Plan& plan) const {
  return std::any_of(plan.units.begin(), plan.units.end(), [&](const Unit& unit) {
    return unit.nest && plan.steps[unit.step].program && splits_hairs(*unit.nest, pool_);
  });
}

Plan Planner::dry_run(std::span<const array> outputs, Bytes limit) {
  Plan shown = plan(outputs, limit);
  if (shown.steps.empty()) return shown;
  for (uint32_t way = 0; way < std::size(kBuilds); ++way) {
    Plan other = build_beside_others({outputs, limit, {}}, way);
    promise_metadata(other, true, reorder(other));
    find_floor(other, backend_, pool_);
    if (shown.floor == 0 || other.floor < shown.floor) shown.floor = other.floor;
  }
  return shown;
}

// Arrays that the evaluation does not touch may be evicted for it, too.
void Planner::add_others(Plan& plan) {
  std::unordered_set<const memory::Buffer*> mine;
  for (const Value& v : plan.values)
    if (v.buffer) mine.insert(v.buffer);
  for (memory::BufferRef& buffer : pool_.live_buffers()) {
    Bytes resident = buffer->resident_bytes();
    if (resident == 0 || mine.count(buffer.get())) continue;
    plan.values.push_back({.nbytes = buffer->size(),
                           .bytes = buffer->whole_bytes(),
                           .buffer = buffer.get(),
                           .kept = true,
                           .pinned = buffer->pinned()});
    plan.fixed -= std::min(plan.fixed, resident);
    plan.others.push_back(std::move(buffer));
  }
}

void Planner::promise_metadata(Plan& plan, bool spills, Bytes at_least) {
  const Bytes charge = std::max(charge_of_metadata(plan, spills), at_least);
  plan.fixed = plan.fixed - plan.metadata + charge;
  plan.metadata = charge;
  plan.spills = spills;
}

// Which order is better can depend on what is in memory now. The floor must not, so what it counts
// suffices for both: slabs, and the metadata that this returns.
Bytes Planner::reorder(Plan& plan) {
  std::vector<StepId> order(plan.steps.size());
  for (StepId s = 0; s < order.size(); ++s) order[s] = s;
  const Bytes before = peak_of(plan, order);
  Bytes least = before - before / 32;  // the default order unless another is clearly better
  std::vector<StepId> best;
  for (auto* make : {greedy_order, late_order}) {
    std::vector<StepId> other = make(plan);
    if (other.size() != plan.steps.size()) continue;
    Bytes peak = peak_of(plan, other);
    if (peak > least) continue;
    least = peak;
    best = std::move(other);
  }
  if (best.empty()) return 0;
  Bytes metadata = charge_of_metadata(plan, true);
  const Bytes slabs = plan.slabs;
  auto take = [&](const std::vector<StepId>& chosen) {
    apply_order(plan, chosen);
    find_lifetimes(plan, !pressure_.recompute_always);
    plan.actions.clear();
    plan.units.clear();
    plan.loaded = 0;
    schedule_default(plan, pool_);
    promise_metadata(plan, false);
    plan.peak += plan.fixed;
  };
  take(best);
  metadata = std::max(metadata, charge_of_metadata(plan, true));
  const Bytes most_slabs = std::max(slabs, plan.slabs);
  if (plan.peak > plan.unlimited_peak) {
    // Donations and slabs, which orders are compared without, made it worse: back to the default.
    for (StepId i = 0; i < best.size(); ++i) order[best[i]] = i;
    take(order);
  }
  plan.slabs = most_slabs;
  return metadata;
}

// Groups as given; of the rest whole steps, and nests for those that are larger than the budget.
// `unpinned` is the budget without pinned values. Empty where one of them does not fit.
std::vector<Unit> Planner::make_units(Plan& plan, std::span<const std::shared_ptr<Nest>> groups,
                                      Bytes unpinned, bool* tiled) {
  NestShaper shaper(plan, backend_, pool_, costs_);
  std::vector<std::shared_ptr<Nest>> starts(plan.steps.size());
  for (const auto& nest : groups) starts[nest->body[0]] = nest;
  std::vector<Unit> units;
  units.reserve(plan.steps.size());
  for (StepId s = 0; s < plan.steps.size(); ++s) {
    if (starts[s]) {
      units.push_back({s, starts[s], 0});
      s = starts[s]->body.back();
      continue;
    }
    units.push_back({s, nullptr, 0});
    Bytes need = working_set(plan, plan.steps[s]);
    const Bytes budget = pinned_operands(plan, plan.steps[s]) + unpinned;
    if (need <= budget && !pressure_.smallest_tiles) continue;
    std::shared_ptr<Nest> nest =
        pressure_.smallest_tiles ? shaper.smallest(s) : shaper.fit(s, budget);
    if (nest) {
      *tiled = true;
      units.back().nest = std::move(nest);
    } else if (need > budget) {
      return {};
    }
  }
  for (Unit& unit : units) unit.seconds = unit_seconds(plan, unit, costs_);
  return units;
}

// The faster one, among those that the spill store has room for.
bool Planner::better(const Schedule& a, const Schedule& b) const {
  const bool a_fits = a.spill_space <= spill_room_, b_fits = b.spill_space <= spill_room_;
  return a_fits == b_fits ? a.seconds < b.seconds : a_fits;
}

void Planner::consider(const Plan& plan, const std::vector<Unit>& units,
                       const std::vector<StepId>& remakes, const EvictOptions& options,
                       Schedule& best) {
  std::optional<Schedule> found = evict(plan, units, remakes, options, costs_, pool_);
  if (!found) return;
  Bytes room = options.budget - std::min(options.budget, found->slabs);
  hoist_loads(plan, *found, room, costs_);
  predict(plan, *found, room, costs_);
  if (!best.units.empty() && !better(*found, best)) return;
  if (room_for_metadata(plan, *found, options.budget)) best = std::move(*found);
}

// What is computed again lives beside more, and groups change the order.
bool Planner::room_for_metadata(const Plan& plan, Schedule& schedule, Bytes budget) const {
  schedule.metadata = metadata_charge(metadata_need(plan, schedule, pool_), pool_, store_);
  if (schedule.metadata <= plan.metadata) return true;
  measure_peak(plan, schedule, pool_);
  return schedule.peak + schedule.metadata <= budget + plan.metadata;
}

bool Planner::schedule(Plan& plan, const std::vector<Unit>& units, Bytes budget, double bound,
                       Schedule& best) {
  std::vector<StepId> remakes = add_remakes(plan, backend_, pool_);
  size_t count =
      std::clamp<size_t>(kPolicyWork / std::max<size_t>(1, units.size()), 2, std::size(kPolicies));
  if (const Force force = pressure_.force(); force != Force::kNothing) {
    const double price = force == Force::kForget ? 0 : kNever;
    consider(plan, units, remakes, {budget, 0, price, spill_room_, kNever, force}, best);
    if (!best.units.empty()) return true;
  }
  for (size_t i = 0; i < count; ++i) {
    Policy policy = kPolicies[i];
    if (pressure_.spill_always && policy.recompute_price != kNever) continue;
    if (pressure_.recompute_always && i != 0 && policy.recompute_price != 0) continue;
    auto reserve = static_cast<Bytes>(policy.reserve * static_cast<double>(budget));
    if (!best.units.empty() && best.spill_space <= spill_room_)
      bound = std::min(bound, best.seconds);
    consider(plan, units, remakes, {budget, reserve, policy.recompute_price, spill_room_, bound},
             best);
  }
  return !best.units.empty();
}

// A plan for less memory is one for more memory, too, and some are quicker: so those for a few
// rungs of a fixed ladder below the budget are looked at as well.
bool Planner::climb(Plan& plan, Bytes budget) {
  const Plan before =
      plan.steps.size() <= kMostOnLadder && !pressure_.forces_plans() ? plan : Plan{};
  if (!plan_under_pressure(plan, budget, kNever)) return false;
  if (before.steps.empty()) return true;
  const Bytes least = plan.floor - std::min(plan.floor, plan.fixed);
  double quick = 0;
  for (const Step& step : before.steps) quick += kQuickEnough * step_seconds(step, costs_);
  double rung = std::exp2(std::floor(std::log2(static_cast<double>(budget)) * kRungs) / kRungs);
  for (int i = 0; i < kRungs && rung > static_cast<double>(least); ++i) {
    if (plan.seconds <= quick) return true;
    Plan other = before;
    if (rung < static_cast<double>(budget) &&
        plan_under_pressure(other, static_cast<Bytes>(rung), plan.seconds) &&
        other.seconds < plan.seconds &&
        other.spill_space <= std::max(plan.spill_space, spill_room_))
      plan = std::move(other);
    rung /= std::exp2(1.0 / kRungs);
  }
  return true;
}

bool Planner::plan_under_pressure(Plan& plan, Bytes budget, double bound) {
  if (calibration_ && budget >= calibration_failed_ + calibration_failed_ / 8) {
    if (auto measured = calibration_()) {
      costs_ = *measured;
      known_.clear();
      calibration_ = nullptr;
    } else {
      calibration_failed_ = budget;
    }
  }
  if (store_) spill_room_ = store_->available();
  bool tiled = false;
  Bytes room = budget - std::min(budget, plan.slabs + plan.pinned);
  std::vector<Unit> units = make_units(plan, {}, room, &tiled);
  Schedule best;
  Plan ungrouped;
  if (tiled && !pressure_.forces_plans()) ungrouped = plan;
  // Groups may be quicker than what is past the bound without them.
  if (units.empty() || !schedule(plan, units, budget, tiled ? kNever : bound, best)) return false;
  plan.stage = tiled ? "tile" : "evict";
  if (tiled && !pressure_.forces_plans()) {
    Plan grouped = std::move(ungrouped);
    NestShaper shaper(grouped, backend_, pool_, costs_);
    std::vector<std::shared_ptr<Nest>> groups = group_steps(grouped, shaper, room);
    Schedule other;
    if (!groups.empty()) units = make_units(grouped, groups, room, &tiled);
    if (best.spill_space <= spill_room_) bound = std::min(bound, best.seconds);
    if (!groups.empty() && !units.empty() && schedule(grouped, units, budget, bound, other) &&
        better(other, best)) {
      best = std::move(other);
      plan = std::move(grouped);
      plan.stage = "stream";
    }
  }
  adopt(plan, std::move(best));
  return true;
}

void Planner::adopt(Plan& plan, Schedule schedule) {
  measure_peak(plan, schedule, pool_);
  plan.units = std::move(schedule.units);
  plan.actions = std::move(schedule.actions);
  if (schedule.metadata > plan.metadata) {
    plan.fixed += schedule.metadata - plan.metadata;
    plan.metadata = schedule.metadata;
  }
  plan.peak = plan.fixed + schedule.peak;
  plan.peak_unit = schedule.peak_unit;
  plan.loaded = schedule.loaded;
  plan.written = schedule.written;
  plan.recomputed = schedule.recomputed;
  plan.seconds = schedule.seconds;
  plan.spill_space = schedule.spill_space;
  for (StepId s : schedule.undonated) plan.steps[s].donor = kNone;
}

}  // namespace plimsoll::plan
