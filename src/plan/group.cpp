#include "plan/group.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "plan/build.h"
#include "plan/order.h"

namespace plimsoll::plan {
namespace {

constexpr size_t kMaxMembers = 256;
constexpr size_t kWindow = 1024;  // steps that a group looks ahead
constexpr int kFewestTurns = 16;  // so that reading, running and writing overlap

/// What a group has to do with values; one table for all groups, one after the other.
class Marks {
 public:
  enum Kind : uint8_t {
    kInside = 1,  // made block by block
    kAfter = 2,   // there only when the group is over
    kSource = 4,  // read block by block from outside
  };
  explicit Marks(size_t values) : of_(values) {}
  void clear() { ++group_; }
  void set(ValueId v, Kind kind) {
    if (of_[v].group != group_) of_[v] = {group_, 0};
    of_[v].kinds |= kind;
  }
  bool has(ValueId v, int kinds) const {
    return of_[v].group == group_ && (of_[v].kinds & kinds) != 0;
  }

 private:
  struct Mark {
    uint32_t group = 0;
    uint8_t kinds = 0;
  };
  std::vector<Mark> of_;
  uint32_t group_ = 0;
};

/// A group that grows step by step over one loop. One at a time has the marks.
class Growth {
 public:
  Growth(Plan& plan, const std::vector<bool>& taken, Marks& marks)
      : plan_(plan), taken_(taken), marks_(marks) {
    marks_.clear();
  }

  /// From `seed`, over one of its axes. False where it has less than two members.
  bool grow(StepId seed, int axis) {
    const TileAxis& t = tiling_of(plan_, seed)[axis];
    extent_ = t.extent;
    add(seed, axis, 1);
    size_t end = std::min(plan_.steps.size(), seed + kWindow);
    for (StepId s = seed + 1; s < end && s <= reach_ && members_.size() < kMaxMembers; ++s) {
      if (!taken_[s] && joins(s)) continue;
      if (reads(s, Marks::kInside | Marks::kAfter)) mark_after(s);
    }
    return members_.size() > 1;
  }

  /// The first `count` members as a nest, its tile one grain.
  Nest nest(size_t count) const {
    Nest nest;
    Loop loop{.extent = extent_, .tile = grain(count), .ordered = false, .axis = {}, .scale = {}};
    for (size_t m = 0; m < count; ++m) {
      const Member& member = members_[m];
      nest.body.push_back(member.step);
      loop.axis.push_back(static_cast<int16_t>(member.axis));
      loop.ordered |= plan_.tilings[member.step][member.axis].ordered;
      loop.scale.push_back(plan_.tilings[member.step][member.axis].extent / extent_);
    }
    nest.loops.push_back(loop);
    find_locals(nest);
    return nest;
  }
  size_t size() const { return members_.size(); }
  Bytes local_bytes(const Nest& nest) const {
    Bytes bytes = 0;
    for (ValueId v : nest.local) bytes += plan_.values[v].bytes;
    return bytes;
  }

 private:
  struct Member {
    StepId step;
    int axis;
  };

  int64_t grain(size_t count) const {
    int64_t grain = 1;
    for (size_t m = 0; m < count; ++m) {
      const TileAxis& t = plan_.tilings[members_[m].step][members_[m].axis];
      int64_t scale = t.extent / extent_;
      grain = std::lcm(grain, t.grain / std::gcd(t.grain, scale));
    }
    return std::min(grain, extent_);
  }

  void mark_after(StepId s) {
    for (const Operand& o : plan_.outputs(plan_.steps[s])) marks_.set(o.value, Marks::kAfter);
  }
  void mark(ValueId v, Marks::Kind kind) {
    marks_.set(v, kind);
    const StepId last = plan_.values[v].last_use;
    if (kind != Marks::kAfter && last != kNone) reach_ = std::max(reach_, last);
  }
  bool reads(StepId s, int kinds) const {
    for (const Operand& o : plan_.inputs(plan_.steps[s]))
      if (marks_.has(o.value, kinds)) return true;
    return false;
  }

