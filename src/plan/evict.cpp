#include "plan/evict.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <queue>

#include "plan/schedule.h"
#include "plan/tile.h"

namespace plimsoll::plan {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();
constexpr double kFullStore = 1e9;  // seconds: of a write that there is no room for
constexpr size_t kMostAgain = 4;    // times the units: what is forced to be computed again

// Candidates for eviction by price a byte and next use. Prices of one class differ by less than
// half, so the best victim is the one of a class that is used last.
class Candidates {
 public:
  struct Entry {
    double next;
    ValueId value;
    uint32_t stamp;
    bool operator<(const Entry& o) const {
      return next != o.next ? next < o.next : value > o.value;
    }
  };
  explicit Candidates(size_t values) : stamp_(values, 0) {}

  void add(ValueId v, double next, double price_per_byte) {
    const auto cls = static_cast<size_t>(std::clamp(class_of(price_per_byte), 0, kClasses - 1));
    queues_[cls].push({next, v, ++stamp_[v]});
    filled_ |= uint64_t{1} << cls;
  }
  void remove(ValueId v) { ++stamp_[v]; }

  /// Takes out the value that is cheapest for the time it is not needed; kNone where there is none.
  template <typename Busy>
  ValueId take(double now, Busy busy) {
    double best_score = -1;
    size_t best = kClasses;
    for (uint64_t left = filled_; left != 0; left &= left - 1) {
      const auto c = static_cast<size_t>(std::countr_zero(left));
      auto& q = queues_[c];
      while (!q.empty() && (stale(q.top()) || busy(q.top().value))) {
        if (!stale(q.top())) aside_.push_back({c, q.top()});
        q.pop();
      }
      if (q.empty()) {
        filled_ &= ~(uint64_t{1} << c);
        continue;
      }
      // Time over price: a step of two classes is a factor of two.
      const double score = std::ldexp(std::max(q.top().next - now, 1e-9) * (c % 2 ? kRootHalf : 1),
                                      -static_cast<int>(c / 2));
      if (best == kClasses || score > best_score) best = c, best_score = score;
    }
    ValueId out = kNone;
    if (best < kClasses) {
      out = queues_[best].top().value;
      queues_[best].pop();
      ++stamp_[out];
    }
    return out;
  }
  void put_back() {
    for (auto& [c, entry] : aside_) {
      queues_[c].push(entry);
      filled_ |= uint64_t{1} << c;
    }
    aside_.clear();
  }

 private:
  static constexpr int kClasses = 64;
  static constexpr double kRootHalf = 0.70710678118654752440;

  // 2 log₂ of the price, rounded.
  static int class_of(double price_per_byte) {
    if (!(price_per_byte > 0)) return 0;
    int exponent;
    const double mantissa = std::frexp(price_per_byte * 1e12, &exponent);
    const int half = mantissa < 0.59460355750136053336   ? -2
                     : mantissa < 0.84089641525371454303 ? -1
                                                         : 0;
    return 2 * exponent + half + kClasses / 2;
  }
  bool stale(const Entry& e) const { return stamp_[e.value] != e.stamp; }
  std::array<std::priority_queue<Entry>, kClasses> queues_;
  uint64_t filled_ = 0;  // bit c: class c may have entries
  std::vector<uint32_t> stamp_;
  std::vector<std::pair<size_t, Entry>> aside_;
};

}  // namespace

void whole_values(const Plan& plan, const Unit& unit, std::vector<ValueId>& read,
                  std::vector<ValueId>& made) {
  read.clear();
  made.clear();
  if (!unit.nest) {
    const Step& step = plan.steps[unit.step];
    plan.each_input(step, [&](ValueId v) { read.push_back(v); });
    for (const Operand& o : plan.outputs(step)) made.push_back(o.value);
    return;
  }
  for (StepId s : unit.body()) {
    const Step& step = plan.steps[s];
    for (uint32_t k = step.first_input; k < step.end; ++k) {
      ValueId id = plan.operands[k].value;
      if (contains(unit.nest->local, id) || contains(unit.nest->streamed, id)) continue;
      if (k >= step.first_output)
        made.push_back(id);
      else if (!contains(read, id) && !contains(made, id))
        read.push_back(id);
    }
  }
}

