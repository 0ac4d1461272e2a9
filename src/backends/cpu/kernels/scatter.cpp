#include "backends/cpu/kernels/scatter.h"

#include <algorithm>

#include "backends/cpu/kernels/index_list.h"
#include "backends/cpu/kernels/partition.h"
#include "backends/cpu/kernels/scatter_apply.h"
#include "backends/cpu/kernels/strided.h"

namespace plimsoll::cpu {
namespace {

using device::KernelArgs;
using device::Tensor;
using IndexLists = SmallVector<IndexList, 4>;

struct ScatterPlan {
  const Tensor& out;
  const Tensor& updates;
  IndexLists lists;
  StridedLoop index;  // operands: the index arrays, then updates
  StridedLoop lanes;  // operands: out, updates
  ScatterApply apply;
};

IndexList list_of(const KernelArgs& args, const Tensor& indices, int axis) {
  const Tensor& out = args.outputs[0];
  const TileWindow w = window_of(args, axis, out.shape[axis]);
  return {&indices, axis, w.extent, w.begin, w.end, out.strides[axis]};
}

// Narrows the list's window to a part of it; returns the offset of that part in the output.
int64_t narrow_window(IndexList& list, int64_t parts, int64_t part) {
  const int64_t begin = list.begin, n = list.end - list.begin;
  list.end = begin + piece_begin(n, parts, part + 1);
  list.begin = begin + piece_begin(n, parts, part);
  return (list.begin - begin) * list.stride;
}

// The indexed axis with the widest window: destinations are partitioned along it.
size_t widest(const IndexLists& lists) {
  size_t best = 0;
  for (size_t k = 1; k < lists.size(); ++k)
    if (lists[k].end - lists[k].begin > lists[best].end - lists[best].begin) best = k;
  return best;
}

// Every task owns destinations: columns, outer lanes, or a range of an indexed axis. It visits the
// updates in ascending order, so the partition cannot change a bit.
struct Partition {
  int64_t by_outer, by_col, by_dest;
};

Partition partition(const ScatterPlan& p, int64_t outers, int64_t cols, int64_t turns) {
  const int64_t size = static_cast<int64_t>(size_of(p.out.dtype));
  const int64_t threads = arena_threads();
  const int64_t pieces = pieces_for(3 * turns * outers * cols * size, 4 * threads);
  Partition part{std::min(pieces, outers), 1, 1};
  part.by_col = std::min(ceil_div(pieces, part.by_outer), ceil_div(cols * size, 256));
  const int64_t lanes = part.by_outer * part.by_col;
  const IndexList& list = p.lists[widest(p.lists)];
  if (lanes < threads && pieces > 1)
    part.by_dest = std::clamp<int64_t>(list.end - list.begin, 1, ceil_div(threads, lanes));
  return part;
}

void scatter_part(const ScatterPlan& p, const StridedLoop& outer, const Partition& part,
                  int64_t task) {
  const int64_t c = task % part.by_col, o = task / part.by_col % part.by_outer;
  const int64_t cols = p.lanes.inner_size(), outers = outer.count();
  const int64_t col = piece_begin(cols, part.by_col, c);
  IndexLists lists = p.lists;
  const int64_t shift =
      narrow_window(lists[widest(lists)], part.by_dest, task / part.by_col / part.by_outer);
  const int64_t size = static_cast<int64_t>(size_of(p.out.dtype));
  const int last = static_cast<int>(lists.size());
  ScatterRun r{nullptr,
               nullptr,
               p.index.inner_stride(last),
               piece_begin(cols, part.by_col, c + 1) - col,
               p.lanes.inner_stride(0),
               p.lanes.inner_stride(1)};
  IndexRun run;
  p.index.runs(0, p.index.count(), kIndexChunk, [&](const int64_t* at, int64_t n) {
    run.resolve(lists, p.index, at, n);
    outer.runs(piece_begin(outers, part.by_outer, o), piece_begin(outers, part.by_outer, o + 1), 1,
               [&](const int64_t* lane, int64_t) {
                 r.out = p.out.as<std::byte>() + (shift + lane[0] + col * r.out_col) * size;
                 r.updates = p.updates.as<const std::byte>() +
                             (at[last] + lane[1] + col * r.update_col) * size;
                 p.apply(r, run);
               });
  });
}

// Later turns of the loop over updates find the base in the output already.
void begin_output(const KernelArgs& args) {
  const Tensor& out = args.outputs[0];
  const bool first = window_of(args, static_cast<int>(out.shape.size()), 1).first();
  if (first && args.inputs[0].data != out.data) copy_tensor(out, args.inputs[0]);
}

void run_plan(const KernelArgs& args, const char* op, ScatterPlan& p) {
  p.index.collapse();
  p.lanes.collapse();
  check_indices(op, p.index, p.lists);
  begin_output(args);
  const StridedLoop outer = p.lanes.outer();
  const int64_t turns = p.index.count(), lanes = p.lanes.count();
  if (turns * lanes == 0) return;
  const Partition part = partition(p, outer.count(), p.lanes.inner_size(), turns);
  run_tasks(part.by_outer * part.by_col * part.by_dest,
            [&](int64_t task) { scatter_part(p, outer, part, task); });
}

void add_index_loops(ScatterPlan& p, int first_updates_axis) {
  SmallVector<int64_t, 8> strides(p.lists.size() + 1);
  const Shape& shape = p.lists[0].tensor->shape;
  for (size_t d = 0; d < shape.size(); ++d) {
    for (size_t k = 0; k < p.lists.size(); ++k) strides[k] = p.lists[k].tensor->strides[d];
    strides[p.lists.size()] = p.updates.strides[first_updates_axis + d];
    p.index.add(shape[d], strides);
  }
}

void scatter(const KernelArgs& args, ScatterMode mode) {
  const int axis = static_cast<const ScatterAttrs&>(*args.attrs).axis;
  const Tensor &indices = args.inputs[1], &updates = args.inputs[2], &out = args.outputs[0];
  const int index_ndim = static_cast<int>(indices.shape.size());
  ScatterPlan p{out,
                updates,
                {list_of(args, indices, axis)},
                StridedLoop(2),
                StridedLoop(2),
                scatter_apply(mode, out.dtype)};
  add_index_loops(p, axis);
  for (int d = 0; d < static_cast<int>(out.shape.size()); ++d)
    if (d != axis)
      p.lanes.add(out.shape[d],
                  {out.strides[d], updates.strides[d < axis ? d : d + index_ndim - 1]});
  run_plan(args, scatter_name(mode), p);
}

void scatter_nd(const KernelArgs& args, ScatterMode mode) {
  const Dims& axes = static_cast<const ScatterNdAttrs&>(*args.attrs).axes;
  const Tensor &updates = args.inputs.back(), &out = args.outputs[0];
  IndexLists lists;
  for (size_t k = 0; k < axes.size(); ++k)
    lists.push_back(list_of(args, args.inputs[k + 1], static_cast<int>(axes[k])));
  ScatterPlan p{out,
                updates,
                lists,
                StridedLoop(static_cast<int>(axes.size()) + 1),
                StridedLoop(2),
                scatter_apply(mode, out.dtype)};
  add_index_loops(p, 0);
  for (size_t d = 0, u = args.inputs[1].shape.size(); d < out.shape.size(); ++d)
    if (std::find(axes.begin(), axes.end(), static_cast<int64_t>(d)) == axes.end())
      p.lanes.add(out.shape[d], {out.strides[d], updates.strides[u++]});
  run_plan(args, scatter_nd_name(mode), p);
}

// The longest axis but the indexed one; tasks share it out, since lanes never meet.
int lane_axis(const Shape& shape, int axis) {
  int best = -1;
  for (int d = 0; d < static_cast<int>(shape.size()); ++d)
    if (d != axis && (best < 0 || shape[d] > shape[best])) best = d;
  return best;
}

void scatter_along(const KernelArgs& args, ScatterMode mode) {
  const int axis = static_cast<const ScatterAttrs&>(*args.attrs).axis;
  const Tensor &indices = args.inputs[1], &updates = args.inputs[2], &out = args.outputs[0];
  const IndexList whole = list_of(args, indices, axis);
  const int split = lane_axis(indices.shape, axis);
  auto loop_over = [&](int64_t parts, int64_t part) {  // indices, updates, out without its axis
    StridedLoop loop(3);
    for (int d = 0; d < static_cast<int>(indices.shape.size()); ++d) {
      const int64_t n = indices.shape[d];
      const int64_t turns =
          d == split ? piece_begin(n, parts, part + 1) - piece_begin(n, parts, part) : n;
      loop.add(turns, {indices.strides[d], updates.strides[d], d == axis ? 0 : out.strides[d]});
    }
    loop.collapse();
    return loop;
  };
  const StridedLoop all = loop_over(1, 0);
  check_indices(scatter_along_name(mode), all, std::span(&whole, 1));
  begin_output(args);
  const int64_t count = all.count();
  if (count == 0) return;
  const ScatterApply apply = scatter_apply(mode, out.dtype);
  const int64_t size = static_cast<int64_t>(size_of(out.dtype)), threads = arena_threads();
  const int64_t pieces = pieces_for(4 * count * size, 4 * threads);
  const int64_t by_lane = std::min(pieces, split < 0 ? 1 : indices.shape[split]);
  const int64_t by_dest = by_lane >= threads || pieces == 1
                              ? 1
                              : std::min(ceil_div(threads, by_lane), whole.end - whole.begin);
  run_tasks(by_lane * by_dest, [&](int64_t task) {
    IndexList list = whole;
    const int64_t shift = narrow_window(list, by_dest, task / by_lane);
    const StridedLoop loop = loop_over(by_lane, task % by_lane);
    const int64_t lane = split < 0 ? 0 : piece_begin(indices.shape[split], by_lane, task % by_lane);
    const int64_t at_out = shift + (split < 0 ? 0 : lane * out.strides[split]);
    const int64_t at_update = split < 0 ? 0 : lane * updates.strides[split];
    const Tensor part{indices.as<std::byte>() + (split < 0 ? 0 : lane * indices.strides[split]) *
                                                    static_cast<int64_t>(size_of(indices.dtype)),
                      indices.dtype, indices.shape, indices.strides};
    list.tensor = &part;
    IndexRun run;
    loop.runs(0, loop.count(), kIndexChunk, [&](const int64_t* at, int64_t n) {
      run.resolve(std::span(&list, 1), loop, at, n);
      for (int64_t i = 0; i < run.count; ++i) run.offset[i] += run.turn[i] * loop.inner_stride(2);
      apply({out.as<std::byte>() + (at_out + at[2]) * size,
             updates.as<const std::byte>() + (at_update + at[1]) * size, loop.inner_stride(1), 1, 1,
             1},
            run);
    });
  });
}

template <void (*kForm)(const KernelArgs&, ScatterMode), ScatterMode kMode>
void run_form(const KernelArgs& args) {
  kForm(args, kMode);
}

template <ScatterMode kMode>
void add_mode(device::KernelTable& table) {
  SmallVector<Dtype, kNumDtypes> dtypes;
  for (Dtype t : device::kAllDtypes)
    if (scatter_apply(kMode, t)) dtypes.push_back(t);
  device::KernelRow row;
  row.strided_inputs = device::kAllInputs;
  row.in_place = 1;
  row.can_fail = true;
  row.run = run_form<scatter, kMode>;
  table.add(scatter_name(kMode), dtypes, row);
  row.run = run_form<scatter_along, kMode>;
  table.add(scatter_along_name(kMode), dtypes, row);
  row.run = run_form<scatter_nd, kMode>;
  table.add(scatter_nd_name(kMode), dtypes, row);
}

}  // namespace

void add_scatter_kernels(device::KernelTable& table) {
  add_mode<ScatterMode::kSet>(table);
  add_mode<ScatterMode::kAdd>(table);
  add_mode<ScatterMode::kMax>(table);
  add_mode<ScatterMode::kMin>(table);
  add_mode<ScatterMode::kProd>(table);
}

}  // namespace plimsoll::cpu
