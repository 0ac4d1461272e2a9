#include "backends/cpu/kernels/gather.h"

#include <algorithm>
#include <cstring>

#include "backends/cpu/kernels/index_list.h"
#include "backends/cpu/kernels/partition.h"
#include "backends/cpu/kernels/strided.h"
#include "opset/gather.h"

namespace plimsoll::cpu {
namespace {

using device::KernelArgs;
using device::Tensor;
using IndexLists = SmallVector<IndexList, 4>;

// out[index turn, lane] = a[resolved index, lane].
struct GatherPlan {
  const char* op;
  const Tensor& a;
  const Tensor& out;
  IndexLists lists;
  StridedLoop index;  // operands: the index arrays, then out
  StridedLoop lanes;  // operands: out, a
};

IndexList list_of(const KernelArgs& args, const Tensor& indices, int axis, int tiling_axis) {
  const Tensor& a = args.inputs[0];
  const TileWindow w = window_of(args, tiling_axis, a.shape[axis]);
  return {&indices, axis, w.extent, w.begin, w.end, a.strides[axis]};
}

// Later turns of an ordered loop see the same indices again.
bool first_turn(const KernelArgs& args, int first_source_axis) {
  for (const TileWindow& w : args.windows)
    if (w.axis >= first_source_axis && !w.first()) return false;
  return true;
}

template <int64_t kSize>
void copy_rows(const IndexRun& run, std::byte* out, int64_t out_step, const std::byte* a) {
  for (int64_t i = 0; i < run.count; ++i)
    std::memcpy(out + run.turn[i] * out_step * kSize, a + run.offset[i] * kSize, kSize);
}

// One run of indices over the lanes [begin, end) of the outer loop and columns of the inner one.
void copy_run_lanes(const GatherPlan& p, const StridedLoop& outer, const IndexRun& run,
                    int64_t out_at, int64_t begin, int64_t end, int64_t col, int64_t cols) {
  const int64_t size = static_cast<int64_t>(size_of(p.a.dtype));
  const int64_t step = p.index.inner_stride(static_cast<int>(p.lists.size()));
  const int64_t out_col = p.lanes.inner_stride(0), a_col = p.lanes.inner_stride(1);
  outer.runs(begin, end, 1, [&](const int64_t* at, int64_t) {
    std::byte* out = p.out.as<std::byte>() + (out_at + at[0] + col * out_col) * size;
    const std::byte* a = p.a.as<const std::byte>() + (at[1] + col * a_col) * size;
    if (cols == 1) {
      if (size == 4) return copy_rows<4>(run, out, step, a);
      if (size == 8) return copy_rows<8>(run, out, step, a);
      if (size == 2) return copy_rows<2>(run, out, step, a);
      return copy_rows<1>(run, out, step, a);
    }
    for (int64_t i = 0; i < run.count; ++i)
      copy_run(out + run.turn[i] * step * size, out_col, a + run.offset[i] * size, a_col, cols,
               size);
  });
}

void gather_all(const GatherPlan& p) {
  const int64_t turns = p.index.count();
  const StridedLoop outer = p.lanes.outer();
  const int64_t outers = outer.count(), cols = p.lanes.inner_size();
  if (turns * outers * cols == 0) return;
  const int64_t size = static_cast<int64_t>(size_of(p.a.dtype));
  const int64_t pieces = pieces_for(2 * turns * outers * cols * size, 8 * arena_threads());
  const int64_t by_turn = std::min(pieces, ceil_div(turns, kIndexChunk / 8));
  const int64_t by_outer = std::min(ceil_div(pieces, by_turn), outers);
  const int64_t by_col =
      std::min(ceil_div(pieces, by_turn * by_outer), ceil_div(cols * size, kSerialBytes));
  run_tasks(by_turn * by_outer * by_col, [&](int64_t task) {
    const int64_t c = task % by_col, o = task / by_col % by_outer, t = task / by_col / by_outer;
    const int64_t col = piece_begin(cols, by_col, c);
    IndexRun run;
    p.index.runs(piece_begin(turns, by_turn, t), piece_begin(turns, by_turn, t + 1), kIndexChunk,
                 [&](const int64_t* at, int64_t n) {
                   run.resolve(p.lists, p.index, at, n);
                   copy_run_lanes(p, outer, run, at[p.lists.size()],
                                  piece_begin(outers, by_outer, o),
                                  piece_begin(outers, by_outer, o + 1), col,
                                  piece_begin(cols, by_col, c + 1) - col);
                 });
  });
}

// The loop over index positions, whose axes lie at out's [first, first + ndim).
StridedLoop index_loop(const Tensor& out, const IndexLists& lists, int first) {
  StridedLoop loop(static_cast<int>(lists.size()) + 1);
  SmallVector<int64_t, 8> strides(lists.size() + 1);
  const Shape& shape = lists[0].tensor->shape;
  for (size_t d = 0; d < shape.size(); ++d) {
    for (size_t k = 0; k < lists.size(); ++k) strides[k] = lists[k].tensor->strides[d];
    strides[lists.size()] = out.strides[first + d];
    loop.add(shape[d], strides);
  }
  loop.collapse();
  return loop;
}

void run_plan(GatherPlan& p, bool first) {
  p.lanes.collapse();
  if (first) check_indices(p.op, p.index, p.lists);
  gather_all(p);
}

void take(const KernelArgs& args) {
  const int axis = static_cast<const TakeAttrs&>(*args.attrs).axis;
  const Tensor &a = args.inputs[0], &out = args.outputs[0], &indices = args.inputs[1];
  const int out_ndim = static_cast<int>(out.shape.size());
  const int index_ndim = static_cast<int>(indices.shape.size());
  const IndexLists lists{list_of(args, indices, axis, out_ndim)};
  GatherPlan p{"take", a, out, lists, index_loop(out, lists, axis), StridedLoop(2)};
  for (int d = 0; d < static_cast<int>(a.shape.size()); ++d) {
    const int o = d < axis ? d : d + index_ndim - 1;
    if (d != axis) p.lanes.add(a.shape[d], {out.strides[o], a.strides[d]});
  }
  run_plan(p, first_turn(args, out_ndim));
}

void gather(const KernelArgs& args) {
  const Dims& axes = static_cast<const GatherAttrs&>(*args.attrs).axes;
  const Tensor &a = args.inputs[0], &out = args.outputs[0];
  const int out_ndim = static_cast<int>(out.shape.size());
  IndexLists lists;
  for (size_t k = 0; k < axes.size(); ++k)
    lists.push_back(list_of(args, args.inputs[k + 1], static_cast<int>(axes[k]),
                            out_ndim + static_cast<int>(k)));
  GatherPlan p{"gather", a, out, lists, index_loop(out, lists, 0), StridedLoop(2)};
  for (size_t d = 0, o = args.inputs[1].shape.size(); d < a.shape.size(); ++d)
    if (std::find(axes.begin(), axes.end(), static_cast<int64_t>(d)) == axes.end())
      p.lanes.add(a.shape[d], {out.strides[o++], a.strides[d]});
  run_plan(p, first_turn(args, out_ndim));
}

template <typename T>
void pick(T* out, int64_t out_step, const T* a, int64_t a_step, const IndexRun& run) {
  for (int64_t i = 0; i < run.count; ++i)
    out[run.turn[i] * out_step] = a[run.turn[i] * a_step + run.offset[i]];
}

void take_along_axis(const KernelArgs& args) {
  const int axis = static_cast<const TakeAlongAxisAttrs&>(*args.attrs).axis;
  const Tensor &a = args.inputs[0], &indices = args.inputs[1], &out = args.outputs[0];
  const int ndim = static_cast<int>(out.shape.size());
  const IndexList list = list_of(args, indices, axis, ndim);
  StridedLoop loop(3);  // indices, out, a without its indexed axis
  for (int d = 0; d < ndim; ++d)
    loop.add(out.shape[d], {indices.strides[d], out.strides[d], d == axis ? 0 : a.strides[d]});
  loop.collapse();
  if (first_turn(args, ndim)) check_indices("take_along_axis", loop, std::span(&list, 1));
  const int64_t size = static_cast<int64_t>(size_of(a.dtype)), count = loop.count();
  const int64_t pieces = pieces_for(2 * count * (size + 4), 8 * arena_threads());
  auto visit = [&]<typename T>(T) {
    run_tasks(pieces, [&](int64_t task) {
      IndexRun run;
      loop.runs(piece_begin(count, pieces, task), piece_begin(count, pieces, task + 1), kIndexChunk,
                [&](const int64_t* at, int64_t n) {
                  run.resolve(std::span(&list, 1), loop, at, n);
                  pick(out.as<T>() + at[1], loop.inner_stride(1), a.as<const T>() + at[2],
                       loop.inner_stride(2), run);
                });
    });
  };
  if (size == 1) return visit(uint8_t{});
  if (size == 2) return visit(uint16_t{});
  if (size == 4) return visit(uint32_t{});
  visit(uint64_t{});
}

}  // namespace

void add_gather_kernels(device::KernelTable& table) {
  device::KernelRow row;
  row.strided_inputs = device::kAllInputs;
  row.can_fail = true;
  row.run = take;
  table.add("take", device::kAllDtypes, row);
  row.run = take_along_axis;
  table.add("take_along_axis", device::kAllDtypes, row);
  row.run = gather;
  table.add("gather", device::kAllDtypes, row);
}

}  // namespace plimsoll::cpu
