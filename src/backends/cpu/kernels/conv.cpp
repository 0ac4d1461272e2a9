#include "backends/cpu/kernels/conv.h"

#include <oneapi/tbb/info.h>

#include <algorithm>
#include <atomic>
#include <cstring>

#include "backends/cpu/float_mode.h"
#include "backends/cpu/gemm_plan.h"
#include "backends/cpu/kernels/conv_block.h"
#include "backends/cpu/kernels/conv_plan.h"
#include "backends/cpu/kernels/gemm_operands.h"
#include "backends/cpu/kernels/partition.h"

namespace plimsoll::cpu {
namespace conv {
namespace {

using device::KernelArgs;
using device::Tensor;

/// `channels`: of the whole problem.
Problem problem_of(Dtype dtype, const Shape& x, const Shape& w, const Shape& out,
                   const ConvAttrs& attrs, int64_t channels) {
  Problem p;
  const size_t spatial = x.size() - 3;
  p.type = gemm_type(dtype);
  p.samples = x[0];
  p.groups = w[0];
  p.columns = w[1];
  p.channels = x.back();
  conv_taps(w, p.taps);
  for (size_t d = 0; d < spatial; ++d) {
    const size_t axis = 3 - spatial + d;
    p.in[axis] = x[1 + d];
    p.out[axis] = out[1 + d];
    p.stride[axis] = attrs.strides[d];
    p.low[axis] = attrs.low[d];
    p.dilation[axis] = attrs.dilation[d];
    p.spread[axis] = attrs.input_dilation[d];
  }
  p.panels = conv_panels(p.taps, channels);
  return p;
}

size_t workspace(const OpInstance& op) {
  const auto& attrs = static_cast<const ConvAttrs&>(*op.attrs);
  const Shape& x = op.inputs[0].shape;
  // A part does not know all channels; its block of them is at most what the panel has room for.
  Problem p =
      problem_of(op.inputs[0].dtype, x, op.inputs[1].shape, op.outputs[0].shape, attrs, x.back());
  const int64_t taps = p.panels.taps[0] * p.panels.taps[1] * p.panels.taps[2];
  p.panels.channels = std::max<int64_t>(1, kConvPanel / taps);
  const int workers = tbb::info::default_concurrency();
  size_t scratch = plan_conv(p, workers).total;
  if (p.columns == 1 && p.groups > 1) {  // whether of all columns or of a part
    p.lanes_are_groups = true;
    scratch = std::max(scratch, plan_conv(p, workers).total);
  }
  return scratch * static_cast<size_t>(workers) + 64;
}

/// A panel of the sum: ranges of channels and taps.
struct Panel {
  int64_t channel = 0, channels = 0;
  int64_t tap[3] = {}, taps[3] = {1, 1, 1};
};

/// Strides of an operand, of its three spatial axes and the others, in elements.
struct Strided {
  const std::byte* data = nullptr;
  int64_t outer = 0, spatial[3] = {}, group = 0, channel = 0;  // outer: samples, or columns of w
};

/// A block of outputs.
struct Box {
  int64_t group = 0, column = 0, columns = 0, sample = 0, samples = 0;
  int64_t at[3] = {}, size[3] = {1, 1, 1};
  int64_t rows() const { return samples * size[0] * size[1] * size[2]; }
};

class Run {
 public:
  Run(const KernelArgs& args, const Problem& p, const Plan& plan)
      : p_(p), plan_(plan), kernels_(kernels_for(p.type)), half_(gemm_internal::is_half(p.type)) {
    const Tensor &x = args.inputs[0], &w = args.inputs[1], &out = args.outputs[0];
    const TileWindow channels = window_of(args, 3, x.shape.back());
    first_ = channels.first();
    last_ = channels.last();
    bytes_ = static_cast<int64_t>(size_of(x.dtype));
    unit_ = half_ ? 4 : bytes_;
    x_ = strided(x, 0, x.shape.size() - 2, 1);
    w_ = strided(w, 1, 0, 2);
    out_ = strided(out, 0, out.shape.size() - 2, 1);
    if (half_ && !(first_ && last_)) {
      Tensor sums = out;
      sums.data = args.carry.data();
      sums.strides = row_major(out.shape);
      carry_ = strided(sums, 0, out.shape.size() - 2, 1);
    }
    if (p.lanes_are_groups) {
      inner_ = Inner::kGroups;
    } else if (std::abs(x_.outer) < std::abs(x_.channel) && p.samples > 1) {
      inner_ = Inner::kSamples;
    }
    column_blocks_ = ceil_div(lanes() ? p.groups : p.columns, plan.columns);
    blocks_ = column_blocks_ * (lanes() ? 1 : p.groups) * ceil_div(p.samples, plan.samples);
    for (int d = 0; d < 3; ++d) blocks_ *= ceil_div(p.out[d], plan.out[d]);
  }

