#include "runtime/executor.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "plan/schedule.h"

namespace plimsoll::runtime {

using memory::Tag;
using plan::ActionKind;
using plan::kNone;
using plan::ValueId;

namespace {

constexpr size_t kMaxSamples = 8192;

ByteRange all_of(const memory::BufferRef& b) { return b->all(); }

}  // namespace

device::Tensor tensor_at(const plan::Form& part, std::byte* address, Bytes origin) {
  int64_t item = static_cast<int64_t>(size_of(part.dtype));
  std::byte* data =
      address ? address + (part.layout.offset * item - static_cast<int64_t>(origin)) : nullptr;
  return {data, part.dtype, part.shape, part.layout.strides};
}

void launch(device::Backend& backend, const plan::Step& step,
            std::span<const device::Tensor> operands, std::span<std::byte> workspace,
            std::span<std::byte> carry, std::span<const TileWindow> windows,
            const TileOrigin* origin) {
  size_t inputs = step.first_output - step.first_input;
  auto in = operands.first(inputs), out = operands.subspan(inputs);
  if (step.program) {
    if (num_elements(out[0].shape) > 0)
      backend.run_program(*step.program, in, out, workspace, origin);
    return;
  }
  step.row->run({in, out, workspace, carry, step.attrs, windows});
}

Executor::Executor(Machine& machine, plan::Plan& plan, EvaluationReport& report)
    : machine_(machine), plan_(plan), report_(report), slots_(plan.values.size()) {}

Executor::~Executor() {
  while (!writes_.empty()) {
    try {
      finish_write();
    } catch (...) {  // its bytes stay where they are
    }
  }
}

void Executor::run() {
  start_ = std::chrono::steady_clock::now();
  open_slots();
  try {
    for (const plan::Action& action : plan_.actions) {
      act(action);
      sample();
    }
    scratch_ = {};
    fill_sinks();
    while (finish_write()) {
    }
  } catch (...) {
    machine_.store.wait_all();
    writes_.clear();
    bind(true);
    throw;
  }
  bind(false);
}

void Executor::open_slots() {
  for (ValueId id = 0; id < plan_.values.size(); ++id) {
    const plan::Value& v = plan_.values[id];
    if (!v.buffer) continue;
    slots_[id].done = slots_[id].given = true;
    if (!v.node) continue;  // an array outside the graph
    const graph::Node& node = *v.node;
    const graph::Storage* storage = node.storage.get();
    if (storage) {
      slots_[id].buffer = storage->buffer;
      continue;
    }
    for (const graph::Storage& s : *node.outputs)
      if (s.buffer.get() == v.buffer) slots_[id].buffer = s.buffer;
  }
  ValueId other = static_cast<ValueId>(plan_.values.size() - plan_.others.size());
  for (const memory::BufferRef& buffer : plan_.others) slots_[other++].buffer = buffer;
}

void Executor::act(const plan::Action& action) {
  switch (action.kind) {
    case ActionKind::kRun:
    case ActionKind::kRecompute: {
      check_interrupt();
      const plan::Unit& unit = plan_.units[action.id];
      running_ = &unit;
      if (action.kind == ActionKind::kRecompute)
        for (plan::StepId s : unit.body())
          for (const plan::Operand& o : plan_.outputs(plan_.steps[s]))
            report_.recomputed += plan_.values[o.value].bytes;
      if (unit.nest)
        run_nest(*this, *unit.nest);
      else
        run_whole(unit);
      running_ = nullptr;
      break;
    }
    case ActionKind::kLoad:
      prefetch(action.id);
      break;
    case ActionKind::kWrite:
      write(action.id);
      break;
    case ActionKind::kDrop:
      drop(action.id);
      break;
    case ActionKind::kForget:
      forget(action.id);
      break;
    case ActionKind::kFree:
      free(action.id);
      break;
  }
  if (!deferred_.empty()) retry_prefetches();
  ++report_.actions;
}

void Executor::run_whole(const plan::Unit& unit) {
  const plan::Step& step = plan_.steps[unit.step];
  size_t inputs = step.first_output - step.first_input;
  size_t count = step.end - step.first_input;
  // Each buffer is pinned as soon as it is there: making room for the next one must not evict it.
  std::vector<memory::BufferRef> buffers(count);
  std::vector<memory::Pin> pins;
  pins.reserve(count + 1);
  std::vector<device::Tensor> tensors;
  tensors.reserve(count);
  for (size_t k = 0; k < count; ++k) {
    const plan::Operand& o = plan_.operands[step.first_input + k];
    if (k < inputs) {
      make_resident(o.value);
      buffers[k] = slots_[o.value].buffer;
    } else if (k == inputs && step.donor != kNone && !slots_[o.value].done) {
      buffers[k] = slots_[step.donor].buffer;
      // A copy of what it held so far is of no use, and must not pass for one of the result.
      finish_writes_of(buffers[k].get(), false);
    } else {
      // A value that is live already is computed again beside it (recomputing a sibling).
      buffers[k] = make(o.value, true);
    }
    std::byte* address = nullptr;
    if (buffers[k]->size() > 0) {
      pins.push_back(buffers[k]->pin());
      address = pins.back().data();
    }
    tensors.push_back(tensor_at(*o.form, address, 0));
  }
  std::span<std::byte> workspace, carry;
  memory::BufferRef scratch;
  if (step.workspace + step.carry > 0) {
    scratch = this->scratch(round_up(step.workspace, 64) + step.carry + 64);
    pins.push_back(scratch->pin());
    size_t split = round_up(step.workspace, 64);
    workspace = {pins.back().data(), step.workspace};
    carry = {pins.back().data() + split, step.carry};
  }
  launch(machine_.backend, step, tensors, workspace, carry, {}, nullptr);
  pins.clear();
  scratch_ = std::move(scratch);
  for (size_t k = inputs; k < count; ++k) {
    Slot& slot = slots_[plan_.operands[step.first_input + k].value];
    if (slot.done) continue;
    if (k == inputs && step.donor != kNone) {
      buffers[k]->mark_written(all_of(buffers[k]));
      slot.given = slots_[step.donor].given;
      slots_[step.donor] = {};
    }
    slot.buffer = std::move(buffers[k]);
    slot.done = true;
  }
}

void Executor::make_resident(ValueId id) {
  Slot& slot = slots_[id];
  PLIMSOLL_ASSERT(slot.done);
  if (!deferred_.empty()) std::erase(deferred_, id);
  if (slot.buffer->small() || slot.buffer->size() == 0) return;
  // A write under way may go on: it only reads. It must not evict what is needed again.
  for (PendingWrite& w : writes_)
    if (w.buffer == slot.buffer) w.evict = false;
  if (slot.loading.valid()) wait(slot.loading);
  // What came ahead may have gone again to make room for something else.
  coarsen(id);
  Bytes bytes = missing(id);
  if (bytes == 0) return;
  while (!start_load(id))
    if (!make_room(bytes)) refuse(bytes);
  wait(slot.loading);
}

void Executor::wait(memory::Ticket& ticket) {
  auto begin = std::chrono::steady_clock::now();
  memory::Ticket taken = std::move(ticket);
  ticket = {};
  machine_.store.wait(taken);
  report_.waited_seconds +=
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

void Executor::settle(ValueId id) {
  Slot& slot = slots_[id];
  finish_writes_of(slot.buffer.get(), true);
  if (slot.loading.valid()) wait(slot.loading);
}

void Executor::settle(ValueId id, ByteRange range) {
  const memory::Buffer* buffer = slots_[id].buffer.get();
  for (size_t i = 0; i < writes_.size();) {
    const PendingWrite& w = writes_[i];
    if (w.buffer.get() == buffer && w.range.begin < range.end && range.begin < w.range.end) {
      std::rotate(writes_.begin(), writes_.begin() + static_cast<ptrdiff_t>(i),
                  writes_.begin() + static_cast<ptrdiff_t>(i) + 1);
      finish_write();
      i = 0;
    } else {
      ++i;
    }
  }
}

Bytes Executor::missing(ValueId id) const {
  const Slot& slot = slots_[id];
  if (!slot.done || slot.loading.valid() || slot.buffer->small()) return 0;
  return slot.buffer->bytes_spilled(slot.buffer->all());
}

void Executor::coarsen(ValueId id) {
  const plan::Value& v = plan_.values[id];
  if (machine_.pool.shape_of(v.nbytes).bytes <= v.bytes) slots_[id].buffer->set_fine(false);
}

void Executor::set_extents(ValueId id, bool fine) {
  if (!fine) return coarsen(id);
  const memory::BufferRef& buffer = slots_[id].buffer;
  if (buffer->set_fine(true)) return;
  write_and_evict(buffer, buffer->all());
  settle(id);
  buffer->set_fine(true);
}

// False where there is no room now.
bool Executor::start_load(ValueId id) {
  Slot& slot = slots_[id];
  coarsen(id);
  Bytes bytes = missing(id);
  memory::Reservation charge;
  if (slot.buffer->has_block()) {
    auto reserved = machine_.pool.try_reserve(bytes, Tag::kBuffer);
    if (!reserved) return false;
    charge = std::move(*reserved);
  } else if (!slot.buffer->take_block()) {
    return false;
  }
  report_.loaded += bytes;
  slot.loading = machine_.store.read(slot.buffer, slot.buffer->all(), charge);
  return true;
}

void Executor::prefetch(ValueId id) {
  if (missing(id) == 0) return;
  finish_writes_of(slots_[id].buffer.get(), true);
  if (missing(id) > 0 && !start_load(id)) deferred_.push_back(id);
}

void Executor::retry_prefetches() {
  while (!deferred_.empty()) {
    if (missing(deferred_.front()) > 0) {
      end_finished_writes();
      if (!start_load(deferred_.front())) return;
    }
    deferred_.pop_front();
  }
}

void Executor::write(ValueId id) {
  Slot& slot = slots_[id];
  if (!slot.done || slot.buffer->small()) return;
  Bytes dirty = slot.buffer->dirty_bytes(slot.buffer->all());
  if (dirty == 0) return;
  report_.written += dirty;
  writes_.push_back({slot.buffer, slot.buffer->all(),
                     machine_.store.write(slot.buffer, slot.buffer->all(), &machine_.space),
                     false});
}

void Executor::drop(ValueId id) {
  Slot& slot = slots_[id];
  if (!slot.done || slot.buffer->small()) return;
  if (!deferred_.empty()) std::erase(deferred_, id);
  for (PendingWrite& w : writes_)
    if (w.buffer == slot.buffer) w.evict = true;
  write_and_evict(slot.buffer, slot.buffer->all());  // what none of them writes
}

void Executor::forget(ValueId id) {
  Slot& slot = slots_[id];
  if (!slot.buffer) return;
  finish_writes_of(slot.buffer.get(), false);
  let_go(slot);
}

void Executor::free(ValueId id) {
  Slot& slot = slots_[id];
  if (!slot.buffer) return;
  finish_writes_of(slot.buffer.get(), false);
  if (slot.loading.valid()) wait(slot.loading);
  let_go(slot);
}

// A given buffer, and so that of a result in its place, is referred to by a node that is not let go
// of before the end of the evaluation.
void Executor::let_go(Slot& slot) {
  if (slot.given && !slot.buffer->small() && !slot.buffer->discard_to_cache())
    slot.buffer->discard(slot.buffer->all());
  slot = {};
}

void Executor::evict(const memory::BufferRef& buffer, ByteRange range) {
  if (range != buffer->all() || !buffer->evict_to_cache()) buffer->evict(range);
}

void Executor::write_and_evict(const memory::BufferRef& buffer, ByteRange range) {
  Bytes dirty = buffer->dirty_bytes(range);
  if (dirty == 0) {
    evict(buffer, range);
    return;
  }
  report_.written += dirty;
  writes_.push_back({buffer, range, machine_.store.write(buffer, range, &machine_.space), true});
}

void Executor::end_finished_writes() {
  for (size_t i = 0; i < writes_.size();) {
    if (writes_[i].evict && writes_[i].ticket.done()) {
      PendingWrite w = std::move(writes_[i]);
      writes_.erase(writes_.begin() + static_cast<ptrdiff_t>(i));
      machine_.store.wait(w.ticket);
      evict(w.buffer, w.range);
    } else {
      ++i;
    }
  }
}

bool Executor::finish_write() {
  if (writes_.empty()) return false;
  PendingWrite w = std::move(writes_.front());
  writes_.pop_front();
  auto begin = std::chrono::steady_clock::now();
  machine_.store.wait(w.ticket);
  report_.waited_seconds +=
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  if (w.evict) evict(w.buffer, w.range);
  return true;
}

// Of those that give memory back when they end, the oldest.
bool Executor::finish_evicting_write() {
  auto it = std::find_if(writes_.begin(), writes_.end(), [](auto& w) { return w.evict; });
  if (it == writes_.end()) return false;
  std::rotate(writes_.begin(), it, it + 1);
  return finish_write();
}

void Executor::finish_writes_of(const memory::Buffer* buffer, bool evict) {
  for (size_t i = 0; i < writes_.size();) {
    if (writes_[i].buffer.get() != buffer) {
      ++i;
      continue;
    }
    PendingWrite w = std::move(writes_[i]);
    writes_.erase(writes_.begin() + static_cast<ptrdiff_t>(i));
    machine_.store.wait(w.ticket);
    if (evict) Executor::evict(w.buffer, w.range);
  }
}

memory::BufferRef Executor::allocate(Bytes bytes, Tag tag) {
  while (true) {
    if (auto buffer = machine_.pool.try_make_resident(bytes, tag)) return *buffer;
    if (!make_room(machine_.pool.shape_of(bytes).bytes)) refuse(bytes);
  }
}

memory::Reservation Executor::reserve(Bytes bytes, Tag tag) {
  while (true) {
    if (auto r = machine_.pool.try_reserve(bytes, tag)) return std::move(*r);
    if (!make_room(bytes)) refuse(bytes);
  }
}

memory::BufferRef Executor::make(ValueId id, bool resident) {
  const plan::Value& v = plan_.values[id];
  if (resident && !v.sunk) return allocate(v.nbytes, Tag::kBuffer);
  std::optional<memory::BufferRef> made;
  while (!(made = machine_.pool.try_make(v.nbytes)))  // its header and extent table need room, too
    if (!make_room(machine_.pool.metadata_of(v.nbytes))) refuse(v.nbytes);
  memory::BufferRef buffer = std::move(*made);
  if (v.sunk && !slots_[id].done)
    for (auto& [value, sink] : plan_.sinks)
      if (value == id) buffer->set_sink(sink);
  if (resident) {
    memory::Reservation charge = reserve(buffer->bytes_missing(buffer->all()), Tag::kBuffer);
    buffer->commit(buffer->all(), charge);
  }
  return buffer;
}

// What is not yet in its file goes there now.
void Executor::fill_sinks() {
  for (auto& [value, sink] : plan_.sinks) {
    const memory::BufferRef& buffer = slots_[value].buffer;
    finish_writes_of(buffer.get(), true);
    memory::Ticket ticket = machine_.store.write(buffer, buffer->all());
    wait(ticket);
  }
}

memory::BufferRef Executor::scratch(Bytes bytes, bool exact) {
  memory::Pool& pool = machine_.pool;
  bytes = pool.scratch_size(bytes);
  bool enough = scratch_ && scratch_->size() >= bytes;
  if (enough && exact) enough = pool.shape_of(scratch_->size()).bytes == pool.shape_of(bytes).bytes;
  if (enough) return std::move(scratch_);
  scratch_ = {};
  return allocate(bytes, Tag::kWorkspace);
}

bool Executor::make_room(Bytes bytes) {
  if (scratch_) {
    scratch_ = {};
    return true;
  }
  return finish_evicting_write() || reclaim(bytes) || finish_load();
}

// What came ahead can go again once it is there.
bool Executor::finish_load() {
  auto it =
      std::find_if(slots_.begin(), slots_.end(), [](const Slot& s) { return s.loading.valid(); });
  if (it == slots_.end()) return false;
  wait(it->loading);
  return true;
}

// Reality differs from the plan (another evaluation, a shrinking limit): evict what the running
// unit does not need, this evaluation's values first used last, then other arrays. Of what it
// streams, pins hold the ranges that it needs.
bool Executor::reclaim(Bytes bytes) {
  std::vector<const memory::Buffer*> needed;
  if (running_) {
    for (plan::StepId s : running_->body()) {
      for (uint32_t k = plan_.steps[s].first_input; k < plan_.steps[s].end; ++k) {
        const ValueId id = plan_.operands[k].value;
        if (!running_->nest || !plan::contains(running_->nest->streamed, id))
          needed.push_back(slots_[id].buffer.get());
      }
    }
  }
  Bytes got = 0;
  for (const memory::BufferRef& buffer : machine_.pool.live_buffers()) {
    if (std::find(needed.begin(), needed.end(), buffer.get()) != needed.end()) continue;
    Bytes gain = buffer->evictable_after_write(buffer->all());
    if (gain == 0) continue;
    // What is being written goes when that is over, which make_room waits for.
    bool writing = false;
    for (PendingWrite& w : writes_)
      if (w.buffer == buffer) writing = w.evict = true;
    if (buffer->dirty_bytes(buffer->all()) > 0) {
      write_and_evict(buffer, buffer->all());
      writing = true;
    }
    const Bytes gone = buffer->evict(buffer->all());
    got += writing ? gain : gone;
    if (got >= bytes) break;
  }
  return got > 0;
}

void Executor::refuse(Bytes bytes) {
  std::string what = running_ ? plan::describe(plan_, plan_.steps[running_->step]) : "eval";
  throw OutOfMemory(fmt::format(
      "[{}] expected room for {}, got none: {} of the limit of {} is in use and nothing more can "
      "be evicted; raise the limit or release arrays",
      what, format_bytes(bytes), format_bytes(machine_.pool.ledger().used()),
      format_bytes(machine_.pool.ledger().limit())));
}

void Executor::bind(bool all_live) {
  for (plan::Binding& b : plan_.bindings) {
    if (!b.kept && !all_live) continue;
    if (!slots_[b.value].done) continue;
    if (b.node->is(graph::Node::kTuple)) {
      size_t n = b.node->specs->size();
      bool complete = true;
      for (size_t k = 0; k < n; ++k) complete &= slots_[b.value - b.tuple_index + k].done;
      if (!complete) continue;
      if (!b.node->outputs) b.node->outputs = std::make_unique<std::vector<graph::Storage>>(n);
      (*b.node->outputs)[b.tuple_index] = {slots_[b.value].buffer, b.form->layout};
      if (b.tuple_index + 1u == n && !b.node->is(graph::Node::kTracer)) b.node->detach();
      continue;
    }
    b.node->storage =
        std::make_unique<graph::Storage>(graph::Storage{slots_[b.value].buffer, b.form->layout});
    if (!b.node->is(graph::Node::kTracer)) b.node->detach();
  }
}

void Executor::check_interrupt() {
  if (machine_.interrupted && machine_.interrupted())
    throw Interrupted("[eval] interrupted; finished values are kept and the rest stay lazy");
}

void Executor::sample() {
  if (report_.timeline.size() >= kMaxSamples) return;
  double t = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  const memory::Ledger& ledger = machine_.pool.ledger();
  Bytes used = ledger.used(), cached = ledger.used(Tag::kCache);
  report_.timeline.emplace_back(t, used - std::min(used, cached));
}

}  // namespace plimsoll::runtime
