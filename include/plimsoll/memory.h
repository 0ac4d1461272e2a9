// The memory page: limits that are kept, what is used, and what an evaluation would use.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "plimsoll/array.h"
#include "plimsoll/error.h"

namespace plimsoll {

/// Raised before the first kernel when no plan fits (MemoryError in Python).
class MemoryLimitError : public OutOfMemory {
 public:
  using OutOfMemory::OutOfMemory;
  size_t limit = 0;
  size_t required = 0;  ///< the smallest sufficient limit
  size_t floor = 0;
  std::string operation;
  std::vector<std::pair<std::string, size_t>> breakdown;  ///< part → bytes
  std::vector<std::pair<std::string, size_t>> pinned;     ///< owner → bytes
  size_t spill_available = 0;
};

/// Sets the limit in bytes and returns the previous one. Evicts at once what is above it.
/// Guideline: kept whenever a plan exists, passed with a warning when the floor is above it.
/// Strict: refused then. `strict` unset takes PLIMSOLL_MEMORY_STRICT, else guideline.
size_t set_memory_limit(size_t limit, std::optional<bool> strict = std::nullopt);
size_t get_memory_limit();
bool get_memory_strict();
/// Bytes in live buffers; its high-water mark since the start or the last reset.
size_t get_active_memory();
size_t get_peak_memory();
void reset_peak_memory();
/// Bytes of freed blocks kept for reuse. They are inside the limit.
size_t get_cache_memory();
size_t set_cache_limit(size_t limit);
void clear_cache();
/// Accepted and reported; locked pages could not be given back, so it has no effect on Linux CPUs.
size_t set_wired_limit(size_t limit);

/// "4GB" → 4,000,000,000; "512MiB" → 536,870,912; throws ValueError.
size_t parse_bytes(const std::string& text);

/// Sets a limit for what the thread that makes it records and evaluates while it lives. Scopes
/// nest: an inner limit passes no outer one, and no guideline inside a strict scope does.
class MemoryLimitScope {
 public:
  explicit MemoryLimitScope(size_t limit, bool strict = true);
  ~MemoryLimitScope();
  MemoryLimitScope(const MemoryLimitScope&) = delete;
  MemoryLimitScope& operator=(const MemoryLimitScope&) = delete;

 private:
  uint64_t id_;
};

/// One action of a plan, for printing and drawing.
struct PlanAction {
  std::string kind;       ///< run, again (a recomputation), load, write, drop, forget, free
  std::string operation;  ///< what runs, or whose value moves
  std::string detail;     ///< shapes; tiles of a loop
  size_t bytes = 0;       ///< moved, or needed by the run
  size_t resident = 0;    ///< planned bytes in use during the action
  double seconds = 0;     ///< predicted
};

/// What an evaluation would do. Nothing is executed to make it.
struct MemoryPlan {
  size_t limit = 0, peak = 0, unlimited_peak = 0, floor = 0;
  size_t bytes_loaded = 0, bytes_written = 0, bytes_recomputed = 0;
  double seconds = 0, unlimited_seconds = 0;
  std::string peak_operation;
  std::string stage;  ///< fits, reorder, stream, evict, tile, refused
  std::vector<PlanAction> actions;
  std::string refusal;  ///< the error's text where no plan fits
  /// The plan as a table.
  std::string table(size_t max_rows = 60) const;
};
MemoryPlan memory_plan(std::span<const array> outputs, std::optional<size_t> limit = std::nullopt);

struct MemoryReport {
  size_t limit = 0, used = 0, active = 0, cache = 0, workspace = 0, staging = 0, metadata = 0,
         library = 0, spilled = 0, pinned = 0, process_baseline = 0;
  bool strict = false;
  std::string limit_source;
  std::vector<std::pair<std::string, size_t>> pinned_by;
  std::string text() const;
};
MemoryReport memory_report();

/// What the last evaluation really did.
struct EvaluationReport {
  size_t peak = 0, written = 0, loaded = 0, recomputed = 0, planned_peak = 0, limit = 0;
  double seconds = 0, waited_seconds = 0, planning_seconds = 0;
  size_t nodes = 0, actions = 0, tiles = 0;
  std::string stage;
  bool plan_reused = false;  // it was made for an evaluation like this one
  /// Samples of (seconds since the start, bytes in use; blocks kept for reuse not counted).
  std::vector<std::pair<double, size_t>> timeline;
  std::string text() const;
};
EvaluationReport last_evaluation();

/// Called with the text of a MemoryLimitWarning, once a cause. Returns the previous handler.
using WarningHandler = std::function<void(const std::string&)>;
WarningHandler set_warning_handler(WarningHandler handler);
/// Polled by the thread that waits for an evaluation; true stops it with Interrupted.
using InterruptPoll = std::function<bool()>;
InterruptPoll set_interrupt_poll(InterruptPoll poll);
/// Around a wait for another thread's evaluation: `leave` gives up what that thread may need in
/// order to go on (an interpreter's lock) and returns what `enter` takes it back with.
struct WaitHooks {
  void* (*leave)() = nullptr;
  void (*enter)(void* left) = nullptr;
};
void set_wait_hooks(WaitHooks hooks);

}  // namespace plimsoll
