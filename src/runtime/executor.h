// Carries out a plan: reserve → pin → launch → unpin, one action after another.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <vector>

#include "device/backend.h"
#include "memory/pool.h"
#include "memory/spill_store.h"
#include "plan/plan.h"
#include "plimsoll/memory.h"

namespace plimsoll::runtime {

struct Machine {
  device::Backend& backend;
  memory::Pool& pool;
  memory::SpillStore& store;
  /// Polled between actions and tiles; true stops with Interrupted.
  std::function<bool()> interrupted;
};

/// Runs one plan once. Whatever happens, values that are live at the end are bound to their nodes,
/// so that a retry resumes from there.
class Executor {
 public:
  Executor(Machine& machine, plan::Plan& plan, EvaluationReport& report);
  void run();

  // For the runs of units (loop_run.cpp) ---------------------------------------------------------

  struct Slot {
    memory::BufferRef buffer;
    memory::Ticket loading;
    bool done = false;  // holds the value's bytes, in memory or in a backing
  };
  Machine& machine() { return machine_; }
  const plan::Plan& plan() const { return plan_; }
  Slot& slot(plan::ValueId id) { return slots_[id]; }
  EvaluationReport& report() { return report_; }
  /// A resident buffer; waits for writes under way and evicts before it gives up.
  memory::BufferRef allocate(Bytes bytes, memory::Tag tag);
  memory::Reservation reserve(Bytes bytes, memory::Tag tag);
  void make_resident(plan::ValueId id);
  /// Starts copying dirty extents of `range` to the store; evicts them when room is needed.
  void write_and_evict(const memory::BufferRef& buffer, ByteRange range);
  void check_interrupt();

 private:
  struct PendingWrite {
    memory::BufferRef buffer;
    ByteRange range;
    memory::Ticket ticket;
    bool evict = false;
  };

  void act(const plan::Action& action);
  void run_whole(const plan::Unit& unit);
  void open_slots();
  void start_load(plan::ValueId id);
  void write(plan::ValueId id);
  void drop(plan::ValueId id);
  void free(plan::ValueId id);
  /// Ends the oldest write, or all of one buffer, and evicts what was to go.
  bool finish_write();
  void finish_writes_of(const memory::Buffer* buffer, bool evict);
  bool reclaim(Bytes bytes);
  [[noreturn]] void refuse(Bytes bytes);
  void bind(bool all_live);
  void sample();

  Machine& machine_;
  plan::Plan& plan_;
  EvaluationReport& report_;
  std::vector<Slot> slots_;
  std::deque<PendingWrite> writes_;
  const plan::Unit* running_ = nullptr;
  std::chrono::steady_clock::time_point start_;
};

/// Runs a unit that loops over tiles.
void run_loops(Executor& executor, const plan::Unit& unit);
/// The tensor that a kernel sees for a part of a value whose byte `origin` is at `address`.
device::Tensor tensor_at(const plan::Operand& part, std::byte* address, Bytes origin);
/// Calls the step's program or kernel.
void launch(device::Backend& backend, const plan::Step& step,
            std::span<const device::Tensor> operands, std::span<std::byte> workspace,
            std::span<std::byte> carry, std::span<const TileWindow> windows,
            const TileOrigin* origin);

}  // namespace plimsoll::runtime
