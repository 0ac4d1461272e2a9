// How steps are cut: tilings of steps, parts of operands, and the byte ranges that a tile holds.
#pragma once

#include <map>
#include <optional>
#include <utility>

#include "memory/pool.h"
#include "plan/like_steps.h"
#include "plan/plan.h"

namespace plimsoll::plan {

/// The step's loops: the op's own, or every axis of an elementwise program.
const Tiling& tiling_of(Plan& plan, StepId step);

/// [begin, end) of one loop of a nest.
struct Window {
  int64_t begin = 0;
  int64_t end = 0;
};

/// The windows of one turn; loops run in ascending order, the last one fastest.
void set_windows(const Nest& nest, size_t turn, std::span<Window> windows);
size_t num_turns(const Nest& nest);

/// Axis of the operand that loop `l` of the nest cuts, or kWhole. Operands count inputs first.
int cut_axis(const Plan& plan, const Nest& nest, size_t loop, size_t body, size_t operand);

/// The part of an operand that the windows leave.
Form cut(const Plan& plan, const Nest& nest, size_t body, size_t operand,
         std::span<const Window> windows);

/// Bytes of its value that must be resident while the windows hold. Axes narrow it from the
/// outermost in memory inwards, as far as all axes outside of one are cut to a single index: so
/// the ranges of consecutive tiles follow each other.
ByteRange held_range(const Plan& plan, const Nest& nest, size_t body, size_t operand,
                     std::span<const Window> windows);

/// The operands of a nest that are one value, or those of them that are held apart.
struct Access {
  ValueId value = kNone;
  bool made = false;                  // some step of the nest makes it
  SmallVector<uint32_t, 4> operands;  // body << 16 | operand
};
std::vector<Access> accesses(const Plan& plan, const Nest& nest);
/// Hull of what its operands hold.
ByteRange held_range(const Plan& plan, const Nest& nest, const Access& access,
                     std::span<const Window> windows);

/// Whether its turns move much less than an extent: rows that straddle extents left room for no
/// others.
bool splits_hairs(const Nest& nest, const memory::Pool& pool);

/// What a nest needs, kept apart from where it is decided.
class NestShaper {
 public:
  NestShaper(Plan& plan, const device::Backend& backend, const memory::Pool& pool,
             const Costs& costs = {})
      : plan_(plan), backend_(backend), pool_(pool), costs_(costs), like_(plan) {}

  /// Fills in which values are streamed, charges, traffic. `local` and loops are given. Without its
  /// scratch where it takes more than `most` already.
  void shape(Nest& nest, Bytes most = memory::Ledger::kNoLimit);
  /// A nest of one step within `budget`, the quickest by prediction that a search over its loops
  /// finds, in fine extents where coarse ones do not fit, or only tiny tiles of them; null where
  /// even the smallest tiles do not.
  std::shared_ptr<Nest> fit(StepId step, Bytes budget);
  /// All loops over their smallest tiles in fine extents; null where the step has none.
  std::shared_ptr<Nest> smallest(StepId step);
  /// The least working set of the step: whole, or over its smallest tiles that are worth it.
  Bytes least(StepId step);
  /// Charge of a buffer for so many bytes while it is in use alone, with its extent table.
  Bytes charge_of(Bytes bytes) const;
  /// Keeps streamed values resident, most often read ones first, as far as `budget` goes.
  void promote(Nest& nest, Bytes budget);

 private:
  struct Held {
    Bytes bytes = 0;
    double moved = 0;  // bytes that pass through memory over all turns
  };
  bool has_fine() const;
  Nest single(StepId step, std::span<const int> axes, std::span<const int64_t> tiles, bool fine,
              Bytes most = memory::Ledger::kNoLimit);
  Bytes moved_once(StepId step) const;
  template <typename Cost>
  std::optional<Nest> doubled(StepId step, std::span<const int> axes, const Nest& nest,
                              Bytes budget, const Cost& cost);
  Nest usable(StepId step, std::span<const int> axes, Bytes enough);
  std::shared_ptr<Nest> quickest_usable(StepId step, Bytes budget);
  std::shared_ptr<Nest> search(StepId step, Bytes budget);
  std::shared_ptr<Nest> quickest(StepId step, Bytes budget, bool fine);
  Held held(const Nest& nest, const Access& access) const;
  Held hold_apart(Nest& nest, const Access& access, const Held& together) const;
  using Windows = SmallVector<Window, 6>;
  bool cuts(const Nest& nest, const Access& access, size_t loop) const;
  ByteRange swept(const Nest& nest, const Access& access, size_t l, const Windows& first,
                  const ByteRange& range) const;
  bool moved_alike(const Nest& nest, const Access& access, const Windows& first,
                   const Windows& next) const;
  void shape_scratch(Nest& nest);
  void shape_packing(Nest& nest);
  Bytes workspace_of(const Nest& nest, size_t body, std::vector<Window> windows, bool carry) const;
  Bytes most_workspace(const Nest& nest, size_t body) const;
  std::shared_ptr<Nest> fit_axes(StepId step, std::span<const int> axes, Bytes budget, bool fine);
  std::shared_ptr<Nest> grow(StepId step, std::span<const int> axes, Bytes budget, bool fine);
  std::vector<int> order_of_loops(StepId step);
  bool runs_through_memory(StepId step) const;
  std::vector<std::vector<int>> choices_of_loops(StepId step);
  void align_outer(StepId step, std::span<const int> axes, Bytes budget, Nest& best);
  double seconds_of(StepId step, const Nest& nest, bool overlap) const;

  Plan& plan_;
  const device::Backend& backend_;
  const memory::Pool& pool_;
  const Costs costs_;
  LikeSteps like_;
  std::map<std::pair<StepId, Bytes>, std::shared_ptr<Nest>> fitted_;  // what search() found
};

}  // namespace plimsoll::plan