  int64_t blocks() const { return blocks_; }

  void block(int64_t index, std::byte* scratch) const {
    const Box box = box_of(index);
    auto* a_rows = reinterpret_cast<int64_t*>(scratch + plan_.rows);
    int64_t* c_rows = a_rows + box.rows();
    int64_t* runs = c_rows + box.rows();
    const int64_t c_step = fill_c_rows(box, c_rows);
    std::byte* c = sums_at(box, scratch);
    bool add = !first_;
    Panel n;
    for (n.channel = 0; n.channel < p_.channels; n.channel += n.channels) {
      n.channels = std::min(p_.panels.channels, p_.channels - n.channel);
      for_tap_boxes(n, [&] {
        panel(box, n, scratch, a_rows, c_rows, runs, c, add);
        add = true;
      });
    }
    if (!add) zero(box, c_rows, c);
    if (half_ && last_) round(box, c_rows, c, c_step);
  }

 private:
  bool lanes() const { return inner_ == Inner::kGroups; }

  Strided strided(const Tensor& t, size_t outer, size_t group, size_t first_spatial) const {
    const size_t spatial = t.shape.size() - 3;
    Strided s{static_cast<const std::byte*>(t.data),
              t.strides[outer],
              {},
              t.strides[group],
              t.strides.back()};
    for (size_t d = 0; d < spatial; ++d) s.spatial[3 - spatial + d] = t.strides[first_spatial + d];
    return s;
  }

  Box box_of(int64_t index) const {
    Box b;
    const auto take = [&](int64_t extent, int64_t block, int64_t& at, int64_t& size) {
      const int64_t count = ceil_div(extent, block);
      at = index % count * block;
      size = std::min(block, extent - at);
      index /= count;
    };
    for (int d = 2; d >= 0; --d) take(p_.out[d], plan_.out[d], b.at[d], b.size[d]);
    take(p_.samples, plan_.samples, b.sample, b.samples);
    take(lanes() ? p_.groups : p_.columns, plan_.columns, b.column, b.columns);
    b.group = index;
    return b;
  }

  /// Offset of the block's first sum where its home is `s`.
  int64_t home(const Box& b, const Strided& s) const {
    int64_t at = b.sample * s.outer;
    for (int d = 0; d < 3; ++d) at += b.at[d] * s.spatial[d];
    return lanes() ? at + b.column * s.group : at + b.group * s.group + b.column * s.channel;
  }

  bool staged() const { return half_ && !carry_.data; }

  std::byte* sums_at(const Box& b, std::byte* scratch) const {
    if (staged()) return scratch + plan_.sums;
    const Strided& s = half_ ? carry_ : out_;
    return const_cast<std::byte*>(s.data) + home(b, s) * unit_;
  }

  /// f(row, offset of the row from the block's first), of rows whose home has these strides.
  template <typename F>
  static void for_rows(const Box& b, const Strided& s, const F& f) {
    int64_t row = 0;
    for (int64_t n = 0; n < b.samples; ++n)
      for (int64_t z = 0; z < b.size[0]; ++z)
        for (int64_t y = 0; y < b.size[1]; ++y)
          for (int64_t x = 0; x < b.size[2]; ++x)
            f(row++, n * s.outer + z * s.spatial[0] + y * s.spatial[1] + x * s.spatial[2]);
  }

