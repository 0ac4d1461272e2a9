#include "runtime/calibrate.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <functional>

#include "base/platform_linux.h"
#include "memory/file.h"
#include "memory/spill_store.h"
#include "opset/tile_program.h"

namespace plimsoll::runtime {
namespace {

using Clock = std::chrono::steady_clock;
constexpr Bytes kVector = 32 * kMiB;  // two of them pass most last-level caches
constexpr Bytes kTransfer = 16 * kMiB;
constexpr int64_t kSide = 512;  // of a product
constexpr int kVersion = 1;     // of the cached file

// The least of a few runs: what the machine can do when nothing disturbs it.
template <typename F>
double best_seconds(int runs, F&& f) {
  double best = 1e9;
  for (int i = 0; i < runs; ++i) {
    auto begin = Clock::now();
    f();
    best = std::min(best, std::chrono::duration<double>(Clock::now() - begin).count());
  }
  return std::max(best, 1e-9);
}

struct Room {
  memory::BufferRef buffer;
  memory::Pin pin;
  std::byte* data = nullptr;
};

bool take(memory::Pool& pool, Bytes bytes, Room& room) {
  auto buffer = pool.try_make_resident(bytes, memory::Tag::kWorkspace);
  if (!buffer) return false;
  room.buffer = std::move(*buffer);
  room.pin = room.buffer->pin();
  room.data = room.pin.data();
  std::fill(room.data, room.data + bytes, std::byte{0});
  return true;
}

device::Tensor matrix(std::byte* data, int64_t rows, int64_t columns) {
  return {data, Dtype::kFloat32, {rows, columns}, {columns, 1}};
}

bool measure_memory(device::Backend& backend, memory::Pool& pool, plan::Costs& costs) {
  Room a, b;
  if (!take(pool, kVector, a) || !take(pool, kVector, b)) return false;
  TileProgram add;
  add.inputs = {Dtype::kFloat32, Dtype::kFloat32};
  TileInstr instr;
  instr.op = TileOp::kAdd;
  instr.dtype = instr.in_dtype = Dtype::kFloat32;
  instr.src[0] = 0;
  instr.src[1] = 1;
  instr.dst = 2;
  add.instrs = {instr};
  add.outputs = {2};
  Room scratch;
  Bytes workspace = backend.program_workspace(add);
  if (workspace > 0 && !take(pool, workspace, scratch)) return false;
  device::Tensor x = matrix(a.data, 1, static_cast<int64_t>(kVector / 4));
  device::Tensor y = matrix(b.data, 1, static_cast<int64_t>(kVector / 4));
  const device::Tensor in[] = {x, y}, out[] = {y};
  double seconds = best_seconds(6, [&] {
    backend.run_program(add, in, out, {scratch.data, workspace}, nullptr);
  });
  costs.memory_bandwidth = 3.0 * static_cast<double>(kVector) / seconds;
  return true;
}

bool measure_product(device::Backend& backend, memory::Pool& pool, plan::Costs& costs) {
  const device::KernelRow* row = backend.kernels().find("matmul", Dtype::kFloat32);
  if (!row) return true;
  Room a, b, c, scratch;
  Bytes bytes = kSide * kSide * 4;
  const TensorSpec spec{Dtype::kFloat32, {kSide, kSide}};
  const TensorSpec in_specs[] = {spec, spec}, out_specs[] = {spec};
  Bytes workspace = row->workspace ? row->workspace({in_specs, out_specs, nullptr}) : 0;
  if (!take(pool, bytes, a) || !take(pool, bytes, b) || !take(pool, bytes, c) ||
      !take(pool, workspace + 64, scratch))
    return false;
  const device::Tensor in[] = {matrix(a.data, kSide, kSide), matrix(b.data, kSide, kSide)};
  const device::Tensor out[] = {matrix(c.data, kSide, kSide)};
  double seconds = best_seconds(16, [&] {
    row->run({in, out, {scratch.data, workspace}, {}, nullptr, {}});
  });
  costs.flops = 2.0 * kSide * kSide * kSide / seconds;
  return true;
}

bool measure_disk(memory::Pool& pool, const std::string& directory, plan::Costs& costs) {
  Room room;
  if (!take(pool, kTransfer, room)) return false;
  try {
    if (!platform::make_directories(directory) || platform::is_memory_backed(directory))
      return true;
    auto file = memory::open_scratch(directory, true);
    file->allocate(0, kTransfer);
    std::span<std::byte> bytes(room.data, kTransfer);
    double write = best_seconds(2, [&] {
      memory::write_all(*file, bytes, 0);
      file->drop_cache(0, kTransfer);
    });
    double read = best_seconds(2, [&] {
      memory::read_exact(*file, bytes, 0);
      file->drop_cache(0, kTransfer);
    });
    costs.write_bandwidth = static_cast<double>(kTransfer) / write;
    costs.read_bandwidth = static_cast<double>(kTransfer) / read;
  } catch (const Error&) {
    // The store will say what is wrong when it is needed.
  }
  return true;
}

std::string cache_file(const std::string& directory) {
  std::string cpu = platform::read_text_file("/proc/cpuinfo").value_or("");
  size_t at = cpu.find("model name");
  std::string key = fmt::format("{}|{}|{}", kVersion, directory,
                                at == std::string::npos ? "" : cpu.substr(at, 80));
  return fmt::format("{}/costs-{:016x}", memory::SpillStore::default_directory(),
                     std::hash<std::string>{}(key));
}

std::optional<plan::Costs> read_cached(const std::string& path) {
  plan::Costs c;
  std::ifstream in(path);
  in >> c.memory_bandwidth >> c.flops >> c.write_bandwidth >> c.read_bandwidth;
  auto sound = [](double x) { return x > 1e6 && x < 1e15; };
  if (!in || !sound(c.memory_bandwidth) || !sound(c.flops) || !sound(c.write_bandwidth) ||
      !sound(c.read_bandwidth))
    return std::nullopt;
  return c;
}

void write_cached(const std::string& path, const plan::Costs& c) {
  if (!platform::make_directories(memory::SpillStore::default_directory())) return;
  std::string temporary = fmt::format("{}.{}", path, platform::process_id());
  {
    std::ofstream out(temporary);
    out << fmt::format("{:.6g} {:.6g} {:.6g} {:.6g}\n", c.memory_bandwidth, c.flops,
                       c.write_bandwidth, c.read_bandwidth);
    if (!out) return;
  }
  if (std::rename(temporary.c_str(), path.c_str()) != 0) std::remove(temporary.c_str());
}

}  // namespace

std::optional<plan::Costs> calibrate(device::Backend& backend, memory::Pool& pool,
                                     const std::string& spill_directory) {
  std::string directory =
      spill_directory.empty() ? memory::SpillStore::default_directory() : spill_directory;
  std::string path = cache_file(directory);
  if (auto cached = read_cached(path)) return cached;
  plan::Costs costs;
  bool measured = false;
  struct Call {
    std::function<void()> run;
  } call{[&] {
    measured = measure_memory(backend, pool, costs) && measure_product(backend, pool, costs);
  }};
  backend.execute([](void* p) { static_cast<Call*>(p)->run(); }, &call);
  if (!measured || !measure_disk(pool, directory, costs)) return std::nullopt;
  write_cached(path, costs);
  return costs;
}

}  // namespace plimsoll::runtime
