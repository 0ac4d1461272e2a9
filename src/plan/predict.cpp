// What a schedule costs in time, and loads moved ahead of their use.
#include <algorithm>
#include <queue>

#include "plan/evict.h"
#include "plan/schedule.h"

namespace plimsoll::plan {
namespace {

/// Charges through the actions of a schedule.
class Memory {
 public:
  Memory(const Plan& plan, const Schedule& schedule)
      : plan_(plan), live_(plan.values.size(), 0), gone_(plan.values.size(), false) {
    undonated_.assign(plan.steps.size(), false);
    for (StepId s : schedule.undonated) undonated_[s] = true;
    for (ValueId v = 0; v < plan.values.size(); ++v) {
      const Value& value = plan.values[v];
      if (!value.buffer || value.small) continue;
      live_[v] = value.buffer->resident_bytes();
      used_ += live_[v];
    }
  }

  Bytes used() const { return used_; }
  Bytes live(ValueId v) const { return live_[v]; }
  Bytes missing(ValueId v) const { return charge(v) - std::min(charge(v), live_[v]); }

  /// What the run has in use beside what is live when it starts.
  Bytes fresh(const Unit& unit) {
    whole_values(plan_, unit, read_, made_);
    Bytes bytes =
        unit.nest ? unit.nest->tile_bytes + unit.nest->scratch : plan_.steps[unit.step].scratch;
    for (size_t k = 0; k < made_.size(); ++k)
      if (k > 0 || donor(unit) == kNone) bytes += charge(made_[k]);
    return bytes;
  }
  const std::vector<ValueId>& read() const { return read_; }
  const std::vector<ValueId>& made() const { return made_; }
  bool gone(ValueId v) const { return gone_[v]; }

  void ran(const Unit& unit, bool again) {
    ValueId d = again ? kNone : donor(unit);
    if (d != kNone) set(d, 0);
    for (ValueId v : made_) {
      if (again && !gone_[v]) continue;  // made beside the one there is, and thrown away
      set(v, charge(v));
      gone_[v] = false;
    }
    if (unit.nest)
      for (ValueId v : unit.nest->streamed) set(v, 0);
  }
  void set(ValueId v, Bytes bytes) {
    used_ = used_ - live_[v] + bytes;
    live_[v] = bytes;
  }
  void load(ValueId v) { set(v, charge(v)); }
  void lose(ValueId v) {  // forgotten, or dead
    set(v, 0);
    gone_[v] = true;
  }
  void leave(ValueId v) { live_[v] = 0; }  // its bytes stay in used() until released
  void release(Bytes bytes) { used_ -= bytes; }
  Bytes charge(ValueId v) const { return plan_.values[v].small ? 0 : plan_.values[v].bytes; }

 private:
  ValueId donor(const Unit& unit) const {
    return unit.nest || undonated_[unit.step] ? kNone : plan_.steps[unit.step].donor;
  }
  const Plan& plan_;
  std::vector<Bytes> live_;
  std::vector<bool> gone_, undonated_;
  std::vector<ValueId> read_, made_;
  Bytes used_ = 0;
};

class Clock {
 public:
  Clock(const Plan& plan, Schedule& schedule, Bytes budget, const Costs& costs)
      : schedule_(schedule),
        plan_(plan),
        budget_(budget),
        costs_(costs),
        memory_(plan, schedule),
        ready_(plan.values.size(), 0),
        written_(plan.values.size(), 0),
        stored_(plan.values.size(), 0) {}

  void run() {
    for (const Action& a : schedule_.actions) act(a);
    schedule_.seconds = std::max(now_, disk_);
  }

 private:
  struct Release {
    double when;
    Bytes bytes;
    bool operator<(const Release& o) const { return when > o.when; }
  };

  void act(const Action& a) {
    switch (a.kind) {
      case ActionKind::kRun:
      case ActionKind::kRecompute:
        return run_unit(schedule_.units[a.id], a.kind == ActionKind::kRecompute);
      case ActionKind::kLoad: {
        Bytes bytes = memory_.missing(a.id);
        disk_ = std::max(disk_, room(bytes)) + static_cast<double>(bytes) / costs_.read_bandwidth;
        ready_[a.id] = disk_;
        return memory_.load(a.id);
      }
      case ActionKind::kWrite:
        now_ += static_cast<double>(memory_.charge(a.id)) * costs_.io_tax;
        disk_ = std::max(disk_, now_) +
                static_cast<double>(memory_.charge(a.id)) / costs_.write_bandwidth;
        written_[a.id] = disk_;
        return store(a.id);
      case ActionKind::kDrop:
        if (written_[a.id] > now_) {
          releases_.push({written_[a.id], memory_.live(a.id)});
          return memory_.leave(a.id);
        }
        return memory_.set(a.id, 0);
      case ActionKind::kForget:
      case ActionKind::kFree:
        if (a.kind == ActionKind::kFree) unstore(a.id);
        return memory_.lose(a.id);
    }
  }

