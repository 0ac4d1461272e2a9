// grad, vjp, jvp, vmap, compile, checkpoint and eval over Python functions and trees. The wrappers
// that keep a function's name are in plimsoll/_transforms.py.
#include "bindings/transforms.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <iterator>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/check.h"
#include "bindings/array_type.h"
#include "bindings/convert.h"
#include "bindings/device.h"
#include "bindings/errors.h"
#include "bindings/trees.h"
#include "core/shape.h"
#include "graph/node.h"
#include "plimsoll/transforms.h"
#include "runtime/eval.h"

namespace plimsoll::python {
namespace {

// ---- Evaluation.

void eval_tree(nb::handle tree) {
  Arrays arrays = arrays_in(tree);
  without_gil([&] { eval(arrays); });
}

void async_eval_tree(nb::handle tree) {
  Arrays arrays = arrays_in(tree);
  without_gil([&] { async_eval(arrays); });
}

// ---- Gradients.

const char* name_of_type(nb::handle o) { return Py_TYPE(o.ptr())->tp_name; }

/// The arguments that are differentiated by, as one tree.
nb::list chosen(const std::vector<int>& numbers, const std::vector<std::string>& names,
                nb::tuple args, nb::dict kwargs) {
  nb::list out;
  for (int i : numbers) {
    PLIMSOLL_CHECK(static_cast<size_t>(i) < args.size(), ValueError,
                   "[grad] Can't compute the gradient of argument index {} because the function "
                   "is called with only {} positional arguments.",
                   i, args.size());
    out.append(args[i]);
  }
  for (const std::string& name : names) {
    PLIMSOLL_CHECK(kwargs.contains(name.c_str()), ValueError,
                   "[grad] Can't compute the gradient of keyword argument '{}' because the "
                   "function is called without it",
                   name);
    out.append(kwargs[name.c_str()]);
  }
  return out;
}

nb::object call_with(nb::handle fun, nb::handle trees, const std::vector<int>& numbers,
                     const std::vector<std::string>& names, nb::tuple args, nb::dict kwargs) {
  nb::list positional(args);
  nb::dict named = nb::steal<nb::dict>(PyDict_Copy(kwargs.ptr()));
  for (size_t i = 0; i < numbers.size(); ++i) positional[numbers[i]] = trees[i];
  for (size_t i = 0; i < names.size(); ++i) named[names[i].c_str()] = trees[numbers.size() + i];
  return fun(*positional, **named);
}

constexpr const char* kKeepArrays =
    "Return the array itself: item(), float() and functions of NumPy's arrays only are not "
    "recorded";

void require_scalar(nb::handle value, bool scalar_only) {
  nb::object first = nb::borrow(value);
  bool tuple = PyTuple_Check(value.ptr()) && PyTuple_GET_SIZE(value.ptr()) > 0;
  if (!scalar_only && tuple) first = nb::borrow(PyTuple_GET_ITEM(value.ptr(), 0));
  if (!is_array(first.ptr())) {
    PLIMSOLL_CHECK(!scalar_only, ValueError,
                   "[grad] The return value of the function whose gradient we want to compute "
                   "should be a scalar array; but {} was returned. {}.",
                   name_of_type(value), kKeepArrays);
    throw ValueError(fmt::format(
        "[value_and_grad] The return value of the function whose gradient we want to compute "
        "should be either a scalar array or a tuple with the first value being a scalar array "
        "(Union[array, tuple[array, Any, ...]]); but {} was returned. {}.",
        name_of_type(value), kKeepArrays));
  }
  const array& loss = unwrap(first.ptr());
  PLIMSOLL_CHECK(
      loss.ndim() == 0, ValueError,
      "[grad] expected a function that returns a scalar, got an array of shape {}; return "
      "its sum or mean, or use vjp",
      to_string(loss.shape()));
}

nb::tuple python_value_and_grad(nb::callable fun, std::vector<int> numbers,
                                std::vector<std::string> names, nb::tuple args, nb::dict kwargs,
                                bool scalar_only) {
  nb::list trees = chosen(numbers, names, args, kwargs);
  PLIMSOLL_CHECK(only_arrays(trees), ValueError,
                 "[tree_flatten] The argument should contain only arrays; make numbers and NumPy's "
                 "arrays arrays first, as mx.array(2.0)");
  nb::object value;
  Function traced = [&](const Arrays& tracers) {
    nb::object inner = with_arrays(trees, tracers);
    value = call_with(fun, inner, numbers, names, args, kwargs);
    require_scalar(value, scalar_only);
    return arrays_in(value);
  };
  auto [values, grads] = value_and_grad(traced, arrays_in(trees));
  nb::object tree = with_arrays(trees, grads);
  nb::list positional;
  nb::dict named;
  for (size_t i = 0; i < numbers.size(); ++i) positional.append(tree[i]);
  for (size_t i = 0; i < names.size(); ++i) named[names[i].c_str()] = tree[numbers.size() + i];
  return nb::make_tuple(with_arrays(value, values), positional, named);
}

/// A Python function of arrays that returns an array or a sequence of them.
Function arrays_function(nb::callable fun, const char* op) {
  return [fun, op](const Arrays& inputs) {
    nb::list args;
    for (const array& a : inputs) args.append(a);
    nb::object result = fun(*args);
    bool fits =
        is_array(result.ptr()) ||
        ((PyList_Check(result.ptr()) || PyTuple_Check(result.ptr())) && only_arrays(result));
    PLIMSOLL_CHECK(fits, ValueError, "[{}] expected a function that returns arrays, got {}", op,
                   name_of_type(result));
    return arrays_in(result);
  };
}

std::pair<Arrays, Arrays> python_vjp(nb::callable fun, Arrays primals, Arrays cotangents) {
  return vjp(arrays_function(fun, "vjp"), primals, cotangents);
}

std::pair<Arrays, Arrays> python_jvp(nb::callable fun, Arrays primals, Arrays tangents) {
  return jvp(arrays_function(fun, "jvp"), primals, tangents);
}

// ---- vmap.

/// Axes of a tree's arrays, -1 where not mapped, from a prefix of ints and None.
void spread_axes(nb::handle tree, nb::handle axes, const char* what, std::vector<int>& out) {
  Nesting nesting;
  PyObject* t = tree.ptr();
  PyObject* a = axes.ptr();
  bool leaf = a == Py_None || PyLong_Check(a);
  if (is_array(t)) {
    PLIMSOLL_CHECK(leaf, ValueError, "[vmap] expected {} of ints and None, got {}", what,
                   name_of_type(axes));
    const Shape& shape = unwrap(t).shape();
    auto ndim = static_cast<int64_t>(shape.size()) + (what[0] == 'o');
    int64_t axis = a == Py_None ? -1 : nb::cast<int64_t>(axes);
    PLIMSOLL_CHECK(a == Py_None || (axis >= -ndim && axis < ndim), IndexError,
                   "[vmap] expected {} in [{}, {}) for an array of shape {}, got {}", what, -ndim,
                   ndim, to_string(shape), axis);
    out.push_back(static_cast<int>(a != Py_None && axis < 0 ? axis + ndim : axis));
  } else if (PyList_Check(t) || PyTuple_Check(t)) {
    bool matches =
        leaf || ((PyList_Check(a) || PyTuple_Check(a)) && PySequence_Size(a) == PySequence_Size(t));
    PLIMSOLL_CHECK(matches, ValueError, "[vmap] expected {} of the structure of the arrays", what);
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(t); ++i)
      spread_axes(PySequence_Fast_GET_ITEM(t, i),
                  leaf ? axes : nb::handle(PySequence_Fast_GET_ITEM(a, i)), what, out);
  } else if (PyDict_Check(t)) {
    PyObject *key, *value;
    Py_ssize_t at = 0;
    while (PyDict_Next(t, &at, &key, &value)) {
      PyObject* below = leaf ? a : PyDict_Check(a) ? PyDict_GetItem(a, key) : nullptr;
      PLIMSOLL_CHECK(below, ValueError, "[vmap] expected {} of the structure of the arrays", what);
      spread_axes(value, below, what, out);
    }
  }
}

nb::object python_vmap(nb::callable fun, nb::tuple args, nb::object in_axes, nb::object out_axes) {
  std::vector<int> axes_in, axes_out;
  spread_axes(args, in_axes, "in_axes", axes_in);
  nb::object result;
  Function traced = [&](const Arrays& inputs) {
    result = fun(*nb::borrow<nb::tuple>(with_arrays(args, inputs)));
    axes_out.clear();
    spread_axes(result, out_axes, "out_axes", axes_out);
    return arrays_in(result);
  };
  Arrays outputs = vmap(traced, arrays_in(args), axes_in, axes_out);
  return with_arrays(result, outputs);
}

// ---- checkpoint.

/// What a checkpointed call holds. The engine may drop it on a thread without the GIL.
struct CheckpointCall {
  nb::object fun, inputs;
};

nb::object python_checkpoint(nb::callable fun, nb::tuple args, nb::dict kwargs) {
  std::shared_ptr<CheckpointCall> call(new CheckpointCall{fun, nb::make_tuple(args, kwargs)},
                                       [](CheckpointCall* c) {
                                         nb::gil_scoped_acquire gil;
                                         delete c;
                                       });
  nb::object first;
  // The backward pass calls this again, later; then nobody may hold what it returns, which would
  // keep all that it recorded.
  Function traced = [call, wanted = &first](const Arrays& arrays) mutable {
    nb::object inner = with_arrays(call->inputs, arrays);
    nb::object result =
        call->fun(*nb::borrow<nb::tuple>(inner[0]), **nb::borrow<nb::dict>(inner[1]));
    if (nb::object* out = std::exchange(wanted, nullptr)) *out = result;
    return arrays_in(result);
  };
  Arrays outputs = checkpoint(std::move(traced))(arrays_in(call->inputs));
  return with_arrays(first, outputs);
}

// ---- compile.

bool compile_enabled = true;

/// One compiled function: a trace for each structure, shapes and dtypes of its arguments, those
/// that were used last. The function itself is passed with every call, so that Python's collector
/// sees who holds it. Calls of several threads may overlap: another one can run wherever Python
/// code does.
class Compiled {
 public:
  nb::object operator()(nb::callable fun, nb::tuple args, nb::dict kwargs, nb::object inputs,
                        nb::object outputs) {
    if (!compile_enabled || is_tracing()) return fun(*args, **kwargs);
    std::string key;
    structure_of(nb::make_tuple(args, kwargs), Leaves::kConstants, key);
    structure_of(inputs, Leaves::kAny, key);
    Arrays arrays = arrays_in(nb::make_tuple(args, kwargs, inputs));
    if (std::shared_ptr<Trace> trace = find(key))
      return deliver(*trace, outputs, trace->replay(arrays));
    auto trace = std::make_shared<Trace>();
    // The call outlives the only time that this runs: later arrays of this key fit the recording.
    trace->replay = compile([&](const Arrays& tracers) {
      return run(fun, nb::make_tuple(args, kwargs), inputs, outputs, *trace, tracers);
    });
    Arrays values = trace->replay(arrays);
    keep(std::move(key), trace);
    return deliver(*trace, outputs, std::move(values));
  }

