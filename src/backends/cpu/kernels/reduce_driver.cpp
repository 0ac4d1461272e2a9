#include "backends/cpu/kernels/reduce_driver.h"

#include <cstring>

#include "backends/cpu/kernels/parallel.h"

namespace plimsoll::cpu {
namespace {

constexpr int64_t kMaxStrip = 4096;          // outputs of one task
constexpr int64_t kMinStrip = 256;           // columns of one task, where there are as many
constexpr size_t kPartialBytes = 512 << 10;  // scratch for partials of blocks reduced in parallel
constexpr int64_t kStripElements = 16384;    // rows: elements of one leaf call

struct Loop {
  int64_t size;
  int64_t in_stride;
  int64_t out_stride;
};
using Loops = SmallVector<Loop, 6>;

struct Geometry {
  ReduceOrder order;
  Loops kept;              // outer loops over outputs
  Loop lane = {1, 1, 1};   // outputs that one leaf call covers a strip of
  Loops reduced;           // outer loops over runs
  Loop run = {1, 1, 0};    // units of a run
  int64_t chunk = 1;       // units of a block
  int64_t begin = 0;       // rank of the run's first unit
  bool first = true;       // no earlier turn
  bool last = true;        // no later turn
  int64_t outer = 1;       // product of `kept`
  int64_t blocks = 0;      // blocks of one output
  int64_t run_blocks = 0;  // blocks of one run
};

bool contains(const Dims& axes, int axis) {
  return std::find(axes.begin(), axes.end(), axis) != axes.end();
}

// Loops are pushed from the outermost to the innermost.
void push(Loops& loops, Loop l) {
  if (l.size == 1) return;
  if (!loops.empty() && loops.back().in_stride == l.size * l.in_stride &&
      loops.back().out_stride == l.size * l.out_stride) {
    l.size *= loops.back().size;
    loops.pop_back();
  }
  loops.push_back(l);
}

// ceil(a / b); divisions cost as much as a small reduction.
int64_t ceil_div(int64_t a, int64_t b) { return a <= b ? a > 0 : (a + b - 1) / b; }

int64_t product(const Loops& loops) {
  int64_t n = 1;
  for (const Loop& l : loops) n *= l.size;
  return n;
}

// Offsets (input, output) of the index-th turn of the nest.
Loop locate(const Loops& loops, int64_t index) {
  Loop at = {0, 0, 0};
  for (size_t i = loops.size(); i-- > 0;) {
    const Loop& l = loops[i];
    const int64_t k = i == 0 ? index : index % l.size;
    if (i > 0) index /= l.size;
    at.in_stride += k * l.in_stride;
    at.out_stride += k * l.out_stride;
  }
  return at;
}

// Shape of the whole problem: windows name the extents of axes that are cut, as reduce_tiling
// numbers them.
Shape whole_shape(const device::KernelArgs& args, const Dims& axes) {
  Shape whole = args.inputs[0].shape;
  if (args.windows.empty()) return whole;
  SmallVector<int, 6> order;
  for (int i = 0; i < static_cast<int>(whole.size()); ++i)
    if (!contains(axes, i)) order.push_back(i);
  for (int64_t axis : axes) order.push_back(static_cast<int>(axis));
  for (const TileWindow& w : args.windows) whole[order[w.axis]] = w.extent;
  return whole;
}

void set_window(Geometry& g, const device::KernelArgs& args, size_t num_kept) {
  for (const TileWindow& w : args.windows)
    if (w.axis >= static_cast<int>(num_kept) && w.extent > 1) {
      g.first = w.first();
      g.last = w.last();
      g.begin = g.order.merged ? w.begin * g.order.axis_units : 0;
    }
}

Geometry make_geometry(const device::KernelArgs& args, const Dims& axes, bool keepdims) {
  Geometry g;
  const device::Tensor& x = args.inputs[0];
  const device::Tensor& y = args.outputs[0];
  const Shape whole = whole_shape(args, axes);
  g.order = reduce_order(whole, axes);
  set_window(g, args, whole.size() - axes.size());
  const int rank = static_cast<int>(whole.size());
  // First axis of the run: the last reduced group, without `axis` where each index is a run.
  int run_axis = rank;
  {
    int i = rank - 1;
    while (i >= 0 && (whole[i] == 1 || !contains(axes, i))) --i;
    for (; i >= 0 && (whole[i] == 1 || contains(axes, i)); --i)
      if (whole[i] != 1) run_axis = i;
    if (g.order.merged && g.order.axis_units > g.order.block) do
        ++run_axis;
      while (run_axis < rank && whole[run_axis] == 1);
  }
  Loops run;
  int out = 0;
  for (int i = 0; i < rank; ++i) {
    const bool reduced = contains(axes, i);
    const int64_t out_stride = reduced ? 0 : y.strides[out];
    out += !reduced || keepdims;
    if (whole[i] == 1) continue;
    const Loop loop = {x.shape[i], x.strides[i], out_stride};
    push(!reduced ? g.kept : i >= run_axis ? run : g.reduced, loop);
  }
  if (run.size() > 1 && num_elements(x.shape) == 0) {  // strides of nothing do not merge
    run.clear();
    run.push_back({0, 1, 0});
  }
  PLIMSOLL_ASSERT(run.size() <= 1);  // inputs are row-contiguous
  if (!run.empty()) g.run = run[0];
  g.chunk = g.order.block;
  if (!g.kept.empty() && (g.order.rows || g.kept.back().in_stride == 1)) {
    g.lane = g.kept.back();
    g.kept.pop_back();
  }
  g.outer = product(g.kept);
  g.run_blocks = ceil_div(g.run.size, g.chunk);
  g.blocks = g.run_blocks * product(g.reduced);
  return g;
}

struct Reduction {
  const ReduceLeaf& leaf;
  const device::KernelArgs& args;
  const Geometry& g;

