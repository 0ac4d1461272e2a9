#include "backends/cpu/kernels/concat.h"

#include "backends/cpu/kernels/partition.h"
#include "backends/cpu/kernels/strided.h"
#include "opset/concat.h"

namespace plimsoll::cpu {
namespace {

using device::KernelArgs;
using device::Tensor;

// Every step-th element of `t` along the axis, `extent` of them from `begin` on.
Tensor part_of(Tensor t, int axis, int64_t begin, int64_t step, int64_t extent) {
  t.data = t.as<std::byte>() + begin * t.strides[axis] * static_cast<int64_t>(size_of(t.dtype));
  t.strides[axis] *= step;
  t.shape[axis] = extent;
  return t;
}

void concatenate(const KernelArgs& args) {
  const int axis = static_cast<const ConcatAttrs&>(*args.attrs).axis;
  int64_t begin = 0;
  for (const Tensor& input : args.inputs) {
    const int64_t n = input.shape[axis];
    copy_tensor(part_of(args.outputs[0], axis, begin, 1, n), input);
    begin += n;
  }
}

void slice_update(const KernelArgs& args) {
  const auto& slice = static_cast<const SliceUpdateAttrs&>(*args.attrs);
  const Tensor& base = args.inputs[0];
  Tensor to = args.outputs[0], update = args.inputs[1];
  if (base.data != to.data) copy_tensor(to, base);
  for (int d = 0; d < static_cast<int>(to.shape.size()); ++d) {
    const TileWindow w = window_of(args, d, to.shape[d]);
    int64_t first = slice.start[d], step = slice.step[d], n = update.shape[d], skip = 0;
    const bool covered = first == 0 && step == 1 && slice.stop[d] == w.extent;
    if (!covered) {
      // Positions first + i * step that lie inside the window are a range of i.
      if (step > 0)
        skip = first >= w.begin ? 0 : ceil_div(w.begin - first, step);
      else
        skip = first < w.end ? 0 : ceil_div(first - w.end + 1, -step);
      const int64_t at = first + skip * step;
      const int64_t room = step > 0 ? ceil_div(w.end - at, step) : (at - w.begin) / -step + 1;
      n = (step > 0 ? at < w.end : at >= w.begin) ? std::min(n - skip, room) : 0;
      if (n <= 0) return;
      first = at - w.begin;
    }
    to = part_of(to, d, first, step, n);
    update = part_of(update, d, skip, 1, n);
  }
  copy_tensor(to, update);
}

}  // namespace

void add_concat_kernels(device::KernelTable& table) {
  device::KernelRow row;
  row.strided_inputs = device::kAllInputs;
  row.run = concatenate;
  table.add("concatenate", device::kAllDtypes, row);
  row.run = slice_update;
  row.in_place = 1;
  table.add("slice_update", device::kAllDtypes, row);
}

}  // namespace plimsoll::cpu
