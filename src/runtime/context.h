// The one composition root: a memory space with its ledger, pool and spill store, a backend, and
// the evaluator over them. A test builds as many as it likes; MLX's global functions use current().
#pragma once

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "device/backend.h"
#include "memory/host_limits.h"
#include "memory/host_resource.h"
#include "memory/pool.h"
#include "memory/spill_store.h"
#include "plan/build.h"
#include "plan/plan.h"
#include "plimsoll/memory.h"
#include "runtime/executor.h"

namespace plimsoll::runtime {

/// What the pressure settings of the test suite force, so that small shapes exercise everything.
struct Pressure {
  bool spill_always = false;      // evict by spilling only, under a limit just above the floor
  bool recompute_always = false;  // recompute whatever can be
  bool smallest_tiles = false;    // every step that can loop does, over its smallest tile
  bool no_cache = false;
  bool tiny_limit = false;  // every evaluation runs at its floor
};

struct ContextOptions {
  std::optional<Bytes> limit;   // engine limit; unset: environment, else the host's default
  std::optional<bool> strict;   // unset: PLIMSOLL_MEMORY_STRICT, else guideline
  std::string spill_directory;  // empty: PLIMSOLL_SPILL_DIR, else the user's cache folder
  Bytes spill_limit = memory::Ledger::kNoLimit;
  int threads = 0;  // 0: the machine's
  memory::Pool::Options pool;
  FaultPlan* faults = nullptr;
  Pressure pressure;
  /// Reads PLIMSOLL_* from the environment.
  static ContextOptions from_environment();
};

class Context final : public graph::Evaluator {
 public:
  explicit Context(ContextOptions options = ContextOptions::from_environment());
  ~Context() override;

  /// The one that global functions and new arrays use: the last made and not destroyed, else a
  /// default one that is made now.
  static Context& current();

  // graph::Evaluator
  void eval(std::span<const array> outputs) override;
  void async_eval(std::span<const array> outputs) override;
  memory::BufferRef allocate(size_t bytes) override;
  void* allocate_metadata(size_t bytes) override;
  void free_metadata(void* p, size_t bytes) noexcept override;
  void copy_out(const graph::Node& node, void* out) override;

  MemoryPlan dry_run(std::span<const array> outputs, std::optional<Bytes> limit);
  size_t set_limit(size_t limit, std::optional<bool> strict);
  void set_strict(bool strict) { strict_ = strict; }
  bool strict() const { return strict_; }
  memory::Ledger& ledger() { return ledger_; }
  memory::Pool& pool() { return *pool_; }
  memory::SpillStore& store() { return *store_; }
  device::Backend& backend() { return *backend_; }
  MemoryReport report();
  EvaluationReport last_evaluation();
  /// High-water mark of live buffers; evaluations measure their own beside it.
  Bytes peak_memory() const {
    return std::max(peak_seen_.load(), ledger_.peak(memory::Tag::kBuffer));
  }
  void reset_peak_memory();
  void warn(const std::string& cause, const std::string& text);
  WarningHandler set_warning_handler(WarningHandler handler);
  InterruptPoll set_interrupt_poll(InterruptPoll poll);

 private:
  void set_process_limit(Bytes limit);
  plan::Plan make_plan(std::span<const array> outputs, Bytes budget);
  Bytes budget_for_graph(const plan::Plan& plan);
  void evict_to(Bytes limit);

  ContextOptions options_;
  memory::HostLimits host_;
  memory::Ledger ledger_;
  memory::HostResource resource_;
  std::unique_ptr<memory::Pool> pool_;
  std::unique_ptr<memory::SpillStore> store_;
  std::unique_ptr<device::Backend> backend_;
  std::unique_ptr<plan::Builder> builder_;
  std::string limit_source_;
  Bytes process_baseline_ = 0;
  bool strict_ = false;
  std::atomic<Bytes> peak_seen_{0};
  std::recursive_mutex mutex_;  // evaluations run one at a time
  std::mutex report_mutex_;
  EvaluationReport last_;
  std::vector<std::string> warned_;
  WarningHandler warning_handler_;
  InterruptPoll interrupt_poll_;
  graph::Evaluator* previous_ = nullptr;
};

}  // namespace plimsoll::runtime