namespace {

// Turns that do not move an operand on pass all of it again: a product of one row at a time reads
// the other matrix for each.
double nest_step_seconds(const Plan& plan, const Nest& nest, size_t body, const Costs& costs) {
  const Step& step = plan.steps[nest.body[body]];
  auto again = static_cast<double>(step.traffic);
  for (uint32_t k = 0; k < step.end - step.first_input; ++k) {
    double turns = 1;
    for (size_t l = 0; l < nest.loops.size(); ++l)
      if (cut_axis(plan, nest, l, body, k) < 0) turns *= static_cast<double>(nest.loops[l].trips());
    const Form& form = *plan.operands[step.first_input + k].form;
    again += (turns - 1) * static_cast<double>(num_elements(form.shape)) *
             static_cast<double>(size_of(form.dtype));
  }
  return std::max(step_seconds(step, costs), again / costs.memory_bandwidth);
}

}  // namespace

double unit_seconds(const Plan& plan, const Unit& unit, const Costs& costs) {
  if (unit.seconds > 0) return unit.seconds;
  if (!unit.nest) return step_seconds(plan.steps[unit.step], costs);
  double compute = 0;
  for (size_t b = 0; b < unit.nest->body.size(); ++b)
    compute += nest_step_seconds(plan, *unit.nest, b, costs);
  double turns = 1;
  for (const Loop& loop : unit.nest->loops) turns *= static_cast<double>(loop.trips());
  double io = static_cast<double>(unit.nest->read) / costs.read_bandwidth +
              static_cast<double>(unit.nest->written) / costs.write_bandwidth;
  compute += static_cast<double>(unit.nest->read + unit.nest->written) * costs.io_tax;
  return std::max(compute, io) + std::min(compute, io) / turns +
         turns * costs.step_overhead * static_cast<double>(unit.body().size());
}

namespace {

class Simulation {
 public:
  Simulation(const Plan& plan, std::vector<Unit> units, const std::vector<StepId>& remakes,
             const EvictOptions& options, const Costs& costs, const memory::Pool& pool)
      : plan_(plan),
        remakes_(remakes),
        options_(options),
        costs_(costs),
        pool_(pool),
        candidates_(plan.values.size()) {
    out_.units = std::move(units);
    room_ = options.budget - std::min(options.budget, options.reserve);
  }

  bool run() {
    prepare();
    for (uint32_t pos = 0; pos < count_; ++pos)
      if (!run_unit(pos) || too_slow()) return false;
    out_.slabs = slabs_.bytes();
    insert_writes();
    return true;
  }
  Schedule take() { return std::move(out_); }

 private:
  enum class Where : uint8_t { kAbsent, kResident, kSpilled, kForgotten, kDead };
  struct State {
    Where where = Where::kAbsent;
    bool clean = false;  // its bytes are in a backing, too
    Bytes live = 0;      // charge now
    uint32_t use = 0;    // next one in uses_
    uint32_t last = 0;   // end of its uses
    uint32_t hold = 0;   // needed up to this position (1-based) for recomputing another
    uint32_t busy = 0;   // position (1-based) for which it must stay
    uint32_t since = 0;  // action after which it has been idle
  };

  // What computing and the disk take at least, with a margin for how sums are rounded.
  bool too_slow() const {
    const double compute = time_[count_] + again_ + static_cast<double>(moved_out_) * costs_.io_tax;
    return std::max(compute, disk_) > options_.bound * (1 + 1e-9);
  }