  ReduceBlock block(int64_t b, const std::byte* x, int64_t count) const {
    const int64_t run = b < g.run_blocks ? 0 : b / g.run_blocks;
    const int64_t u = (b - run * g.run_blocks) * g.chunk;
    ReduceBlock k;
    const int64_t offset = locate(g.reduced, run).in_stride + u * g.run.in_stride;
    k.x = x + offset * leaf.in_size;
    k.units = std::min(g.chunk, g.run.size - u);
    k.rows = g.order.rows;
    k.stride = k.rows ? g.lane.in_stride : g.run.in_stride;
    k.count = count;
    k.fold = g.order.fold;
    k.begin = g.begin + u;
    return k;
  }

  void reduce_block(const ReduceBlock& k, void* partial) const {
    (k.rows ? leaf.rows : leaf.columns)(k, partial);
  }

  // Outputs [l0, l0 + count) of the lane at the outer-th turn of `kept`.
  void strip(int64_t outer, int64_t l0, int64_t count, bool split) const {
    alignas(64) std::byte partial[kMaxStrip * 16];
    alignas(64) std::byte own_carry[kMaxStrip * 16];
    const Loop at = locate(g.kept, outer);
    const auto* x = args.inputs[0].as<const std::byte>() +
                    (at.in_stride + l0 * g.lane.in_stride) * leaf.in_size;
    std::byte* carry = own_carry;
    if (!args.carry.empty())
      carry = args.carry.data() + (outer * g.lane.size + l0) * leaf.carry_size;
    if (g.first) leaf.start(carry, count);
    if (split) {
      fold_in_parallel(x, count, carry);
    } else {
      for (int64_t b = 0; b < g.blocks; ++b) {
        const ReduceBlock k = block(b, x, count);
        reduce_block(k, partial);
        leaf.fold(carry, partial, k);
      }
    }
    if (!g.last) return;
    auto* y =
        args.outputs[0].as<std::byte>() + (at.out_stride + l0 * g.lane.out_stride) * leaf.out_size;
    leaf.finish(carry, count, y, g.lane.out_stride);
  }

  void fold_in_parallel(const std::byte* x, int64_t count, std::byte* carry) const {
    const int64_t bytes = count * g.order.fold * leaf.partial_size;
    const int64_t batch = static_cast<int64_t>(args.workspace.size()) / bytes;
    const int64_t cost = std::min(g.chunk, g.run.size) * count;
    for (int64_t b0 = 0; b0 < g.blocks; b0 += batch) {
      const int64_t n = std::min(batch, g.blocks - b0);
      parallel_ranges(n, cost, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i)
          reduce_block(block(b0 + i, x, count), args.workspace.data() + i * bytes);
      });
      for (int64_t i = 0; i < n; ++i)
        leaf.fold(carry, args.workspace.data() + i * bytes, block(b0 + i, x, count));
    }
  }

  int64_t strip_size(int64_t units, int workers) const {
    if (g.lane.size == 1) return 1;
    if (g.order.rows)
      return std::clamp<int64_t>(kStripElements / std::max<int64_t>(units, 1), 1, kMaxStrip);
    const int64_t share = (g.lane.size / (4 * workers) + 63) / 64 * 64;
    return std::clamp(share, kMinStrip, kMaxStrip);
  }

  void run() const {
    const int64_t units = g.run.size * product(g.reduced);
    const int64_t elements = units * g.outer * g.lane.size;
    const int workers = elements < 2 * kParallelGrain ? 1 : num_workers();
    const int64_t size = strip_size(units, workers);
    const int64_t strips = ceil_div(g.lane.size, size);
    const bool split =
        workers > 1 && strips * g.outer < 2 * workers && g.blocks > 1 && !args.workspace.empty();
    const auto body = [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        const int64_t outer = strips == 1 ? t : t / strips;
        const int64_t l0 = (t - outer * strips) * size;
        strip(outer, l0, std::min(size, g.lane.size - l0), split);
      }
    };
    if (split || workers == 1)
      body(0, strips * g.outer);
    else
      parallel_ranges(strips * g.outer, units * std::min(size, g.lane.size), body);
  }
};

}  // namespace

void run_reduction(const ReduceLeaf& leaf, const device::KernelArgs& args, const Dims& axes,
                   bool keepdims) {
  const Geometry g = make_geometry(args, axes, keepdims);
  if (g.outer * g.lane.size == 0) return;
  Reduction{leaf, args, g}.run();
}

size_t reduction_workspace(const OpInstance& op) {
  return num_elements(op.inputs[0].shape) < 2 * kParallelGrain ? 0 : kPartialBytes;
}

size_t reduction_carry(const OpInstance& op, uint32_t carry_size) {
  return num_elements(op.outputs[0].shape) * carry_size;
}

}  // namespace plimsoll::cpu
