#include "plan/tile.h"

#include <algorithm>
#include <cstdlib>
#include <numeric>

#include "base/check.h"

namespace plimsoll::plan {
namespace {

Tiling elementwise_tiling(const Plan& plan, const Step& step) {
  Tiling tiling;
  auto inputs = plan.inputs(step);
  auto outputs = plan.outputs(step);
  const Shape& shape = outputs[0].form->shape;
  for (size_t d = 0; d < shape.size(); ++d) {
    if (shape[d] <= 1) continue;
    TileAxis axis;
    axis.extent = shape[d];
    for (size_t k = 0; k < inputs.size(); ++k)
      axis.input_axis.push_back(step.key_inputs >> k & 1 ? kWhole : static_cast<int8_t>(d));
    axis.output_axis.resize(outputs.size(), static_cast<int8_t>(d));
    tiling.push_back(std::move(axis));
  }
  return tiling;
}

OpInstance instance_of(const Plan& plan, const Step& step, std::vector<TensorSpec>& in,
                       std::vector<TensorSpec>& out) {
  for (const Operand& o : plan.inputs(step)) in.push_back({o.form->dtype, o.form->shape});
  for (const Operand& o : plan.outputs(step)) out.push_back({o.form->dtype, o.form->shape});
  return {in, out, step.attrs};
}

}  // namespace

const Tiling& tiling_of(Plan& plan, StepId s) {
  if (plan.tilings.size() < plan.steps.size()) plan.tilings.resize(plan.steps.size());
  Tiling& tiling = plan.tilings[s];
  const Step& step = plan.steps[s];
  if (!tiling.empty()) return tiling;
  if (step.elementwise) {
    tiling = elementwise_tiling(plan, step);
  } else if (step.def->tiling) {
    std::vector<TensorSpec> in, out;
    tiling = step.def->tiling(instance_of(plan, step, in, out));
  }
  return tiling;
}

size_t num_turns(const Nest& nest) {
  size_t turns = 1;
  for (const Loop& loop : nest.loops) turns *= static_cast<size_t>(loop.trips());
  return turns;
}

void set_windows(const Nest& nest, size_t turn, std::span<Window> windows) {
  for (size_t l = nest.loops.size(); l-- > 0;) {
    const Loop& loop = nest.loops[l];
    auto trips = static_cast<size_t>(loop.trips());
    auto i = static_cast<int64_t>(turn % trips);
    turn /= trips;
    windows[l] = {i * loop.tile, std::min(loop.extent, (i + 1) * loop.tile)};
  }
}

int cut_axis(const Plan& plan, const Nest& nest, size_t loop, size_t body, size_t operand) {
  int16_t a = nest.loops[loop].axis[body];
  if (a < 0) return kWhole;
  StepId s = nest.body[body];
  const Step& step = plan.steps[s];
  const TileAxis& axis = plan.tilings[s][a];
  size_t inputs = step.first_output - step.first_input;
  return operand < inputs ? axis.input_axis[operand] : axis.output_axis[operand - inputs];
}

Form cut(const Plan& plan, const Nest& nest, size_t body, size_t operand,
         std::span<const Window> windows) {
  const Step& step = plan.steps[nest.body[body]];
  Form part = *plan.operands[step.first_input + operand].form;
  for (size_t l = 0; l < windows.size(); ++l) {
    int axis = cut_axis(plan, nest, l, body, operand);
    if (axis < 0) continue;
    int64_t scale = nest.loops[l].scale[body];
    part.layout.offset += windows[l].begin * scale * part.layout.strides[axis];
    part.shape[axis] = (windows[l].end - windows[l].begin) * scale;
  }
  return part;
}

ByteRange held_range(const Plan& plan, const Nest& nest, size_t body, size_t operand,
                     std::span<const Window> windows) {
  const Step& step = plan.steps[nest.body[body]];
  const Form& form = *plan.operands[step.first_input + operand].form;
  const Shape& shape = form.shape;
  SmallVector<int64_t, 6> begin(shape.size(), 0);
  Shape length = shape;
  for (size_t l = 0; l < windows.size(); ++l) {
    int axis = cut_axis(plan, nest, l, body, operand);
    if (axis < 0) continue;
    int64_t scale = nest.loops[l].scale[body];
    begin[axis] = windows[l].begin * scale;
    length[axis] = (windows[l].end - windows[l].begin) * scale;
  }
  // The outermost axis in memory of which more than an index is left is the last to be narrowed.
  int64_t innermost = 1;
  for (size_t d = 0; d < shape.size(); ++d)
    if (shape[d] > 1 && length[d] > 1)
      innermost = std::max(innermost, std::abs(form.layout.strides[d]));
  int64_t first = form.layout.offset, last = first;
  for (size_t d = 0; d < shape.size(); ++d) {
    const int64_t stride = form.layout.strides[d];
    const bool narrowed = shape[d] > 1 && std::abs(stride) >= innermost;
    const int64_t from = narrowed ? begin[d] * stride : 0;
    const int64_t count = narrowed ? length[d] : shape[d];
    if (count == 0) return {};
    const int64_t reach = (count - 1) * stride;
    first += from + std::min<int64_t>(reach, 0);
    last += from + std::max<int64_t>(reach, 0);
  }
  const size_t item = size_of(form.dtype);
  return {static_cast<Bytes>(first) * item, static_cast<Bytes>(last + 1) * item};
}

std::vector<Access> accesses(const Plan& plan, const Nest& nest) {
  std::vector<Access> all;
  std::vector<size_t> lists;  // of Nest::apart, per access; none: its size
  auto list_of = [&](uint32_t at) {
    size_t i = 0;
    while (i < nest.apart.size() &&
           std::find(nest.apart[i].begin(), nest.apart[i].end(), at) == nest.apart[i].end())
      ++i;
    return i;
  };
  for (uint32_t b = 0; b < nest.body.size(); ++b) {
    const Step& step = plan.steps[nest.body[b]];
    uint32_t inputs = step.first_output - step.first_input;
    for (uint32_t k = 0; k < step.end - step.first_input; ++k) {
      ValueId id = plan.operands[step.first_input + k].value;
      const size_t list = list_of(b << 16 | k);
      size_t i = 0;
      while (i < all.size() && (all[i].value != id || lists[i] != list)) ++i;
      if (i == all.size()) {
        all.push_back({.value = id});
        lists.push_back(list);
      }
      all[i].operands.push_back(b << 16 | k);
      all[i].made |= k >= inputs;
    }
  }
  return all;
}

ByteRange held_range(const Plan& plan, const Nest& nest, const Access& access,
                     std::span<const Window> windows) {
  ByteRange hull;
  for (uint32_t at : access.operands) {
    ByteRange range = held_range(plan, nest, at >> 16, at & 0xffff, windows);
    if (range.empty()) continue;
    if (hull.empty())
      hull = range;
    else
      hull = {std::min(hull.begin, range.begin), std::max(hull.end, range.end)};
  }
  return hull;
}

// Shaping ---------------------------------------------------------------------------------------

Bytes NestShaper::charge_of(Bytes bytes) const {
  if (bytes == 0) return 0;
  memory::BlockShape s = pool_.shape_of(bytes);
  return s.small ? s.slab_bytes : s.bytes + pool_.table_of(bytes);
}

// The most that any turn holds of a value: bytes widened to whole extents.
NestShaper::Held NestShaper::held(const Nest& nest, const Access& access) const {
  Windows first(nest.loops.size());
  for (size_t l = 0; l < first.size(); ++l)
    first[l] = {0, std::min(nest.loops[l].tile, nest.loops[l].extent)};
  const Value& v = plan_.values[access.value];
  const ByteRange range = held_range(plan_, nest, access, first);
  Held out;
  Bytes extent = pool_.shape_of(v.nbytes).extent(nest.fine);
  Bytes step = extent;  // turns begin at multiples of it, from range.begin on
  double outer = 1, rereads = 1;
  for (size_t l = 0; l < first.size(); ++l) {
    const Loop& loop = nest.loops[l];
    if (loop.trips() <= 1) continue;
    bool advances = false;
    if (cuts(nest, access, l)) {
      Windows next = first;
      next[l] = {loop.tile, std::min(loop.extent, 2 * loop.tile)};
      // Operands that move apart pass their value in several orders: it stays whole.
      if (!moved_alike(nest, access, first, next)) return {.bytes = v.bytes};
      ByteRange moved = held_range(plan_, nest, access, next);
      if (moved.begin != range.begin || moved.end != range.end) {
        step = std::gcd(step, moved.begin - range.begin);  // modulo 2^64: extents divide that
        rereads = outer;  // what does not move it on, outside of this loop, passes it again
        advances = std::max(moved.begin, range.begin) - std::min(moved.begin, range.begin) >=
                   swept(nest, access, l, first, range).size();
      }
    }
    if (!advances) outer *= static_cast<double>(loop.trips());
  }
  Bytes size = range.size();
  if (size == 0) return out;
  Windows all(nest.loops.size());
  for (size_t l = 0; l < all.size(); ++l) all[l] = {0, nest.loops[l].extent};
  const Bytes passed = access.made ? v.nbytes : held_range(plan_, nest, access, all).size();
  out.moved = rereads * static_cast<double>(passed);
  // What begins latest in an extent reaches farthest.
  out.bytes = round_up(extent - step + range.begin % step + size, extent);
  out.bytes = std::min(out.bytes, v.bytes);
  return out;
}

bool NestShaper::cuts(const Nest& nest, const Access& access, size_t loop) const {
  return std::any_of(access.operands.begin(), access.operands.end(), [&](uint32_t at) {
    return cut_axis(plan_, nest, loop, at >> 16, at & 0xffff) >= 0;
  });
}

// Operands that are far from each other, or move apart, are held each for itself where that takes
// less than what lies between them.
NestShaper::Held NestShaper::hold_apart(Nest& nest, const Access& access,
                                        const Held& together) const {
  std::vector<Access> parts;
  std::vector<Held> helds;
  for (uint32_t at : access.operands) {
    Access alone{.value = access.value};
    alone.operands.push_back(at);
    const Held h = held(nest, alone);
    if (h.bytes >= together.bytes) return together;
    bool joined = false;
    for (size_t p = 0; p < parts.size() && !joined; ++p) {
      Access both = parts[p];
      both.operands.push_back(at);
      const Held of_both = held(nest, both);
      joined = of_both.bytes <= helds[p].bytes + h.bytes;
      if (!joined) continue;
      parts[p] = both;
      helds[p] = of_both;
    }
    if (joined) continue;
    parts.push_back(alone);
    helds.push_back(h);
  }
  Held apart;
  for (const Held& h : helds) apart = {apart.bytes + h.bytes, apart.moved + h.moved};
  if (apart.bytes >= together.bytes) return together;
  for (const Access& part : parts)
    nest.apart.emplace_back(part.operands.begin(), part.operands.end());
  return apart;
}

// Hull of what the loops inside of loop `l` pass in its first turn; `range` is what its very first
// holds.
ByteRange NestShaper::swept(const Nest& nest, const Access& access, size_t l, const Windows& first,
                            const ByteRange& range) const {
  Windows windows = first;
  for (size_t k = l + 1; k < windows.size(); ++k) {
    const Loop& loop = nest.loops[k];
    windows[k] = {(loop.trips() - 1) * loop.tile, loop.extent};
  }
  ByteRange last = held_range(plan_, nest, access, windows);
  return {std::min(range.begin, last.begin), std::max(range.end, last.end)};
}

bool NestShaper::moved_alike(const Nest& nest, const Access& access, const Windows& first,
                             const Windows& next) const {
  if (access.operands.size() == 1) return true;
  Bytes distance = 0;
  for (size_t i = 0; i < access.operands.size(); ++i) {
    uint32_t body = access.operands[i] >> 16, operand = access.operands[i] & 0xffff;
    Bytes moved = held_range(plan_, nest, body, operand, next).begin -
                  held_range(plan_, nest, body, operand, first).begin;
    if (i > 0 && moved != distance) return false;
    distance = moved;
  }
  return true;
}

Bytes NestShaper::workspace_of(const Nest& nest, size_t body, std::vector<Window> windows,
                               bool carry) const {
  const Step& step = plan_.steps[nest.body[body]];
  if (step.program) return carry ? 0 : step.workspace;
  if (carry ? !step.row->carry : !step.row->workspace) return 0;
  if (carry) {  // kept over all turns of the ordered loops
    bool turns = false;
    for (size_t l = 0; l < windows.size(); ++l) {
      const Loop& loop = nest.loops[l];
      if (loop.axis[body] < 0) continue;
      const TileAxis& axis = plan_.tilings[nest.body[body]][loop.axis[body]];
      if (!axis.ordered) continue;
      turns |= loop.trips() > 1;
      if (!axis.repeats()) windows[l] = {0, loop.extent};
    }
    if (!turns && step.row->carry_only_cut) return 0;
  }
  std::vector<TensorSpec> in, out;
  size_t inputs = step.first_output - step.first_input;
  for (size_t k = 0; k < step.end - step.first_input; ++k) {
    Form part = cut(plan_, nest, body, k, windows);
    (k < inputs ? in : out).push_back({part.dtype, part.shape});
  }
  OpInstance instance{in, out, step.attrs};
  return carry ? step.row->carry(instance) : step.row->workspace(instance);
}

// Kernels want outputs, and inputs unless they say otherwise, row-contiguous: parts that are not
// are copied.
void NestShaper::shape_packing(Nest& nest) {
  nest.packed.clear();
  nest.packing = 0;
  std::vector<Window> windows(nest.loops.size());
  set_windows(nest, 0, windows);
  for (uint32_t b = 0; b < nest.body.size(); ++b) {
    const Step& step = plan_.steps[nest.body[b]];
    uint32_t inputs = step.first_output - step.first_input;
    Bytes bytes = 0;
    for (uint32_t k = 0; k < step.end - step.first_input; ++k) {
      bool strided = k < inputs && (step.program || (k < 32 && step.row->strided_inputs >> k & 1));
      bool key = k < inputs && step.key_inputs >> k & 1;
      if (strided && !key) continue;
      Form part = cut(plan_, nest, b, k, windows);
      if (is_row_contiguous(part.shape, part.layout.strides)) continue;
      nest.packed.push_back(b << 16 | k);
      bytes += round_up(static_cast<Bytes>(num_elements(part.shape)) * size_of(part.dtype), 64);
    }
    nest.packing = std::max(nest.packing, bytes);
  }
}

// A part with a last, shorter tile along any of the loops may need more than a full one.
Bytes NestShaper::most_workspace(const Nest& nest, size_t body) const {
  std::vector<Window> full(nest.loops.size());
  set_windows(nest, 0, full);
  std::vector<size_t> uneven;
  for (size_t l = 0; l < nest.loops.size(); ++l)
    if (nest.loops[l].extent % nest.loops[l].tile != 0) uneven.push_back(l);
  Bytes most = 0;
  for (size_t corner = 0; corner < size_t{1} << uneven.size(); ++corner) {
    std::vector<Window> windows = full;
    for (size_t i = 0; i < uneven.size(); ++i) {
      const Loop& loop = nest.loops[uneven[i]];
      if (corner >> i & 1) windows[uneven[i]] = {loop.extent / loop.tile * loop.tile, loop.extent};
    }
    most = std::max(most, workspace_of(nest, body, std::move(windows), false));
  }
  return most;
}

void NestShaper::shape_scratch(Nest& nest) {
  shape_packing(nest);
  std::vector<Window> first(nest.loops.size());
  set_windows(nest, 0, first);
  Bytes carries = 0, workspace = 0;
  nest.workspace.clear();
  nest.carry.clear();
  for (size_t b = 0; b < nest.body.size(); ++b) {
    nest.workspace.push_back(most_workspace(nest, b));
    nest.carry.push_back(workspace_of(nest, b, first, true));
    workspace = std::max(workspace, nest.workspace.back());
    carries += round_up(nest.carry.back(), 64);
  }
  Bytes all = round_up(workspace, 64) + carries + nest.packing;
  nest.scratch = charge_of(all ? pool_.scratch_size(all + 64) : 0);
}

void NestShaper::shape(Nest& nest, Bytes most) {
  nest.streamed.clear();
  nest.apart.clear();
  nest.whole = nest.tile_bytes = nest.read = nest.written = nest.scratch = 0;
  for (const Access& access : accesses(plan_, nest)) {
    const Value& v = plan_.values[access.value];
    if (contains(nest.local, access.value)) {
      const Loop& loop = nest.loops[0];
      nest.tile_bytes += charge_of(v.nbytes / static_cast<Bytes>(loop.extent) *
                                   static_cast<Bytes>(std::min(loop.tile, loop.extent)));
      continue;
    }
    if (v.small) continue;
    Held h = held(nest, access);
    if (!v.pinned && !access.made && access.operands.size() > 1) h = hold_apart(nest, access, h);
    if (v.pinned || h.bytes >= v.bytes) {
      nest.whole += v.bytes;
      continue;
    }
    nest.streamed.push_back(access.value);
    nest.tile_bytes += h.bytes;
    auto moved = static_cast<Bytes>(h.moved);
    (access.made ? nest.written : nest.read) += moved;
    if (access.made && moved > v.nbytes) nest.read += moved - v.nbytes;
  }
  if (nest.working_set() <= most) shape_scratch(nest);
}

void NestShaper::promote(Nest& nest, Bytes budget) {
  const std::vector<Access> all = accesses(plan_, nest);
  std::vector<std::tuple<double, Bytes, ValueId>> order;
  for (ValueId id : nest.streamed) {
    Held sum;
    for (const Access& access : all) {
      if (access.value != id) continue;
      Held h = held(nest, access);
      sum = {sum.bytes + h.bytes, sum.moved + h.moved};
    }
    const Value& v = plan_.values[id];
    bool read_later = v.last_use != kNone && v.last_use > nest.body.back();
    double gain = sum.moved / static_cast<double>(v.nbytes) - 1 + (read_later ? 1 : 0);
    if (gain > 0) order.emplace_back(-gain, sum.bytes, id);
  }
  std::sort(order.begin(), order.end());
  for (auto& [gain, bytes, id] : order) {
    const Value& v = plan_.values[id];
    if (nest.working_set() + v.bytes - bytes > budget) continue;
    std::erase(nest.streamed, id);
    std::erase_if(nest.apart, [&, id = id](auto& list) {
      const Step& step = plan_.steps[nest.body[list[0] >> 16]];
      return plan_.operands[step.first_input + (list[0] & 0xffff)].value == id;
    });
    nest.whole += v.bytes;
    nest.tile_bytes -= bytes;
    auto moved = static_cast<Bytes>((1 - gain) * static_cast<double>(v.nbytes));
    nest.read -= std::min(nest.read, moved);
  }
}

}  // namespace plimsoll::plan
