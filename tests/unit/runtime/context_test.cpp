#include "runtime/context.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <future>
#include <numeric>
#include <thread>

#include "plimsoll/ops/cast.h"
#include "tests/unit/plan/graphs.h"

namespace plimsoll::runtime {
namespace {

using plan::kPage;
using plan::kPlenty;
using plan::Planning;
using ::testing::HasSubstr;

constexpr size_t kSquare = 64 * 64 * 4;

std::vector<std::byte> bytes_of(Context& context, const array& a) {
  std::vector<std::byte> bytes(a.nbytes());
  context.copy_out(*a.node(), bytes.data());
  return bytes;
}

struct ContextTest : testing::Test {
  ContextTest() {
    directory = std::filesystem::path("/var/tmp") / ("plimsoll-ctx-" + std::to_string(getpid()));
    options = plan::small_blocks();
    options.spill_directory = directory.string();
  }
  ~ContextTest() override { std::filesystem::remove_all(directory); }
  std::filesystem::path directory;
  ContextOptions options;
};

// Limits -------------------------------------------------------------------------------------

TEST_F(ContextTest, setting_a_limit_returns_the_one_before_and_evicts_at_once) {
  Planning p(options);
  for (int i = 0; i < 8; ++i) p.held.push_back(p.existing({64, 64}));
  std::vector<std::vector<std::byte>> before;
  for (const array& a : p.held) before.push_back(bytes_of(p.context, a));
  const size_t limit = p.context.ledger().used() - 4 * kSquare;
  EXPECT_EQ(p.context.set_limit(limit, true), kPlenty);
  EXPECT_LE(p.context.ledger().used(), limit);
  EXPECT_EQ(p.context.set_limit(kPlenty, std::nullopt), limit);
  for (size_t i = 0; i < 8; ++i) EXPECT_EQ(bytes_of(p.context, p.held[i]) == before[i], true);
}

TEST_F(ContextTest, a_small_part_of_rows_is_read_where_others_can_make_room) {
  Planning p(options);
  for (int i = 0; i < 16; ++i) p.held.push_back(p.existing({64, 64}));
  array corner = slice(p.held[0], {0, 0}, {8, 8});
  p.context.eval({{corner}});
  const std::vector<std::byte> before = bytes_of(p.context, corner);
  p.context.pool().clear_cache();
  p.context.set_limit(p.context.ledger().used(), true);
  EXPECT_EQ(bytes_of(p.context, corner), before);
  EXPECT_GT(p.context.store().stats().stored, 0u);
}

TEST_F(ContextTest, what_is_written_through_a_view_outlives_a_copy_in_the_store) {
  Planning p(options);
  array a = p.existing({64, 64});
  memory::ExportPin view = p.context.export_view(*a.node(), "a view");
  const memory::BufferRef& buffer = a.node()->storage->buffer;
  memory::Ticket ticket = p.context.store().write(buffer, buffer->all());
  p.context.store().wait(ticket);
  std::memset(view.data(), 7, kSquare);
  view.release();
  p.context.set_limit(p.context.ledger().used() - kSquare, true);
  EXPECT_EQ(buffer->resident_bytes(), 0u);
  p.context.set_limit(kPlenty, true);
  EXPECT_EQ(bytes_of(p.context, a), std::vector<std::byte>(kSquare, std::byte{7}));
}

TEST_F(ContextTest, what_is_being_filled_is_not_copied_to_the_store) {
  Planning p(options);
  array outside = p.existing({64, 64});  // while another thread evaluates
  const memory::BufferRef& buffer = outside.node()->storage->buffer;
  memory::Pin pin = buffer->pin();
  const size_t used = p.context.ledger().used();
  p.context.set_limit(used - kSquare, true);
  EXPECT_EQ(p.context.store().stats().stored, 0u);
  p.context.set_limit(kPlenty, true);
  std::vector<array> outputs = plan::train(p);
  MemoryPlan free = p.context.dry_run(outputs, kPlenty);
  p.context.set_limit(free.floor + (free.unlimited_peak - free.floor) / 8, true);
  p.context.eval(outputs);
  EXPECT_GT(p.context.last_evaluation().written, 0u);
  EXPECT_EQ(buffer->dirty_bytes(buffer->all()), kSquare);
}

/// The first buffer that it hands out is stored, and evicted, at once, as by another thread's
/// evaluation.
struct Hasty final : graph::Evaluator {
  explicit Hasty(Context& c) : context(c), previous(graph::install_evaluator(this)) {}
  ~Hasty() override { graph::install_evaluator(previous); }
  memory::BufferRef allocate(size_t bytes) override {
    memory::BufferRef buffer = context.allocate(bytes);
    if (std::exchange(calm, true)) return buffer;
    memory::Ticket ticket = context.store().write(buffer, buffer->all());
    context.store().wait(ticket);
    if (evicts) buffer->evict(buffer->all());
    return buffer;
  }
  void eval(std::span<const array> a) override { context.eval(a); }
  void async_eval(std::span<const array> a) override { context.async_eval(a); }
  void eval_into(std::span<const array> a,
                 std::span<const std::shared_ptr<memory::FileSink>> s) override {
    context.eval_into(a, s);
  }
  void* allocate_metadata(size_t bytes) override { return context.allocate_metadata(bytes); }
  void free_metadata(void* p, size_t bytes) noexcept override { context.free_metadata(p, bytes); }
  void copy_out(const graph::Node& n, void* out) override { context.copy_out(n, out); }
  void copy_out(const graph::Node& n, ByteRange r, void* out) override {
    context.copy_out(n, r, out);
  }
  memory::BufferRef allocate_from(size_t bytes, std::shared_ptr<memory::FileSource> s) override {
    return context.allocate_from(bytes, std::move(s));
  }
  Context& context;
  graph::Evaluator* previous;
  bool evicts = true, calm = false;
};

TEST_F(ContextTest, an_array_is_made_though_its_room_was_evicted_before_it_was_filled) {
  Planning p(options);
  Hasty hasty(p.context);
  const std::vector<std::byte> bytes(kSquare, std::byte{7});
  array a(bytes.data(), {64, 64}, Dtype::kFloat32);
  EXPECT_TRUE(hasty.calm);
  EXPECT_EQ(bytes_of(p.context, a), bytes);
}

TEST_F(ContextTest, what_was_stored_of_room_before_it_was_filled_is_forgotten) {
  Planning p(options);
  Hasty hasty(p.context);
  hasty.evicts = false;
  const std::vector<std::byte> bytes(kSquare, std::byte{7});
  array a(bytes.data(), {64, 64}, Dtype::kFloat32);
  EXPECT_TRUE(hasty.calm);
  memory::Buffer& buffer = *a.node()->storage->buffer;
  EXPECT_EQ(buffer.evict(buffer.all()), 0u);
  EXPECT_EQ(bytes_of(p.context, a), bytes);
}

TEST_F(ContextTest, a_refusal_says_what_is_needed_and_runs_nothing) {
  Planning p(options);
  std::vector<array> outputs = plan::one_row(p);
  const size_t floor = p.context.dry_run(outputs, kPlenty).floor;
  p.context.set_limit(floor - kPage, true);
  try {
    p.context.eval(outputs);
    FAIL() << "no error";
  } catch (const MemoryLimitError& e) {
    EXPECT_EQ(e.limit, floor - kPage);
    EXPECT_EQ(e.required, e.floor);
    EXPECT_EQ(e.operation, "cumsum float32[1, 16384]");
    size_t sum = 0;
    for (auto& [part, bytes] : e.breakdown) sum += bytes;
    EXPECT_EQ(sum, e.floor);
    EXPECT_THAT(e.what(), HasSubstr("this evaluation needs"));
    EXPECT_FALSE(outputs[0].is_available());
    p.context.set_limit(e.required, true);
  }
  p.context.eval(outputs);
  EXPECT_TRUE(outputs[0].is_available());
}

TEST_F(ContextTest, a_guideline_is_passed_with_one_warning_a_cause) {
  options.strict = false;
  Planning p(options);
  std::vector<std::string> warnings;
  p.context.set_warning_handler([&](const std::string& text) { warnings.push_back(text); });
  std::vector<array> outputs;
  for (int i = 0; i < 2; ++i)
    outputs.push_back(sort(full({1, 16384}, array(i), Dtype::kFloat32), -1));
  const size_t limit = p.context.ledger().used() + 20 * kPage;
  p.context.set_limit(limit, std::nullopt);
  for (const array& output : outputs) {
    p.context.eval({{output}});
    EXPECT_GT(p.context.last_evaluation().limit, limit);
    EXPECT_EQ(p.context.ledger().limit(), limit);
    EXPECT_LE(p.context.ledger().used(), limit);
  }
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_THAT(warnings[0], HasSubstr("was raised to"));
  EXPECT_THAT(warnings[0], HasSubstr("sort float32[1, 16384]"));
}

TEST_F(ContextTest, scopes_are_their_threads_and_cannot_pass_each_other) {
  Planning p(options);
  Context& c = p.context;
  c.set_strict(false);
  const uint64_t outer = c.open_scope(1000 * kPage, true);
  EXPECT_EQ(c.limits().limit, 1000 * kPage);
  EXPECT_TRUE(c.limits().strict);
  const uint64_t inner = c.open_scope(2000 * kPage, false);
  EXPECT_EQ(c.limits().limit, 1000 * kPage);
  EXPECT_EQ(c.limits().cap, 1000 * kPage);
  Context::Limits others{};
  std::thread([&] { others = c.limits(); }).join();
  EXPECT_EQ(others.limit, kPlenty);
  EXPECT_FALSE(others.strict);
  c.close_scope(outer);  // in any order
  EXPECT_EQ(c.limits().limit, 2000 * kPage);
  c.close_scope(inner);
  EXPECT_EQ(c.limits().limit, kPlenty);
}

TEST_F(ContextTest, contexts_do_not_know_each_other) {
  Planning a(options);
  a.held.push_back(a.existing({64, 64}));
  {
    Planning b(options);
    b.context.set_limit(100 * kPage, true);
    b.held.push_back(b.existing({64, 64}));
    EXPECT_EQ(a.context.limits().limit, kPlenty);
    EXPECT_EQ(a.context.ledger().used(memory::Tag::kBuffer), kSquare);
    EXPECT_EQ(b.context.ledger().used(memory::Tag::kBuffer), kSquare);
  }
  // The older one is the evaluator again.
  array y = exp(a.held[0]);
  y.eval();
  EXPECT_EQ(a.context.last_evaluation().nodes, 2u);
}

TEST_F(ContextTest, wired_memory_is_no_more_than_there_is) {
  Planning p(options);
  EXPECT_EQ(p.context.set_wired_limit(kPage), 0u);
  EXPECT_EQ(p.context.set_wired_limit(0), kPage);
  EXPECT_THROW(p.context.set_wired_limit(size_t{1} << 62), ValueError);
}

// The environment ----------------------------------------------------------------------------

struct Variable {
  Variable(const char* name, const char* value) : name(name) { setenv(name, value, 1); }
  ~Variable() { unsetenv(name); }
  const char* name;
};

std::string error_of(const char* name, const char* value) {
  Variable variable(name, value);
  try {
    (void)ContextOptions::from_environment();
  } catch (const ValueError& e) {
    return e.what();
  }
  return "no error";
}

TEST(Environment, settings_are_read) {
  Variable a("PLIMSOLL_MEMORY_STRICT", "1"), b("PLIMSOLL_SPILL_LIMIT", "3MiB"),
      c("PLIMSOLL_PRESSURE", "no-cache"), d("PLIMSOLL_EXTENT_BYTES", "8KiB");
  ContextOptions options = ContextOptions::from_environment();
  EXPECT_EQ(options.strict, true);
  EXPECT_EQ(options.spill_limit, 3u * 1024 * 1024);
  EXPECT_TRUE(options.pressure.no_cache);
  EXPECT_EQ(options.pool.cache_limit, 0u);
  EXPECT_EQ(options.pool.extent_bytes, 8192u);
  Variable e("PLIMSOLL_MEMORY_STRICT", "0");
  EXPECT_EQ(ContextOptions::from_environment().strict, false);
}

TEST(Environment, errors_name_the_setting) {
  EXPECT_THAT(error_of("PLIMSOLL_SPILL_LIMIT", "much"),
              HasSubstr("[PLIMSOLL_SPILL_LIMIT] expected"));
  EXPECT_THAT(error_of("PLIMSOLL_PRESSURE", "high"), HasSubstr("got high"));
  Variable tiny("PLIMSOLL_MEMORY_LIMIT", "1KiB");
  ContextOptions options = plan::small_blocks();
  options.limit.reset();
  try {
    Context context(options);
    FAIL() << "no error";
  } catch (const ValueError& e) {
    EXPECT_THAT(e.what(), HasSubstr("which the process has in use already"));
  }
}

TEST(Environment, a_process_limit_counts_what_is_resident_besides) {
  Variable variable("PLIMSOLL_MEMORY_LIMIT", "64GiB");
  ContextOptions options = plan::small_blocks();
  options.limit.reset();
  Context context(options);
  const Bytes limit = Bytes{64} << 30;
  EXPECT_LT(context.limits().limit, limit - limit / 100);
  EXPECT_EQ(context.report().limit_source, "PLIMSOLL_MEMORY_LIMIT");
}

// Views outside ------------------------------------------------------------------------------

TEST_F(ContextTest, an_exported_array_is_resident_and_reported_while_it_is_held) {
  Planning p(options);
  array x = p.existing({64, 64});
  const std::vector<std::byte> before = bytes_of(p.context, x);
  p.context.set_limit(p.context.ledger().used(), true);
  p.held.push_back(x);
  const memory::BufferRef& buffer = x.node()->storage->buffer;
  memory::Ticket ticket = p.context.store().write(buffer, buffer->all());
  p.context.store().wait(ticket);
  buffer->evict(buffer->all());
  p.context.set_limit(kPlenty, true);
  {
    memory::ExportPin view = p.context.export_view(*x.node(), "NumPy");
    EXPECT_EQ(std::memcmp(view.data(), before.data(), before.size()), 0);
    MemoryReport report = p.context.report();
    EXPECT_EQ(report.pinned, kSquare);
    ASSERT_EQ(report.pinned_by.size(), 1u);
    EXPECT_EQ(report.pinned_by[0].first, "NumPy");
    std::memset(view.data(), 1, kSquare);  // whoever holds the view may write
  }
  EXPECT_EQ(p.context.report().pinned, 0u);
  buffer->evict(buffer->all());  // not clean any more
  EXPECT_EQ(bytes_of(p.context, x), std::vector<std::byte>(kSquare, std::byte{1}));
}

TEST_F(ContextTest, a_small_part_of_a_large_array_is_exported_as_a_copy) {
  Planning p(options);
  array x = p.existing({64, 64});
  array row = slice(x, {3, 0}, {4, 64});
  p.context.eval({{row}});
  const std::vector<std::byte> before = bytes_of(p.context, row);
  memory::ExportPin view = p.context.export_view(*row.node(), "a view");
  EXPECT_EQ(p.context.report().pinned, 256u);
  EXPECT_EQ(std::memcmp(view.data(), before.data(), 256), 0);
}

TEST_F(ContextTest, an_export_without_room_is_refused) {
  Planning p(options);
  array x = p.existing({64, 64});
  p.held.push_back(x);
  p.context.set_limit(p.context.ledger().used() - kSquare + kPage, true);
  try {
    (void)p.context.export_view(*x.node(), "NumPy");
    FAIL() << "no error";
  } catch (const MemoryLimitError& e) {
    EXPECT_THAT(e.what(), HasSubstr("copy it with numpy.array(a)"));
    EXPECT_GT(e.required, kSquare);
  }
}

// Reading ------------------------------------------------------------------------------------

TEST_F(ContextTest, elements_come_out_in_row_major_order_whatever_the_layout) {
  Planning p(options);
  std::vector<int32_t> numbers(6 * 4);
  std::iota(numbers.begin(), numbers.end(), 0);
  array x(numbers.data(), {6, 4}, Dtype::kInt32);
  array t = transpose(x), part = slice(x, {5, 3}, {0, 0}, {-2, -1});
  p.context.eval({{t, part}});
  std::vector<int32_t> got(24);
  p.context.copy_out(*t.node(), got.data());
  for (int32_t i = 0; i < 24; ++i) EXPECT_EQ(got[static_cast<size_t>(i)], i % 6 * 4 + i / 6);
  got.resize(static_cast<size_t>(part.size()));
  p.context.copy_out(*part.node(), got.data());
  EXPECT_EQ(got, (std::vector<int32_t>{23, 22, 21, 15, 14, 13, 7, 6, 5}));
  int32_t two[2];
  p.context.copy_out(*x.node(), ByteRange{4, 12}, two);
  EXPECT_EQ(two[0], 1);
  EXPECT_EQ(two[1], 2);
}

TEST_F(ContextTest, constants_are_written_in_their_dtype) {
  Planning p(options);
  auto bits = [&](const array& a) {
    uint64_t out = 0;
    p.context.copy_out(*a.node(), &out);
    return out;
  };
  EXPECT_EQ(bits(array(true)), 1u);
  EXPECT_EQ(bits(array(int64_t{-2}, Dtype::kInt16)), 0xfffeu);
  EXPECT_EQ(bits(array(1.0, Dtype::kFloat16)), 0x3c00u);
  EXPECT_EQ(bits(array(1.0, Dtype::kBfloat16)), 0x3f80u);
  EXPECT_EQ(bits(array(1.0f)), 0x3f800000u);
  EXPECT_EQ(bits(array(1.0, Dtype::kFloat64)), 0x3ff0000000000000u);
}

// Accounts -----------------------------------------------------------------------------------

TEST_F(ContextTest, a_dry_run_runs_nothing) {
  Planning p(options);
  std::vector<array> outputs = plan::train(p);
  MemoryPlan shown = p.context.dry_run(outputs, p.context.dry_run(outputs, kPlenty).floor);
  EXPECT_GT(shown.bytes_written, 0u);
  EXPECT_GT(shown.actions.size(), 10u);
  for (const array& a : outputs) EXPECT_FALSE(a.is_available());
  EXPECT_EQ(p.context.last_evaluation().nodes, 0u);
}

TEST_F(ContextTest, nodes_past_the_limit_evict_first_and_raise_then) {
  Planning p(options);
  for (int i = 0; i < 8; ++i) p.held.push_back(p.existing({64, 64}));
  const array& oldest = p.held[0];
  p.context.set_limit(p.context.ledger().used() + kPage, true);
  std::vector<array> nodes;
  bool evicted = false;
  try {
    for (int i = 0; i < 10'000; ++i) {
      nodes.push_back(exp(oldest));
      for (const array& a : p.held) evicted |= a.node()->storage->buffer->resident_bytes() == 0;
    }
    FAIL() << "no error";
  } catch (const OutOfMemory& e) {
    EXPECT_THAT(e.what(), HasSubstr("expected room for one more operation"));
  }
  EXPECT_TRUE(evicted);
  EXPECT_LE(p.context.ledger().used(), p.context.ledger().limit());
}

TEST_F(ContextTest, peak_memory_is_that_of_live_buffers_since_it_was_reset) {
  Planning p(options);
  p.context.reset_peak_memory();
  p.held.push_back(p.existing({64, 64}));
  { array more = p.existing({64, 64}); }
  EXPECT_EQ(p.context.peak_memory(), 2 * kSquare);
  p.context.reset_peak_memory();
  EXPECT_EQ(p.context.peak_memory(), kSquare);
  array y = sort(p.held[0], -1);
  p.context.eval({{y}});
  EXPECT_EQ(p.context.peak_memory(), 2 * kSquare);
}

TEST_F(ContextTest, an_array_larger_than_the_limit_is_filled_in_pieces) {
  Planning p(options);
  p.held.push_back(p.existing({64, 64}));
  const std::vector<std::byte> before = bytes_of(p.context, p.held[0]);
  std::vector<uint32_t> words(64 * kSquare / 4);
  std::iota(words.begin(), words.end(), 0u);
  p.context.pool().clear_cache();
  const size_t limit = p.context.ledger().used() + 8 * kSquare;
  p.context.set_limit(limit, true);
  p.context.ledger().reset_peak();
  {
    array a(words.data(), {static_cast<int64_t>(words.size())}, Dtype::kUint32);
    EXPECT_LE(p.context.ledger().peak(), limit);
    EXPECT_GE(p.context.store().stats().stored, 64 * kSquare);
    std::vector<uint32_t> read(words.size());
    a.copy_to(read.data());
    EXPECT_EQ(read, words);
  }
  EXPECT_LE(p.context.store().stats().stored, kSquare);
  EXPECT_EQ(bytes_of(p.context, p.held[0]), before);
}

TEST_F(ContextTest, an_array_that_neither_memory_nor_the_store_has_room_for_is_refused) {
  options.spill_limit = 32 * kSquare;
  Planning p(options);
  const std::vector<std::byte> bytes(64 * kSquare);
  p.context.set_limit(p.context.ledger().used() + 8 * kSquare, true);
  const size_t used = p.context.ledger().used();
  try {
    array a(bytes.data(), {64 * kSquare}, Dtype::kUint8);
    FAIL();
  } catch (const MemoryLimitError& e) {
    EXPECT_THAT(e.what(), HasSubstr("[array] expected room for 1.05 MB under the limit of"));
    EXPECT_THAT(e.what(), HasSubstr("or in the spill store, got 524 kB there; free disk space"));
    EXPECT_EQ(e.spill_available, 32 * kSquare);
    EXPECT_GT(e.required, 64 * kSquare);
  }
  EXPECT_EQ(p.context.ledger().used(), used);
  EXPECT_EQ(p.context.store().stats().stored, 0u);
}

TEST_F(ContextTest, an_evaluation_waits_for_a_view_that_another_thread_lets_go_of) {
  Planning p(options);
  array big = p.existing({256, 64}), x = p.existing({64, 64});
  array y = sort(x, -1);
  const size_t floor = p.context.dry_run({{y}}, kPlenty).floor;
  p.context.set_limit(floor + kPage, true);
  std::promise<void> pinned;
  std::jthread other([&] {
    p.context.set_limit(kPlenty, true);
    memory::ExportPin view = p.context.export_view(*big.node(), "a view");
    p.context.set_limit(floor + kPage, true);
    pinned.set_value();
    std::this_thread::yield();
  });
  pinned.get_future().wait();
  p.context.eval({{y}});
  EXPECT_TRUE(y.is_available());
}

TEST_F(ContextTest, two_threads_share_one_limit) {
  Planning p(options);
  std::vector<array> one = plan::train(p), two = plan::waiting(p);
  p.context.set_limit(
      std::max(p.context.dry_run(one, kPlenty).floor, p.context.dry_run(two, kPlenty).floor) +
          32 * kPage,
      true);
  std::thread other([&] { p.context.eval(one); });
  p.context.eval(two);
  other.join();
  for (const array& a : one) EXPECT_TRUE(a.is_available());
  for (const array& a : two) EXPECT_TRUE(a.is_available());
  EXPECT_LE(p.context.ledger().peak(), p.context.ledger().limit());
}

}  // namespace
}  // namespace plimsoll::runtime
