#include "backends/cpu/kernels/reduce.h"

#include "backends/cpu/kernels/reduce_leaf.h"

namespace plimsoll::cpu {
namespace {

using LeafOf = const ReduceLeaf* (*)(Dtype);

template <LeafOf kLeaf>
void run(const device::KernelArgs& args) {
  const auto& attrs = static_cast<const ReduceAttrs&>(*args.attrs);
  run_reduction(*kLeaf(args.inputs[0].dtype), args, attrs.axes, attrs.keepdims);
}

template <LeafOf kLeaf>
size_t carry(const OpInstance& op) {
  return reduction_carry(op, kLeaf(op.inputs[0].dtype)->carry_size);
}

template <LeafOf kLeaf>
void add(device::KernelTable& table, const char* name) {
  device::KernelRow row;
  row.run = run<kLeaf>;
  row.workspace = reduction_workspace;
  row.carry = carry<kLeaf>;
  for (Dtype t : device::kAllDtypes)
    if (kLeaf(t)) table.add(name, {&t, 1}, row);
}

}  // namespace

void add_reduce_kernels(device::KernelTable& table) {
  add<sum_leaf>(table, "sum");
  add<prod_leaf>(table, "prod");
  add<max_leaf>(table, "max");
  add<min_leaf>(table, "min");
  add<all_leaf>(table, "all");
  add<any_leaf>(table, "any");
  add<logsumexp_leaf>(table, "logsumexp");
}

}  // namespace plimsoll::cpu