 private:
  struct Trace {
    Function replay;
    nb::object result;  // its structure, with arrays of the trace
    size_t num_result = 0;
  };

  using Traces = std::list<std::pair<std::string, std::shared_ptr<Trace>>>;

  std::shared_ptr<Trace> find(const std::string& key) {
    auto it = by_key_.find(key);
    if (it == by_key_.end()) return nullptr;
    traces_.splice(traces_.begin(), traces_, it->second);
    return it->second->second;
  }

  void keep(std::string key, std::shared_ptr<Trace> trace) {
    if (by_key_.contains(key)) return;  // another thread was faster
    traces_.emplace_front(std::move(key), std::move(trace));
    by_key_[traces_.front().first] = traces_.begin();
    if (traces_.size() <= kMostRecordings) return;
    by_key_.erase(traces_.back().first);
    traces_.pop_back();
  }

  /// Calls the function on tracers; what it reads and replaces besides is put back afterwards.
  static Arrays run(nb::handle fun, nb::handle arguments, nb::handle inputs, nb::handle outputs,
                    Trace& trace, const Arrays& tracers) {
    Arrays originals = arrays_in(inputs);
    auto put_back = [&] {
      if (arrays_in(inputs).size() == originals.size()) replace_arrays(inputs, originals);
    };
    size_t num_arguments = tracers.size() - originals.size();
    nb::object inner = with_arrays(arguments, part_of(tracers, 0, num_arguments));
    replace_arrays(inputs, part_of(tracers, num_arguments, tracers.size()));
    try {
      trace.result = fun(*nb::borrow<nb::tuple>(inner[0]), **nb::borrow<nb::dict>(inner[1]));
    } catch (...) {
      put_back();
      throw;
    }
    Arrays out = arrays_in(trace.result);
    trace.num_result = out.size();
    Arrays changed = arrays_in(outputs);
    out.insert(out.end(), changed.begin(), changed.end());
    put_back();
    return out;
  }

