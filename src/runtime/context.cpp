#include "runtime/context.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "backends/cpu/backend.h"
#include "base/check.h"
#include "plan/schedule.h"
#include "runtime/eval.h"

namespace plimsoll::runtime {
namespace {

std::optional<std::string> environment(const char* name) {
  const char* value = std::getenv(name);
  if (!value || !*value) return std::nullopt;
  return std::string(value);
}

// Slab pages and staging beside an evaluation at its floor.
constexpr Bytes kSlack = 8 * kMiB;

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

}  // namespace

ContextOptions ContextOptions::from_environment() {
  ContextOptions o;
  if (auto text = environment("PLIMSOLL_MEMORY_STRICT")) o.strict = *text != "0";
  if (auto text = environment("PLIMSOLL_SPILL_DIR")) o.spill_directory = *text;
  if (auto text = environment("PLIMSOLL_SPILL_LIMIT"))
    o.spill_limit = parse_bytes(std::string_view(*text));
  return o;
}

Context::Context(ContextOptions options)
    : options_(std::move(options)),
      host_(memory::read_host_limits()),
      ledger_(host_.default_limit) {
  pool_ = std::make_unique<memory::Pool>(ledger_, resource_, options_.faults, options_.pool);
  store_ = std::make_unique<memory::SpillStore>(
      ledger_,
      memory::SpillStore::Options{.directory = options_.spill_directory,
                                  .limit = options_.spill_limit},
      options_.faults);
  backend_ = cpu::make_backend({.threads = options_.threads});
  builder_ = std::make_unique<plan::Builder>(*backend_, *pool_);
  limit_source_ = "0.8 × " + host_.decided_by;
  process_baseline_ = memory::process_memory().resident;
  strict_ = options_.strict.value_or(false);
  if (options_.limit) {
    ledger_.set_limit(*options_.limit);
    limit_source_ = "the program";
  } else if (auto text = environment("PLIMSOLL_MEMORY_LIMIT")) {
    set_process_limit(parse_bytes(std::string_view(*text)));
  }
  previous_ = graph::install_evaluator(this);
}

Context::~Context() { graph::install_evaluator(previous_); }

Context& Context::current() {
  // Never destroyed: arrays of a program that exits may outlive every other static.
  static Context* fallback = nullptr;
  static std::once_flag once;
  std::call_once(once, [] { fallback = new Context; });
  return *fallback;
}

// What is resident besides the engine's bytes counts inside a process limit.
void Context::set_process_limit(Bytes limit) {
  Bytes besides = process_baseline_ + process_margin(limit);
  PLIMSOLL_CHECK(limit > besides, ValueError,
                 "[PLIMSOLL_MEMORY_LIMIT] expected more than {}, which the process has in use "
                 "already, got {}",
                 format_bytes(besides), format_bytes(limit));
  ledger_.set_limit(limit - besides);
  limit_source_ = "PLIMSOLL_MEMORY_LIMIT";
}

namespace {

// Bytes of the values that a step touches, each counted once, and its workspace.
Bytes working_set(const plan::Plan& plan, const plan::Step& step) {
  Bytes total = plan::fresh_bytes(plan, step);
  auto inputs = plan.inputs(step);
  for (size_t i = 0; i < inputs.size(); ++i) {
    bool first = true;
    for (size_t j = 0; j < i; ++j) first &= inputs[j].value != inputs[i].value;
    if (first) total += plan.values[inputs[i].value].bytes;
  }
  return total;
}

void find_floor(plan::Plan& plan) {
  plan.floor = 0;
  for (plan::StepId s = 0; s < plan.steps.size(); ++s) {
    Bytes need = working_set(plan, plan.steps[s]);
    if (need <= plan.floor) continue;
    plan.floor = need;
    plan.floor_step = s;
  }
}

}  // namespace

// Whole steps. Where one of them does not fit, chains are fused less.
plan::Plan Context::make_plan(std::span<const array> outputs, Bytes budget) {
  constexpr plan::BuildOptions kOptions[] = {
      {}, {.max_members = 16, .max_inputs = 3}, {.fuse = false}};
  Bytes fixed = ledger_.used(memory::Tag::kMetadata) + ledger_.used(memory::Tag::kLibrary) +
                pool_->exported_bytes();
  plan::Plan plan;
  for (const plan::BuildOptions& options : kOptions) {
    plan = builder_->build(outputs, options);
    plan::find_lifetimes(plan, options.donate);
    plan::schedule_default(plan);
    find_floor(plan);
    plan.floor += fixed;
    plan.limit = budget;
    if (plan.floor <= budget) break;
  }
  if (plan.peak + fixed > budget) plan.stage = plan.floor > budget ? "refused" : "evict";
  return plan;
}

namespace {

[[noreturn]] void refuse(const plan::Plan& plan, Bytes fixed, Bytes pinned, Bytes spill_room,
                         std::vector<std::pair<std::string, size_t>> pinned_by) {
  const plan::Step& step = plan.steps[plan.floor_step];
  std::string what = plan::describe(plan, step);
  MemoryLimitError error(
      fmt::format("this evaluation needs {} and the limit is {}.\n"
                  "  largest step   {}\n"
                  "  fixed {} · pinned by you {}\n"
                  "  The smallest limit that works is {} ({} bytes).",
                  format_bytes(plan.floor), format_bytes(plan.limit), what, format_bytes(fixed),
                  format_bytes(pinned), format_bytes(plan.floor), plan.floor));
  error.limit = plan.limit;
  error.required = error.floor = plan.floor;
  error.operation = what;
  error.breakdown = {{"step", plan.floor - fixed}, {"fixed", fixed}, {"pinned", pinned}};
  error.pinned = std::move(pinned_by);
  error.spill_available = spill_room;
  throw error;
}

}  // namespace

void Context::eval(std::span<const array> outputs) {
  std::lock_guard lock(mutex_);
  auto begin = std::chrono::steady_clock::now();
  Bytes limit = ledger_.limit();
  plan::Plan plan = make_plan(outputs, limit);
  EvaluationReport report;
  report.limit = limit;
  report.planned_peak = plan.peak;
  report.nodes = plan.nodes;
  report.stage = plan.stage;
  if (plan.floor > limit) {
    Bytes pinned = pool_->exported_bytes();
    std::vector<std::pair<std::string, size_t>> owners;
    for (const memory::PinnedBy& p : pool_->exports()) owners.emplace_back(p.owner, p.bytes);
    if (strict_)
      refuse(plan, plan.floor - working_set(plan, plan.steps[plan.floor_step]), pinned,
             store_->available(), std::move(owners));
    std::string what = plan::describe(plan, plan.steps[plan.floor_step]);
    warn(what, fmt::format("[eval] the limit of {} was raised to {} for this evaluation, the "
                           "least that {} needs",
                           format_bytes(limit), format_bytes(plan.floor), what));
    ledger_.set_limit(plan.floor + kSlack);
  }
  Machine machine{*backend_, *pool_, *store_, interrupt_poll_};
  peak_seen_ = peak_memory();
  ledger_.reset_peak();
  report.planning_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  auto finish = [&] {
    ledger_.set_limit(limit);
    if (plan.floor > limit) evict_to(limit);
    report.peak = ledger_.peak();
    report.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    std::lock_guard guard(report_mutex_);
    last_ = report;
  };
  try {
    Executor executor(machine, plan, report);
    run_in(*backend_, [&] { executor.run(); });
  } catch (...) {
    finish();
    throw;
  }
  finish();
}

void Context::reset_peak_memory() {
  peak_seen_ = 0;
  ledger_.reset_peak();
}

void Context::warn(const std::string& cause, const std::string& text) {
  if (std::find(warned_.begin(), warned_.end(), cause) != warned_.end()) return;
  warned_.push_back(cause);
  if (warning_handler_) warning_handler_(text);
}

void Context::async_eval(std::span<const array> outputs) { eval(outputs); }

memory::BufferRef Context::allocate(size_t bytes) {
  std::lock_guard lock(mutex_);
  plan::Plan empty;
  EvaluationReport report;
  Machine machine{*backend_, *pool_, *store_, interrupt_poll_};
  Executor executor(machine, empty, report);
  return executor.allocate(bytes, memory::Tag::kBuffer);
}

void* Context::allocate_metadata(size_t bytes) {
  if (void* p = pool_->metadata().try_allocate(bytes)) return p;
  throw OutOfMemory("[record] expected room for a node, got none; raise the memory limit");
}

void Context::free_metadata(void* p, size_t bytes) noexcept {
  pool_->metadata().deallocate(p, bytes);
}

namespace {

// Elements in row-major order out of a strided layout, one inner row at a time.
void gather_rows(const std::byte* base, const Shape& shape, const Strides& strides, size_t item,
                 std::byte*& out, size_t axis) {
  if (axis == shape.size()) {
    std::memcpy(out, base, item);
    out += item;
    return;
  }
  for (int64_t i = 0; i < shape[axis]; ++i)
    gather_rows(base + i * strides[axis] * static_cast<int64_t>(item), shape, strides, item, out,
                axis + 1);
}

void write_constant(const TileConstant& c, std::byte* out) {
  auto put = [&](auto v) { std::memcpy(out, &v, sizeof v); };
  auto half = [&](bool bfloat) {
    auto f = static_cast<float>(c.real);
    uint32_t bits = std::bit_cast<uint32_t>(f);
    if (bfloat) return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
    _Float16 h = static_cast<_Float16>(f);
    return std::bit_cast<uint16_t>(h);
  };
  switch (c.dtype) {
    case Dtype::kBool:
      return put(static_cast<uint8_t>(c.integer != 0));
    case Dtype::kFloat16:
      return put(half(false));
    case Dtype::kBfloat16:
      return put(half(true));
    case Dtype::kFloat32:
      return put(static_cast<float>(c.real));
    case Dtype::kFloat64:
      return put(c.real);
    case Dtype::kComplex64:
      return put(std::complex<float>(static_cast<float>(c.real), static_cast<float>(c.imag)));
    default:
      std::memcpy(out, &c.integer, size_of(c.dtype));  // little-endian
  }
}

}  // namespace

void Context::copy_out(const graph::Node& node, void* out) {
  std::lock_guard lock(mutex_);
  auto* to = static_cast<std::byte*>(out);
  if (node.is(graph::Node::kConstant)) return write_constant(node.constant, to);
  const graph::Storage& s = *node.storage;
  size_t item = size_of(node.dtype);
  if (num_elements(node.shape) == 0) return;
  Bytes staging = 2 * pool_->options().extent_bytes;  // what the store copies through
  if (ledger_.available() < staging)
    evict_to(ledger_.limit() > staging ? ledger_.limit() - staging : 0);
  ElementSpan span = element_span(node.shape, s.layout);
  ByteRange range{static_cast<Bytes>(span.first) * item, static_cast<Bytes>(span.last + 1) * item};
  if (is_row_contiguous(node.shape, s.layout.strides)) return store_->copy_out(s.buffer, range, to);
  std::vector<std::byte> bytes(range.size());
  store_->copy_out(s.buffer, range, bytes.data());
  const std::byte* base = bytes.data() + s.layout.offset * static_cast<int64_t>(item) -
                          static_cast<int64_t>(range.begin);
  gather_rows(base, node.shape, s.layout.strides, item, to, 0);
}

size_t Context::set_limit(size_t limit, std::optional<bool> strict) {
  std::lock_guard lock(mutex_);
  if (strict) strict_ = *strict;
  size_t previous = ledger_.set_limit(limit);
  limit_source_ = "set_memory_limit";
  evict_to(limit);
  return previous;
}

void Context::evict_to(Bytes limit) {
  if (ledger_.used() > limit) pool_->trim(ledger_.used() - limit);
  for (const memory::BufferRef& buffer : pool_->live_buffers()) {
    if (ledger_.used() <= limit) return;
    if (memory::SpillStore::space_for(*buffer, buffer->all()) > 0) {
      memory::Ticket ticket = store_->write(buffer, buffer->all());
      store_->wait(ticket);
    }
    buffer->evict(buffer->all());
  }
}

MemoryPlan Context::dry_run(std::span<const array> outputs, std::optional<Bytes> limit) {
  std::lock_guard lock(mutex_);
  plan::Plan p = make_plan(outputs, limit.value_or(ledger_.limit()));
  MemoryPlan out;
  out.limit = p.limit;
  out.peak = p.peak;
  out.unlimited_peak = p.unlimited_peak;
  out.floor = p.floor;
  out.stage = p.stage;
  plan::Costs costs;
  Bytes resident = 0;
  for (const plan::Action& a : p.actions) {
    PlanAction action;
    if (a.kind == plan::ActionKind::kRun) {
      const plan::Step& step = p.steps[p.units[a.id].body[0]];
      Bytes fresh = plan::fresh_bytes(p, step);
      action.kind = "run";
      action.operation = plan::describe(p, step);
      action.bytes = fresh;
      action.seconds = plan::step_seconds(step, costs);
      resident += fresh - step.workspace - step.carry;
      action.resident = resident + step.workspace + step.carry;
    } else {
      action.kind = a.kind == plan::ActionKind::kLoad ? "load" : "free";
      action.bytes = p.values[a.id].bytes;
      if (a.kind == plan::ActionKind::kFree) resident -= std::min(resident, action.bytes);
      action.resident = resident;
    }
    out.seconds += action.seconds;
    out.actions.push_back(std::move(action));
  }
  out.unlimited_seconds = out.seconds;
  if (p.peak_unit != plan::kNone)
    out.peak_operation = plan::describe(p, p.steps[p.units[p.peak_unit].body[0]]);
  return out;
}

MemoryReport Context::report() {
  std::lock_guard lock(mutex_);
  using memory::Tag;
  MemoryReport r;
  r.limit = ledger_.limit();
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
  r.strict = strict_;
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
size_t get_memory_limit() { return Context::current().ledger().limit(); }
bool get_memory_strict() { return Context::current().strict(); }
size_t get_active_memory() { return Context::current().ledger().used(memory::Tag::kBuffer); }
size_t get_peak_memory() { return Context::current().peak_memory(); }
void reset_peak_memory() { Context::current().reset_peak_memory(); }
size_t get_cache_memory() { return Context::current().pool().cache_bytes(); }
size_t set_cache_limit(size_t limit) { return Context::current().pool().set_cache_limit(limit); }
void clear_cache() { Context::current().pool().clear_cache(); }
size_t set_wired_limit(size_t limit) {
  static std::atomic<size_t> wired{0};
  return wired.exchange(limit);
}
size_t parse_bytes(const std::string& text) {
  return static_cast<size_t>(parse_bytes(std::string_view(text)));
}

MemoryLimitScope::MemoryLimitScope(size_t limit, bool strict)
    : previous_(get_memory_limit()), previous_strict_(get_memory_strict()) {
  set_memory_limit(std::min(limit, previous_), strict);
}
MemoryLimitScope::~MemoryLimitScope() { set_memory_limit(previous_, previous_strict_); }

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

std::string MemoryPlan::table(size_t max_rows) const {
  std::string out =
      fmt::format("stage {}  peak {}  limit {}\n", stage, format_bytes(peak), format_bytes(limit));
  for (size_t i = 0; i < actions.size() && i < max_rows; ++i)
    out += fmt::format("{:6} {:40} {:>10} {:>10}\n", actions[i].kind, actions[i].operation,
                       format_bytes(actions[i].bytes), format_bytes(actions[i].resident));
  if (actions.size() > max_rows) out += fmt::format("… {} more\n", actions.size() - max_rows);
  return out;
}

std::string MemoryReport::text() const {
  std::string out;
  auto row = [&](const char* name, Bytes bytes) {
    out += fmt::format("{:14} {:>12}\n", name, format_bytes(bytes));
  };
  out += fmt::format("{:14} {:>12}  from {}{}\n", "limit", format_bytes(limit), limit_source,
                     strict ? ", strict" : "");
  row("used", used);
  row("active", active);
  row("cache", cache);
  row("workspace", workspace);
  row("staging", staging);
  row("metadata", metadata);
  row("library", library);
  row("spilled", spilled);
  row("pinned", pinned);
  row("process", process_baseline);
  return out;
}

}  // namespace plimsoll