  int64_t fill_c_rows(const Box& b, int64_t* c_rows) const {
    if (staged()) {
      for (int64_t r = 0; r < b.rows(); ++r) c_rows[r] = r * b.columns;
    } else {
      for_rows(b, half_ ? carry_ : out_, [&](int64_t r, int64_t at) { c_rows[r] = at; });
    }
    return b.columns;
  }

  template <typename F>
  void for_tap_boxes(Panel& n, const F& f) const {
    const auto cut = [&](int d) { n.taps[d] = std::min(p_.panels.taps[d], p_.taps[d] - n.tap[d]); };
    for (n.tap[0] = 0; n.tap[0] < p_.taps[0]; n.tap[0] += n.taps[0])
      for (cut(0), n.tap[1] = 0; n.tap[1] < p_.taps[1]; n.tap[1] += n.taps[1])
        for (cut(1), n.tap[2] = 0; n.tap[2] < p_.taps[2]; n.tap[2] += n.taps[2]) {
          cut(2);
          f();
        }
  }

  /// How a patch lies: the steps of its axes in elements.
  struct Patch {
    AxisMap map[3];
    int64_t spatial[3], channel, sample;
  };

  Patch patch_of(const Box& b, const Panel& n) const {
    Patch t;
    for (int d = 0; d < 3; ++d)
      t.map[d] = axis_map(b.size[d], n.taps[d], p_.stride[d], p_.dilation[d]);
    const int64_t inner = inner_ == Inner::kChannels  ? n.channels
                          : inner_ == Inner::kSamples ? b.samples
                                                      : b.columns;
    t.channel = inner_ == Inner::kChannels ? 1 : inner;
    t.spatial[2] = inner_ == Inner::kChannels ? inner : inner * n.channels;
    t.spatial[1] = t.spatial[2] * t.map[2].count;
    t.spatial[0] = t.spatial[1] * t.map[1].count;
    t.sample = inner_ == Inner::kSamples ? 1 : t.spatial[0] * t.map[0].count;
    return t;
  }

  void panel(const Box& b, const Panel& n, std::byte* scratch, int64_t* a_rows,
             const int64_t* c_rows, int64_t* runs, std::byte* c, bool add) const {
    const Patch t = patch_of(b, n);
    fill_patch(b, n, t, scratch);
    Strided rows{.outer = t.sample};
    for (int d = 0; d < 3; ++d) rows.spatial[d] = t.spatial[d] * t.map[d].output_step;
    for_rows(b, rows, [&](int64_t r, int64_t at) { a_rows[r] = at; });

    Multiply job{.patch = scratch,
                 .a_rows = a_rows,
                 .c_rows = c_rows,
                 .rows = b.rows(),
                 .runs = runs,
                 .add = add,
                 .lanes = lanes()};
    const int64_t x_step = t.spatial[2] * t.map[2].tap_step;
    const bool one = n.taps[2] == 1;
    const bool merge = one || n.channels == 1 || x_step == n.channels * t.channel;
    job.count = merge ? n.taps[2] * n.channels : n.channels;
    job.step = n.channels == 1 ? x_step : t.channel;
    for (int64_t z = 0; z < n.taps[0]; ++z)
      for (int64_t y = 0; y < n.taps[1]; ++y)
        for (int64_t x = 0; x < (merge ? 1 : n.taps[2]); ++x)
          runs[job.num_runs++] = z * t.spatial[0] * t.map[0].tap_step +
                                 y * t.spatial[1] * t.map[1].tap_step + x * x_step;

    const int64_t tile = kernels_.lanes * kernels_.vectors;
    for (int64_t j = 0; j < b.columns; j += tile) {
      job.columns = std::min(tile, b.columns - j);
      job.weights = scratch + plan_.weights;
      pack_weights(b, n, j, job.columns, scratch + plan_.weights);
      job.patch = scratch + (lanes() ? j * unit_ : 0);
      job.c = c + j * unit_;
      kernels_.multiply(job);
    }
  }

