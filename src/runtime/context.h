// The one composition root: a memory space with its ledger, pool and spill store, a backend, and
// the evaluator over them. A test builds as many as it likes; MLX's global functions use current().
#pragma once

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/platform_linux.h"
#include "device/backend.h"
#include "memory/host_limits.h"
#include "memory/host_resource.h"
#include "memory/pool.h"
#include "memory/spill_store.h"
#include "plan/planner.h"
#include "plimsoll/memory.h"
#include "runtime/executor.h"
#include "runtime/patient_mutex.h"

namespace plimsoll::runtime {

struct ContextOptions {
  std::optional<Bytes> limit;   // engine limit; unset: environment, else the host's default
  std::optional<bool> strict;   // unset: PLIMSOLL_MEMORY_STRICT, else guideline
  std::string spill_directory;  // empty: PLIMSOLL_SPILL_DIR, else the user's cache folder
  Bytes spill_limit = memory::Ledger::kNoLimit;
  int threads = 0;  // 0: the machine's
  memory::Pool::Options pool;
  FaultPlan* faults = nullptr;
  plan::Pressure pressure;
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
  void eval_into(std::span<const array> outputs,
                 std::span<const std::shared_ptr<memory::FileSink>> sinks) override;
  memory::BufferRef allocate(size_t bytes) override;
  memory::BufferRef allocate_filled(size_t bytes, const graph::Fill& fill) override;
  void* allocate_metadata(size_t bytes) override;
  void free_metadata(void* p, size_t bytes) noexcept override;
  void copy_out(const graph::Node& node, void* out) override;
  void copy_out(const graph::Node& node, ByteRange range, void* out) override;
  memory::BufferRef allocate_from(size_t bytes,
                                  std::shared_ptr<memory::FileSource> source) override;
  FaultPlan* faults() override { return options_.faults; }

  /// Holds the bytes of an evaluated array that is no constant where they are, for somebody outside
  /// who may write them; read back where they were spilled, MemoryLimitError where there is no
  /// room. What is a small part of a large buffer moves to a buffer of its own first.
  memory::ExportPin export_view(graph::Node& node, std::string owner);

  /// Around a fork: waits until nothing is under way, so that the child finds whole buffers.
  void before_fork() { mutex_.lock_undisturbed(); }
  void after_fork_in_parent() { mutex_.unlock(); }

  MemoryPlan dry_run(std::span<const array> outputs, std::optional<Bytes> limit);
  size_t set_limit(size_t limit, std::optional<bool> strict);
  size_t set_wired_limit(size_t limit);
  void set_strict(bool strict) { strict_ = strict; }
  /// What holds for the calling thread: the context's limit and the thread's scopes.
  struct Limits {
    Bytes limit;    // to plan for
    bool strict;    // whether what needs more is refused
    Bytes cap;      // what not even a guideline passes
    Bytes besides;  // where a process limit decides: what it must hold beside the engine's bytes
    Bytes machine = memory::Ledger::kNoLimit;  // what it leaves to the engine, where that was asked
  };
  Limits limits() const;
  /// A limit for the calling thread until close_scope(), from any thread and in any order.
  uint64_t open_scope(Bytes limit, bool strict);
  void close_scope(uint64_t id);
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
  /// The lock that evaluations take. Throws Error in a forked child of a process that used the
  /// context: threads and the spill store are not there.
  std::unique_lock<PatientMutex> enter();
  void check_process();
  void set_process_limit(Bytes limit);
  Bytes room_in_process() const;
  Limits admit();
  void admit_request(Bytes growth = 0);
  void evaluate(std::span<const array> outputs, std::span<const plan::Sink> sinks,
                std::vector<const memory::FileSink*>* filled = nullptr);
  void run(plan::Plan& plan, EvaluationReport& report);
  void write_out(const array& a, memory::FileSink& sink);
  [[noreturn]] void refuse(const plan::Plan& plan, const Limits& limits);
  void evict_to(Bytes limit);
  void make_resident(const memory::BufferRef& buffer);
  void make_room(Bytes bytes);
  memory::BufferRef fill_in_pieces(Bytes bytes, const graph::Fill& fill);

  ContextOptions options_;
  memory::HostLimits host_;
  memory::Ledger ledger_;
  memory::HostResource resource_;
  std::unique_ptr<memory::Pool> pool_;
  std::unique_ptr<memory::SpillStore> store_;
  std::unique_ptr<device::Backend> backend_;
  std::unique_ptr<plan::Planner> planner_;
  std::string limit_source_;
  memory::MachineRoom machine_;
  Bytes process_baseline_ = 0;
  std::optional<Bytes> process_limit_;
  std::atomic<Bytes> wanted_limit_{0};  // of the engine, as set; a process limit can leave less
  std::atomic<bool> strict_{false};
  struct Scope {
    uint64_t id;
    uint64_t thread;
    Bytes limit;
    bool strict;
  };
  mutable std::mutex scope_mutex_;
  std::vector<Scope> scopes_;
  uint64_t last_scope_ = 0;
  std::atomic<size_t> wired_limit_{0};
  std::atomic<Bytes> peak_seen_{0};
  InterruptPoll interrupt_poll_;
  PatientMutex mutex_{interrupt_poll_};  // evaluations run one at a time
  std::mutex report_mutex_;
  EvaluationReport last_;
  std::vector<std::string> warned_;
  WarningHandler warning_handler_;
  graph::Evaluator* previous_ = nullptr;
  std::atomic<bool> used_{false};  // holds arrays, or ran something
  int forks_ = platform::fork_count();
};

}  // namespace plimsoll::runtime