  static Arrays part_of(const Arrays& all, size_t begin, size_t end) {
    return Arrays(all.begin() + static_cast<ptrdiff_t>(begin),
                  all.begin() + static_cast<ptrdiff_t>(end));
  }

  static nb::object deliver(const Trace& trace, nb::handle outputs, const Arrays& values) {
    replace_arrays(outputs, part_of(values, trace.num_result, values.size()));
    return with_arrays(trace.result, part_of(values, 0, trace.num_result));
  }

  Traces traces_;  // last used first
  std::unordered_map<std::string, Traces::iterator> by_key_;
};

// ---- Custom functions.

/// A Python callable that the engine may drop on a thread without the GIL.
std::shared_ptr<nb::object> held(nb::handle o) {
  return {new nb::object(nb::borrow(o)), [](nb::object* p) {
            nb::gil_scoped_acquire gil;
            delete p;
          }};
}

Arrays python_custom(nb::callable fun, nb::object vjp_rule, nb::object jvp_rule,
                     nb::object vmap_rule, Arrays inputs) {
  CustomRules rules;
  if (!vjp_rule.is_none())
    rules.vjp = [f = held(vjp_rule)](const Arrays& p, const Arrays& c, const Arrays& o) {
      return nb::cast<Arrays>((*f)(p, c, o));
    };
  if (!jvp_rule.is_none())
    rules.jvp = [f = held(jvp_rule)](const Arrays& primals, const Arrays& tangents) {
      nb::list given;
      for (const array& t : tangents) given.append(t ? nb::cast(t) : nb::none());
      return nb::cast<Arrays>((*f)(primals, given));
    };
  if (!vmap_rule.is_none())
    rules.vmap = [f = held(vmap_rule)](const Arrays& arrays, const std::vector<int>& axes) {
      nb::list given;
      for (int axis : axes) given.append(axis < 0 ? nb::none() : nb::object(nb::int_(axis)));
      return nb::cast<std::pair<Arrays, std::vector<int>>>((*f)(arrays, given));
    };
  Function plain = [f = held(fun)](const Arrays& arrays) { return nb::cast<Arrays>((*f)(arrays)); };
  return custom_function(std::move(plain), std::move(rules))(inputs);
}

// ---- Graphs, for drawing.

/// What leads to the arrays, inputs first: (id, name of the operation or "", ids of inputs).
nb::list recorded_graph(const Arrays& roots) {
  std::vector<std::pair<graph::Node*, size_t>> stack;
  std::unordered_map<graph::Node*, bool> seen;
  nb::list out;
  auto enter = [&](graph::Node* node) {
    if (seen.emplace(node, true).second) stack.emplace_back(node, 0);
  };
  for (const array& root : roots) {
    enter(root.node());
    while (!stack.empty()) {
      auto& [node, next] = stack.back();
      bool made = node->def && !node->available();
      if (made && next < node->inputs.size()) {
        enter(node->inputs[next++]);
        continue;
      }
      nb::list inputs;
      if (made)
        for (graph::Node* in : node->inputs) inputs.append(reinterpret_cast<uintptr_t>(in));
      out.append(
          nb::make_tuple(reinterpret_cast<uintptr_t>(node), made ? node->def->name : "", inputs));
      stack.pop_back();
    }
  }
  return out;
}

}  // namespace

