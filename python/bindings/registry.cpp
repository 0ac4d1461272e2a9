#include "bindings/registry.h"

#include <nanobind/stl/string.h>

#include <string>
#include <unordered_set>
#include <vector>

#include "bindings/array_type.h"
#include "graph/node.h"
#include "ops/registry.h"
#include "plimsoll/ops/scatter.h"
#include "runtime/context.h"

namespace plimsoll::python {
namespace {

using namespace nb::literals;

const char* kind_name(graph::Kind kind) {
  constexpr const char* kNames[] = {
      "elementwise", "view", "reduction", "scan",       "contraction", "gather", "scatter",
      "sort",        "rows", "random",    "structured", "projection",  "load",   "composite"};
  return kNames[static_cast<int>(kind)];
}

nb::list dtype_names(const std::vector<Dtype>& dtypes) {
  nb::list out;
  for (Dtype t : dtypes) out.append(std::string(name_of(t)));
  return out;
}

// Dtypes of input 0 (of output 0 where there is none) that the backend has a kernel for.
std::vector<Dtype> dtypes_of(const graph::OpDef& def, const device::Backend& backend) {
  std::vector<Dtype> out;
  for (Dtype t : device::kAllDtypes) {
    bool found = backend.kernels().find(def.name, t) != nullptr;
    if (def.tile_op != TileOp::kCount)
      for (Dtype result : device::kAllDtypes) found |= backend.supports(def.tile_op, t, result);
    if (found) out.push_back(t);
  }
  return out;
}

nb::dict describe(const graph::OpDef& def, const device::Backend& backend) {
  nb::dict d;
  d["name"] = def.name;
  d["kind"] = kind_name(def.kind);
  d["signature"] = def.signature ? nb::cast(def.signature) : nb::none();
  d["doc"] = def.doc ? nb::cast(def.doc) : nb::none();
  d["differentiable"] = def.differentiable;
  d["has_vjp"] = def.vjp != nullptr;
  d["has_vmap"] = def.vmap != nullptr || def.kind == graph::Kind::kElementwise;
  d["has_view"] = def.view != nullptr;
  d["has_tiling"] = def.tiling != nullptr;
  d["is_tile_op"] = def.tile_op != TileOp::kCount;
  d["kernels"] = dtype_names(dtypes_of(def, backend));
  return d;
}

nb::list registry() {
  nb::list out;
  const device::Backend& backend = runtime::Context::current().backend();
  for (const graph::OpDef* def : ops::all_ops()) out.append(describe(*def, backend));
  return out;
}

// Names of the operations that evaluating the array would run.
nb::set recorded_ops(const array& a) {
  nb::set names;
  std::unordered_set<const graph::Node*> seen;
  std::vector<const graph::Node*> todo{a.node()};
  while (!todo.empty()) {
    const graph::Node* node = todo.back();
    todo.pop_back();
    if (!seen.insert(node).second) continue;
    if (node->def) names.add(nb::cast(node->def->name));
    for (const graph::Node* in : node->inputs) todo.push_back(in);
  }
  return names;
}

}  // namespace

void bind_registry(nb::module_& m) {
  m.def("_registry", registry, nb::sig("def _registry() -> list[dict[str, object]]"),
        "Every operation, as its record and the backend describe it.");
  m.def("_recorded_ops", recorded_ops, nb::arg("a"),
        nb::sig("def _recorded_ops(a: array) -> set[str]"),
        "Names of the operations that an array waits for.");
  // Gradients record these; Python has no name for them.
  m.def(
      "_scatter",
      [](const array& base, const array& indices, const array& updates, int axis,
         const std::string& mode) { return scatter(base, indices, updates, axis, mode); },
      "base"_a, "indices"_a, "updates"_a, "axis"_a, "mode"_a,
      "The counterpart of take: mode is set, add, max, min or prod.");
  m.def(
      "_scatter_along_axis",
      [](const array& base, const array& indices, const array& updates, int axis,
         const std::string& mode) {
        return scatter_along_axis(base, indices, updates, axis, mode);
      },
      "base"_a, "indices"_a, "updates"_a, "axis"_a, "mode"_a,
      "The counterpart of take_along_axis: mode is set, add, max, min or prod.");
}

}  // namespace plimsoll::python