  /// Weights of a tile of columns as [tap, channel][columns], whole vectors wide.
  void pack_weights(const Box& b, const Panel& n, int64_t j, int64_t columns,
                    std::byte* dst) const {
    const int64_t column = b.column + j;
    const int64_t lane_step = lanes() ? w_.group : w_.outer;
    const std::byte* src = w_.data + bytes_ * (column * lane_step + n.channel * w_.channel +
                                               (lanes() ? 0 : b.group * w_.group));
    const int64_t readable = (lanes() ? p_.groups : p_.columns) - column;
    const int64_t width = ceil_div(columns, kernels_.lanes) * kernels_.lanes;
    const bool along_x = n.channels == 1;
    const bool merge = along_x || w_.spatial[2] == n.channels * w_.channel;
    const int64_t count = merge ? n.taps[2] * n.channels : n.channels;
    const int64_t k_step = along_x ? w_.spatial[2] : w_.channel;
    for (int64_t z = 0; z < n.taps[0]; ++z)
      for (int64_t y = 0; y < n.taps[1]; ++y)
        for (int64_t x = 0; x < (merge ? 1 : n.taps[2]); ++x) {
          const int64_t at = (n.tap[0] + z) * w_.spatial[0] + (n.tap[1] + y) * w_.spatial[1] +
                             (n.tap[2] + x) * w_.spatial[2];
          kernels_.pack(src + at * bytes_, lane_step * bytes_, k_step * bytes_, columns, readable,
                        width, count, dst);
          dst += count * width * unit_;
        }
  }

  /// Index into x of the patch's index i on an axis, or -1 where the term is zero.
  int64_t source(int d, const AxisMap& m, const Box& b, const Panel& n, int64_t i) const {
    const int64_t steps =
        m.product ? i / m.output_step * p_.stride[d] + i % m.output_step * p_.dilation[d]
                  : i * m.unit;
    const int64_t at = b.at[d] * p_.stride[d] + n.tap[d] * p_.dilation[d] - p_.low[d] + steps;
    if (at < 0) return -1;
    if (p_.spread[d] == 1) return at < p_.in[d] ? at : -1;
    return at % p_.spread[d] == 0 && at / p_.spread[d] < p_.in[d] ? at / p_.spread[d] : -1;
  }

  void fill_patch(const Box& b, const Panel& n, const Patch& t, std::byte* patch) const {
    const std::byte* src = x_.data + bytes_ * (b.sample * x_.outer + n.channel * x_.channel +
                                               (lanes() ? b.column : b.group) * x_.group);
    const int64_t outer = inner_ == Inner::kSamples ? 1 : b.samples;
    for (int64_t s = 0; s < outer; ++s)
      for (int64_t z = 0; z < t.map[0].count; ++z) {
        const int64_t in_z = source(0, t.map[0], b, n, z);
        for (int64_t y = 0; y < t.map[1].count; ++y) {
          const int64_t in_y = source(1, t.map[1], b, n, y);
          std::byte* line = patch + (s * t.sample + z * t.spatial[0] + y * t.spatial[1]) * unit_;
          if (in_z < 0 || in_y < 0) {
            std::memset(line, 0, static_cast<size_t>(t.spatial[1] * unit_));
          } else {
            fill_line(b, n, t,
                      src + bytes_ * (s * x_.outer + in_z * x_.spatial[0] + in_y * x_.spatial[1]),
                      line);
          }
        }
      }
  }

