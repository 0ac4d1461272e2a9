#include "bindings/bind_ops.h"

#include <cstring>

#include "bindings/array_type.h"
#include "bindings/op_function.h"
#include "ops/registry.h"

namespace plimsoll::python {
namespace {

struct Alias {
  const char* name;
  const char* op;
};

// MLX's second names.
constexpr Alias kAliases[] = {
    {"acos", "arccos"},
    {"acosh", "arccosh"},
    {"asin", "arcsin"},
    {"asinh", "arcsinh"},
    {"atan", "arctan"},
    {"atan2", "arctan2"},
    {"atanh", "arctanh"},
    {"bitwise_left_shift", "left_shift"},
    {"concat", "concatenate"},
    {"conj", "conjugate"},
    {"cumulative_sum", "cumsum"},
    {"empty", "zeros"},
    {"empty_like", "zeros_like"},
    {"matrix_norm", "norm"},
    {"cumulative_prod", "cumprod"},
    {"permute_dims", "transpose"},
    {"pow", "power"},
    {"bitwise_right_shift", "right_shift"},
};

// Functions of the first argument that are also methods of array, with the same parameters.
constexpr const char* kMethods[] = {
    "abs",      "all",     "any",      "argmax",    "argmin",       "astype", "conj",
    "cos",      "cummax",  "cummin",   "cumprod",   "cumsum",       "diag",   "diagonal",
    "exp",      "flatten", "log",      "log10",     "log1p",        "log2",   "max",
    "mean",     "min",     "moveaxis", "prod",      "reciprocal",   "round",  "rsqrt",
    "sin",      "split",   "sqrt",     "square",    "squeeze",      "std",    "sum",
    "swapaxes", "var",     "view",     "logsumexp", "logcumsumexp",
};

nb::module_ submodule(nb::module_& m, const char* name) {
  if (*name == '\0') return m;
  if (nb::hasattr(m, name)) return nb::borrow<nb::module_>(m.attr(name));
  return m.def_submodule(name);
}

void bind_methods(nb::module_& m) {
  for (const char* name : kMethods) {
    if (!nb::hasattr(m, name)) continue;
    nb::object f = m.attr(name);
    if (PyObject_SetAttrString(reinterpret_cast<PyObject*>(array_type), name, f.ptr()) < 0)
      throw nb::python_error();
  }
}

}  // namespace

void bind_ops(nb::module_& m) {
  init_op_function(m);
  for (const graph::OpDef* def : ops::all_ops()) {
    if (!def->entry || !def->signature) continue;
    nb::object f = make_op_function(*def);
    nb::module_ home = submodule(m, op_function_module(f));
    home.attr(op_function_name(f)) = f;
  }
  for (const Alias& a : kAliases)
    if (const graph::OpDef* def = ops::find_op(a.op); def && def->entry && def->signature)
      m.attr(a.name) = make_op_function(*def, a.name);
  bind_methods(m);
}

}  // namespace plimsoll::python
