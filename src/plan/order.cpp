#include "plan/order.h"

#include <algorithm>
#include <queue>
#include <tuple>

namespace plimsoll::plan {
namespace {

Bytes charge(const Plan& plan, ValueId v) { return plan.values[v].bytes; }

/// Uses of each value: how many steps read it, each counted once.
std::vector<uint32_t> count_uses(const Plan& plan) {
  std::vector<uint32_t> uses(plan.values.size(), 0);
  for (const Step& step : plan.steps) plan.each_input(step, [&](ValueId v) { ++uses[v]; });
  return uses;
}

bool dies(const Value& v) { return !v.kept && (v.producer != kNone || v.donatable); }

class Greedy {
 public:
  explicit Greedy(const Plan& plan) : plan_(plan), uses_(count_uses(plan)) {
    const size_t n = plan.steps.size();
    waiting_.resize(n, 0);
    stamp_.resize(n, 0);
    std::vector<uint32_t> start(plan.values.size() + 1, 0);
    for (const Step& step : plan.steps) plan.each_input(step, [&](ValueId v) { ++start[v + 1]; });
    for (size_t v = 0; v < plan.values.size(); ++v) start[v + 1] += start[v];
    readers_.resize(start.back());
    first_reader_ = start;
    for (StepId s = 0; s < n; ++s)
      plan.each_input(plan.steps[s], [&](ValueId v) {
        readers_[start[v]++] = s;
        waiting_[s] += plan.values[v].producer != kNone;
      });
  }

  std::vector<StepId> run() {
    for (StepId s = 0; s < plan_.steps.size(); ++s)
      if (waiting_[s] == 0) push(s);
    while (!ready_.empty()) {
      auto [growth, s, stamp] = ready_.top();
      ready_.pop();
      if (stamp != stamp_[s]) continue;
      stamp_[s] = ~0u;
      order_.push_back(s);
      finish(s);
    }
    return std::move(order_);
  }

 private:
  using Entry = std::tuple<int64_t, StepId, uint32_t>;

  void push(StepId s) { ready_.emplace(growth(s), s, ++stamp_[s]); }

  int64_t growth(StepId s) const {
    int64_t bytes = 0;
    for (const Operand& o : plan_.outputs(plan_.steps[s]))
      bytes += static_cast<int64_t>(charge(plan_, o.value));
    plan_.each_input(plan_.steps[s], [&](ValueId v) {
      if (uses_[v] == 1 && dies(plan_.values[v])) bytes -= static_cast<int64_t>(charge(plan_, v));
    });
    return bytes;
  }

  void finish(StepId s) {
    plan_.each_input(plan_.steps[s], [&](ValueId v) {
      if (--uses_[v] != 1) return;
      // Its last reader now frees it.
      for (uint32_t i = first_reader_[v]; i < first_reader_[v + 1]; ++i) {
        StepId r = readers_[i];
        if (stamp_[r] != ~0u && waiting_[r] == 0) push(r);
      }
    });
    for (const Operand& o : plan_.outputs(plan_.steps[s]))
      for (uint32_t i = first_reader_[o.value]; i < first_reader_[o.value + 1]; ++i)
        if (--waiting_[readers_[i]] == 0) push(readers_[i]);
  }

  const Plan& plan_;
  std::vector<uint32_t> uses_, waiting_, stamp_, first_reader_;
  std::vector<StepId> readers_, order_;
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> ready_;
};

}  // namespace

Bytes peak_of(const Plan& plan, const std::vector<StepId>& order) {
  std::vector<uint32_t> uses = count_uses(plan);
  Bytes live = 0, peak = 0;
  for (const Value& v : plan.values)
    if (v.producer == kNone && v.first_use != kNone) live += v.bytes;
  for (StepId s : order) {
    const Step& step = plan.steps[s];
    for (const Operand& o : plan.outputs(step)) live += charge(plan, o.value);
    peak = std::max(peak, live + step.scratch);
    plan.each_input(step, [&](ValueId v) {
      if (--uses[v] == 0 && dies(plan.values[v])) live -= charge(plan, v);
    });
    for (const Operand& o : plan.outputs(step))
      if (uses[o.value] == 0 && dies(plan.values[o.value])) live -= charge(plan, o.value);
  }
  return peak;
}

std::vector<StepId> greedy_order(const Plan& plan) { return Greedy(plan).run(); }

std::vector<StepId> late_order(const Plan& plan) {
  // Rank of a step: the first of its users in the present order, less one; ties keep their order.
  const size_t n = plan.steps.size();
  std::vector<uint32_t> rank(n);
  for (StepId s = static_cast<StepId>(n); s-- > 0;) {
    uint32_t first = static_cast<uint32_t>(2 * s + 1);
    bool used = false;
    uint32_t least = ~0u;
    for (const Operand& o : plan.outputs(plan.steps[s])) {
      StepId user = plan.values[o.value].first_use;
      if (user == kNone) continue;
      used = true;
      least = std::min(least, rank[user]);
    }
    rank[s] = used && least != 0 ? std::max(first, least - 1) : first;
  }
  std::vector<StepId> order(n);
  for (StepId s = 0; s < n; ++s) order[s] = s;
  std::stable_sort(order.begin(), order.end(),
                   [&](StepId a, StepId b) { return rank[a] < rank[b]; });
  // A chain of steps that were put off together can tie with its user.
  std::vector<uint32_t> place(n);
  for (uint32_t i = 0; i < n; ++i) place[order[i]] = i;
  for (StepId s = 0; s < n; ++s)
    for (const Operand& o : plan.inputs(plan.steps[s]))
      if (StepId p = plan.values[o.value].producer; p != kNone && place[p] >= place[s]) return {};
  return order;
}

void apply_order(Plan& plan, const std::vector<StepId>& order) {
  std::vector<Step> steps;
  steps.reserve(order.size());
  std::vector<StepId> place(order.size());
  for (uint32_t i = 0; i < order.size(); ++i) {
    place[order[i]] = i;
    steps.push_back(std::move(plan.steps[order[i]]));
  }
  plan.steps = std::move(steps);
  plan.tilings.clear();
  for (Value& v : plan.values)
    if (v.producer != kNone) v.producer = place[v.producer];
}

}  // namespace plimsoll::plan