  // A step joins along an axis on which all that it gets from the group is cut alike.
  bool joins(StepId s) {
    // A source is a large array that the group passes over anyway.
    if (!reads(s, Marks::kInside | Marks::kSource) || reads(s, Marks::kAfter)) return false;
    const Tiling& tiling = tiling_of(plan_, s);
    for (size_t a = 0; a < tiling.size(); ++a) {
      if (tiling[a].repeats()) continue;
      int64_t common = std::gcd(extent_, tiling[a].extent);
      if (common <= 1 || (common != extent_ && common != tiling[a].extent)) continue;
      if (!cuts_alike(s, static_cast<int>(a), common)) continue;
      extent_ = common;
      add(s, static_cast<int>(a), common);
      return true;
    }
    return false;
  }

  bool cuts_alike(StepId s, int a, int64_t extent) const {
    const TileAxis& t = plan_.tilings[s][a];
    const Step& step = plan_.steps[s];
    auto inputs = plan_.inputs(step);
    for (size_t k = 0; k < inputs.size(); ++k) {
      if (!marks_.has(inputs[k].value, Marks::kInside | Marks::kSource)) continue;
      if (!is_block(inputs[k], t.input_axis[k], t.extent / extent, extent)) return false;
    }
    auto outputs = plan_.outputs(step);
    for (size_t k = 0; k < outputs.size(); ++k)
      if (t.output_axis[k] >= 0 &&
          !is_block(outputs[k], t.output_axis[k], t.extent / extent, extent))
        return false;
    return true;
  }

  // One index of the loop is one block of the value's bytes.
  bool is_block(const Operand& o, int axis, int64_t scale, int64_t extent) const {
    const Value& v = plan_.values[o.value];
    if (axis < 0 || o.form->layout.offset != 0 || v.nbytes % static_cast<Bytes>(extent) != 0)
      return false;
    auto item = static_cast<int64_t>(size_of(o.form->dtype));
    int64_t stride = o.form->layout.strides[axis];
    if (stride * scale * item != static_cast<int64_t>(v.nbytes) / extent) return false;
    int64_t reach = 0;
    for (size_t d = 0; d < o.form->shape.size(); ++d) {
      if (static_cast<int>(d) == axis || o.form->shape[d] == 1) continue;
      if (o.form->layout.strides[d] < 0) return false;
      reach += (o.form->shape[d] - 1) * o.form->layout.strides[d];
    }
    return reach < stride;
  }

  void add(StepId s, int a, int64_t extent) {
    members_.push_back({s, a});
    const TileAxis& t = plan_.tilings[s][a];
    const Step& step = plan_.steps[s];
    auto outputs = plan_.outputs(step);
    for (size_t k = 0; k < outputs.size(); ++k) {
      bool block = t.output_axis[k] >= 0 &&
                   is_block(outputs[k], t.output_axis[k], t.extent / extent, extent);
      // What is summed over the turns is there only after the last one.
      mark(outputs[k].value, block ? Marks::kInside : Marks::kAfter);
    }
    auto inputs = plan_.inputs(step);
    for (size_t k = 0; k < inputs.size(); ++k) {
      const Value& v = plan_.values[inputs[k].value];
      if (v.small || marks_.has(inputs[k].value, Marks::kInside)) continue;
      if (is_block(inputs[k], t.input_axis[k], t.extent / extent, extent))
        mark(inputs[k].value, Marks::kSource);
    }
  }

  // Made and read inside only, and nobody keeps it.
  void find_locals(Nest& nest) const {
    for (StepId s : nest.body) {
      for (const Operand& o : plan_.outputs(plan_.steps[s])) {
        const Value& v = plan_.values[o.value];
        if (v.kept || v.last_use == kNone || v.small) continue;
        if (!marks_.has(o.value, Marks::kInside)) continue;
        if (!read_outside(nest, o.value)) nest.local.push_back(o.value);
      }
    }
  }

  bool read_outside(const Nest& nest, ValueId v) const {
    const Value& value = plan_.values[v];
    for (StepId s = value.first_use; s <= value.last_use; ++s) {
      if (std::binary_search(nest.body.begin(), nest.body.end(), s)) continue;
      for (const Operand& o : plan_.inputs(plan_.steps[s]))
        if (o.value == v) return true;
    }
    return false;
  }

