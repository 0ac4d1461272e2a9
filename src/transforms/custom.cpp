// An output of a custom function is a view of what the function recorded, with the function's
// outputs and inputs beside it. Its transforms go through the given rules.
#include <algorithm>

#include "base/check.h"
#include "plimsoll/ops/creation.h"
#include "plimsoll/transforms.h"
#include "transforms/trace.h"

namespace plimsoll {
namespace transforms {
namespace {

struct CustomAttrs final : AttrBase {
  CustomAttrs(std::shared_ptr<const Function> f, std::shared_ptr<const CustomRules> r, size_t i,
              size_t n)
      : fn(std::move(f)), rules(std::move(r)), index(i), count(n) {}
  std::shared_ptr<const Function> fn;
  std::shared_ptr<const CustomRules> rules;
  size_t index, count;  // of the function's outputs
  uint64_t hash() const override { return hash_mix(reinterpret_cast<uintptr_t>(fn.get()), index); }
  bool equals(const AttrBase& other) const override {
    const auto* o = dynamic_cast<const CustomAttrs*>(&other);
    return o && o->fn == fn && o->rules == rules && o->index == index;
  }
  std::string repr() const override { return ""; }

  // A node's inputs: the output itself, the other outputs, the function's inputs.
  Arrays outputs(std::span<const array> inputs) const {
    Arrays out(inputs.begin() + 1, inputs.begin() + static_cast<ptrdiff_t>(count));
    out.insert(out.begin() + static_cast<ptrdiff_t>(index), inputs[0]);
    return out;
  }
  Arrays primals(std::span<const array> inputs) const {
    return {inputs.begin() + static_cast<ptrdiff_t>(count), inputs.end()};
  }
};

// The pullback of a function with a rule for its tangents, while jvp transposes: its own pullback
// is that rule. It is never evaluated.
struct TransposedAttrs final : AttrBase {
  std::shared_ptr<const CustomRules> rules;
  size_t index = 0;
  std::vector<bool> wanted;  // primals that have a tangent
  uint64_t hash() const override { return reinterpret_cast<uintptr_t>(rules.get()); }
  bool equals(const AttrBase& other) const override { return this == &other; }
  std::string repr() const override { return ""; }
};

Arrays transposed_gradient(const graph::VjpArgs& v) {
  const auto& attrs = static_cast<const TransposedAttrs&>(*v.attrs);
  Arrays primals(v.inputs.begin() + 1, v.inputs.end()), tangents;
  for (size_t i = 0; i < primals.size(); ++i)
    tangents.push_back(attrs.wanted[i] ? v.cotangents[i] : array());
  Arrays out = attrs.rules->jvp(primals, tangents);
  PLIMSOLL_CHECK(attrs.index < out.size(), ValueError,
                 "[custom_function] expected a tangent for each output, got {}", out.size());
  Arrays grads(v.inputs.size());
  grads[0] = out[attrs.index];
  return grads;
}

constinit const graph::OpDef kTransposed{
    .name = "custom_transposed",
    .infer =
        [](const OpInstance& op, std::vector<TensorSpec>& out) {
          out.insert(out.end(), op.inputs.begin() + 1, op.inputs.end());
        },
    .vjp = transposed_gradient,
};

Arrays transposed(const CustomAttrs& attrs, const array& cotangent, const Arrays& primals,
                  std::vector<bool> wanted) {
  auto rule = std::make_shared<TransposedAttrs>();
  rule->rules = attrs.rules;
  rule->index = attrs.index;
  rule->wanted = wanted;
  Arrays in{cotangent};
  in.insert(in.end(), primals.begin(), primals.end());
  Arrays out = graph::record_many(kTransposed, in, std::move(rule));
  for (size_t i = 0; i < out.size(); ++i)
    if (!wanted[i]) out[i] = array();
  return out;
}

Arrays gradient(const graph::VjpArgs& v) {
  const auto& attrs = static_cast<const CustomAttrs&>(*v.attrs);
  bool any = std::any_of(v.needed.begin() + static_cast<ptrdiff_t>(attrs.count), v.needed.end(),
                         [](bool needed) { return needed; });
  if (!any) return Arrays(v.inputs.size());  // only what was captured depends on the tracers
  Arrays primals = attrs.primals(v.inputs), outputs = attrs.outputs(v.inputs), grads;
  if (transposing() && attrs.rules->jvp) {
    grads = transposed(attrs, v.cotangents[0], primals,
                       {v.needed.begin() + static_cast<ptrdiff_t>(attrs.count), v.needed.end()});
  } else {
    Arrays cotangents(attrs.count);
    for (size_t i = 0; i < attrs.count; ++i)
      cotangents[i] =
          i == attrs.index ? v.cotangents[0] : zeros(outputs[i].shape(), outputs[i].dtype());
    grads = attrs.rules->vjp && !transposing() ? attrs.rules->vjp(primals, cotangents, outputs)
                                               : vjp(*attrs.fn, primals, cotangents).second;
    PLIMSOLL_CHECK(grads.size() >= primals.size(), ValueError,
                   "[custom_function] expected {} gradients, one a primal, got {}", primals.size(),
                   grads.size());
    grads.resize(primals.size());
  }
  // Nothing flows through what was recorded.
  grads.insert(grads.begin(), attrs.count, array());
  return grads;
}

graph::VmapResult batched(const graph::VmapArgs& v) {
  const auto& attrs = static_cast<const CustomAttrs&>(*v.attrs);
  if (!attrs.rules->vmap) return {{v.inputs[0]}, {v.axes[0]}};
  auto [outputs, axes] =
      attrs.rules->vmap(attrs.primals(v.inputs),
                        {v.axes.begin() + static_cast<ptrdiff_t>(attrs.count), v.axes.end()});
  PLIMSOLL_CHECK(outputs.size() == attrs.count && axes.size() == attrs.count, ValueError,
                 "[custom_function] expected {} outputs and axes, got {} and {}", attrs.count,
                 outputs.size(), axes.size());
  return {{outputs[attrs.index]}, {axes[attrs.index]}};
}

constinit const graph::OpDef kCustom{
    .name = "custom",
    .kind = graph::Kind::kView,
    .infer = [](const OpInstance& op,
                std::vector<TensorSpec>& out) { out.push_back(op.inputs[0]); },
    .vjp = gradient,
    .vmap = batched,
    .view =
        [](const graph::ViewArgs& v, Layout& out) {
          out = v.in_layout;
          return true;
        },
};

}  // namespace
}  // namespace transforms

Function custom_function(Function fn, CustomRules rules) {
  if (!rules.vjp && !rules.jvp && !rules.vmap) return fn;
  auto shared = std::make_shared<const Function>(std::move(fn));
  auto kept = std::make_shared<const CustomRules>(std::move(rules));
  return [shared, kept](const Arrays& inputs) {
    const Arrays outputs = (*shared)(inputs);
    Arrays results;
    for (size_t i = 0; i < outputs.size(); ++i) {
      Arrays in{outputs[i]};
      for (size_t k = 0; k < outputs.size(); ++k)
        if (k != i) in.push_back(outputs[k]);
      in.insert(in.end(), inputs.begin(), inputs.end());
      results.push_back(graph::record(
          transforms::kCustom, in,
          std::make_shared<const transforms::CustomAttrs>(shared, kept, i, outputs.size())));
    }
    return results;
  };
}

}  // namespace plimsoll
