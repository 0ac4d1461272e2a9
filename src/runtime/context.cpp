#include "runtime/context.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "backends/cpu/backend.h"
#include "base/check.h"
#include "plan/schedule.h"
#include "runtime/calibrate.h"
#include "runtime/eval.h"
#include "runtime/show.h"

namespace plimsoll::runtime {
namespace {

std::optional<std::string> environment(const char* name) {
  const char* value = std::getenv(name);
  if (!value || !*value) return std::nullopt;
  return std::string(value);
}

// A size in the environment; an error names the setting that it is about.
std::optional<Bytes> bytes_in_environment(const char* name) {
  auto text = environment(name);
  if (!text) return std::nullopt;
  try {
    return parse_bytes(std::string_view(*text));
  } catch (const ValueError& e) {
    std::string_view what = e.what();
    throw ValueError(fmt::format("[{}] {}", name, what.substr(what.find("] ") + 2)));
  }
}

// How long a reading of what the machine has left holds, but for large growth.
constexpr std::chrono::milliseconds kReading{100};
constexpr Bytes kUnnoticed = 16 * kMiB;

Bytes process_margin(Bytes limit) { return std::max<Bytes>(16 * kMiB, limit / 100); }

template <typename F>
void run_in(device::Backend& backend, F&& f) {
  struct Call {
    F& f;
    std::exception_ptr error;
  } call{f, nullptr};
  backend.execute(
      [](void* p) {
        auto* c = static_cast<Call*>(p);
        try {
          c->f();
        } catch (...) {
          c->error = std::current_exception();
        }
      },
      &call);
  if (call.error) std::rethrow_exception(call.error);
}

// A number that no other thread ever has; the system's come again.
uint64_t this_thread() {
  static std::atomic<uint64_t> last{0};
  thread_local const uint64_t kThread = ++last;
  return kThread;
}

void set_pressure(const std::string& text, ContextOptions& options) {
  const std::pair<const char*, bool plan::Pressure::*> kNames[] = {
      {"tiny-limit", &plan::Pressure::tiny_limit},
      {"spill-always", &plan::Pressure::spill_always},
      {"recompute-always", &plan::Pressure::recompute_always},
      {"smallest-tiles", &plan::Pressure::smallest_tiles},
      {"no-cache", &plan::Pressure::no_cache}};
  for (auto& [name, member] : kNames) {
    if (text != name) continue;
    options.pressure.*member = true;
    if (options.pressure.no_cache) options.pool.cache_limit = 0;
    return;
  }
  throw ValueError(
      fmt::format("[PLIMSOLL_PRESSURE] expected tiny-limit, spill-always, "
                  "recompute-always, smallest-tiles or no-cache, got {}",
                  text));
}

}  // namespace

ContextOptions ContextOptions::from_environment() {
  ContextOptions o;
  if (auto text = environment("PLIMSOLL_MEMORY_STRICT")) o.strict = *text != "0";
  if (auto text = environment("PLIMSOLL_SPILL_DIR")) o.spill_directory = *text;
  if (auto bytes = bytes_in_environment("PLIMSOLL_SPILL_LIMIT")) o.spill_limit = *bytes;
  // For tests: small shapes exercise everything where blocks and extents are small.
  if (auto bytes = bytes_in_environment("PLIMSOLL_SLAB_THRESHOLD")) o.pool.slab_threshold = *bytes;
  if (auto bytes = bytes_in_environment("PLIMSOLL_EXTENT_BYTES")) {
    o.pool.extent_bytes = *bytes;
    o.pool.fine_extent_bytes = std::max<Bytes>(*bytes / 4, 4 * kKiB);
  }
  if (auto text = environment("PLIMSOLL_PRESSURE")) set_pressure(*text, o);
  if (auto text = environment("PLIMSOLL_FAULTS"); text && *text != "0") {
    static FaultPlan* faults = new FaultPlan;  // never destroyed, like the Context that asks it
    o.faults = faults;
  }
  return o;
}

Context::Context(ContextOptions options)
    : options_(std::move(options)),
      host_(memory::read_host_limits()),
      ledger_(host_.default_limit, options_.faults) {
  pool_ = std::make_unique<memory::Pool>(ledger_, resource_, options_.faults, options_.pool);
  store_ = std::make_unique<memory::SpillStore>(
      memory::SpillStore::Options{.directory = options_.spill_directory,
                                  .limit = options_.spill_limit},
      options_.faults);
  backend_ = cpu::make_backend({.threads = options_.threads});
  planner_ = std::make_unique<plan::Planner>(*backend_, *pool_, plan::Costs{}, options_.pressure,
                                             store_.get());
  // Where tests force small blocks or faults, default costs keep plans the same everywhere.
  if (!options_.faults && !options_.pressure.any() && options_.pool.extent_bytes >= 2 * kMiB)
    planner_->set_calibration(
        [this] { return calibrate(*backend_, *pool_, options_.spill_directory); });
  limit_source_ = "0.8 × " + host_.decided_by;
  process_baseline_ = memory::process_memory().resident;
  strict_ = options_.strict.value_or(false);
  if (options_.limit) {
    ledger_.set_limit(*options_.limit);
    limit_source_ = "the program";
  } else if (auto bytes = bytes_in_environment("PLIMSOLL_MEMORY_LIMIT")) {
    set_process_limit(*bytes);
  }
  wanted_limit_ = process_limit_ ? memory::Ledger::kNoLimit : ledger_.limit();
  previous_ = graph::install_evaluator(this);
}

Context::~Context() { graph::install_evaluator(previous_); }

void Context::check_process() {
  if (platform::fork_count() == forks_) [[likely]]
    return;
  PLIMSOLL_CHECK(!used_, Error,
                 "[fork] expected the process that made the arrays, got a forked child, which may "
                 "only read those in memory; use the \"spawn\" start method of multiprocessing");
  forks_ = platform::fork_count();
  std::construct_at(&mutex_, interrupt_poll_);  // a parent's thread may have held it
  pool_->adopt_process();
  store_->adopt_process();
}

std::unique_lock<PatientMutex> Context::enter() {
  check_process();
  return std::unique_lock(mutex_);
}

Context& Context::current() {
  // Never destroyed: arrays of a program that exits may outlive every other static.
  static Context* fallback = nullptr;
  static std::once_flag once;
  std::call_once(once, [] { fallback = new Context; });
  return *fallback;
}

// What is resident besides the engine's bytes counts inside a process limit.
void Context::set_process_limit(Bytes limit) {
  process_limit_ = limit;
  Bytes room = room_in_process();
  PLIMSOLL_CHECK(room > 0, ValueError,
                 "[PLIMSOLL_MEMORY_LIMIT] expected more than {}, which the process has in use "
                 "already, got {}",
                 format_bytes(process_baseline_ + process_margin(limit)), format_bytes(limit));
  ledger_.set_limit(room);
  limit_source_ = "PLIMSOLL_MEMORY_LIMIT";
}

// What the process limit leaves to the engine now: the interpreter and its libraries grow.
Bytes Context::room_in_process() const {
  Bytes resident = memory::process_memory().resident;
  Bytes ours = ledger_.used();
  Bytes besides = std::max(process_baseline_, resident - std::min(resident, ours)) +
                  process_margin(*process_limit_);
  return *process_limit_ - std::min(*process_limit_, besides);
}

Context::Limits Context::limits() const {
  Limits all{wanted_limit_, strict_, memory::Ledger::kNoLimit, 0};
  if (const Bytes room = process_limit_ ? room_in_process() : all.limit; room < all.limit) {
    all.limit = room;
    all.besides = *process_limit_ - room;
  }
  if (all.strict) all.cap = all.limit;
  std::lock_guard lock(scope_mutex_);
  for (const Scope& scope : scopes_) {
    if (scope.thread != this_thread()) continue;
    if (scope.limit < all.limit) {
      all.limit = scope.limit;
      all.besides = 0;
    }
    all.strict = scope.strict;
    if (scope.strict) all.cap = std::min(all.cap, scope.limit);
  }
  return all;
}

// Puts the calling thread's limit in force, or what the machine has left where that is less.
Context::Limits Context::admit() {
  Limits mine = limits();
  mine.machine = machine_.room(ledger_.used(), kReading);
  mine.cap = std::min(mine.cap, mine.machine);
  if (mine.machine < mine.limit) {
    mine.limit = mine.machine;
    mine.besides = 0;
  }
  ledger_.set_limit(mine.limit);
  evict_to(mine.limit);
  return mine;
}

// As admit, for a request that the process's own growth may have left no room for.
void Context::admit_request(Bytes growth) {
  if (growth > kUnnoticed) machine_.room(ledger_.used(), {});
  if (const Limits mine = admit(); mine.limit == 0 && mine.besides > 0) {
    throw OutOfMemory(fmt::format(
        "[allocate] expected room beside the interpreter and its libraries, got none: they take {} "
        "with their margin, and the limit of the process is {}; raise it",
        format_bytes(process_margin(*process_limit_) + memory::process_memory().resident -
                     ledger_.used()),
        format_bytes(*process_limit_)));
  }
}

uint64_t Context::open_scope(Bytes limit, bool strict) {
  auto lock = enter();
  uint64_t id = 0;
  {
    std::lock_guard guard(scope_mutex_);
    id = ++last_scope_;
    scopes_.push_back({id, this_thread(), limit, strict});
  }
  try {
    admit();
  } catch (...) {  // what is above the limit could not be spilled
    close_scope(id);
    throw;
  }
  return id;
}

void Context::close_scope(uint64_t id) {
  if (pool_->in_forked_child()) return;
  mutex_.lock_undisturbed();
  std::lock_guard lock(mutex_, std::adopt_lock);
  {
    std::lock_guard guard(scope_mutex_);
    std::erase_if(scopes_, [&](const Scope& scope) { return scope.id == id; });
  }
  ledger_.set_limit(limits().limit);
}

void Context::refuse(const plan::Plan& plan, const Limits& limits) {
  const Bytes besides = limits.besides;
  const plan::Step& step = plan.steps[plan.floor_step];
  std::string what = plan::describe(plan, step);
  Bytes fixed = plan.fixed + plan.slabs;
  // A guideline is refused where not even its floor fits into the machine.
  const bool machine = limits.cap == limits.machine;
  MemoryLimitError error(explain_refusal(plan, {besides, machine ? limits.machine : 0}));
  error.limit = plan.limit + besides;
  error.required = error.floor = plan.floor + besides;
  error.operation = what;
  error.breakdown = {
      {"step", plan.floor - fixed - plan.pinned}, {"fixed", fixed}, {"pinned", plan.pinned}};
  for (const memory::PinnedBy& p : pool_->exports()) error.pinned.emplace_back(p.owner, p.bytes);
  error.spill_available = store_->available();
  throw error;
}

void Context::eval(std::span<const array> outputs) { evaluate(outputs, {}); }

void Context::eval_into(std::span<const array> outputs,
                        std::span<const std::shared_ptr<memory::FileSink>> sinks) {
  auto lock = enter();
  std::vector<plan::Sink> wanted;
  for (size_t i = 0; i < outputs.size(); ++i)
    if (!outputs[i].is_available()) wanted.push_back({outputs[i].node(), sinks[i]});
  std::vector<const memory::FileSink*> filled;
  evaluate(outputs, wanted, &filled);
  for (size_t i = 0; i < outputs.size(); ++i)
    if (std::find(filled.begin(), filled.end(), sinks[i].get()) == filled.end())
      write_out(outputs[i], *sinks[i]);
}

// Contiguous bytes go as they are, whether resident or not, a piece at a time.
void Context::write_out(const array& a, memory::FileSink& sink) {
  const graph::Node& node = *a.node();
  const Bytes total = a.nbytes();
  if (total == 0) return;
  bool small = total <= pool_->options().extent_bytes;
  bool contiguous = !node.is(graph::Node::kConstant) &&
                    is_row_contiguous(node.shape, node.storage->layout.strides);
  PLIMSOLL_CHECK(small || contiguous, Error,
                 "[save] expected a row-contiguous array, got a strided view of {}; copy it first",
                 format_bytes(total));
  const Bytes piece =
      contiguous ? std::min<Bytes>(total, pool_->options().fine_extent_bytes) : total;
  plan::Plan none;
  EvaluationReport report;
  Machine machine{*backend_, *pool_, *store_, {}, interrupt_poll_};
  Executor executor(machine, none, report);
  memory::BufferRef staging = executor.allocate(piece, memory::Tag::kStaging);
  memory::Pin pin = staging->pin();
  if (!contiguous) {
    copy_out(node, pin.data());
    return sink.write({pin.data(), total}, 0);
  }
  const graph::Storage& s = *node.storage;
  Bytes first = static_cast<Bytes>(s.layout.offset) * size_of(node.dtype);
  for (Bytes at = 0; at < total; at += piece) {
    Bytes bytes = std::min(piece, total - at);
    store_->copy_out(s.buffer, {first + at, first + at + bytes}, pin.data());
    sink.write({pin.data(), bytes}, at);
  }
}

void Context::evaluate(std::span<const array> outputs, std::span<const plan::Sink> sinks,
                       std::vector<const memory::FileSink*>* filled) {
  auto lock = enter();
  used_ = true;
  auto begin = std::chrono::steady_clock::now();
  Limits mine = admit();
  plan::Plan plan = planner_->plan(outputs, mine.limit, sinks);
  if (const Bytes used = ledger_.used();
      plan.peak > used + kUnnoticed && machine_.room(used, {}) < plan.peak) {
    plan = {};
    mine = admit();
    plan = planner_->plan(outputs, mine.limit, sinks);
  }
  const Bytes limit = mine.limit;
  if (plan.floor > limit && plan.pinned > 0) {
    pool_->wait_for_copies();
    plan = {};
    plan = planner_->plan(outputs, limit, sinks);
  }
  if (plan.floor > limit) {
    if (mine.strict || plan.floor > mine.cap) refuse(plan, mine);
    std::string what = plan::describe(plan, plan.steps[plan.floor_step]);
    warn(what, fmt::format("[eval] the limit of {} was raised to {} for this evaluation, the "
                           "least that {} needs",
                           format_bytes(limit), format_bytes(plan.floor), what));
    plan = planner_->plan(outputs, plan.floor, sinks);
  }
  PLIMSOLL_ASSERT(!plan.actions.empty() || plan.steps.empty());
  EvaluationReport report;
  report.limit = plan.limit;
  report.planned_peak = plan.peak;
  report.nodes = plan.nodes;
  report.stage = plan.stage;
  report.plan_reused = plan.reused;
  peak_seen_ = peak_memory();
  ledger_.set_limit(plan.limit);
  if (ledger_.used() > plan.limit) pool_->trim(ledger_.used() - plan.limit);
  ledger_.reset_peak();
  report.planning_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  if (filled)
    for (auto& [value, sink] : plan.sinks) filled->push_back(sink.get());
  auto finish = [&] {
    plan = {};  // its references would keep others from being evicted
    ledger_.set_limit(limit);
    if (report.limit > limit) evict_to(limit);
    report.peak = ledger_.peak();
    report.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    std::lock_guard guard(report_mutex_);
    last_ = report;
  };
  try {
    run(plan, report);
  } catch (...) {
    finish();
    throw;
  }
  finish();
}

void Context::run(plan::Plan& plan, EvaluationReport& report) {
  Machine machine{*backend_, *pool_, *store_, {}, interrupt_poll_};
  // A full disk is an error of the plan, not of its middle.
  if (plan.spill_space > 0) {
    const Bytes room = store_->available();
    if (plan.spill_space > room)
      throw IoError(
          fmt::format("[eval] expected {} of spill space under the memory limit of {}, got "
                      "room for {}; free disk space, raise PLIMSOLL_SPILL_LIMIT, set "
                      "PLIMSOLL_SPILL_DIR to another folder, or raise the memory limit",
                      format_bytes(plan.spill_space), format_bytes(plan.limit), format_bytes(room)),
          ENOSPC);
    machine.space = store_->reserve_space(plan.spill_space);
  }
  Executor executor(machine, plan, report);
  run_in(*backend_, [&] { executor.run(); });
}

void Context::reset_peak_memory() {
  peak_seen_ = 0;
  ledger_.reset_peak();
}

void Context::warn(const std::string& cause, const std::string& text) {
  if (std::find(warned_.begin(), warned_.end(), cause) != warned_.end()) return;
  if (warned_.size() == 1000) warned_.clear();  // causes name shapes, which have no end
  warned_.push_back(cause);
  if (warning_handler_) warning_handler_(text);
}

void Context::async_eval(std::span<const array> outputs) { eval(outputs); }

void* Context::allocate_metadata(size_t bytes) {
  check_process();
  if (void* p = pool_->metadata().try_allocate(bytes)) return p;
  std::lock_guard lock(mutex_);
  admit_request();
  make_room(memory::MetadataArena::kChunkBytes);
  if (void* p = pool_->metadata().try_allocate(bytes)) return p;
  throw OutOfMemory(
      fmt::format("[record] expected room for one more operation, got none: {} of the limit of {} "
                  "is in use, {} of it by operations that were recorded and not evaluated; call "
                  "eval more often, let go of arrays, or raise the limit",
                  format_bytes(ledger_.used()), format_bytes(ledger_.limit()),
                  format_bytes(ledger_.used(memory::Tag::kMetadata))));
}

void Context::free_metadata(void* p, size_t bytes) noexcept {
  if (!pool_->in_forked_child()) pool_->metadata().deallocate(p, bytes);
}

size_t Context::set_limit(size_t limit, std::optional<bool> strict) {
  auto lock = enter();
  if (strict) strict_ = *strict;
  const Bytes before = wanted_limit_.exchange(limit);
  try {
    admit();
  } catch (...) {
    wanted_limit_ = before;
    ledger_.set_limit(limits().limit);
    throw;
  }
  limit_source_ = "set_memory_limit";
  return process_limit_ ? std::min(before, room_in_process()) : before;
}

void Context::make_room(Bytes bytes) {
  if (ledger_.available() < bytes) evict_to(ledger_.limit() > bytes ? ledger_.limit() - bytes : 0);
}

size_t Context::set_wired_limit(size_t limit) {
  PLIMSOLL_CHECK(limit <= host_.physical, ValueError,
                 "[set_wired_limit] expected at most the {} of physical memory, got {}",
                 format_bytes(host_.physical), format_bytes(limit));
  return wired_limit_.exchange(limit);
}

void Context::evict_to(Bytes limit) {
  if (ledger_.used() <= limit) return;
  pool_->trim(ledger_.used() - limit);
  for (const memory::BufferRef& buffer : pool_->live_buffers()) {
    if (ledger_.used() <= limit) return;
    if (buffer->pinned()) continue;  // it stays, and may be changing
    if (buffer->dirty_bytes(buffer->all()) > 0) {
      memory::Ticket ticket = store_->write(buffer, buffer->all());
      store_->wait(ticket);
    }
    buffer->evict(buffer->all());
  }
}

MemoryPlan Context::dry_run(std::span<const array> outputs, std::optional<Bytes> limit) {
  auto lock = enter();
  return runtime::show(planner_->dry_run(outputs, limit.value_or(limits().limit)),
                       planner_->costs());
}

MemoryReport Context::report() {
  auto lock = enter();
  using memory::Tag;
  MemoryReport r;
  const Limits mine = limits();
  r.limit = mine.limit;
  r.used = ledger_.used();
  r.active = ledger_.used(Tag::kBuffer);
  r.cache = ledger_.used(Tag::kCache);
  r.workspace = ledger_.used(Tag::kWorkspace);
  r.staging = ledger_.used(Tag::kStaging);
  r.metadata = ledger_.used(Tag::kMetadata);
  r.library = ledger_.used(Tag::kLibrary);
  r.spilled = store_->stats().stored;
  r.pinned = pool_->exported_bytes();
  r.process_baseline = process_baseline_;
  r.strict = mine.strict;
  r.limit_source = limit_source_;
  for (const memory::PinnedBy& p : pool_->exports()) r.pinned_by.emplace_back(p.owner, p.bytes);
  return r;
}

EvaluationReport Context::last_evaluation() {
  std::lock_guard guard(report_mutex_);
  return last_;
}

WarningHandler Context::set_warning_handler(WarningHandler handler) {
  return std::exchange(warning_handler_, std::move(handler));
}

InterruptPoll Context::set_interrupt_poll(InterruptPoll poll) {
  return std::exchange(interrupt_poll_, std::move(poll));
}

}  // namespace plimsoll::runtime