  void store(ValueId v) {
    const Value& value = plan_.values[v];
    if (value.sunk || stored_[v] != 0) return;
    stored_[v] = value.bytes;
    in_store_ += value.bytes;
    schedule_.spill_space = std::max(schedule_.spill_space, in_store_);
  }
  void unstore(ValueId v) {
    in_store_ -= stored_[v];
    stored_[v] = 0;
  }

  /// When so many bytes are there.
  double room(Bytes bytes) {
    double when = now_;
    while (!releases_.empty() &&
           (releases_.top().when <= when || memory_.used() + bytes > budget_)) {
      when = std::max(when, releases_.top().when);
      memory_.release(releases_.top().bytes);
      releases_.pop();
    }
    return when;
  }

  void run_unit(const Unit& unit, bool again) {
    Bytes fresh = memory_.fresh(unit);
    for (ValueId v : memory_.read()) now_ = std::max(now_, ready_[v]);
    now_ = room(fresh) + unit_seconds(plan_, unit, costs_);
    if (unit.nest && unit.nest->read + unit.nest->written > 0) disk_ = std::max(disk_, now_);
    memory_.ran(unit, again);
    if (!unit.nest) return;
    for (ValueId v : unit.nest->streamed)
      if (!plan_.values[v].buffer || plan_.values[v].buffer->resident_bytes() > 0) store(v);
  }

  Schedule& schedule_;
  const Plan& plan_;
  const Bytes budget_;
  const Costs& costs_;
  Memory memory_;
  std::vector<double> ready_, written_;
  std::vector<Bytes> stored_;
  Bytes in_store_ = 0;
  std::priority_queue<Release> releases_;
  double now_ = 0, disk_ = 0;
};

class Hoist {
 public:
  Hoist(const Plan& plan, Schedule& schedule, Bytes budget, const Costs& costs)
      : plan_(plan), schedule_(schedule), budget_(budget), costs_(costs) {}

  void run() {
    if (std::none_of(schedule_.actions.begin(), schedule_.actions.end(),
                     [](const Action& a) { return a.kind == ActionKind::kLoad; }))
      return;
    measure();
    std::vector<std::pair<uint32_t, ValueId>> moved;
    for (uint32_t i = 0; i < schedule_.actions.size(); ++i)
      if (schedule_.actions[i].kind == ActionKind::kLoad) moved.emplace_back(place(i), i);
    merge(moved);
  }

 private:
  void measure() {
    Memory memory(plan_, schedule_);
    for (const Action& a : schedule_.actions) {
      double seconds = 0;
      Bytes extra = 0;
      bytes_.push_back(0);
      switch (a.kind) {
        case ActionKind::kRun:
        case ActionKind::kRecompute: {
          const Unit& unit = schedule_.units[a.id];
          extra = memory.fresh(unit);
          seconds = unit_seconds(plan_, unit, costs_);
          used_.push_back(memory.used() + extra);
          memory.ran(unit, a.kind == ActionKind::kRecompute);
          break;
        }
        case ActionKind::kLoad:
          bytes_.back() = memory.missing(a.id);
          used_.push_back(memory.used() + bytes_.back());
          memory.load(a.id);
          break;
        case ActionKind::kWrite:
          used_.push_back(memory.used());
          break;
        case ActionKind::kDrop:
          used_.push_back(memory.used());
          memory.set(a.id, 0);
          break;
        default:
          used_.push_back(memory.used());
          memory.lose(a.id);
      }
      seconds_.push_back(seconds);
    }
  }

