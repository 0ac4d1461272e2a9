// What the memory layer costs: blocks, pins, metadata, checksums, spilling.
#include <benchmark/benchmark.h>

#include <cstring>
#include <vector>

#include "memory/checksum.h"
#include "memory/host_resource.h"
#include "memory/pool.h"
#include "memory/spill_store.h"

namespace plimsoll::memory {
namespace {

void reserve(benchmark::State& state) {
  Ledger ledger;
  for (auto _ : state) benchmark::DoNotOptimize(ledger.try_reserve(4096, Tag::kBuffer));
}
BENCHMARK(reserve);

void metadata_block(benchmark::State& state) {
  HostResource resource;
  Ledger ledger;
  MetadataArena arena(ledger, resource, nullptr);
  void* keep = arena.try_allocate(200);
  for (auto _ : state) {
    void* block = arena.try_allocate(200);
    benchmark::DoNotOptimize(block);
    arena.deallocate(block, 200);
  }
  arena.deallocate(keep, 200);
}
BENCHMARK(metadata_block);

void recycled_buffer(benchmark::State& state) {
  HostResource resource;
  Ledger ledger;
  Pool pool(ledger, resource);
  auto size = static_cast<Bytes>(state.range(0));
  auto keep = pool.try_make_resident(size);
  pool.try_make_resident(size).reset();
  for (auto _ : state) benchmark::DoNotOptimize(pool.try_make_resident(size));
}
BENCHMARK(recycled_buffer)->Arg(64)->Arg(1000)->Arg(100 << 10)->Arg(1 << 20)->Arg(64 << 20);

void pin(benchmark::State& state) {
  HostResource resource;
  Ledger ledger;
  Pool pool(ledger, resource);
  auto buffer = *pool.try_make_resident(static_cast<Bytes>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(buffer->pin());
}
BENCHMARK(pin)->Arg(64)->Arg(1 << 20)->Arg(64 << 20);

void checksum_extent(benchmark::State& state) {
  std::vector<std::byte> extent(2 * kMiB);
  for (auto _ : state) benchmark::DoNotOptimize(checksum(extent));
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * extent.size()));
}
BENCHMARK(checksum_extent);

/// First touch of fresh pages against reused ones, huge or not.
void touch(benchmark::State& state) {
  HostResource resource;
  Ledger ledger;
  Pool pool(ledger, resource, nullptr, {.huge_pages = state.range(0) != 0});
  constexpr Bytes kSize = 64 * kMiB;
  for (auto _ : state) {
    if (state.range(1) != 0) {
      state.PauseTiming();
      pool.clear_cache();
      state.ResumeTiming();
    }
    auto buffer = *pool.try_make_resident(kSize);
    std::memset(buffer->pin().data(), 1, kSize);
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * kSize));
}
BENCHMARK(touch)->ArgNames({"huge", "fresh"})->ArgsProduct({{0, 1}, {0, 1}});

void spill(benchmark::State& state) {
  HostResource resource;
  Ledger ledger;
  Pool pool(ledger, resource);
  SpillStore::Options options;
  options.direct = state.range(0) != 0;
  SpillStore store(options);
  constexpr Bytes kSize = 256 * kMiB;
  auto buffer = *pool.try_make_resident(kSize);
  std::memset(buffer->pin().data(), 1, kSize);
  auto space = store.reserve_space(kSize);
  auto load = [&] {
    auto charge = pool.try_reserve(kSize);
    Ticket read = store.read(buffer, buffer->all(), *charge);
    store.wait(read);
  };
  if (state.range(2) != 0) {
    Ticket write = store.write(buffer, buffer->all(), &space);
    store.wait(write);
    buffer->evict(buffer->all());
    if (!buffer->set_fine(true)) state.SkipWithError("coarse extents stay");
    load();
  }
  for (auto _ : state) {
    bool reading = state.range(1) != 0;
    buffer->mark_written(buffer->all());
    if (reading) state.PauseTiming();
    Ticket write = store.write(buffer, buffer->all(), &space);
    store.wait(write);
    if (!reading) state.PauseTiming();
    buffer->evict(buffer->all());
    if (reading) state.ResumeTiming();
    load();
    if (!reading) state.ResumeTiming();
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * kSize));
}
BENCHMARK(spill)
    ->ArgNames({"direct", "read", "fine"})
    ->ArgsProduct({{0, 1}, {0, 1}, {0, 1}})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime()
    ->Iterations(8);

}  // namespace
}  // namespace plimsoll::memory

BENCHMARK_MAIN();