  Plan& plan_;
  const std::vector<bool>& taken_;
  int64_t extent_ = 1;
  StepId reach_ = 0;  // the last step that could join
  std::vector<Member> members_;
  Marks& marks_;
};

/// Steps in an order in which those of a group run as one.
class JoinedSteps {
 public:
  explicit JoinedSteps(const Plan& plan)
      : first_user_(plan.steps.size() + 1, 0),
        groups_(plan.steps.size()),
        seen_(plan.steps.size(), 0),
        spanned_(plan.steps.size() + 1, 0) {
    auto each_edge = [&](auto f) {
      for (StepId s = 0; s < plan.steps.size(); ++s)
        for (const Operand& o : plan.inputs(plan.steps[s]))
          if (StepId p = plan.values[o.value].producer; p != kNone) f(p, s);
    };
    each_edge([&](StepId p, StepId) { ++first_user_[p + 1]; });
    std::partial_sum(first_user_.begin(), first_user_.end(), first_user_.begin());
    users_.resize(first_user_.back());
    std::vector<uint32_t> next = first_user_;
    each_edge([&](StepId p, StepId s) { users_[next[p]++] = s; });
  }

  /// False where the group would wait for itself; then it is none.
  bool join(const std::vector<StepId>& body) {
    if (waits_for_itself(body)) return false;
    auto group = std::make_shared<const std::vector<StepId>>(body);
    for (StepId s : body) groups_[s] = group;
    for (StepId s = body.front() + 1; s <= body.back(); ++s) ++spanned_[s];
    return true;
  }

 private:
  std::span<const StepId> users(StepId s) const {
    return std::span(users_).subspan(first_user_[s], first_user_[s + 1] - first_user_[s]);
  }

  // Users follow what they read except in a group, so nothing comes back from beyond a step before
  // which every group has ended.
  bool waits_for_itself(const std::vector<StepId>& body) {
    StepId end = body.back() + 1;
    while (spanned_[end] != 0) ++end;
    ++round_;
    std::vector<StepId> stack;
    auto push = [&](StepId s) {
      if (s >= end || std::exchange(seen_[s], round_) == round_) return;
      stack.push_back(s);
    };
    auto inside = [&](StepId s) { return std::binary_search(body.begin(), body.end(), s); };
    for (StepId member : body)
      for (StepId user : users(member))
        if (!inside(user)) push(user);
    while (!stack.empty()) {
      const StepId s = stack.back();
      stack.pop_back();
      if (inside(s)) return true;
      if (groups_[s])
        for (StepId member : *groups_[s]) push(member);
      for (StepId user : users(s)) push(user);
    }
    return false;
  }

  std::vector<uint32_t> first_user_;
  std::vector<StepId> users_;  // of step s: from first_user_[s] on
  std::vector<std::shared_ptr<const std::vector<StepId>>> groups_;
  std::vector<uint32_t> seen_;
  std::vector<uint32_t> spanned_;  // groups with steps both before this one and from it on
  uint32_t round_ = 0;
};

class Grouping {
 public:
  Grouping(Plan& plan, NestShaper& shaper, Bytes budget)
      : plan_(plan),
        shaper_(shaper),
        budget_(budget),
        taken_(plan.steps.size(), false),
        marks_(plan.values.size()),
        order_(plan) {}

  std::vector<std::shared_ptr<Nest>> run() {
    for (StepId s = 0; s < plan_.steps.size(); ++s)
      if (!taken_[s] && heavy(s)) try_seed(s);
    if (!nests_.empty()) renumber();
    return std::move(nests_);
  }

 private:
  // Only what does not fit beside much else is worth a group.
  bool heavy(StepId s) const {
    const Step& step = plan_.steps[s];
    for (uint32_t k = step.first_input; k < step.end; ++k)
      if (plan_.values[plan_.operands[k].value].bytes > budget_ / 4) return true;
    return false;
  }

  void try_seed(StepId seed) {
    const size_t axes = tiling_of(plan_, seed).size();
    std::shared_ptr<Nest> best;
    Bytes most = 0;
    for (size_t a = 0; a < axes; ++a) {
      if (plan_.tilings[seed][a].extent <= 1 || plan_.tilings[seed][a].repeats()) continue;
      Growth growth(plan_, taken_, marks_);
      if (!growth.grow(seed, static_cast<int>(a))) continue;
      std::shared_ptr<Nest> nest = fit(growth);
      if (!nest) continue;
      Bytes gain = growth.local_bytes(*nest) + shared_reads(*nest);
      if (gain <= most) continue;
      most = gain;
      best = std::move(nest);
    }
    if (!best || !order_.join(best->body)) return;
    for (StepId s : best->body) taken_[s] = true;
    nests_.push_back(std::move(best));
  }