void bind_transforms(nb::module_& m) {
  m.def("_eval", eval_tree);
  m.def("_async_eval", async_eval_tree);
  // Evaluations run one at a time, so an empty one waits for those before it.
  m.def(
      "_synchronize",
      [](nb::handle stream) {
        PLIMSOLL_CHECK(check_stream(stream.ptr()), TypeError,
                       "synchronize(): expected a Stream, Device or None, got {}",
                       name_of_type(stream));
        without_gil([] { eval({}); });
      },
      nb::arg("stream").none());
  m.def("_value_and_grad", python_value_and_grad,
        nb::sig("def _value_and_grad(fun: Callable[..., Any], argnums: Sequence[int], argnames: "
                "Sequence[str], args: tuple[Any, ...], kwargs: dict[str, Any], scalar_only: bool, "
                "/) -> tuple[Any, list[Any], dict[str, Any]]"));
  m.def("_vjp", python_vjp,
        nb::sig("def _vjp(fun: Callable[..., Any], primals: list[array], cotangents: list[array], "
                "/) -> tuple[list[array], list[array]]"));
  m.def("_jvp", python_jvp,
        nb::sig("def _jvp(fun: Callable[..., Any], primals: list[array], tangents: list[array], "
                "/) -> tuple[list[array], list[array]]"));
  m.def("_vmap", python_vmap, nb::arg("fun"), nb::arg("args"), nb::arg("in_axes").none(),
        nb::arg("out_axes").none(),
        nb::sig("def _vmap(fun: Callable[..., Any], args: tuple[Any, ...], in_axes: object, "
                "out_axes: object) -> Any"));
  m.def("_checkpoint", python_checkpoint,
        nb::sig("def _checkpoint(fun: Callable[..., Any], args: tuple[Any, ...], kwargs: "
                "dict[str, Any], /) -> Any"));
  m.def("_custom", python_custom, nb::arg("fun"), nb::arg("vjp").none(), nb::arg("jvp").none(),
        nb::arg("vmap").none(), nb::arg("arrays"),
        nb::sig("def _custom(fun: Callable[..., Any], vjp: Callable[..., Any] | None, jvp: "
                "Callable[..., Any] | None, vmap: Callable[..., Any] | None, arrays: list[array]) "
                "-> list[array]"));
  m.def("_arrays_in", arrays_in, nb::arg("tree").none(),
        nb::sig("def _arrays_in(tree: object) -> list[array]"));
  m.def("_depends", depends,
        nb::sig("def _depends(inputs: list[array], dependencies: list[array], /) -> list[array]"));
  m.def("_graph", recorded_graph,
        nb::sig("def _graph(arrays: list[array], /) -> list[tuple[int, str, list[int]]]"));
  m.def("_id", [](const array& a) { return reinterpret_cast<uintptr_t>(a.node()); });
  m.def("_set_compile", [](bool on) { compile_enabled = on; });
  nb::class_<Compiled>(m, "_Compiled")
      .def(nb::init<>())
      .def("__call__", &Compiled::operator(), nb::arg("fun"), nb::arg("args"), nb::arg("kwargs"),
           nb::arg("inputs").none(), nb::arg("outputs").none(),
           nb::sig("def __call__(self, fun: Callable[..., Any], args: tuple[Any, ...], kwargs: "
                   "dict[str, Any], inputs: object, outputs: object) -> Any"));
}

}  // namespace plimsoll::python