  void prepare() {
    const size_t n = count_ = static_cast<uint32_t>(out_.units.size());
    states_.resize(plan_.values.size());
    recipe_.assign(plan_.values.size(), kNone);
    time_.resize(n + 1);
    std::vector<std::pair<ValueId, uint32_t>> pairs;
    for (uint32_t pos = 0; pos < n; ++pos) {
      const Unit& unit = out_.units[pos];
      time_[pos + 1] = time_[pos] + unit_seconds(plan_, unit, costs_);
      for (StepId s : unit.body()) {
        for (const Operand& o : plan_.inputs(plan_.steps[s])) pairs.emplace_back(o.value, pos);
        if (unit.nest || plan_.steps[s].donor != kNone || plan_.steps[s].can_fail) continue;
        for (const Operand& o : plan_.outputs(plan_.steps[s])) recipe_[o.value] = pos;
      }
    }
    for (ValueId v = 0; v < remakes_.size(); ++v) {
      if (remakes_[v] == kNone) continue;
      recipe_[v] = static_cast<uint32_t>(out_.units.size());
      out_.units.push_back({remakes_[v], nullptr, step_seconds(plan_.steps[remakes_[v]], costs_)});
    }
    // Counting sort by value; positions stay ascending.
    std::vector<uint32_t> start(plan_.values.size() + 1, 0);
    for (auto& p : pairs) ++start[p.first + 1];
    for (size_t v = 0; v < plan_.values.size(); ++v) start[v + 1] += start[v];
    uses_.resize(pairs.size());
    std::vector<uint32_t> fill(start.begin(), start.end() - 1);
    for (auto& p : pairs) uses_[fill[p.first]++] = p.second;
    for (ValueId v = 0; v < plan_.values.size(); ++v) {
      states_[v].use = start[v];
      states_[v].last = start[v + 1];
      if (plan_.values[v].buffer) open_existing(v);
    }
  }

  void open_existing(ValueId v) {
    const Value& value = plan_.values[v];
    State& s = states_[v];
    s.live = value.small ? 0 : value.buffer->resident_bytes();
    bool all = value.small || value.buffer->bytes_missing(value.buffer->all()) == 0;
    s.where = all ? Where::kResident : Where::kSpilled;
    s.clean = !value.small && value.buffer->evictable(value.buffer->all()) == s.live;
    live_ += s.live;
    if (s.live > 0) offer(v, 0);
  }

  // When the value is read next; what is kept past the evaluation is read again by the next one.
  double next_time(ValueId v) const {
    const State& s = states_[v];
    if (s.use < s.last) return time_[uses_[s.use]];
    double again = time_.back();
    const Value& value = plan_.values[v];
    if (value.first_use != kNone && value.buffer) return again + time_[first_position(v)];
    return again + heir_time(v);
  }

  uint32_t first_position(ValueId v) const {
    uint32_t begin = v == 0 ? 0 : states_[v - 1].last;
    return begin < states_[v].last ? uses_[begin] : count_;
  }

  // A new value takes the place of an old one of its size that its step read: updated parameters
  // and optimiser state. Another one's next use is unknown.
  double heir_time(ValueId v) const {
    const Value& value = plan_.values[v];
    if (value.producer == kNone) return time_.back();
    double first = time_.back();
    for (const Operand& o : plan_.inputs(plan_.steps[value.producer])) {
      const Value& in = plan_.values[o.value];
      if (in.buffer && in.nbytes == value.nbytes)
        first = std::min(first, time_[first_position(o.value)]);
    }
    return first;
  }

  bool movable(ValueId v) const { return !plan_.values[v].small && !plan_.values[v].pinned; }

  void offer(ValueId v, uint32_t) {
    const State& s = states_[v];
    if (!movable(v) || s.live == 0) return;
    candidates_.add(v, next_time(v), price(v) / static_cast<double>(s.live));
  }

  // Seconds that evicting costs: reading it back, writing it first, or computing it again.
  double price(ValueId v) const { return std::min(io_price(v), recompute_price(v)); }

  double io_price(ValueId v) const {
    const Value& value = plan_.values[v];
    const auto bytes = static_cast<double>(value.bytes);
    double io = bytes / costs_.read_bandwidth;
    if (states_[v].clean || value.sunk) return io;
    if (out_.written + value.bytes > options_.spill_room) return kFullStore;
    return io + bytes / costs_.write_bandwidth;
  }

