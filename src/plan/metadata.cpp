#include "plan/metadata.h"

#include <algorithm>
#include <utility>

#include "plan/schedule.h"

namespace plimsoll::plan {
namespace {

/// Extents that have a place in the spill store; with `dirty`, also those that could get one, and
/// with `fine` what they can be cut into.
size_t in_store(const memory::Buffer& buffer, bool dirty, bool fine) {
  using memory::ExtentState;
  if (buffer.small()) return 0;
  size_t count = 0;
  for (size_t i = 0; i < buffer.num_extents(); ++i) {
    const ExtentState state = buffer.extent_state(i);
    if (state == ExtentState::kEmpty) continue;
    const bool counts = state == ExtentState::kResident ? dirty : !buffer.has_source();
    if (counts) count += fine ? buffer.fine_count(i) : 1;
  }
  return count;
}

class Count {
 public:
  /// `always_new`: no result takes over the buffer of an input, as where a nest makes it.
  Count(const Plan& plan, std::span<const Unit> units, const memory::Pool& pool, bool spills,
        bool always_new)
      : plan_(plan),
        units_(units),
        pool_(pool),
        spills_(spills),
        always_new_(always_new),
        held_(plan.values.size()) {
    for (ValueId v = 0; v < plan.values.size(); ++v) {
      if (!plan.values[v].buffer) continue;
      held_[v] = Held::kGiven;
      now_.extents += extents(v);
      if (spills) now_.stored += in_store(*plan.values[v].buffer, false, false);
    }
    most_ = now_;
  }

  void act(const Action& a, const std::vector<bool>& undonated) {
    if (a.kind == ActionKind::kFree || a.kind == ActionKind::kForget) remove(a.id);
    if (a.kind == ActionKind::kRun) run(units_[a.id], undonated);
    if (a.kind == ActionKind::kRecompute) run(units_[a.id], undonated);
  }
  MetadataNeed most() const {
    MetadataNeed most = most_;
    // What a nest or a step has for itself, scratch among it, may be small.
    most.slabs = slabs_.count() + passing_;
    return most;
  }

 private:
  enum class Held : uint8_t { kNot, kMade, kGiven };  // given: it has a header already

  void run(const Unit& unit, const std::vector<bool>& undonated) {
    beside_.clear();
    size_t passing = 1;
    Bytes scratch = 0;
    for (StepId s : unit.body()) {
      const Step& step = plan_.steps[s];
      scratch = std::max(scratch, step.scratch);
      bool donated = !unit.nest && step.donor != kNone && !(s < undonated.size() && undonated[s]);
      if (donated && always_new_) donated = false, given_up_.push_back(step.donor);
      for (const Operand& out : plan_.outputs(step)) {
        if (donated) {
          held_[out.value] = std::exchange(held_[step.donor], Held::kNot);
          donated = false;
        } else if (unit.nest && has(unit.nest->local, out.value)) {
          ++passing;  // its table is charged with it
        } else {
          add(out.value);
          // Computed again beside the one that there is.
          if (held_[out.value] != Held::kNot) beside_.push_back(out.value);
          held_[out.value] = Held::kMade;
        }
      }
    }
    passing_ = std::max(passing_, passing);
    Bytes table = unit.nest || scratch == 0 ? 0 : pool_.table_of(scratch);
    most_.buffers = std::max(most_.buffers, now_.buffers + passing);
    most_.tables = std::max(most_.tables, now_.tables + table);
    most_.extents = std::max(most_.extents, now_.extents);
    for (ValueId v : beside_) take(v);
    for (ValueId v : given_up_) remove(v);
    given_up_.clear();
  }

  void remove(ValueId v) {
    if (held_[v] == Held::kMade) take(v);
    if (held_[v] == Held::kGiven) now_.extents -= extents(v);
    held_[v] = Held::kNot;
  }

  void add(ValueId id) {
    const Value& v = plan_.values[id];
    ++now_.buffers;
    now_.extents += extents(id);
    if (v.small)
      slabs_.add(v, pool_);
    else
      now_.tables += table_of(v);
  }

  void take(ValueId id) {
    const Value& v = plan_.values[id];
    --now_.buffers;
    now_.extents -= extents(id);
    if (v.small)
      slabs_.remove(v);
    else
      now_.tables -= table_of(v);
  }

  size_t extents(ValueId id) const {
    const Value& v = plan_.values[id];
    if (!spills_ || v.small || v.sunk) return 0;
    if (v.buffer) return in_store(*v.buffer, true, v.node != nullptr);
    return pool_.extents_of(v.nbytes);
  }

  // Values of one size follow each other.
  Bytes table_of(const Value& v) {
    if (std::exchange(last_nbytes_, v.nbytes) != v.nbytes) last_table_ = pool_.table_of(v.nbytes);
    return last_table_;
  }

  static bool has(const std::vector<ValueId>& ids, ValueId id) {
    return std::find(ids.begin(), ids.end(), id) != ids.end();
  }

  const Plan& plan_;
  std::span<const Unit> units_;
  const memory::Pool& pool_;
  const bool spills_, always_new_;
  MetadataNeed now_, most_;
  SlabCount slabs_;
  size_t passing_ = 1;
  Bytes last_nbytes_ = 0, last_table_ = 0;
  std::vector<Held> held_;
  std::vector<ValueId> beside_, given_up_;
};

MetadataNeed follow(Count count, std::span<const Action> actions,
                    const std::vector<bool>& undonated) {
  for (const Action& a : actions) count.act(a, undonated);
  return count.most();
}

}  // namespace

MetadataNeed metadata_need(const Plan& plan, const memory::Pool& pool, bool spills,
                           bool always_new) {
  return follow(Count(plan, plan.units, pool, spills, always_new), plan.actions, {});
}

MetadataNeed metadata_need(const Plan& plan, const Schedule& schedule, const memory::Pool& pool) {
  std::vector<bool> undonated(plan.steps.size(), false);
  for (StepId s : schedule.undonated) undonated[s] = true;
  return follow(Count(plan, schedule.units, pool, true, false), schedule.actions, undonated);
}

Bytes metadata_charge(const MetadataNeed& need, const memory::Pool& pool,
                      const memory::SpillStore* store) {
  return pool.header_growth(need.buffers, need.slabs) + need.tables +
         (store ? store->record_growth(need.extents, need.stored) : 0);
}

}  // namespace plimsoll::plan