namespace plimsoll {

using runtime::Context;

void eval(std::span<const array> outputs) { Context::current().eval(outputs); }
void async_eval(std::span<const array> outputs) { Context::current().async_eval(outputs); }

size_t set_memory_limit(size_t limit, std::optional<bool> strict) {
  return Context::current().set_limit(limit, strict);
}
size_t get_memory_limit() { return Context::current().limits().limit; }
bool get_memory_strict() { return Context::current().limits().strict; }
size_t get_active_memory() { return Context::current().ledger().used(memory::Tag::kBuffer); }
size_t get_peak_memory() { return Context::current().peak_memory(); }
void reset_peak_memory() { Context::current().reset_peak_memory(); }
size_t get_cache_memory() { return Context::current().pool().cache_bytes(); }
size_t set_cache_limit(size_t limit) { return Context::current().pool().set_cache_limit(limit); }
void clear_cache() { Context::current().pool().clear_cache(); }
size_t set_wired_limit(size_t limit) { return Context::current().set_wired_limit(limit); }
size_t parse_bytes(const std::string& text) {
  return static_cast<size_t>(parse_bytes(std::string_view(text)));
}

MemoryLimitScope::MemoryLimitScope(size_t limit, bool strict)
    : id_(Context::current().open_scope(limit, strict)) {}
MemoryLimitScope::~MemoryLimitScope() { Context::current().close_scope(id_); }

MemoryPlan memory_plan(std::span<const array> outputs, std::optional<size_t> limit) {
  return Context::current().dry_run(outputs, limit);
}
MemoryReport memory_report() { return Context::current().report(); }
EvaluationReport last_evaluation() { return Context::current().last_evaluation(); }
WarningHandler set_warning_handler(WarningHandler handler) {
  return Context::current().set_warning_handler(std::move(handler));
}
InterruptPoll set_interrupt_poll(InterruptPoll poll) {
  return Context::current().set_interrupt_poll(std::move(poll));
}

}  // namespace plimsoll