  double recompute_price(ValueId v) const {
    if (options_.recompute_price == kNever || !can_recompute(v)) return kNever;
    double seconds = recipe_seconds(v);
    for (const Operand& o : plan_.inputs(recipe(v))) {
      const State& in = states_[o.value];
      if (in.where == Where::kForgotten)
        seconds += recipe_seconds(o.value);
      else if (in.where == Where::kSpilled)
        seconds += static_cast<double>(plan_.values[o.value].bytes) / costs_.read_bandwidth;
    }
    return options_.recompute_price * seconds;
  }

  const Step& recipe(ValueId v) const { return plan_.steps[out_.units[recipe_[v]].step]; }
  double recipe_seconds(ValueId v) const {
    if (recipe_[v] < count_) return time_[recipe_[v] + 1] - time_[recipe_[v]];
    return step_seconds(recipe(v), costs_);
  }

  bool can_recompute(ValueId v) const {
    const State& s = states_[v];
    if (s.clean || s.use == s.last || plan_.values[v].kept || recipe_[v] == kNone) return false;
    const Nest* user = out_.units[uses_[s.use]].nest.get();
    if (user && contains(user->streamed, v)) return false;
    for (const Operand& o : plan_.inputs(recipe(v))) {
      Where w = states_[o.value].where;
      // What the running unit takes over is dead afterwards: room was counted so.
      if (w == Where::kDead || w == Where::kAbsent || o.value == giving_) return false;
      // What an exported view can change is not read twice.
      if (plan_.values[o.value].pinned) return false;
      if (options_.force == Force::kForget && w == Where::kSpilled) return false;
    }
    return true;
  }

  // Room ---------------------------------------------------------------------------------------

  bool ensure(Bytes bytes, uint32_t pos) {
    bool ok = true;
    while (ok && live_ + bytes + slabs_.bytes() > room_) {
      ValueId victim =
          candidates_.take(time_[pos], [&](ValueId v) { return states_[v].busy == pos + 1; });
      ok = victim != kNone;
      if (ok) evict(victim);
    }
    candidates_.put_back();
    return ok || live_ + bytes + slabs_.bytes() <= options_.budget;
  }

  void evict(ValueId v) {
    State& s = states_[v];
    if (!s.clean) {
      if (recompute_price(v) < io_price(v)) return forget(v);
      writes_.emplace_back(s.since, v);
      out_.written += s.live;
      moved_out_ += s.live;
      disk_ += static_cast<double>(s.live) / costs_.write_bandwidth;
      s.clean = true;
    }
    out_.actions.push_back({ActionKind::kDrop, v});
    release(v, Where::kSpilled);
  }

  void forget(ValueId v) {
    uint32_t until = uses_[states_[v].use] + 1;
    for (const Operand& o : plan_.inputs(recipe(v)))
      states_[o.value].hold = std::max(states_[o.value].hold, until);
    out_.actions.push_back({ActionKind::kForget, v});
    release(v, Where::kForgotten);
  }

  void release(ValueId v, Where where) {
    live_ -= states_[v].live;
    states_[v].live = 0;
    states_[v].where = where;
    candidates_.remove(v);
  }

  // Units ----------------------------------------------------------------------------------------

  bool run_unit(uint32_t pos) {
    const Unit& unit = out_.units[pos];
    touched_.clear();
    giving_ = donor_of(unit, pos);
    std::vector<ValueId>&read = read_, &made = made_;
    whole_values(plan_, unit, read, made);
    for (ValueId v : read) hold_busy(v, pos);
    for (ValueId v : read)
      if (!bring(v, pos)) return false;
    // Streamed values may leave before the nest runs: it reads back what it needs.
    if (unit.nest)
      for (ValueId v : unit.nest->streamed) touched_.push_back(v);
    for (ValueId v : made)
      if (plan_.values[v].small) slabs_.add(plan_.values[v], pool_);
    if (!ensure(fresh_of(unit, made, pos), pos)) return false;
    out_.actions.push_back({ActionKind::kRun, pos});
    settle(unit, made, pos);
    for (ValueId v : read)
      if (recipe_[v] != kNone) end_holds(v, pos);
    for (ValueId v : touched_) pass(v, pos);
    if (options_.force == Force::kForget) force(&Simulation::force_to_forget);
    for (size_t i = 0; i < touched_.size(); ++i) finish(touched_[i], pos);
    if (options_.force == Force::kSpill) force(&Simulation::force_to_spill);
    return true;
  }

