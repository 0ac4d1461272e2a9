// Tiles of a single step that does not fit whole.
#include <algorithm>
#include <array>
#include <limits>

#include "plan/schedule.h"
#include "plan/tile.h"

namespace plimsoll::plan {
namespace {

/// The smallest tiles along some axes.
std::vector<int64_t> grains_of(const Tiling& tiling, std::span<const int> axes) {
  std::vector<int64_t> tiles;
  tiles.reserve(axes.size());
  for (int a : axes) tiles.push_back(tiling[a].grain);
  return tiles;
}

// Bytes of I/O that a turn costs in bookkeeping, kernel start and seeks.
constexpr double kTurnCost = 256 * 1024;
constexpr int64_t kLargestStep = 4096;
constexpr size_t kMostLoops = 5;         // whose choices are all looked at
constexpr size_t kFewTurns = 1000;       // that the floor allows anyhow
constexpr Bytes kLeastTurn = 16 * kKiB;  // that more of them move, where each byte moved once
constexpr int kFewestTurns = 16;  // of a plain stream, so that reading, running, writing overlap

double cost_of(const Nest& nest) {
  return static_cast<double>(nest.read + nest.written) +
         kTurnCost * static_cast<double>(num_turns(nest));
}

int64_t multiple(int64_t n, int64_t grain) { return std::max(grain, n / grain * grain); }

}  // namespace

bool NestShaper::has_fine() const {
  return pool_.options().fine_extent_bytes < pool_.options().extent_bytes;
}

Nest NestShaper::single(StepId step, std::span<const int> axes, std::span<const int64_t> tiles,
                        bool fine, Bytes most) {
  const Tiling& tiling = tiling_of(plan_, step);
  Nest nest;
  nest.fine = fine && has_fine();
  nest.body = {step};
  for (size_t l = 0; l < axes.size(); ++l) {
    const TileAxis& axis = tiling[axes[l]];
    Loop loop{.extent = axis.extent, .tile = tiles[l], .ordered = axis.ordered};
    loop.axis.push_back(static_cast<int16_t>(axes[l]));
    loop.scale.push_back(1);
    nest.loops.push_back(loop);
  }
  shape(nest, most);
  return nest;
}

// Of a program whose operands all lie in memory in the order of its axes, small ones apart.
bool NestShaper::runs_through_memory(StepId s) const {
  const Step& step = plan_.steps[s];
  if (!step.program) return false;
  for (uint32_t k = step.first_input; k < step.end; ++k) {
    const Form& form = *plan_.operands[k].form;
    if (plan_.values[plan_.operands[k].value].small) continue;
    int64_t outer = std::numeric_limits<int64_t>::max();
    for (size_t d = 0; d < form.shape.size(); ++d) {
      if (form.shape[d] <= 1) continue;
      const int64_t stride = form.layout.strides[d];
      if (stride <= 0 || stride > outer) return false;
      outer = stride;
    }
  }
  return true;
}

// Any of the loops in order, few first, and two unordered ones in both orders; for what runs
// through memory the outermost ones.
std::vector<std::vector<int>> NestShaper::choices_of_loops(StepId step) {
  const std::vector<int> axes = order_of_loops(step);
  const Tiling& tiling = tiling_of(plan_, step);
  std::vector<std::vector<int>> choices;
  if (runs_through_memory(step)) {
    for (size_t n = 1; n <= axes.size(); ++n) choices.emplace_back(axes.begin(), axes.begin() + n);
    return choices;
  }
  const size_t n = std::min(axes.size(), kMostLoops);
  for (uint32_t set = 1; set < 1u << n; ++set) {
    std::vector<int> some;
    for (size_t i = 0; i < n; ++i)
      if (set >> i & 1) some.push_back(axes[i]);
    choices.push_back(some);
    if (some.size() == 2 && !tiling[some[1]].ordered) choices.push_back({some[1], some[0]});
  }
  if (axes.size() > n) choices.push_back(axes);
  std::stable_sort(choices.begin(), choices.end(),
                   [](const auto& a, const auto& b) { return a.size() < b.size(); });
  return choices;
}

// In core, with the bytes that move beside it or, where there is no room for that, after it.
double NestShaper::seconds_of(StepId step, const Nest& nest, bool overlap) const {
  const auto turns = static_cast<double>(num_turns(nest));
  double compute = step_seconds(plan_.steps[step], costs_);
  for (const Loop& loop : nest.loops)
    if (plan_.tilings[step][loop.axis[0]].repeats()) compute *= static_cast<double>(loop.trips());
  const double io = static_cast<double>(nest.read) / costs_.read_bandwidth +
                    static_cast<double>(nest.written) / costs_.write_bandwidth +
                    turns * kTurnCost / costs_.read_bandwidth;
  return overlap ? std::max(compute, io) + std::min(compute, io) / turns : compute + io;
}

// Unordered loops outside ordered ones; axes of one index are left out.
std::vector<int> NestShaper::order_of_loops(StepId step) {
  const Tiling& tiling = tiling_of(plan_, step);
  std::vector<int> axes;
  for (bool ordered : {false, true})
    for (size_t a = 0; a < tiling.size(); ++a)
      if (tiling[a].ordered == ordered && tiling[a].extent > tiling[a].grain)
        axes.push_back(static_cast<int>(a));
  return axes;
}

// What moves where no byte moves twice.
Bytes NestShaper::moved_once(StepId step) const {
  Bytes bytes = 0;
  for (const Access& access : accesses(plan_, {.body = {step}}))
    bytes += plan_.values[access.value].nbytes;
  return bytes;
}

Bytes NestShaper::least(StepId s) {
  Bytes best = working_set(plan_, plan_.steps[s]);
  Bytes few = best;  // many loops count only where they save much
  for (const std::vector<int>& some : choices_of_loops(s)) {
    const Bytes enough = some.size() == 1 ? few : best;
    const Bytes need = usable(s, some, enough).working_set();
    if (some.size() == 1) few = std::min(few, need);
    best = std::min(best, need);
  }
  return best < few - few / 8 ? best : few;
}

// The smallest tiles whose turns are not too many for what they move: single elements in many loops
// would take hours where a little more memory makes them seconds. Ends where they need `enough`.
Nest NestShaper::usable(StepId step, std::span<const int> axes, Bytes enough) {
  Nest nest = single(step, axes, grains_of(tiling_of(plan_, step), axes), true);
  const size_t most = kFewTurns + moved_once(step) / kLeastTurn;
  const auto need = [](const Nest& n) { return static_cast<double>(n.working_set()); };
  while (num_turns(nest) > most && nest.working_set() < enough)
    nest = *doubled(step, axes, nest, memory::Ledger::kNoLimit, need);
  return nest;
}

// With the one of its loops doubled that makes `cost` least, of those that `budget` leaves room
// for; none where there is none.
template <typename Cost>
std::optional<Nest> NestShaper::doubled(StepId step, std::span<const int> axes, const Nest& nest,
                                        Bytes budget, const Cost& cost) {
  std::optional<Nest> best;
  for (size_t l = 0; l < axes.size(); ++l) {
    std::vector<int64_t> tiles;
    for (const Loop& loop : nest.loops) tiles.push_back(loop.tile);
    if (tiles[l] >= nest.loops[l].extent) continue;
    tiles[l] = std::min(2 * tiles[l], nest.loops[l].extent);
    Nest larger = single(step, axes, tiles, nest.fine, budget);
    if (larger.working_set() > budget || (best && cost(larger) >= cost(*best))) continue;
    best = std::move(larger);
  }
  return best;
}

// What least() counts, where a search from the smallest tiles on finds nothing: larger tiles can
// need less.
std::shared_ptr<Nest> NestShaper::quickest_usable(StepId step, Bytes budget) {
  std::shared_ptr<Nest> best;
  for (const std::vector<int>& some : choices_of_loops(step)) {
    Nest nest = usable(step, some, memory::Ledger::kNoLimit);
    if (nest.working_set() > budget) continue;
    if (!best || seconds_of(step, nest, false) < seconds_of(step, *best, false))
      best = std::make_shared<Nest>(std::move(nest));
  }
  return best;
}

// The largest outer tile for each of a few inner ones, by what it moves.
std::shared_ptr<Nest> NestShaper::fit_axes(StepId step, std::span<const int> axes, Bytes budget,
                                           bool fine) {
  const Tiling& tiling = tiling_of(plan_, step);
  const TileAxis& outer = tiling[axes[0]];
  std::shared_ptr<Nest> best;
  std::array<int64_t, 2> tiles{};
  int64_t inner_extent = axes.size() > 1 ? tiling[axes[1]].extent : 1;
  int64_t inner_grain = axes.size() > 1 ? tiling[axes[1]].grain : 1;
  auto with_outer = [&](int64_t grains) {
    tiles[0] = std::min(grains * outer.grain, outer.extent);
    return single(step, axes, std::span(tiles).first(axes.size()), fine, budget);
  };
  for (int64_t inner = inner_grain;; inner *= 2) {
    tiles[1] = std::min(multiple(inner, inner_grain), inner_extent);
    int64_t low = 0, high = (outer.extent + outer.grain - 1) / outer.grain;
    if (with_outer(1).working_set() > budget) high = 0;
    while (low < high) {  // the most grains that fit
      int64_t middle = low + (high - low + 1) / 2;
      if (with_outer(middle).working_set() <= budget)
        low = middle;
      else
        high = middle - 1;
    }
    if (low > 0) {
      Nest nest = with_outer(low);
      if (!best || cost_of(nest) < cost_of(*best)) best = std::make_shared<Nest>(std::move(nest));
    }
    if (axes.size() == 1 || inner >= inner_extent) break;
  }
  if (best) align_outer(step, axes, budget, *best);
  return best;
}

// A larger tile whose turns begin with extents can need less.
void NestShaper::align_outer(StepId step, std::span<const int> axes, Bytes budget, Nest& best) {
  const TileAxis& outer = tiling_of(plan_, step)[axes[0]];
  std::vector<int64_t> tiles;
  for (const Loop& loop : best.loops) tiles.push_back(loop.tile);
  for (int64_t p = 2; p <= kLargestStep; p *= 2) {
    const int64_t larger = (best.loops[0].tile / outer.grain / p + 1) * p * outer.grain;
    if (larger >= outer.extent) return;
    tiles[0] = larger;
    Nest nest = single(step, axes, tiles, best.fine, budget);
    if (nest.working_set() <= budget && cost_of(nest) < cost_of(best)) best = std::move(nest);
  }
}

std::shared_ptr<Nest> NestShaper::smallest(StepId step) {
  std::vector<int> axes = order_of_loops(step);
  const bool empty = num_elements(plan_.outputs(plan_.steps[step])[0].form->shape) == 0;
  if (axes.empty() || empty) return nullptr;  // other axes of what is empty may have any length
  return std::make_shared<Nest>(single(step, axes, grains_of(tiling_of(plan_, step), axes), true));
}

bool splits_hairs(const Nest& nest, const memory::Pool& pool) {
  return static_cast<double>(nest.read + nest.written) <
         static_cast<double>(num_turns(nest)) * static_cast<double>(pool.options().extent_bytes) /
             4;
}

// Loops at their smallest tiles, then doubled one after the other, the one that saves most first.
std::shared_ptr<Nest> NestShaper::grow(StepId step, std::span<const int> axes, Bytes budget,
                                       bool fine) {
  Nest best = single(step, axes, grains_of(tiling_of(plan_, step), axes), fine, budget);
  if (best.working_set() > budget) return nullptr;
  while (std::optional<Nest> larger = doubled(step, axes, best, budget, cost_of))
    best = std::move(*larger);
  return std::make_shared<Nest>(std::move(best));
}

std::shared_ptr<Nest> NestShaper::quickest(StepId step, Bytes budget, bool fine) {
  std::shared_ptr<Nest> best;
  double least = 0;
  const Bytes once = moved_once(step);
  auto moves_least = [&] {
    return best && best->read + best->written <= once && !splits_hairs(*best, pool_);
  };
  // Half for the tile leaves the rest for what is under way, so that reading, running and writing
  // overlap; all of it moves fewer bytes.
  for (bool overlap : {true, false}) {
    if (moves_least()) break;
    const Bytes part = overlap ? budget / 2 : budget;
    auto consider = [&](std::shared_ptr<Nest> nest) {
      if (!nest) return;
      double seconds = seconds_of(step, *nest, overlap);
      if (best && seconds >= least) return;
      least = seconds;
      best = std::move(nest);
    };
    size_t loops = 1;
    for (const std::vector<int>& some : choices_of_loops(step)) {
      if (some.size() > loops && moves_least()) break;
      loops = some.size();
      consider(loops <= 2 ? fit_axes(step, some, part, fine) : grow(step, some, part, fine));
    }
  }
  return best;
}

// A step that is like one before takes its nest, with its own values in place of the other's.
std::shared_ptr<Nest> NestShaper::fit(StepId step, Bytes budget) {
  auto [it, fresh] = fitted_.try_emplace({like_.first_like(step), budget});
  if (fresh) it->second = search(step, budget);
  if (!it->second) return nullptr;
  auto nest = std::make_shared<Nest>(*it->second);
  const Step &other = plan_.steps[nest->body[0]], &own = plan_.steps[step];
  tiling_of(plan_, step);
  nest->body[0] = step;
  for (ValueId& v : nest->streamed) {
    uint32_t k = other.first_input;
    while (plan_.operands[k].value != v) ++k;
    v = plan_.operands[k - other.first_input + own.first_input].value;
  }
  promote(*nest, budget);
  nest->overlap = true;
  return nest;
}

std::shared_ptr<Nest> NestShaper::search(StepId step, Bytes budget) {
  const Tiling& tiling = tiling_of(plan_, step);
  std::shared_ptr<Nest> best = quickest(step, budget, false);
  if (has_fine() && (!best || splits_hairs(*best, pool_))) {
    std::shared_ptr<Nest> fine = quickest(step, budget, true);
    const bool slow =
        best && fine && 2 * seconds_of(step, *fine, false) < seconds_of(step, *best, false);
    if (!best || slow) best = std::move(fine);
  }
  if (!best) best = quickest_usable(step, budget);
  if (!best) return nullptr;
  const bool stream = best->loops.size() == 1 && !tiling[best->loops[0].axis[0]].repeats();
  if (stream && best->loops[0].trips() < kFewestTurns) {
    Loop& loop = best->loops[0];
    int64_t grain = tiling[loop.axis[0]].grain;
    Nest finer = *best;
    finer.loops[0].tile = multiple((loop.extent + kFewestTurns - 1) / kFewestTurns, grain);
    shape(finer);
    if (finer.read + finer.written <= best->read + best->written &&
        finer.working_set() <= best->working_set())
      *best = std::move(finer);
  }
  return best;
}

}  // namespace plimsoll::plan
