// Runs a nest of loops over tiles: ranges of streamed values come and go, the rest stays.
#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "plan/tile.h"
#include "runtime/executor.h"

namespace plimsoll::runtime {
namespace {

using memory::Tag;
using plan::Operand;
using plan::ValueId;
using plan::Window;

/// Copies elements between tensors of one shape, a run of contiguous ones at a time.
void copy_rows(const device::Tensor& from, const device::Tensor& to) {
  const size_t item = size_of(from.dtype);
  const int rank = static_cast<int>(from.shape.size());
  int inner = rank;  // axes from here on are contiguous in both
  int64_t run = 1;
  while (inner > 0 && (from.shape[inner - 1] == 1 ||
                       (from.strides[inner - 1] == run && to.strides[inner - 1] == run)))
    run *= from.shape[--inner];
  int64_t rows = run == 0 ? 0 : num_elements(from.shape) / run;
  SmallVector<int64_t, 6> at(static_cast<size_t>(inner), 0);
  for (int64_t r = 0; r < rows; ++r) {
    int64_t a = 0, b = 0;
    for (int d = 0; d < inner; ++d) a += at[d] * from.strides[d], b += at[d] * to.strides[d];
    std::memcpy(to.as<std::byte>() + b * static_cast<int64_t>(item),
                from.as<std::byte>() + a * static_cast<int64_t>(item),
                static_cast<size_t>(run) * item);
    for (int d = inner - 1; d >= 0; --d) {
      if (++at[d] < from.shape[d]) break;
      at[d] = 0;
    }
  }
}

class NestRun {
 public:
  NestRun(Executor& executor, const plan::Nest& nest)
      : ex_(executor), plan_(executor.plan()), nest_(nest), windows_(nest.loops.size()) {}

  void run() {
    open();
    const size_t turns = plan::num_turns(nest_);
    for (size_t turn = 0; turn < turns; ++turn) {
      ex_.check_interrupt();
      plan::set_windows(nest_, turn, windows_);
      for (Stream& s : streams_) s.next = plan::held_range(plan_, nest_, s.access, windows_);
      move();
      if (nest_.overlap && turn + 1 < turns) prefetch(turn + 1);
      for (size_t b = 0; b < nest_.body.size(); ++b) run_body(b);
      for (Stream& s : streams_)
        if (s.access.made && !s.held.empty()) buffer_of(s)->mark_written(s.held);
      ++ex_.report().tiles;
    }
    close();
  }

 private:
  struct Stream {
    plan::Access access;  // of one value there may be several
    ByteRange held, next;
    memory::Pin pin;
    memory::Ticket ahead;  // the next turn's range, on its way
  };
  struct Local {
    ValueId value;
    int64_t item;  // bytes of an index of the loop
    memory::BufferRef buffer;
    memory::Pin pin;
  };

  const plan::Step& step(size_t body) const { return plan_.steps[nest_.body[body]]; }
  const memory::BufferRef& buffer_of(const Stream& s) { return ex_.slot(s.access.value).buffer; }

  // Setting up ---------------------------------------------------------------------------------

  void open() {
    for (plan::Access& access : plan::accesses(plan_, nest_)) {
      Executor::Slot& slot = ex_.slot(access.value);
      if (plan::contains(nest_.local, access.value)) {
        open_local(access.value);
      } else if (plan::contains(nest_.streamed, access.value)) {
        if (access.made) slot.buffer = ex_.make(access.value, false);
        if (!access.made) ex_.settle(access.value);
        ex_.set_extents(access.value, nest_.fine);
        streams_.push_back({.access = access});
      } else if (access.made) {
        slot.buffer = ex_.make(access.value, true);
        pin_whole(slot.buffer);
      } else {
        ex_.make_resident(access.value);
        pin_whole(slot.buffer);
      }
    }
    open_scratch();
  }

  void pin_whole(const memory::BufferRef& buffer) {
    if (buffer->size() > 0) pins_.push_back(buffer->pin());
  }

  void open_local(ValueId id) {
    const plan::Loop& loop = nest_.loops[0];
    Bytes item = plan_.values[id].nbytes / static_cast<Bytes>(loop.extent);
    Bytes bytes = item * static_cast<Bytes>(std::min(loop.tile, loop.extent));
    locals_.push_back({id, static_cast<int64_t>(item), ex_.allocate(bytes, Tag::kBuffer), {}});
    locals_.back().pin = locals_.back().buffer->pin();
  }