  void force(void (Simulation::*out)(ValueId)) {
    for (ValueId v : touched_)
      if (states_[v].where == Where::kResident && states_[v].live > 0 && movable(v))
        (this->*out)(v);
  }
  // Before what it is made of may go.
  void force_to_forget(ValueId v) {
    if (runs_again_ < kMostAgain * (count_ + 16) && can_recompute(v)) forget(v);
  }
  void force_to_spill(ValueId v) {
    if (out_.written + states_[v].live <= options_.spill_room) evict(v);
  }

  void pass(ValueId v, uint32_t pos) {
    State& s = states_[v];
    while (s.use < s.last && uses_[s.use] <= pos) ++s.use;
  }

  void hold_busy(ValueId v, uint32_t pos) {
    State& s = states_[v];
    if (s.busy == pos + 1) return;
    s.busy = pos + 1;
    touched_.push_back(v);
  }

  // What was held until this position for computing `v` again may go.
  void end_holds(ValueId v, uint32_t pos) {
    for (const Operand& o : plan_.inputs(recipe(v)))
      if (states_[o.value].hold == pos + 1) hold_busy(o.value, pos);
  }

  ValueId donor_of(const Unit& unit, uint32_t pos) const {
    if (unit.nest) return kNone;
    ValueId d = plan_.steps[unit.step].donor;
    return d != kNone && states_[d].hold > pos + 1 ? kNone : d;
  }

  Bytes fresh_of(const Unit& unit, const std::vector<ValueId>& made, uint32_t pos) const {
    Bytes fresh =
        unit.nest ? unit.nest->tile_bytes + unit.nest->scratch : plan_.steps[unit.step].scratch;
    bool donated = donor_of(unit, pos) != kNone;
    for (size_t k = 0; k < made.size(); ++k)
      if (k > 0 || !donated) fresh += charge(made[k]);
    return fresh;
  }

  Bytes charge(ValueId v) const { return plan_.values[v].small ? 0 : plan_.values[v].bytes; }

  bool bring(ValueId v, uint32_t pos) {
    switch (states_[v].where) {
      case Where::kSpilled:
        return load(v, pos);
      case Where::kForgotten:
        return recompute(v, pos);
      default:
        return true;
    }
  }

  bool load(ValueId v, uint32_t pos) {
    State& s = states_[v];
    Bytes missing = charge(v) - s.live;
    if (!ensure(missing, pos)) return false;
    out_.actions.push_back({ActionKind::kLoad, v});
    out_.loaded += missing;
    disk_ += static_cast<double>(missing) / costs_.read_bandwidth;
    s.live += missing;
    live_ += missing;
    s.where = Where::kResident;
    return true;
  }

  // Depth first with a stack of its own: a value's inputs may have been forgotten, too.
  bool recompute(ValueId root, uint32_t pos) {
    std::vector<ValueId> stack{root};
    while (!stack.empty()) {
      ValueId v = stack.back();
      if (states_[v].where != Where::kForgotten) {
        stack.pop_back();
        continue;
      }
      bool ready = true;
      for (const Operand& o : plan_.inputs(recipe(v))) {
        State& in = states_[o.value];
        hold_busy(o.value, pos);
        if (in.where == Where::kSpilled && !load(o.value, pos)) return false;
        if (in.where != Where::kForgotten) continue;
        stack.push_back(o.value);
        ready = false;
      }
      if (!ready) continue;
      if (!run_again(v, pos)) return false;
      stack.pop_back();
    }
    return true;
  }

