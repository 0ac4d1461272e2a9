// Runs a unit as nested loops over tiles: ranges of streamed values come and go, the rest stays.
#include <algorithm>

#include "base/check.h"
#include "plan/tile.h"
#include "runtime/executor.h"

namespace plimsoll::runtime {
namespace {

using memory::Tag;
using plan::Operand;
using plan::ValueId;
using plan::Window;

class LoopRun {
 public:
  LoopRun(Executor& executor, const plan::Unit& unit)
      : ex_(executor), plan_(executor.plan()), unit_(unit), windows_(unit.loops.size()) {}

  void run() {
    open();
    size_t trips = 1;
    for (const plan::Loop& loop : unit_.loops) trips *= static_cast<size_t>(loop.trips());
    for (size_t turn = 0; turn < trips; ++turn) {
      ex_.check_interrupt();
      set_windows(turn, windows_);
      move_ranges();
      if (unit_.overlap && turn + 1 < trips) prefetch(turn + 1);
      for (size_t b = 0; b < unit_.body.size(); ++b) run_body(b);
      written();
      ++ex_.report().tiles;
    }
    close();
  }

 private:
  struct Stream {
    ValueId value;
    size_t body, operand;  // one operand that reads or writes it
    bool output;
    ByteRange held;
    memory::Pin pin;
  };
  struct Local {
    ValueId value;
    memory::BufferRef buffer;
    memory::Pin pin;
  };

  const plan::Step& step(size_t body) const { return plan_.steps[unit_.body[body]]; }
  static bool contains(const SmallVector<ValueId, 4>& ids, ValueId id) {
    return std::find(ids.begin(), ids.end(), id) != ids.end();
  }

  void open() {
    for (size_t b = 0; b < unit_.body.size(); ++b) {
      size_t inputs = step(b).first_output - step(b).first_input;
      for (size_t k = 0; k < step(b).end - step(b).first_input; ++k)
        open_operand(b, k, k >= inputs);
      Bytes scratch = unit_.body_workspace[b] + step(b).carry;
      scratch_.push_back({});
      if (scratch > 0) scratch_.back() = ex_.allocate(scratch + 64, Tag::kWorkspace);
    }
  }

  void open_operand(size_t b, size_t k, bool output) {
    ValueId id = plan_.operands[step(b).first_input + k].value;
    Executor::Slot& slot = ex_.slot(id);
    if (contains(unit_.local, id)) {
      if (output) locals_.push_back({id, ex_.allocate(local_bytes(b, k), Tag::kBuffer), {}});
      if (output) locals_.back().pin = locals_.back().buffer->pin();
    } else if (contains(unit_.streamed, id)) {
      for (const Stream& s : streams_)
        if (s.value == id) return;
      if (output) slot.buffer = ex_.machine().pool.make(plan_.values[id].nbytes);
      streams_.push_back({id, b, k, output, {}, {}});
    } else if (output) {
      slot.buffer = ex_.allocate(plan_.values[id].nbytes, Tag::kBuffer);
    } else {
      ex_.make_resident(id);
    }
  }

  Bytes local_bytes(size_t b, size_t k) const {
    std::vector<Window> first(unit_.loops.size());
    for (size_t l = 0; l < first.size(); ++l)
      first[l] = {0, std::min(unit_.loops[l].tile, unit_.loops[l].extent)};
    Operand part = plan::cut(plan_, unit_, b, k, first);
    return static_cast<Bytes>(num_elements(part.shape)) * size_of(part.dtype);
  }

  void set_windows(size_t turn, std::vector<Window>& windows) const {
    for (size_t l = unit_.loops.size(); l-- > 0;) {
      const plan::Loop& loop = unit_.loops[l];
      int64_t trips = loop.trips();
      int64_t i = static_cast<int64_t>(turn) % trips;
      turn /= static_cast<size_t>(trips);
      windows[l] = {i * loop.tile, std::min(loop.extent, (i + 1) * loop.tile)};
    }
  }

  void move_ranges() {
    for (Stream& s : streams_) {
      ByteRange next = plan::held_range(plan_, unit_, s.body, s.operand, windows_);
      if (next == s.held) continue;
      memory::BufferRef& buffer = ex_.slot(s.value).buffer;
      s.pin.release();
      leave(s, buffer, next);
      arrive(s, buffer, next);
      if (!next.empty()) s.pin = buffer->pin(next);
      s.held = next;
    }
  }

  // Extents that the next turn does not touch go.
  void leave(const Stream& s, const memory::BufferRef& buffer, ByteRange next) {
    if (s.held.empty()) return;
    ByteRange old = buffer->widen(s.held);
    ByteRange stay = next.empty() ? ByteRange{old.end, old.end} : buffer->widen(next);
    if (stay.begin > old.begin) give_up(s, buffer, {old.begin, std::min(stay.begin, old.end)});
    if (stay.end < old.end) give_up(s, buffer, {std::max(stay.end, old.begin), old.end});
  }

  void give_up(const Stream& s, const memory::BufferRef& buffer, ByteRange range) {
    if (range.empty()) return;
    if (s.output) {
      ex_.write_and_evict(buffer, range);
    } else if (memory::SpillStore::space_for(*buffer, range) > 0) {
      ex_.write_and_evict(buffer, range);
    } else {
      buffer->evict(range);
    }
  }

