#include "plan/plan_cache.h"

#include <algorithm>
#include <bit>

#include "plan/build.h"
#include "plan/metadata.h"
#include "plan/order.h"
#include "plan/remake.h"
#include "plan/tile.h"
#include "plan/verify.h"

namespace plimsoll::plan {
namespace {

// Of all entries. Nobody charges them, as nobody charges what a plan takes while it is made.
constexpr Bytes kMostBytes = 2 * kMiB;
constexpr size_t kMostEntries = 256;  // which are looked through one after the other
constexpr Bytes kNestBytes = kKiB;    // of one, about

// A plan for so much room is about as good with so much.
Bytes near(Bytes budget) { return budget + budget / 32; }

uint64_t hash_of(const memory::Buffer& buffer) {
  if (buffer.small()) return 1;
  uint64_t h = hash_mix(buffer.num_extents(), buffer.extent_bytes());
  h = hash_mix(h, buffer.has_source());
  for (size_t i = 0; i < buffer.num_extents(); ++i)
    h = hash_mix(h, static_cast<uint64_t>(buffer.extent_state(i)));
  return h;
}

uint64_t hash_of(const Value& v) {
  const uint64_t flags = v.kept | v.donatable << 1 | v.small << 2 | v.pinned << 3 | v.sunk << 4 |
                         (v.node != nullptr) << 5;
  uint64_t h = hash_mix(v.nbytes, v.bytes);
  h = hash_mix(h, uint64_t{v.producer} << 32 | v.last_use);
  h = hash_mix(h, uint64_t{v.tuple_index} << 32 | flags);
  return v.buffer ? hash_mix(h, hash_of(*v.buffer)) : h;
}

uint64_t hash_of(const Plan& plan, const Step& step) {
  const uint64_t flags = step.elementwise | step.random_key << 1 | step.can_fail << 2;
  uint64_t h = hash_mix(reinterpret_cast<uintptr_t>(step.def), flags);
  h = hash_mix(h, reinterpret_cast<uintptr_t>(step.row));
  h = hash_mix(h, step.attrs ? step.attrs->hash() : 0);
  h = hash_mix(h, step.program ? structure_of(*step.program) : 0);
  h = hash_mix(h, uint64_t{step.first_output - step.first_input} << 32 | step.key_inputs);
  h = hash_mix(h, hash_mix(step.workspace, step.carry));
  h = hash_mix(h, std::bit_cast<uint64_t>(step.flops));
  for (uint32_t k = step.first_input; k < step.end; ++k)
    h = hash_mix(h, hash_mix(plan.operands[k].value, plan.operands[k].form->hash));
  return h;
}

}  // namespace

uint64_t structure_of(const Plan& plan) {
  uint64_t h = hash_mix(plan.values.size(), plan.steps.size());
  for (const Value& v : plan.values) h = hash_mix(h, hash_of(v));
  for (const Step& step : plan.steps) h = hash_mix(h, hash_of(plan, step));
  return hash_mix(h, plan.others.size());
}

// For less room than a plan was searched with, there may be none: whether one is refused must not
// depend on what came before.
const PlanCache::Entry* PlanCache::find(uint64_t structure, Bytes budget) {
  for (auto it = entries_.begin(); it != entries_.end(); ++it) {
    if (it->structure != structure || budget < it->budget || budget > near(it->budget)) continue;
    entries_.splice(entries_.begin(), entries_, it);
    return &entries_.front();
  }
  return nullptr;
}

namespace {

template <typename T>
Bytes bytes_of(const std::vector<T>& v) {
  return v.capacity() * sizeof(T);
}

PlanCache::Entry entry_of(uint64_t structure, Bytes budget, const Plan& found) {
  PlanCache::Entry entry{.structure = structure,
                         .budget = budget,
                         .build = found.build,
                         .values = found.values.size(),
                         .order = {},
                         .donors = {},
                         .above = found.peak - found.fixed,
                         .course = found};
  entry.order.reserve(found.steps.size());
  entry.donors.reserve(found.steps.size());
  for (const Step& step : found.steps) {
    entry.donors.push_back(step.donor);
    if (step.built == kNone) continue;
    entry.order.push_back(step.built);
    entry.operands = std::max<size_t>(entry.operands, step.end);
  }
  entry.bytes = sizeof entry + bytes_of(entry.order) + bytes_of(entry.donors) +
                bytes_of(entry.course.units) + bytes_of(entry.course.actions);
  for (const Unit& unit : entry.course.units) entry.bytes += unit.nest ? kNestBytes : 0;
  return entry;
}

}  // namespace

// Takes the place of plans that it does for, and of one that no longer held.
void PlanCache::add(uint64_t structure, Bytes budget, const Plan& found) {
  for (auto it = entries_.begin(); it != entries_.end();) {
    const auto entry = it++;
    if (entry->structure == structure && entry->budget <= near(budget) &&
        budget <= near(entry->budget))
      drop(entry);
  }
  std::list<Entry> fresh;
  fresh.push_back(entry_of(structure, budget, found));
  if (fresh.front().bytes > kMostBytes) return;
  bytes_ += fresh.front().bytes;
  entries_.splice(entries_.begin(), fresh);
  while (bytes_ > kMostBytes || entries_.size() > kMostEntries) drop(std::prev(entries_.end()));
}

void PlanCache::drop(std::list<Entry>::iterator entry) {
  bytes_ -= entry->bytes;
  entries_.erase(entry);
}

bool reuse(const PlanCache::Entry& entry, Plan& plan, const device::Backend& backend,
           const memory::Pool& pool, const memory::SpillStore* store) {
  if (plan.values.size() != entry.values || plan.operands.size() != entry.operands ||
      plan.steps.size() != entry.order.size())
    return false;
  const Bytes others = plan.fixed - plan.metadata;
  apply_order(plan, entry.order);
  find_lifetimes(plan, true);
  if (entry.donors.size() > plan.steps.size()) add_remakes(plan, backend, pool);
  if (entry.donors.size() != plan.steps.size()) return false;
  for (StepId s = 0; s < plan.steps.size(); ++s) plan.steps[s].donor = entry.donors[s];
  static_cast<Course&>(plan) = entry.course;
  for (const Unit& unit : plan.units)
    if (unit.nest)
      for (StepId s : unit.body()) tiling_of(plan, s);
  // What is free of headers and records differs from time to time.
  plan.metadata = metadata_charge(metadata_need(plan, pool, plan.spills, false), pool,
                                  plan.spills ? store : nullptr);
  plan.fixed = others + plan.metadata;
  plan.peak = plan.fixed + entry.above;
  plan.reused = true;
  return plan.peak <= plan.limit && verify(plan, pool).empty();
}

}  // namespace plimsoll::plan