  bool run_again(ValueId v, uint32_t pos) {
    const Step& step = recipe(v);
    Bytes fresh = step.scratch;
    for (const Operand& o : plan_.outputs(step)) {
      fresh += charge(o.value);
      if (plan_.values[o.value].small) slabs_.add(plan_.values[o.value], pool_);
    }
    if (!ensure(fresh, pos)) return false;
    out_.actions.push_back({ActionKind::kRecompute, recipe_[v]});
    again_ += recipe_seconds(v);
    ++runs_again_;
    for (const Operand& o : plan_.outputs(step)) {
      out_.recomputed += charge(o.value);
      State& s = states_[o.value];
      if (plan_.values[o.value].small) slabs_.remove(plan_.values[o.value]);
      if (s.where == Where::kForgotten) {
        s.where = Where::kResident;
        s.live = charge(o.value);
        live_ += s.live;
        hold_busy(o.value, pos);
      } else if (s.where == Where::kDead) {
        // Made beside the one that was asked for.
        out_.actions.push_back({ActionKind::kFree, o.value});
      }
    }
    return true;
  }

  // What a run leaves behind.
  void settle(const Unit& unit, const std::vector<ValueId>& made, uint32_t pos) {
    ValueId donor = donor_of(unit, pos);
    if (!unit.nest && donor == kNone && plan_.steps[unit.step].donor != kNone)
      out_.undonated.push_back(unit.step);
    if (donor != kNone) release(donor, Where::kDead);
    for (ValueId v : made) {
      State& s = states_[v];
      s.where = Where::kResident;
      s.clean = false;
      s.live = charge(v);
      live_ += s.live;
      hold_busy(v, pos);
    }
    if (!unit.nest) return;
    for (ValueId v : unit.nest->streamed) {
      release(v, Where::kSpilled);
      states_[v].clean = true;
    }
    out_.loaded += unit.nest->read;
    out_.written += unit.nest->written;
  }

  void finish(ValueId v, uint32_t pos) {
    pass(v, pos);
    State& s = states_[v];
    s.since = static_cast<uint32_t>(out_.actions.size());
    if (s.where == Where::kDead || s.where == Where::kAbsent) return;
    if (s.use == s.last && !plan_.values[v].kept && s.hold <= pos + 1) {
      out_.actions.push_back({ActionKind::kFree, v});
      if (plan_.values[v].small && !plan_.values[v].buffer) slabs_.remove(plan_.values[v]);
      release(v, Where::kDead);
      return;
    }
    if (s.where == Where::kResident) offer(v, pos);
  }

  // A spill starts as soon as its value is idle, so that it is over when the room is needed.
  void insert_writes() {
    if (writes_.empty()) return;
    std::stable_sort(writes_.begin(), writes_.end(),
                     [](auto& a, auto& b) { return a.first < b.first; });
    std::vector<Action> merged;
    merged.reserve(out_.actions.size() + writes_.size());
    size_t w = 0;
    for (size_t i = 0; i <= out_.actions.size(); ++i) {
      for (; w < writes_.size() && writes_[w].first == i; ++w)
        merged.push_back({ActionKind::kWrite, writes_[w].second});
      if (i < out_.actions.size()) merged.push_back(out_.actions[i]);
    }
    out_.actions = std::move(merged);
  }

  const Plan& plan_;
  const std::vector<StepId>& remakes_;
  const EvictOptions& options_;
  const Costs& costs_;
  const memory::Pool& pool_;
  Schedule out_;
  SlabCount slabs_;
  Bytes room_ = 0, live_ = 0, moved_out_ = 0;
  double again_ = 0, disk_ = 0;  // seconds of what is computed again, of loads and writes
  std::vector<State> states_;
  size_t runs_again_ = 0;
  uint32_t count_ = 0;  // of the plan's own units; recipes follow
  std::vector<uint32_t> uses_, recipe_;
  std::vector<double> time_;
  std::vector<ValueId> touched_;
  std::vector<ValueId> read_, made_;  // of the unit that is being scheduled
  ValueId giving_ = kNone;            // donor of the unit that is being scheduled
  std::vector<std::pair<uint32_t, ValueId>> writes_;
  Candidates candidates_;
};

}  // namespace

std::optional<Schedule> evict(const Plan& plan, std::vector<Unit> units,
                              const std::vector<StepId>& remakes, const EvictOptions& options,
                              const Costs& costs, const memory::Pool& pool) {
  Simulation simulation(plan, std::move(units), remakes, options, costs, pool);
  if (!simulation.run()) return std::nullopt;
  return simulation.take();
}

}  // namespace plimsoll::plan