  // The earliest action before which the load of action i can stand.
  uint32_t place(uint32_t i) {
    const ValueId v = schedule_.actions[i].id;
    const Bytes bytes = bytes_[i];
    const double enough = kAhead * static_cast<double>(bytes) / costs_.read_bandwidth;
    double ahead = 0;
    uint32_t p = i;
    while (p > last_ && ahead < enough) {
      const Action& a = schedule_.actions[p - 1];
      bool own = a.kind != ActionKind::kRun && a.kind != ActionKind::kRecompute && a.id == v;
      if (own || touches(a, v) || used_[p - 1] + bytes > budget_) break;
      --p;
      ahead += seconds_[p];
    }
    for (uint32_t j = p; j < i; ++j) used_[j] += bytes;
    last_ = p;
    return p;
  }

  bool touches(const Action& a, ValueId v) const {
    if (a.kind != ActionKind::kRun && a.kind != ActionKind::kRecompute) return false;
    const Nest* nest = schedule_.units[a.id].nest.get();
    return nest &&
           std::find(nest->streamed.begin(), nest->streamed.end(), v) != nest->streamed.end();
  }

  void merge(const std::vector<std::pair<uint32_t, ValueId>>& moved) {
    std::vector<Action> out;
    out.reserve(schedule_.actions.size());
    size_t next = 0;
    for (uint32_t i = 0; i < schedule_.actions.size(); ++i) {
      for (; next < moved.size() && moved[next].first == i; ++next)
        out.push_back(schedule_.actions[moved[next].second]);
      if (schedule_.actions[i].kind != ActionKind::kLoad) out.push_back(schedule_.actions[i]);
    }
    schedule_.actions = std::move(out);
  }

  static constexpr double kAhead = 3;  // times the load's own duration
  const Plan& plan_;
  Schedule& schedule_;
  const Bytes budget_;
  const Costs& costs_;
  std::vector<Bytes> used_, bytes_;
  std::vector<double> seconds_;
  uint32_t last_ = 0;
};

/// The most that is in use at once, slabs of small values included as they are taken.
class Peak {
 public:
  Peak(const Plan& plan, Schedule& schedule, const memory::Pool& pool)
      : plan_(plan), schedule_(schedule), pool_(pool), memory_(plan, schedule) {}

  void run() {
    schedule_.peak = 0;
    // What is in memory at the start may pass the budget: the first actions evict it.
    if (schedule_.actions.empty()) note(0, kNone);
    for (const Action& a : schedule_.actions) act(a);
    schedule_.slabs = slabs_.bytes();
  }

 private:
  void act(const Action& a) {
    switch (a.kind) {
      case ActionKind::kRun:
      case ActionKind::kRecompute:
        return run_unit(a.id, a.kind == ActionKind::kRecompute);
      case ActionKind::kLoad:
        memory_.load(a.id);
        return note(0, schedule_.peak_unit);
      case ActionKind::kDrop:
        return memory_.set(a.id, 0);
      case ActionKind::kForget:
      case ActionKind::kFree:
        if (const Value& v = plan_.values[a.id]; v.small && !v.buffer) slabs_.remove(v);
        return memory_.lose(a.id);
      case ActionKind::kWrite:
        return;
    }
  }

  void run_unit(uint32_t id, bool again) {
    const Unit& unit = schedule_.units[id];
    Bytes fresh = memory_.fresh(unit);
    for (ValueId v : memory_.made())
      if (plan_.values[v].small) slabs_.add(plan_.values[v], pool_);
    note(fresh, id);
    for (ValueId v : memory_.made())
      if (plan_.values[v].small && again && !memory_.gone(v)) slabs_.remove(plan_.values[v]);
    memory_.ran(unit, again);
  }

  void note(Bytes fresh, uint32_t unit) {
    Bytes used = memory_.used() + slabs_.bytes() + fresh;
    if (used <= schedule_.peak) return;
    schedule_.peak = used;
    schedule_.peak_unit = unit;
  }

  const Plan& plan_;
  Schedule& schedule_;
  const memory::Pool& pool_;
  Memory memory_;
  SlabCount slabs_;
};

}  // namespace

void measure_peak(const Plan& plan, Schedule& schedule, const memory::Pool& pool) {
  Peak(plan, schedule, pool).run();
}

void predict(const Plan& plan, Schedule& schedule, Bytes budget, const Costs& costs) {
  Clock(plan, schedule, budget, costs).run();
}

void hoist_loads(const Plan& plan, Schedule& schedule, Bytes budget, const Costs& costs) {
  Hoist(plan, schedule, budget, costs).run();
}

}  // namespace plimsoll::plan