  // One workspace for all steps, and a carry for each.
  void open_scratch() {
    Bytes workspace = 0, carries = 0;
    for (size_t b = 0; b < nest_.body.size(); ++b) {
      workspace = std::max(workspace, nest_.workspace[b]);
      carries += round_up(nest_.carry[b], 64);
    }
    workspace = round_up(workspace, 64);
    if (workspace + carries + nest_.packing == 0) return;
    // The tiles that come after it have no more room than was counted.
    scratch_ = ex_.scratch(workspace + carries + nest_.packing + 64, /*exact=*/true);
    pins_.push_back(scratch_->pin());
    std::byte* at = pins_.back().data();
    workspace_ = at;
    at += workspace;
    packing_ = at;
    at += nest_.packing;
    for (size_t b = 0; b < nest_.body.size(); ++b) {
      carries_.push_back({at, nest_.carry[b]});
      at += round_up(nest_.carry[b], 64);
    }
  }

  // Ranges ---------------------------------------------------------------------------------------

  // All leave before any arrives: what is resident in between is a part of this turn's or the last
  // one's, and so inside of what was counted.
  void move() {
    auto moves = [](const Stream& s) { return s.next != s.held; };
    for (Stream& s : streams_) {
      if (moves(s)) s.pin.release();
      if (s.ahead.valid()) ex_.wait(s.ahead);
    }
    for (const Stream& s : streams_)
      if (moves(s)) leave(s);
    for (Stream& s : streams_) {
      if (!moves(s)) continue;
      arrive(s, s.next);
      if (!s.next.empty()) s.pin = buffer_of(s)->pin(s.next);
      s.held = s.next;
    }
  }

  // Extents that no range of the next turn touches go. Those of values that nobody reads afterwards
  // keep their bytes in the store, too: where a later turn fails, the nest runs again from its
  // start.
  void leave(const Stream& s) {
    if (s.held.empty()) return;
    const memory::BufferRef& buffer = buffer_of(s);
    const ByteRange old = buffer->widen(s.held);
    std::vector<ByteRange> stay;
    for (const Stream& t : streams_)
      if (t.access.value == s.access.value && !t.next.empty())
        stay.push_back(buffer->widen(t.next));
    std::sort(stay.begin(), stay.end(), [](auto& a, auto& b) { return a.begin < b.begin; });
    stay.push_back({old.end, old.end});
    Bytes at = old.begin;
    for (ByteRange range : stay) {
      const Bytes end = std::min(range.begin, old.end);
      if (end > at) ex_.write_and_evict(buffer, {at, end});
      at = std::max(at, range.end);
    }
  }

  void arrive(Stream& s, ByteRange next) {
    if (next.empty()) return;
    const memory::BufferRef& buffer = buffer_of(s);
    // A write that ended while room is made would evict more of it than was counted.
    ex_.settle(s.access.value, buffer->widen(next));
    // All of it before anything is read: making room for the rest must not evict what came.
    memory::Reservation charge;
    for (Bytes missing; (missing = buffer->bytes_missing(next)) > charge.bytes();)
      charge.merge(ex_.reserve(missing - charge.bytes(), Tag::kBuffer));
    if (Bytes spilled = buffer->bytes_spilled(next)) {
      ex_.report().loaded += spilled;
      memory::Ticket ticket = ex_.machine().store.read(buffer, next, charge);
      ex_.wait(ticket);
    }
    if (buffer->bytes_missing(next) > 0) buffer->commit(buffer->widen(next), charge);
  }

  void prefetch(size_t turn) {
    std::vector<Window> windows(windows_.size());
    plan::set_windows(nest_, turn, windows);
    ex_.end_finished_writes();  // first, as it evicts
    for (Stream& s : streams_) {
      if (s.access.made || s.ahead.valid()) continue;
      ByteRange next = plan::held_range(plan_, nest_, s.access, windows);
      const memory::BufferRef& buffer = buffer_of(s);
      Bytes spilled = next.empty() ? 0 : buffer->bytes_spilled(next);
      if (spilled == 0) continue;
      auto charge = ex_.machine().pool.try_reserve(spilled, Tag::kBuffer);
      if (!charge) return;
      ex_.report().loaded += spilled;
      s.ahead = ex_.machine().store.read(buffer, next, *charge);
    }
  }

  // Running --------------------------------------------------------------------------------------

