#include "runtime/executor.h"

#include <fmt/format.h>

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

device::Tensor tensor_at(const plan::Operand& part, std::byte* address, Bytes origin) {
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
  step.row->run({in, out, workspace, carry, step.attrs.get(), windows});
}

Executor::Executor(Machine& machine, plan::Plan& plan, EvaluationReport& report)
    : machine_(machine), plan_(plan), report_(report), slots_(plan.values.size()) {}

void Executor::run() {
  start_ = std::chrono::steady_clock::now();
  open_slots();
  try {
    for (const plan::Action& action : plan_.actions) {
      act(action);
      sample();
    }
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
    const graph::Node& node = *v.node;
    const graph::Storage* storage = node.storage.get();
    if (!storage)
      for (const graph::Storage& s : *node.outputs)
        if (s.buffer.get() == v.buffer) storage = &s;
    slots_[id].buffer = storage->buffer;
    slots_[id].done = true;
  }
}

void Executor::act(const plan::Action& action) {
  switch (action.kind) {
    case ActionKind::kRun:
    case ActionKind::kRecompute: {
      check_interrupt();
      const plan::Unit& unit = plan_.units[action.id];
      running_ = &unit;
      if (action.kind == ActionKind::kRecompute)
        for (plan::StepId s : unit.body)
          for (const plan::Operand& o : plan_.outputs(plan_.steps[s]))
            report_.recomputed += plan_.values[o.value].bytes;
      if (unit.loops.empty())
        run_whole(unit);
      else
        run_loops(*this, unit);
      running_ = nullptr;
      break;
    }
    case ActionKind::kLoad:
      start_load(action.id);
      break;
    case ActionKind::kWrite:
      write(action.id);
      break;
    case ActionKind::kDrop:
      drop(action.id);
      break;
    case ActionKind::kFree:
      free(action.id);
      break;
  }
  ++report_.actions;
}

void Executor::run_whole(const plan::Unit& unit) {
  const plan::Step& step = plan_.steps[unit.body[0]];
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
    } else {
      // A value that is live already is computed again beside it (recomputing a sibling).
      buffers[k] = allocate(plan_.values[o.value].nbytes, Tag::kBuffer);
    }
    std::byte* address = nullptr;
    if (buffers[k]->size() > 0) {
      pins.push_back(buffers[k]->pin());
      address = pins.back().data();
    }
    tensors.push_back(tensor_at(o, address, 0));
  }
  std::span<std::byte> workspace, carry;
  memory::BufferRef scratch;
  if (step.workspace + step.carry > 0) {
    scratch = allocate(step.workspace + step.carry + 64, Tag::kWorkspace);
    pins.push_back(scratch->pin());
    size_t split = round_up(step.workspace, 64);
    workspace = {pins.back().data(), step.workspace};
    carry = {pins.back().data() + split, step.carry};
  }
  launch(machine_.backend, step, tensors, workspace, carry, {}, nullptr);
  pins.clear();
  for (size_t k = inputs; k < count; ++k) {
    Slot& slot = slots_[plan_.operands[step.first_input + k].value];
    if (slot.done) continue;
    if (k == inputs && step.donor != kNone) {
      buffers[k]->mark_written(all_of(buffers[k]));
      slots_[step.donor] = {};
    }
    slot.buffer = std::move(buffers[k]);
    slot.done = true;
  }
}