  void arrive(const Stream& s, const memory::BufferRef& buffer, ByteRange next) {
    if (next.empty()) return;
    for (auto& [stream, ticket] : prefetches_)
      if (stream == &s && ticket.valid()) {
        ex_.machine().store.wait(ticket);
        ticket = {};
      }
    Bytes spilled = buffer->bytes_spilled(next);
    if (spilled > 0) {
      memory::Reservation charge = ex_.reserve(spilled, Tag::kBuffer);
      memory::Ticket ticket = ex_.machine().store.read(buffer, next, charge);
      ex_.report().loaded += spilled;
      ex_.machine().store.wait(ticket);
    }
    Bytes missing = buffer->bytes_missing(next);
    if (missing > 0) {
      memory::Reservation charge = ex_.reserve(missing, Tag::kBuffer);
      buffer->commit(buffer->widen(next), charge);
    }
  }

  void prefetch(size_t turn) {
    std::vector<Window> windows(windows_.size());
    set_windows(turn, windows);
    prefetches_.clear();
    for (Stream& s : streams_) {
      if (s.output) continue;
      ByteRange next = plan::held_range(plan_, unit_, s.body, s.operand, windows);
      memory::BufferRef& buffer = ex_.slot(s.value).buffer;
      Bytes spilled = next.empty() ? 0 : buffer->bytes_spilled(next);
      if (spilled == 0) continue;
      auto charge = ex_.machine().pool.try_reserve(spilled, Tag::kBuffer);
      if (!charge) return;
      ex_.report().loaded += spilled;
      prefetches_.emplace_back(&s, ex_.machine().store.read(buffer, next, *charge));
    }
  }

  device::Tensor tensor(size_t b, size_t k, memory::Pin& pin) {
    ValueId id = plan_.operands[step(b).first_input + k].value;
    Operand part = plan::cut(plan_, unit_, b, k, windows_);
    for (Local& l : locals_) {
      if (l.value != id) continue;
      part.layout = {0, row_major(part.shape)};
      return tensor_at(part, l.pin.data(), 0);
    }
    for (Stream& s : streams_)
      if (s.value == id)
        return tensor_at(part, s.pin ? s.pin.data() : nullptr, s.pin ? s.pin.range().begin : 0);
    memory::BufferRef& buffer = ex_.slot(id).buffer;
    if (buffer->size() == 0) return tensor_at(part, nullptr, 0);
    pin = buffer->pin();
    return tensor_at(part, pin.data(), 0);
  }

  void run_body(size_t b) {
    const plan::Step& s = step(b);
    size_t count = s.end - s.first_input;
    std::vector<memory::Pin> pins(count + 1);
    std::vector<device::Tensor> tensors;
    for (size_t k = 0; k < count; ++k) tensors.push_back(tensor(b, k, pins[k]));
    std::span<std::byte> workspace, carry;
    if (scratch_[b]) {
      pins[count] = scratch_[b]->pin();
      Bytes split = round_up(unit_.body_workspace[b], 64);
      workspace = {pins[count].data(), unit_.body_workspace[b]};
      carry = {pins[count].data() + split, s.carry};
    }
    std::vector<TileWindow> tile_windows;
    TileOrigin origin;
    if (s.program) set_origin(b, origin);
    for (size_t l = 0; l < unit_.loops.size(); ++l) {
      int axis = unit_.loops[l].axis[b];
      if (axis >= 0)
        tile_windows.push_back({axis, windows_[l].begin, windows_[l].end, unit_.loops[l].extent});
    }
    launch(ex_.machine().backend, s, tensors, workspace, carry, tile_windows,
           s.program ? &origin : nullptr);
  }

  void set_origin(size_t b, TileOrigin& origin) const {
    const plan::Step& s = step(b);
    size_t out = s.first_output - s.first_input;
    origin.whole = plan_.operands[s.first_output].shape;
    origin.begin.resize(origin.whole.size(), 0);
    for (size_t l = 0; l < unit_.loops.size(); ++l) {
      int axis = plan::cut_axis(plan_, unit_, l, b, out);
      if (axis >= 0) origin.begin[axis] = windows_[l].begin;
    }
  }

  void written() {
    for (Stream& s : streams_)
      if (s.output && !s.held.empty()) ex_.slot(s.value).buffer->mark_written(s.held);
  }

  void close() {
    for (Stream& s : streams_) {
      s.pin.release();
      leave(s, ex_.slot(s.value).buffer, {});
    }
    for (size_t b = 0; b < unit_.body.size(); ++b)
      for (const Operand& o : plan_.outputs(step(b)))
        if (!contains(unit_.local, o.value)) ex_.slot(o.value).done = true;
  }

  Executor& ex_;
  const plan::Plan& plan_;
  const plan::Unit& unit_;
  std::vector<Window> windows_;
  std::vector<Stream> streams_;
  std::vector<Local> locals_;
  std::vector<memory::BufferRef> scratch_;
  std::vector<std::pair<const Stream*, memory::Ticket>> prefetches_;
};

}  // namespace

void run_loops(Executor& executor, const plan::Unit& unit) { LoopRun(executor, unit).run(); }

}  // namespace plimsoll::runtime
