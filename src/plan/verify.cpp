#include "plan/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "plan/tile.h"

namespace plimsoll::plan {
namespace {

/// Raised and caught in this file only.
struct Violation {
  std::string text;
};

template <typename... Args>
void require(bool holds, fmt::format_string<Args...> text, Args&&... args) {
  if (!holds) [[unlikely]]
    throw Violation{fmt::format(text, std::forward<Args>(args)...)};
}

template <typename T>
bool has(const std::vector<T>& list, T item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

// What a unit does to values
// -----------------------------------------------------------------------

enum class Role : uint8_t { kWhole, kStreamed, kLocal };

struct Use {
  ValueId value;
  Role role;
  bool made;  // by this unit
};

Role role_of(const Unit& unit, ValueId v) {
  if (!unit.nest) return Role::kWhole;
  if (has(unit.nest->local, v)) return Role::kLocal;
  return has(unit.nest->streamed, v) ? Role::kStreamed : Role::kWhole;
}

/// Each value once; inputs before outputs. A value that the unit makes and reads counts as made.
std::vector<Use> uses_of(const Plan& plan, const Unit& unit) {
  std::vector<Use> uses;
  auto find = [&](ValueId v) {
    return std::find_if(uses.begin(), uses.end(), [v](const Use& u) { return u.value == v; });
  };
  for (StepId s : unit.body()) {
    const Step& step = plan.steps[s];
    for (const Operand& o : plan.inputs(step))
      if (find(o.value) == uses.end()) uses.push_back({o.value, role_of(unit, o.value), false});
    for (const Operand& o : plan.outputs(step)) {
      require(find(o.value) == uses.end(), "value {} is made after it was read, or twice", o.value);
      uses.push_back({o.value, role_of(unit, o.value), true});
    }
  }
  return uses;
}

// Nests
// --------------------------------------------------------------------------------------------

/// Checks what does not depend on when a nest runs.
class NestCheck {
 public:
  NestCheck(const Plan& plan, const memory::Pool& pool, const Nest& nest,
            const std::vector<Use>& uses)
      : plan_(plan), pool_(pool), nest_(nest), uses_(uses) {}

  void run() {
    require(!nest_.loops.empty(), "a nest has no loops");
    require(!nest_.body.empty(), "a nest has no steps");
    for (size_t l = 0; l < nest_.loops.size(); ++l) check_loop(l);
    check_lists();
    check_turns();
    check_scratch();
  }

 private:
  void check_loop(size_t l) const {
    const Loop& loop = nest_.loops[l];
    require(loop.tile > 0 && loop.extent > 0, "loop {} has tiles of {} over {}", l, loop.tile,
            loop.extent);
    require(loop.axis.size() == nest_.body.size() && loop.scale.size() == nest_.body.size(),
            "loop {} does not name an axis of each step", l);
    require(l == 0 || loop.ordered || !nest_.loops[l - 1].ordered,
            "loop {} is unordered inside of an ordered one", l);
    for (size_t b = 0; b < nest_.body.size(); ++b) {
      if (loop.axis[b] < 0) continue;
      require(nest_.body[b] < plan_.tilings.size() &&
                  static_cast<size_t>(loop.axis[b]) < plan_.tilings[nest_.body[b]].size(),
              "loop {} cuts an axis that step {} does not have", l, nest_.body[b]);
      const TileAxis& axis = plan_.tilings[nest_.body[b]][loop.axis[b]];
      require(axis.extent == loop.extent * loop.scale[b],
              "loop {} runs over {} of the {} indices of step {}", l, loop.extent * loop.scale[b],
              axis.extent, nest_.body[b]);
      require(loop.tile >= loop.extent || loop.tile * loop.scale[b] % axis.grain == 0,
              "loop {} cuts step {} at {}, which is no multiple of {}", l, nest_.body[b],
              loop.tile * loop.scale[b], axis.grain);
      require(!axis.ordered || loop.ordered,
              "loop {} runs the ordered axis of step {} in any order", l, nest_.body[b]);
    }
  }

  const Use* find(ValueId v) const {
    auto it = std::find_if(uses_.begin(), uses_.end(), [v](const Use& u) { return u.value == v; });
    return it == uses_.end() ? nullptr : &*it;
  }

  void check_lists() const {
    for (ValueId v : nest_.streamed) {
      require(find(v), "streamed value {} is no operand of its nest", v);
      require(!plan_.values[v].small && !plan_.values[v].pinned,
              "value {} is streamed but cannot be evicted", v);
      require(!has(nest_.local, v), "value {} is streamed and local", v);
    }
    for (const std::vector<uint32_t>& list : nest_.apart) {
      require(!list.empty(), "a range is held for no operand");
      for (uint32_t at : list) {
        require(at >> 16 < nest_.body.size(), "operand {} of step {} is held apart", at & 0xffff,
                at >> 16);
        const Step& step = plan_.steps[nest_.body[at >> 16]];
        require((at & 0xffff) < step.end - step.first_input, "operand {} is held apart",
                at & 0xffff);
        const ValueId v = plan_.operands[step.first_input + (at & 0xffff)].value;
        require(has(nest_.streamed, v) && !find(v)->made,
                "value {} is held in several ranges and is not one that is only read in tiles", v);
      }
    }
    for (ValueId v : nest_.local) {
      const Use* use = find(v);
      require(use && use->made, "local value {} is not made in its nest", v);
      require(!plan_.values[v].kept, "local value {} is kept", v);
    }
  }

  // What the turns hold at once is inside of what is charged, and nothing is read before it is
  // made.
  void check_turns() const {
    const std::vector<Access> all = accesses(plan_, nest_);
    std::vector<const Access*> streamed;
    Bytes whole = 0, locals = 0;
    for (const Access& a : all) {
      Role role = find(a.value)->role;
      const Value& v = plan_.values[a.value];
      if (role == Role::kStreamed) streamed.push_back(&a);
      if (role == Role::kWhole && !v.small) whole += v.bytes;
      if (role == Role::kLocal) locals += local_bytes(v);
    }
    require(whole <= nest_.whole, "a nest holds {} bytes whole and is charged {}", whole,
            nest_.whole);
    const size_t turns = num_turns(nest_);
    const size_t stride = std::max<size_t>(1, turns / kMostTurns);
    std::vector<Window> windows(nest_.loops.size());
    for (size_t turn = 0; turn < turns; turn += turn + stride < turns ? stride : 1) {
      set_windows(nest_, turn, windows);
      for (const Access& a : all) check_flow(a, windows, turn);
      Bytes held = locals;
      for (size_t i = 0; i < streamed.size(); ++i) {
        ByteRange range = held_range(plan_, nest_, *streamed[i], windows);
        if (range.empty()) continue;
        held += held_bytes(plan_.values[streamed[i]->value], range);
      }
      require(held <= nest_.tile_bytes, "turn {} holds {} bytes and is charged {}", turn, held,
              nest_.tile_bytes);
    }
  }

  // A step reads of what its nest makes only what is final: made by this turn or, where it does not
  // only live in tiles, by a former one.
  void check_flow(const Access& a, std::span<const Window> windows, size_t turn) const {
    if (!find(a.value)->made || a.operands.size() < 2) return;
    const uint32_t maker = a.operands[0];  // uses_of has seen that it comes first
    const ByteRange made = held_range(plan_, nest_, maker >> 16, maker & 0xffff, windows);
    const bool local = find(a.value)->role == Role::kLocal;
    for (size_t l = 0; l < nest_.loops.size(); ++l) {
      const int16_t axis = nest_.loops[l].axis[maker >> 16];
      bool partial = axis >= 0 && nest_.loops[l].trips() > 1 &&
                     plan_.tilings[nest_.body[maker >> 16]][axis].ordered &&
                     cut_axis(plan_, nest_, l, maker >> 16, maker & 0xffff) < 0;
      require(!partial, "value {} is read in the nest that still adds to it", a.value);
    }
    for (uint32_t reader : std::span(a.operands.begin(), a.operands.end()).subspan(1)) {
      ByteRange read = held_range(plan_, nest_, reader >> 16, reader & 0xffff, windows);
      if (read.empty()) continue;
      require(read.end <= made.end && (!local || read.begin >= made.begin),
              "turn {} reads bytes {} to {} of value {} and has made {} to {}", turn, read.begin,
              read.end, a.value, made.begin, made.end);
    }
  }

  Bytes held_bytes(const Value& v, ByteRange range) const {
    Bytes extent = pool_.shape_of(v.nbytes).extent(nest_.fine);
    return std::min(round_up(range.end, extent) - round_down(range.begin, extent), v.bytes);
  }

  Bytes local_bytes(const Value& v) const {
    const Loop& loop = nest_.loops[0];
    memory::BlockShape shape = pool_.shape_of(v.nbytes / static_cast<Bytes>(loop.extent) *
                                              static_cast<Bytes>(std::min(loop.tile, loop.extent)));
    return shape.small ? shape.slab_bytes : shape.bytes;
  }

  void check_scratch() const {
    Bytes workspace = 0, carries = 0;
    for (Bytes bytes : nest_.workspace) workspace = std::max(workspace, bytes);
    for (Bytes bytes : nest_.carry) carries += bytes;
    require(nest_.scratch >= workspace + carries + nest_.packing,
            "a nest has scratch of {} bytes and uses {}", nest_.scratch,
            workspace + carries + nest_.packing);
  }

  static constexpr size_t kMostTurns = 4096;  // looked at; of more, evenly spaced ones
  const Plan& plan_;
  const memory::Pool& pool_;
  const Nest& nest_;
  const std::vector<Use>& uses_;
};

// The replay
// ---------------------------------------------------------------------------------------

enum class Life : uint8_t { kAbsent, kAlive, kForgotten, kDead };

const char* name_of(Life life) {
  constexpr const char* kNames[] = {"not made yet", "alive", "forgotten", "dead"};
  return kNames[static_cast<int>(life)];
}

class Replay {
 public:
  Replay(const Plan& plan, const memory::Pool& pool)
      : plan_(plan), pool_(pool), states_(plan.values.size()) {}

  void run() {
    open();
    // What is in memory at the start may pass the limit: the first actions evict it.
    if (plan_.actions.empty()) peak_ = plan_.fixed + live_;
    for (at_ = 0; at_ < plan_.actions.size(); ++at_) act(plan_.actions[at_]);
    close();
  }
  size_t at() const { return at_; }

 private:
  struct State {
    Life life = Life::kAbsent;
    Bytes live = 0;      // charge now
    bool whole = false;  // all of it is in memory, or on its way
    bool clean = false;  // what is in memory is in a backing, too
  };
  struct Slabs {
    Bytes blocks = 0, room = 0;  // in use, and in slabs taken so far
  };

  Bytes charge(ValueId v) const { return plan_.values[v].small ? 0 : plan_.values[v].bytes; }

  State& alive(ValueId v, const char* what) {
    State& s = states_[v];
    require(s.life == Life::kAlive, "{} value {}, which is {}", what, v, name_of(s.life));
    return s;
  }

  void open() {
    for (ValueId v = 0; v < plan_.values.size(); ++v) {
      const Value& value = plan_.values[v];
      const memory::BlockShape shape = pool_.shape_of(value.nbytes);
      // A buffer may be in fine extents now.
      const bool as_it_is = value.buffer && value.bytes == value.buffer->whole_bytes();
      require((value.bytes == shape.bytes || as_it_is) && value.small == shape.small,
              "value {} of {} bytes is charged {}", v, value.nbytes, value.bytes);
      if (!value.buffer) continue;
      State& s = states_[v];
      const memory::Buffer& buffer = *value.buffer;
      s.life = Life::kAlive;
      s.live = value.small ? 0 : buffer.resident_bytes();
      s.whole = value.small || buffer.bytes_missing(buffer.all()) == 0;
      s.clean = !value.small && buffer.dirty_bytes(buffer.all()) == 0;
      live_ += s.live;
    }
  }

  void set_live(ValueId v, Bytes bytes) {
    live_ = live_ - states_[v].live + bytes;
    states_[v].live = bytes;
  }

  void note(Bytes fresh) {
    Bytes used = plan_.fixed + slab_bytes_ + live_ + fresh;
    peak_ = std::max(peak_, used);
    require(used <= plan_.limit, "{} bytes are in use and the limit is {}", used, plan_.limit);
  }

  void act(const Action& a) {
    const bool unit = a.kind == ActionKind::kRun || a.kind == ActionKind::kRecompute;
    require(a.id < (unit ? plan_.units.size() : plan_.values.size()), "{} does not exist", a.id);
    switch (a.kind) {
      case ActionKind::kRun:
        return run_unit(a.id);
      case ActionKind::kRecompute:
        return recompute(a.id);
      case ActionKind::kLoad:
        return load(a.id);
      case ActionKind::kWrite:
        return write(a.id);
      case ActionKind::kDrop:
        return drop(a.id);
      case ActionKind::kForget:
        return forget(a.id);
      case ActionKind::kFree:
        return free(a.id);
    }
  }

  // Values moving
  // ----------------------------------------------------------------------------------

  void movable(ValueId v, const char* what) const {
    require(!plan_.values[v].small, "{} value {}, which is small", what, v);
    require(!plan_.values[v].pinned, "{} value {}, which an exported view holds", what, v);
  }

  void load(ValueId v) {
    State& s = alive(v, "load");
    require(!s.whole, "load value {}, which is in memory", v);
    set_live(v, charge(v));
    s.whole = true;
    note(0);
  }

  void write(ValueId v) {
    State& s = alive(v, "write");
    require(!plan_.values[v].small, "write value {}, which is small", v);
    require(s.live > 0, "write value {}, which is not in memory", v);
    require(!s.clean, "write value {}, which is clean", v);
    s.clean = true;
  }

  void drop(ValueId v) {
    State& s = alive(v, "drop");
    movable(v, "drop");
    require(s.live > 0, "drop value {}, which is not in memory", v);
    require(s.clean, "drop value {}, which was not written", v);
    set_live(v, 0);
    s.whole = false;
  }

  void forget(ValueId v) {
    State& s = alive(v, "forget");
    movable(v, "forget");
    require(!plan_.values[v].kept, "forget value {}, which is kept", v);
    require(!plan_.values[v].buffer, "forget value {}, which no step makes", v);
    set_live(v, 0);
    s = {.life = Life::kForgotten};
  }

  void free(ValueId v) {
    State& s = states_[v];
    require(s.life == Life::kAlive, "free value {}, which is {}", v, name_of(s.life));
    require(!plan_.values[v].kept, "free value {}, which is kept", v);
    die(v);
  }

  void die(ValueId v) {
    if (plan_.values[v].small && !plan_.values[v].buffer) give_block(v);
    set_live(v, 0);
    states_[v] = {.life = Life::kDead};
  }

  // Slabs of small values that the evaluation makes; what they held stays for the next ones.
  void take_block(ValueId v) {
    memory::BlockShape shape = pool_.shape_of(plan_.values[v].nbytes);
    Slabs& slabs = slabs_[shape.bytes];
    if (++slabs.blocks <= slabs.room) return;
    slabs.room += shape.slab_blocks;
    slab_bytes_ += shape.slab_bytes;
  }
  void give_block(ValueId v) { --slabs_[pool_.shape_of(plan_.values[v].nbytes).bytes].blocks; }

  // Units
  // ------------------------------------------------------------------------------------------

  void read(const Use& use) {
    if (use.role == Role::kLocal) return;
    State& s = alive(use.value, "run with");
    if (use.role == Role::kWhole)
      require(s.whole, "run with value {}, which is not in memory", use.value);
  }

  static void check_scratch(const Step& step) {
    require(step.scratch >= step.workspace + step.carry,
            "a step has scratch of {} bytes and uses {}", step.scratch,
            step.workspace + step.carry);
  }

  void check_donor(const Step& step) const {
    const ValueId d = step.donor;
    const Value& donor = plan_.values[d];
    const Operand& out = plan_.outputs(step)[0];
    require(!step.can_fail, "a step that can fail is given value {} to overwrite", d);
    require(!donor.kept && !donor.pinned, "value {} is donated but others see it", d);
    require(!donor.buffer || donor.donatable, "value {} is donated but not ours", d);
    require(donor.nbytes == plan_.values[out.value].nbytes && !donor.small,
            "value {} is donated to value {} of another size", d, out.value);
    auto inputs = plan_.inputs(step);
    require(std::count_if(inputs.begin(), inputs.end(),
                          [d](const Operand& o) { return o.value == d; }) == 1,
            "value {} is donated but not read once", d);
  }

  void run_unit(uint32_t id) {
    const Unit& unit = plan_.units[id];
    std::vector<Use> uses = uses_of(plan_, unit);
    if (unit.nest) NestCheck(plan_, pool_, *unit.nest, uses).run();
    const ValueId donor = unit.nest ? kNone : plan_.steps[unit.step].donor;
    if (donor != kNone) check_donor(plan_.steps[unit.step]);
    if (!unit.nest) check_scratch(plan_.steps[unit.step]);
    Bytes fresh =
        unit.nest ? unit.nest->tile_bytes + unit.nest->scratch : plan_.steps[unit.step].scratch;
    for (const Use& use : uses) {
      if (!use.made) {
        read(use);
        continue;
      }
      require(states_[use.value].life == Life::kAbsent, "run makes value {}, which is {}",
              use.value, name_of(states_[use.value].life));
      if (use.role != Role::kWhole) continue;
      if (plan_.values[use.value].small)
        take_block(use.value);
      else
        fresh += charge(use.value);
    }
    if (donor != kNone) fresh -= charge(donor);
    note(fresh);
    if (donor != kNone) die(donor);
    for (const Use& use : uses) leave(use);
  }

  void leave(const Use& use) {
    State& s = states_[use.value];
    if (use.role == Role::kLocal) {
      s.life = Life::kDead;
    } else if (use.role == Role::kStreamed) {
      set_live(use.value, 0);
      s = {.life = Life::kAlive, .clean = true};
    } else if (use.made) {
      set_live(use.value, charge(use.value));
      s.life = Life::kAlive;
      s.whole = true;
      s.clean = false;
    }
  }

  // Results that are alive are computed once more beside, and thrown away.
  void recompute(uint32_t id) {
    const Unit& unit = plan_.units[id];
    require(!unit.nest, "a nest is run again");
    const Step& step = plan_.steps[unit.step];
    require(step.donor == kNone, "a step that overwrites its input is run again");
    Bytes fresh = step.scratch;
    bool wanted = false;
    std::vector<ValueId> beside;
    for (const Use& use : uses_of(plan_, unit)) {
      if (!use.made) {
        read(use);
        require(!plan_.values[use.value].pinned, "run again with value {}, which a view can change",
                use.value);
        continue;
      }
      State& s = states_[use.value];
      require(s.life != Life::kAbsent, "value {} is made again before it was made", use.value);
      wanted |= s.life == Life::kForgotten;
      fresh += charge(use.value);
      if (plan_.values[use.value].small) take_block(use.value);
      if (s.life == Life::kAlive) beside.push_back(use.value);
    }
    require(wanted, "unit {} is run again, but nothing that it makes was forgotten", id);
    note(fresh);
    for (const Operand& o : plan_.outputs(step)) {
      if (has(beside, o.value)) {
        if (plan_.values[o.value].small) give_block(o.value);
        continue;
      }
      set_live(o.value, charge(o.value));
      states_[o.value] = {
          .life = Life::kAlive, .live = states_[o.value].live, .whole = true, .clean = false};
    }
  }

  // The end
  // ----------------------------------------------------------------------------------------

  void close() {
    for (ValueId v = 0; v < plan_.values.size(); ++v) {
      const Value& value = plan_.values[v];
      const State& s = states_[v];
      if (value.kept)
        require(s.life == Life::kAlive, "value {} is kept and ends {}", v, name_of(s.life));
      else if (value.buffer && value.last_use == kNone)
        continue;  // no step reads it: it goes with its graph
      else
        require(s.life == Life::kDead || (s.life == Life::kAbsent && value.producer == kNone),
                "value {} is not kept and ends {}", v, name_of(s.life));
    }
    for (const Binding& b : plan_.bindings)
      require(!b.kept || plan_.values[b.value].kept, "value {} is bound but not kept", b.value);
    require(peak_ == plan_.peak, "the peak is said to be {} and is {}", plan_.peak, peak_);
  }

  const Plan& plan_;
  const memory::Pool& pool_;
  std::vector<State> states_;
  std::map<Bytes, Slabs> slabs_;
  Bytes slab_bytes_ = 0, live_ = 0, peak_ = 0;
  size_t at_ = 0;
};

std::string place_of(const Plan& plan, size_t at) {
  constexpr const char* kNames[] = {"run", "load", "write", "drop", "forget", "free", "again"};
  if (at >= plan.actions.size()) return "at the end";
  const Action& a = plan.actions[at];
  return fmt::format("action {} ({} {})", at, kNames[static_cast<int>(a.kind)], a.id);
}

}  // namespace

std::string verify(const Plan& plan, const memory::Pool& pool) {
  if (std::string_view(plan.stage) == "refused") {
    if (!plan.actions.empty()) return "a refused plan has actions";
    return plan.floor > plan.limit ? "" : "refused, although the floor is inside of the limit";
  }
  Replay replay(plan, pool);
  try {
    replay.run();
  } catch (const Violation& v) {
    return fmt::format("{}: {}", place_of(plan, replay.at()), v.text);
  }
  return {};
}

}  // namespace plimsoll::plan
