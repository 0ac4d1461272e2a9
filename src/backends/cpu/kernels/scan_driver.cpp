#include "backends/cpu/kernels/scan_driver.h"

#include "backends/cpu/kernels/parallel.h"

namespace plimsoll::cpu {
namespace {

constexpr int64_t kStrip = 1024;               // columns of one task
constexpr int64_t kBatchElements = 512 << 10;  // two passes over a batch stay in the cache
constexpr size_t kScratchBytes = 1 << 20;      // totals and carries of a batch

struct Geometry {
  bool line = true;
  int64_t outer = 1;
  int64_t n = 1;      // steps of this call
  int64_t inner = 1;  // lines that are one element apart
  int64_t block = kScanBlock;
  bool first = true;
};

Geometry make_geometry(const device::KernelArgs& args, const ScanAttrs& attrs) {
  const Shape& part = args.inputs[0].shape;
  const int rank = static_cast<int>(part.size());
  Shape whole = part;
  Geometry g;
  for (const TileWindow& w : args.windows) {
    if (w.axis == rank - 1) g.first = w.first();
    const int axis = w.axis == rank - 1 ? attrs.axis : w.axis + (w.axis >= attrs.axis);
    whole[axis] = w.extent;
  }
  for (int i = 0; i < attrs.axis; ++i) g.outer *= part[i];
  if (rank > 0) g.n = part[attrs.axis];
  for (int i = attrs.axis + 1; i < rank; ++i) {
    g.inner *= part[i];
    g.line &= whole[i] == 1;
  }
  if (!g.line) g.block = kScanRowBlock;
  return g;
}

struct Scan {
  const ScanLeaf& leaf;
  const device::KernelArgs& args;
  const ScanAttrs& attrs;
  const Geometry& g;

  ScanBlock block(int64_t b, int64_t offset, int64_t count) const {
    const int64_t first = b * g.block;
    const int64_t at = attrs.reverse ? g.n - 1 - first : first;
    ScanBlock k;
    k.x = args.inputs[0].as<const std::byte>() + (offset + at * g.inner) * leaf.size;
    k.y = args.outputs[0].as<std::byte>() + (offset + at * g.inner) * leaf.size;
    k.n = std::min(g.block, g.n - first);
    k.step = attrs.reverse ? -g.inner : g.inner;
    k.count = count;
    k.inclusive = attrs.inclusive;
    return k;
  }

  void scan(const ScanBlock& k, const void* carry, void* totals) const {
    (g.line ? leaf.line : leaf.columns)(k, carry, totals);
  }

  int64_t blocks() const { return (g.n + g.block - 1) / g.block; }

  // Lines [l0, l0 + count) of the outer-th slice.
  void strip(int64_t outer, int64_t l0, int64_t count, bool split) const {
    alignas(64) std::byte totals[kStrip * 8];
    alignas(64) std::byte own_carry[kStrip * 16];
    std::byte* carry = own_carry;
    if (!args.carry.empty()) carry = args.carry.data() + (outer * g.inner + l0) * leaf.carry_size;
    if (g.first || args.carry.empty()) leaf.start(carry, count);
    const int64_t offset = outer * g.n * g.inner + l0;
    if (split) return scan_in_parallel(offset, count, carry);
    for (int64_t b = 0; b < blocks(); ++b) {
      scan(block(b, offset, count), carry, totals);
      leaf.advance(carry, totals, count);
    }
  }

  // Per batch of blocks: the totals of all, their carries in order, then the blocks themselves.
  void scan_in_parallel(int64_t offset, int64_t count, std::byte* carry) const {
    const int64_t cost = g.block * count;
    const int64_t bytes = count * (leaf.total_size + leaf.carry_size);
    const int64_t room = static_cast<int64_t>(args.workspace.size()) / bytes;
    const int64_t batch = std::clamp<int64_t>(kBatchElements / cost, 1, room);
    std::byte* totals = args.workspace.data();
    std::byte* carries = totals + batch * count * leaf.total_size;
    const int64_t total_bytes = count * leaf.total_size;
    const int64_t carry_bytes = count * leaf.carry_size;
    for (int64_t b0 = 0; b0 < blocks(); b0 += batch) {
      const int64_t n = std::min(batch, blocks() - b0);
      parallel_ranges(n, cost, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          ScanBlock k = block(b0 + i, offset, count);
          k.y = nullptr;
          scan(k, carry, totals + i * total_bytes);
        }
      });
      for (int64_t i = 0; i < n; ++i) {
        std::copy_n(carry, carry_bytes, carries + i * carry_bytes);
        leaf.advance(carry, totals + i * total_bytes, count);
      }
      parallel_ranges(n, cost, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i)
          scan(block(b0 + i, offset, count), carries + i * carry_bytes, totals + i * total_bytes);
      });
    }
  }

  void run() const {
    const int64_t elements = g.outer * g.n * g.inner;
    const int workers = elements < 2 * kParallelGrain ? 1 : num_workers();
    const int64_t size = g.line ? 1 : std::min(kStrip, g.inner);
    const int64_t strips = (g.inner + size - 1) / size;
    const bool split =
        workers > 1 && strips * g.outer < 2 * workers && blocks() > 1 && !args.workspace.empty();
    const auto body = [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        const int64_t outer = t / strips;
        const int64_t l0 = (t - outer * strips) * size;
        strip(outer, l0, std::min(size, g.inner - l0), split);
      }
    };
    if (split || workers == 1)
      body(0, strips * g.outer);
    else
      parallel_ranges(strips * g.outer, g.n * size, body);
  }
};

}  // namespace

void run_scan(const ScanLeaf& leaf, const device::KernelArgs& args) {
  const auto& attrs = static_cast<const ScanAttrs&>(*args.attrs);
  const Geometry g = make_geometry(args, attrs);
  if (g.outer * g.n * g.inner == 0) return;
  Scan{leaf, args, attrs, g}.run();
}

size_t scan_workspace(const OpInstance& op) {
  return num_elements(op.inputs[0].shape) < 2 * kParallelGrain ? 0 : kScratchBytes;
}

}  // namespace plimsoll::cpu
