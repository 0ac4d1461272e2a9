// From recorded nodes to steps: default order, views resolved, elementwise chains fused into tile
// programs, liveness, donation. No pass recurses over the graph.
#pragma once

#include <span>
#include <unordered_map>

#include "memory/pool.h"
#include "plan/plan.h"

namespace plimsoll::plan {

struct BuildOptions {
  uint32_t max_members = 128;  // of one tile program
  uint32_t max_inputs = 16;
  bool fuse = true;
  bool donate = true;
};

class Builder {
 public:
  Builder(const device::Backend& backend, const memory::Pool& pool);
  /// Steps in the default order (depth first), not yet units or actions. `targets` need not be
  /// distinct and may be available already. Throws TypeError where a kernel is missing.
  Plan build(std::span<const array> targets, const BuildOptions& options = {});

 private:
  struct Info;
  struct Group;
  class Pass;
  const device::KernelRow& row_of(const graph::OpDef& def, Dtype dtype);

  const device::Backend& backend_;
  const memory::Pool& pool_;
  std::unordered_map<const graph::OpDef*, std::vector<const device::KernelRow*>> rows_;
  uint32_t epoch_ = 0;
};

/// First and last use of every value, and donors.
void find_lifetimes(Plan& plan, bool donate);
/// Whose buffer each step takes over, after the uses are known.
void find_donors(Plan& plan, bool donate);

}  // namespace plimsoll::plan