  device::Tensor tensor(size_t b, size_t k) {
    ValueId id = plan_.operands[step(b).first_input + k].value;
    const plan::Form part = plan::cut(plan_, nest_, b, k, windows_);
    for (Local& l : locals_)
      if (l.value == id)
        return tensor_at(part, l.pin.data(), static_cast<Bytes>(l.item * windows_[0].begin));
    const uint32_t at = static_cast<uint32_t>(b << 16 | k);
    for (Stream& s : streams_)
      if (std::find(s.access.operands.begin(), s.access.operands.end(), at) !=
          s.access.operands.end())
        return tensor_at(part, s.pin ? s.pin.data() : nullptr, s.pin ? s.pin.range().begin : 0);
    const memory::BufferRef& buffer = ex_.slot(id).buffer;
    return tensor_at(part, buffer->size() == 0 ? nullptr : buffer->pin().data(), 0);
  }

  void run_body(size_t b) {
    const plan::Step& s = step(b);
    std::vector<device::Tensor> tensors;
    for (size_t k = 0; k < s.end - s.first_input; ++k) tensors.push_back(tensor(b, k));
    std::vector<TileWindow> tile_windows;
    for (size_t l = 0; l < nest_.loops.size(); ++l) {
      int axis = nest_.loops[l].axis[b];
      int64_t scale = nest_.loops[l].scale[b];
      if (axis >= 0)
        tile_windows.push_back({axis, windows_[l].begin * scale, windows_[l].end * scale,
                                nest_.loops[l].extent * scale});
    }
    TileOrigin origin;
    if (s.program) set_origin(b, origin);
    std::vector<device::Tensor> strided = pack(b, tensors);
    launch(ex_.machine().backend, s, tensors, {workspace_, nest_.workspace[b]},
           carries_.empty() ? std::span<std::byte>() : carries_[b], tile_windows,
           s.program ? &origin : nullptr);
    for (size_t k = s.first_output - s.first_input; k < tensors.size(); ++k)
      if (strided[k].data) copy_rows(tensors[k], strided[k]);
  }

  /// Puts contiguous copies in the place of packed operands; returns these as they were.
  std::vector<device::Tensor> pack(size_t b, std::vector<device::Tensor>& tensors) {
    std::vector<device::Tensor> strided(tensors.size());
    std::byte* at = packing_;
    for (uint32_t packed : nest_.packed) {
      if (packed >> 16 != b) continue;
      uint32_t k = packed & 0xffff;
      strided[k] = std::move(tensors[k]);
      tensors[k] = {at, strided[k].dtype, strided[k].shape, row_major(strided[k].shape)};
      copy_rows(strided[k], tensors[k]);  // of outputs, too: ordered turns add to them
      at += round_up(static_cast<Bytes>(num_elements(strided[k].shape)) * size_of(strided[k].dtype),
                     64);
    }
    return strided;
  }

  void set_origin(size_t b, TileOrigin& origin) const {
    const plan::Step& s = step(b);
    size_t out = s.first_output - s.first_input;
    origin.whole = plan_.operands[s.first_output].form->shape;
    origin.begin.resize(origin.whole.size(), 0);
    for (size_t l = 0; l < nest_.loops.size(); ++l) {
      int axis = plan::cut_axis(plan_, nest_, l, b, out);
      if (axis >= 0) origin.begin[axis] = windows_[l].begin * nest_.loops[l].scale[b];
    }
  }

  void close() {
    for (Stream& s : streams_) s.next = {};
    move();
    // What was resident before and no turn touched is not counted afterwards either.
    for (const Stream& s : streams_) {
      const plan::Value& v = plan_.values[s.access.value];
      const bool read_later = v.last_use != plan::kNone && v.last_use > nest_.body.back();
      if (v.kept || read_later) ex_.write_and_evict(buffer_of(s), buffer_of(s)->all());
    }
    for (size_t b = 0; b < nest_.body.size(); ++b)
      for (const Operand& o : plan_.outputs(step(b)))
        if (!plan::contains(nest_.local, o.value)) ex_.slot(o.value).done = true;
  }

  Executor& ex_;
  const plan::Plan& plan_;
  const plan::Nest& nest_;
  std::vector<Window> windows_;
  std::vector<Stream> streams_;
  std::vector<Local> locals_;
  memory::BufferRef scratch_;
  std::vector<memory::Pin> pins_;
  std::byte* workspace_ = nullptr;
  std::byte* packing_ = nullptr;
  std::vector<std::span<std::byte>> carries_;
};

}  // namespace

void run_nest(Executor& executor, const plan::Nest& nest) { NestRun(executor, nest).run(); }

}  // namespace plimsoll::runtime