  void fill_line(const Box& b, const Panel& n, const Patch& t, const std::byte* src,
                 std::byte* line) const {
    const AxisMap& m = t.map[2];
    const bool by_channel = inner_ == Inner::kChannels;
    const int64_t step = bytes_ * (by_channel                  ? x_.channel
                                   : inner_ == Inner::kSamples ? x_.outer
                                                               : x_.group);
    const int64_t count = by_channel ? n.channels : t.channel;
    const int64_t planes = by_channel ? 1 : n.channels;
    for (int64_t i = 0; i < m.count; ++i) {
      std::byte* at = line + i * t.spatial[2] * unit_;
      const int64_t in_x = source(2, m, b, n, i);
      if (in_x < 0) {
        std::memset(at, 0, static_cast<size_t>(t.spatial[2] * unit_));
        continue;
      }
      // Pixels that follow each other in x and in the patch are one run.
      int64_t pixels = 1;
      if (by_channel && p_.spread[2] == 1 && !m.product && m.unit == 1 &&
          x_.spatial[2] * bytes_ == count * step) {
        pixels = std::min(m.count - i, p_.in[2] - in_x);
        i += pixels - 1;
      }
      const std::byte* from = src + in_x * x_.spatial[2] * bytes_;
      for (int64_t c = 0; c < planes; ++c)
        kernels_.copy(from + c * x_.channel * bytes_, step, pixels * count,
                      at + c * t.channel * unit_);
    }
  }

  void zero(const Box& b, const int64_t* c_rows, std::byte* c) const {
    for (int64_t r = 0; r < b.rows(); ++r)
      std::memset(c + c_rows[r] * unit_, 0, static_cast<size_t>(b.columns * unit_));
  }

  void round(const Box& b, const int64_t* c_rows, const std::byte* c, int64_t columns) const {
    const auto rounding = gemm_internal::kernels_for(p_.type).round;
    auto* out = static_cast<uint16_t*>(static_cast<void*>(const_cast<std::byte*>(out_.data))) +
                home(b, out_);
    const auto* sums = reinterpret_cast<const float*>(c);
    for_rows(b, out_,
             [&](int64_t r, int64_t at) { rounding(sums + c_rows[r], out + at, columns); });
  }

  const Problem& p_;
  const Plan& plan_;
  const Kernels kernels_;
  const bool half_;
  bool first_ = true, last_ = true;
  int64_t bytes_ = 4, unit_ = 4;
  Strided x_, w_, out_, carry_;
  Inner inner_ = Inner::kChannels;
  int64_t column_blocks_ = 1, blocks_ = 1;
};

size_t carry(const OpInstance& op) {
  if (!sums_apart(op.inputs[0].dtype)) return 0;
  return static_cast<size_t>(num_elements(op.outputs[0].shape)) * sizeof(float);
}

void run(const KernelArgs& args) {
  const Tensor &x = args.inputs[0], &w = args.inputs[1], &out = args.outputs[0];
  if (num_elements(out.shape) == 0) return;
  const TileWindow channels = window_of(args, 3, x.shape.back());
  Problem p = problem_of(x.dtype, x.shape, w.shape, out.shape,
                         static_cast<const ConvAttrs&>(*args.attrs), channels.extent);
  p.lanes_are_groups = window_of(args, 2, p.columns).extent == 1 && p.groups > 1;
  const Plan plan = plan_conv(p, tbb::info::default_concurrency());
  const auto start = reinterpret_cast<uintptr_t>(args.workspace.data());
  std::byte* scratch = args.workspace.data() + ((64 - start % 64) % 64);
  const int64_t slots = static_cast<int64_t>((args.workspace.size() - 64) / plan.total);
  PLIMSOLL_ASSERT(slots >= 1);
  const Run work(args, p, plan);
  std::atomic<int64_t> next{0};
  run_tasks(std::min({slots, arena_threads(), work.blocks()}), [&](int64_t worker) {
    const ScopedFloatMode mode;
    for (int64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < work.blocks();)
      work.block(i, scratch + static_cast<size_t>(worker) * plan.total);
  });
}

}  // namespace
}  // namespace conv

void add_conv_kernels(device::KernelTable& table) {
  device::KernelRow row;
  row.run = conv::run;
  row.workspace = conv::workspace;
  row.carry = conv::carry;
  row.strided_inputs = device::kAllInputs;
  table.add("conv", device::kFloatDtypes, row);
}

}  // namespace plimsoll::cpu