  // Bytes that members pass over together rather than each for itself.
  Bytes shared_reads(const Nest& nest) const {
    Bytes bytes = 0;
    for (const Access& access : accesses(plan_, nest)) {
      if (!contains(nest.streamed, access.value)) continue;
      SmallVector<uint32_t, 4> bodies;
      for (uint32_t at : access.operands)
        if (std::find(bodies.begin(), bodies.end(), at >> 16) == bodies.end())
          bodies.push_back(at >> 16);
      bytes += (bodies.size() - 1) * plan_.values[access.value].bytes;
    }
    return bytes;
  }

  // As many members as fit at the smallest tile, then the largest tile that fits.
  std::shared_ptr<Nest> fit(const Growth& growth) {
    size_t low = 1, high = growth.size();
    auto fits = [&](Nest& nest) {
      shaper_.shape(nest);
      return nest.working_set() <= budget_;
    };
    while (low < high) {
      size_t middle = (low + high + 1) / 2;
      Nest nest = growth.nest(middle);
      if (fits(nest))
        low = middle;
      else
        high = middle - 1;
    }
    if (low < 2) return nullptr;
    auto nest = std::make_shared<Nest>(growth.nest(low));
    if (!fits(*nest)) return nullptr;
    widen(*nest);
    nest->overlap = true;
    return nest;
  }

  void widen(Nest& nest) {
    Loop& loop = nest.loops[0];
    const int64_t grain = loop.tile;
    int64_t most = (loop.extent + grain - 1) / grain;
    // A stream wants many turns; one that moves little wants large ones.
    if (nest.read + nest.written > budget_) most = std::max<int64_t>(1, most / kFewestTurns);
    int64_t low = 1;
    const Bytes room = std::max(budget_ / 2, nest.working_set());
    while (low < most) {
      int64_t middle = (low + most + 1) / 2;
      loop.tile = std::min(loop.extent, middle * grain);
      shaper_.shape(nest);
      if (nest.working_set() <= room)
        low = middle;
      else
        most = middle - 1;
    }
    loop.tile = std::min(loop.extent, low * grain);
    shaper_.shape(nest);
    shaper_.promote(nest, budget_);
  }

  // Steps that a group waits for, the group, then the rest; repeated for each group in order.
  void renumber() {
    const size_t n = plan_.steps.size();
    std::vector<uint32_t> group(n, kNone);
    for (uint32_t g = 0; g < nests_.size(); ++g)
      for (StepId s : nests_[g]->body) group[s] = g;
    std::vector<StepId> order;
    std::vector<bool> done(n, false);
    std::vector<StepId> stack;
    auto place = [&](StepId root) {
      stack.push_back(root);
      while (!stack.empty()) {
        StepId s = stack.back();
        if (done[s]) {
          stack.pop_back();
          continue;
        }
        const size_t before = stack.size();
        std::span<const StepId> together =
            group[s] == kNone ? std::span<const StepId>(&s, 1) : nests_[group[s]]->body;
        for (StepId member : together)
          for (const Operand& o : plan_.inputs(plan_.steps[member])) {
            StepId p = plan_.values[o.value].producer;
            if (p != kNone && !done[p] && (group[p] == kNone || group[p] != group[s]))
              stack.push_back(p);
          }
        if (stack.size() > before) continue;
        for (StepId member : together) {
          done[member] = true;
          order.push_back(member);
        }
      }
    };
    for (StepId s = 0; s < n; ++s) place(s);
    std::vector<StepId> at(n);
    for (uint32_t i = 0; i < n; ++i) at[order[i]] = i;
    apply_order(plan_, order);
    find_lifetimes(plan_, true);
    for (auto& nest : nests_) {
      for (StepId& s : nest->body) s = at[s];
      for (StepId s : nest->body) tiling_of(plan_, s);
      shaper_.shape(*nest);  // who dies where has changed
      shaper_.promote(*nest, budget_);
    }
  }

  Plan& plan_;
  NestShaper& shaper_;
  const Bytes budget_;
  std::vector<bool> taken_;
  Marks marks_;
  JoinedSteps order_;
  std::vector<std::shared_ptr<Nest>> nests_;
};

}  // namespace

std::vector<std::shared_ptr<Nest>> group_steps(Plan& plan, NestShaper& shaper, Bytes budget) {
  return Grouping(plan, shaper, budget).run();
}

}  // namespace plimsoll::plan
