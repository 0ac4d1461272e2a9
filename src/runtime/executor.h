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
  memory::SpillReservation space;  // for what the plan spills
  /// Polled between actions and tiles; true stops with Interrupted.
  std::function<bool()> interrupted;
};

/// Runs one plan once. Whatever happens, values that are live at the end are bound to their nodes,
/// so that a retry resumes from there.
class Executor {
 public:
  Executor(Machine& machine, plan::Plan& plan, EvaluationReport& report);
  ~Executor();  // waits for writes under way: whoever evicts next must find them ended
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;
  void run();

  // For the runs of units (nest_run.cpp) ---------------------------------------------------------

  struct Slot {
    memory::BufferRef buffer;
    memory::Ticket loading;
    bool done = false;   // holds the value's bytes, in memory or in a backing
    bool given = false;  // the buffer is that of a node from before, which keeps it to the end
  };
  Machine& machine() { return machine_; }
  const plan::Plan& plan() const { return plan_; }
  Slot& slot(plan::ValueId id) { return slots_[id]; }
  EvaluationReport& report() { return report_; }
  /// A resident buffer; waits for writes under way and evicts before it gives up.
  memory::BufferRef allocate(Bytes bytes, memory::Tag tag);
  memory::Reservation reserve(Bytes bytes, memory::Tag tag);
  /// A buffer for a value that a step makes: resident whole, or with nothing resident yet.
  memory::BufferRef make(plan::ValueId id, bool resident);
  /// Scratch of at least so many bytes, the last step's where it is large enough (`exact`: and
  /// charged the same): its pages are touched already.
  memory::BufferRef scratch(Bytes bytes, bool exact = false);
  void make_resident(plan::ValueId id);
  /// Starts copying dirty extents of `range` to the store; evicts them when that is done and room
  /// is needed.
  void write_and_evict(const memory::BufferRef& buffer, ByteRange range);
  void check_interrupt();
  /// Waits, and counts the time.
  void wait(memory::Ticket& ticket);
  /// What is under way for the value ends; a prefetched value is there whole.
  void settle(plan::ValueId id);
  /// Writes of these bytes end (and evict them), so that they can be made anew.
  void settle(plan::ValueId id, ByteRange range);
  void end_finished_writes();
  /// For tiles of the value: fine extents, for which what is in memory leaves first, or coarse
  /// ones where it can have them. REQUIRES: it is settled.
  void set_extents(plan::ValueId id, bool fine);

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
  bool start_load(plan::ValueId id);
  /// Goes back to coarse extents where nothing is in memory and that takes no more than planned.
  void coarsen(plan::ValueId id);
  /// Starts a load where there is room; otherwise later actions, or its reader, do.
  void prefetch(plan::ValueId id);
  void retry_prefetches();
  Bytes missing(plan::ValueId id) const;
  void write(plan::ValueId id);
  void drop(plan::ValueId id);
  void forget(plan::ValueId id);
  void free(plan::ValueId id);
  static void let_go(Slot& slot);
  /// Ends the oldest write, or all of one buffer, and evicts what was to go.
  bool finish_write();
  bool finish_evicting_write();
  static void evict(const memory::BufferRef& buffer, ByteRange range);
  void finish_writes_of(const memory::Buffer* buffer, bool evict);
  bool make_room(Bytes bytes);
  bool reclaim(Bytes bytes);
  bool finish_load();
  [[noreturn]] void refuse(Bytes bytes);
  void bind(bool all_live);
  void fill_sinks();
  void sample();

  Machine& machine_;
  plan::Plan& plan_;
  EvaluationReport& report_;
  std::vector<Slot> slots_;
  std::deque<PendingWrite> writes_;
  std::deque<plan::ValueId> deferred_;  // loads that found no room yet
  const plan::Unit* running_ = nullptr;
  memory::BufferRef scratch_;  // between steps
  std::chrono::steady_clock::time_point start_;
};

/// Runs loops over tiles.
void run_nest(Executor& executor, const plan::Nest& nest);
/// The tensor that a kernel sees for a part of a value whose byte `origin` is at `address`.
device::Tensor tensor_at(const plan::Form& part, std::byte* address, Bytes origin);
/// Calls the step's program or kernel.
void launch(device::Backend& backend, const plan::Step& step,
            std::span<const device::Tensor> operands, std::span<std::byte> workspace,
            std::span<std::byte> carry, std::span<const TileWindow> windows,
            const TileOrigin* origin);

}  // namespace plimsoll::runtime