void Executor::make_resident(ValueId id) {
  Slot& slot = slots_[id];
  PLIMSOLL_ASSERT(slot.done);
  if (slot.buffer->small() || slot.buffer->size() == 0) return;
  finish_writes_of(slot.buffer.get(), false);
  if (!slot.loading.valid()) {
    if (slot.buffer->resident(slot.buffer->all())) return;
    start_load(id);
  }
  auto begin = std::chrono::steady_clock::now();
  memory::Ticket ticket = std::move(slot.loading);
  slot.loading = {};
  machine_.store.wait(ticket);
  report_.waited_seconds +=
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

void Executor::start_load(ValueId id) {
  Slot& slot = slots_[id];
  if (!slot.done || slot.loading.valid() || slot.buffer->small()) return;
  finish_writes_of(slot.buffer.get(), false);
  Bytes missing = slot.buffer->bytes_spilled(slot.buffer->all());
  if (missing == 0) return;
  memory::Reservation charge = reserve(missing, Tag::kBuffer);
  slot.loading = machine_.store.read(slot.buffer, slot.buffer->all(), charge);
  report_.loaded += missing;
}

void Executor::write(ValueId id) {
  Slot& slot = slots_[id];
  if (!slot.done || slot.buffer->small()) return;
  Bytes dirty = memory::SpillStore::space_for(*slot.buffer, slot.buffer->all());
  if (dirty == 0) return;
  report_.written += dirty;
  writes_.push_back({slot.buffer, slot.buffer->all(),
                     machine_.store.write(slot.buffer, slot.buffer->all()), false});
}

void Executor::drop(ValueId id) {
  Slot& slot = slots_[id];
  if (!slot.done || slot.buffer->small()) return;
  for (PendingWrite& w : writes_) {
    if (w.buffer == slot.buffer) {
      w.evict = true;
      return;
    }
  }
  if (memory::SpillStore::space_for(*slot.buffer, slot.buffer->all()) == 0) {
    slot.buffer->evict(slot.buffer->all());
    return;
  }
  // Its bytes are nowhere else: the plan recomputes it.
  slot = {};
}

void Executor::free(ValueId id) {
  Slot& slot = slots_[id];
  if (!slot.buffer) return;
  finish_writes_of(slot.buffer.get(), false);
  if (slot.loading.valid()) make_resident(id);
  if (plan_.values[id].buffer && !slot.buffer->small()) slot.buffer->discard(slot.buffer->all());
  slot = {};
}

void Executor::write_and_evict(const memory::BufferRef& buffer, ByteRange range) {
  Bytes dirty = memory::SpillStore::space_for(*buffer, range);
  if (dirty == 0) {
    buffer->evict(range);
    return;
  }
  report_.written += dirty;
  writes_.push_back({buffer, range, machine_.store.write(buffer, range), true});
}

bool Executor::finish_write() {
  if (writes_.empty()) return false;
  PendingWrite w = std::move(writes_.front());
  writes_.pop_front();
  auto begin = std::chrono::steady_clock::now();
  machine_.store.wait(w.ticket);
  report_.waited_seconds +=
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  if (w.evict) w.buffer->evict(w.range);
  return true;
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
    if (evict) w.buffer->evict(w.range);
  }
}

memory::BufferRef Executor::allocate(Bytes bytes, Tag tag) {
  while (true) {
    if (auto buffer = machine_.pool.try_make_resident(bytes, tag)) return *buffer;
    if (!finish_write() && !reclaim(machine_.pool.shape_of(bytes).bytes)) refuse(bytes);
  }
}

memory::Reservation Executor::reserve(Bytes bytes, Tag tag) {
  while (true) {
    if (auto r = machine_.pool.try_reserve(bytes, tag)) return std::move(*r);
    if (!finish_write() && !reclaim(bytes)) refuse(bytes);
  }
}

// Reality differs from the plan (another evaluation, a shrinking limit): evict what the running
// unit does not need, this evaluation's values first used last, then other arrays.
bool Executor::reclaim(Bytes bytes) {
  std::vector<const memory::Buffer*> needed;
  if (running_)
    for (plan::StepId s : running_->body)
      for (uint32_t k = plan_.steps[s].first_input; k < plan_.steps[s].end; ++k)
        needed.push_back(slots_[plan_.operands[k].value].buffer.get());
  Bytes got = 0;
  for (const memory::BufferRef& buffer : machine_.pool.live_buffers()) {
    if (std::find(needed.begin(), needed.end(), buffer.get()) != needed.end()) continue;
    Bytes gain = buffer->evictable_after_write(buffer->all());
    if (gain == 0) continue;
    write_and_evict(buffer, buffer->all());
    got += gain;
    if (got >= bytes) break;
  }
  return got > 0;
}

void Executor::refuse(Bytes bytes) {
  std::string what = running_ ? plan::describe(plan_, plan_.steps[running_->body[0]]) : "eval";
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
      (*b.node->outputs)[b.tuple_index] = {slots_[b.value].buffer, b.layout};
      if (b.tuple_index + 1u == n && !b.node->is(graph::Node::kTracer)) b.node->detach();
      continue;
    }
    b.node->storage = std::make_unique<graph::Storage>(slots_[b.value].buffer, b.layout);
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
  report_.timeline.emplace_back(t, machine_.pool.ledger().used());
}

}  // namespace plimsoll::runtime
