// The memory page, over include/plimsoll/memory.h. The context manager, the drawing and the trace
// are in plimsoll/_memory.py.
#include "bindings/memory.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <optional>

#include "base/check.h"
#include "bindings/array_type.h"
#include "bindings/convert.h"
#include "bindings/errors.h"
#include "bindings/trees.h"
#include "graph/node.h"
#include "plimsoll/memory.h"
#include "runtime/context.h"

namespace plimsoll::python {
namespace {

PyObject* limit_error = nullptr;    // MemoryLimitError
PyObject* limit_warning = nullptr;  // MemoryLimitWarning

// ---- Errors and warnings.

nb::dict as_dict(const std::vector<std::pair<std::string, size_t>>& parts) {
  nb::dict out;
  for (const auto& [name, bytes] : parts) out[name.c_str()] = bytes;
  return out;
}

void raise_limit_error(const MemoryLimitError& e) {
  nb::object o = nb::borrow(limit_error)(e.what());
  o.attr("limit") = e.limit;
  o.attr("required") = e.required;
  o.attr("floor") = e.floor;
  o.attr("operation") = e.operation;
  o.attr("breakdown") = as_dict(e.breakdown);
  o.attr("pinned") = as_dict(e.pinned);
  o.attr("spill_available") = e.spill_available;
  PyErr_SetObject(limit_error, o.ptr());
}

bool handle_limit_error(const std::exception_ptr& p) {
  try {
    std::rethrow_exception(p);
  } catch (const MemoryLimitError& e) {
    raise_limit_error(e);
    return true;
  } catch (...) {
    return false;
  }
}

PyObject* new_class(nb::module_& m, const char* name, PyObject* base, const char* doc) {
  std::string full = std::string("plimsoll.core.") + name;
  PyObject* cls = PyErr_NewExceptionWithDoc(full.c_str(), doc, base, nullptr);
  if (!cls) throw nb::python_error();
  m.attr(name) = nb::borrow(cls);
  return cls;
}

void bind_error_classes(nb::module_& m) {
  limit_error = new_class(
      m, "MemoryLimitError", PyExc_MemoryError,
      "No plan of the evaluation fits under the memory limit; nothing was run.\n\n"
      "Attributes: limit, required (the smallest sufficient limit), floor, operation, breakdown\n"
      "(part to bytes), pinned (owner to bytes), spill_available; all sizes in bytes.");
  limit_warning = new_class(m, "MemoryLimitWarning", PyExc_RuntimeWarning,
                            "An evaluation had to pass the guideline limit; once per cause.");
  set_memory_error_handler(handle_limit_error);
}

// Frames up to the first outside of the package: a warning names the line there.
int frames_to_caller() {
  int frames = 1;
  auto frame = nb::borrow(reinterpret_cast<PyObject*>(PyEval_GetFrame()));
  for (; frame.is_valid(); ++frames) {
    auto* f = reinterpret_cast<PyFrameObject*>(frame.ptr());
    nb::object globals = nb::steal(PyFrame_GetGlobals(f));
    nb::object name = globals.attr("get")("__name__", "");
    if (!nb::cast<std::string>(name).starts_with("plimsoll.")) break;
    frame = nb::steal(reinterpret_cast<PyObject*>(PyFrame_GetBack(f)));
  }
  return frames;
}

// Handlers take the GIL: the engine's threads and waiting callers run them without it.
void install_handlers() {
  set_warning_handler([](const std::string& text) {
    nb::gil_scoped_acquire gil;
    int frames = frames_to_caller();
    if (PyErr_WarnEx(limit_warning, text.c_str(), frames) < 0) PyErr_WriteUnraisable(limit_warning);
  });
  set_interrupt_poll([] {
    nb::gil_scoped_acquire gil;
    return PyErr_CheckSignals() != 0;
  });
  set_wait_hooks(
      {.leave =
           [] { return static_cast<void*>(PyGILState_Check() ? PyEval_SaveThread() : nullptr); },
       .enter = [](void* left) { PyEval_RestoreThread(static_cast<PyThreadState*>(left)); }});
}

// ---- Forks.

void watch_forks() {
  nb::object before = nb::cpp_function([] {
    runtime::Context& context = runtime::Context::current();
    without_gil([&] { context.before_fork(); });
  });
  nb::object after = nb::cpp_function([] { runtime::Context::current().after_fork_in_parent(); });
  nb::module_::import_("os").attr("register_at_fork")(nb::arg("before") = before,
                                                      nb::arg("after_in_parent") = after);
}

// ---- Limits.

size_t to_bytes(nb::handle limit, const char* function) {
  if (PyUnicode_Check(limit.ptr())) return parse_bytes(nb::cast<std::string>(limit));
  int64_t v = -1;
  bool whole = !PyBool_Check(limit.ptr()) && !PyFloat_Check(limit.ptr()) && to_int(limit.ptr(), v);
  PLIMSOLL_CHECK(whole && v >= 0, TypeError,
                 "{}(): expected limit: int | str, bytes that are not negative or a text such as "
                 "\"4GB\", got {}",
                 function,
                 whole ? fmt::format("{}", v) : std::string(Py_TYPE(limit.ptr())->tp_name));
  return static_cast<size_t>(v);
}

void bind_limits(nb::module_& m) {
  m.def(
      "set_memory_limit",
      [](nb::handle limit, std::optional<bool> strict) {
        size_t bytes = to_bytes(limit, "set_memory_limit");
        return without_gil([&] { return set_memory_limit(bytes, strict); });
      },
      nb::arg("limit"), nb::kw_only(), nb::arg("strict") = nb::none(),
      nb::sig("def set_memory_limit(limit: int | str, *, strict: bool | None = None) -> int"),
      "Sets the memory limit and returns the previous one, in bytes.\n\n"
      "Args:\n    limit: Bytes, or a text such as \"4GB\" or \"512MiB\".\n"
      "    strict: True refuses evaluations that no plan fits; False runs them at the least that\n"
      "        they need and warns once. Default: PLIMSOLL_MEMORY_STRICT, else False.\n\n"
      "Raises:\n    TypeError: for a negative limit or one of another type.\n\n"
      "Example:\n\n    >>> previous = mx.set_memory_limit(\"2GB\")\n"
      "    >>> mx.set_memory_limit(previous)\n    2000000000");
  m.def("get_memory_limit", get_memory_limit, "The memory limit in bytes.");
  m.def("get_memory_strict", get_memory_strict,
        "Whether evaluations that no plan fits are refused.");
  m.def(
      "_buffer_of",
      [](const array& a) -> std::pair<size_t, size_t> {
        const graph::Node* node = a.node();
        PLIMSOLL_CHECK(node->storage || node->is(graph::Node::kConstant), ValueError,
                       "[get_array_buffer_size] expected evaluated arrays; call eval first");
        if (!node->storage) return {0, 0};
        const memory::BufferRef& buffer = node->storage->buffer;
        return {reinterpret_cast<size_t>(buffer.get()), buffer->size()};
      },
      "Where the buffer of an evaluated array is, and its bytes.");
  m.def(
      "set_cache_limit",
      [](nb::handle limit) {
        size_t bytes = to_bytes(limit, "set_cache_limit");
        return without_gil([&] { return set_cache_limit(bytes); });
      },
      nb::arg("limit"), nb::sig("def set_cache_limit(limit: int | str) -> int"),
      "Sets how many bytes of freed blocks may be kept for reuse; returns the previous limit.");
  m.def(
      "set_wired_limit",
      [](nb::handle limit) { return set_wired_limit(to_bytes(limit, "set_wired_limit")); },
      nb::arg("limit"), nb::sig("def set_wired_limit(limit: int | str) -> int"),
      "Accepted for MLX's sake; returns the previous value. Nothing is locked on a Linux CPU.");
  m.def(
      "_parse_bytes", [](nb::handle limit) { return to_bytes(limit, "memory_limit"); },
      "Bytes of a limit given as an int or a text.");
}

void bind_counters(nb::module_& m) {
  m.def("get_active_memory", get_active_memory, "Bytes in live buffers.");
  m.def("get_peak_memory", get_peak_memory,
        "Most bytes in live buffers since the start or the last reset.");
  m.def("reset_peak_memory", reset_peak_memory, "Starts the count of the peak again.");
  m.def("get_cache_memory", get_cache_memory,
        "Bytes of freed blocks that are kept for reuse. They are inside the limit.");
  m.def(
      "clear_cache", [] { without_gil([] { clear_cache(); }); },
      "Gives the freed blocks that are kept for reuse back to the system.");
}

// The scope of `with memory_limit(...)`: opened and closed by the Python class of that name.
struct LimitScope {
  std::optional<MemoryLimitScope> scope;
};

void bind_scope(nb::module_& m) {
  nb::class_<LimitScope>(m, "_MemoryLimitScope")
      .def(
          "__init__",
          [](LimitScope* self, size_t limit, bool strict) {
            new (self) LimitScope;
            nb::gil_scoped_release release;
            self->scope.emplace(limit, strict);
          },
          nb::arg("limit"), nb::arg("strict"))
      .def("close", [](LimitScope& s) {
        nb::gil_scoped_release release;
        s.scope.reset();
      });
}

// ---- Plans and reports.

void bind_plan(nb::module_& m) {
  nb::class_<PlanAction>(m, "PlanAction", "One action of a plan.")
      .def_ro("kind", &PlanAction::kind,
              "run, again (a recomputation), load, write, drop, forget (to be\n"
              "computed again) or free.")
      .def_ro("operation", &PlanAction::operation, "What runs, or whose value moves.")
      .def_ro("detail", &PlanAction::detail, "Shapes, and the tiles of a loop.")
      .def_ro("bytes", &PlanAction::bytes, "Bytes moved, or needed by the run.")
      .def_ro("resident", &PlanAction::resident, "Planned bytes in use during the action.")
      .def_ro("seconds", &PlanAction::seconds, "Predicted time.");
  nb::class_<MemoryPlan>(m, "_MemoryPlan")
      .def_ro("limit", &MemoryPlan::limit)
      .def_ro("peak", &MemoryPlan::peak)
      .def_ro("unlimited_peak", &MemoryPlan::unlimited_peak)
      .def_ro("floor", &MemoryPlan::floor)
      .def_ro("bytes_loaded", &MemoryPlan::bytes_loaded)
      .def_ro("bytes_written", &MemoryPlan::bytes_written)
      .def_ro("bytes_recomputed", &MemoryPlan::bytes_recomputed)
      .def_ro("seconds", &MemoryPlan::seconds)
      .def_ro("unlimited_seconds", &MemoryPlan::unlimited_seconds)
      .def_ro("peak_operation", &MemoryPlan::peak_operation)
      .def_ro("stage", &MemoryPlan::stage)
      .def_ro("actions", &MemoryPlan::actions)
      .def_ro("refusal", &MemoryPlan::refusal)
      .def("table", &MemoryPlan::table, nb::arg("max_rows") = 60);
  m.def(
      "_memory_plan",
      [](nb::args trees, nb::handle limit) {
        std::vector<array> arrays = arrays_in(trees);
        std::optional<size_t> bytes;
        if (!limit.is_none()) bytes = to_bytes(limit, "memory_plan");
        return without_gil([&] { return memory_plan(arrays, bytes); });
      },
      nb::arg("arrays"), nb::kw_only(), nb::arg("limit") = nb::none(),
      nb::sig("def _memory_plan(*arrays: object, limit: int | str | None = None) -> _MemoryPlan"));
}

void bind_reports(nb::module_& m) {
  nb::class_<MemoryReport>(m, "MemoryReport", "Where memory is, in bytes.")
      .def_ro("limit", &MemoryReport::limit)
      .def_ro("used", &MemoryReport::used)
      .def_ro("active", &MemoryReport::active)
      .def_ro("cache", &MemoryReport::cache)
      .def_ro("workspace", &MemoryReport::workspace)
      .def_ro("staging", &MemoryReport::staging)
      .def_ro("metadata", &MemoryReport::metadata)
      .def_ro("library", &MemoryReport::library)
      .def_ro("spilled", &MemoryReport::spilled)
      .def_ro("pinned", &MemoryReport::pinned)
      .def_ro("process_baseline", &MemoryReport::process_baseline)
      .def_ro("strict", &MemoryReport::strict)
      .def_ro("limit_source", &MemoryReport::limit_source)
      .def_prop_ro(
          "pinned_by", [](const MemoryReport& r) { return as_dict(r.pinned_by); },
          nb::sig("def pinned_by(self) -> dict[str, int]"))
      .def("__repr__", &MemoryReport::text);
  m.def("memory_report", memory_report, "Where memory is, what pins it, who set the limit.");
  nb::class_<EvaluationReport>(m, "EvaluationReport", "What an evaluation really did.")
      .def_ro("peak", &EvaluationReport::peak)
      .def_ro("written", &EvaluationReport::written)
      .def_ro("loaded", &EvaluationReport::loaded)
      .def_ro("recomputed", &EvaluationReport::recomputed)
      .def_ro("planned_peak", &EvaluationReport::planned_peak)
      .def_ro("limit", &EvaluationReport::limit)
      .def_ro("seconds", &EvaluationReport::seconds)
      .def_ro("waited_seconds", &EvaluationReport::waited_seconds)
      .def_ro("planning_seconds", &EvaluationReport::planning_seconds)
      .def_ro("nodes", &EvaluationReport::nodes)
      .def_ro("actions", &EvaluationReport::actions)
      .def_ro("tiles", &EvaluationReport::tiles)
      .def_ro("stage", &EvaluationReport::stage)
      .def_ro("plan_reused", &EvaluationReport::plan_reused,
              "Whether its plan was made for an evaluation like it.")
      .def_ro("timeline", &EvaluationReport::timeline)
      .def("__repr__", &EvaluationReport::text);
  m.def("last_evaluation", last_evaluation,
        "What the last evaluation really did: peak, bytes written, loaded, recomputed, times.");
}

}  // namespace

void bind_memory(nb::module_& m) {
  bind_error_classes(m);
  install_handlers();
  watch_forks();
  bind_limits(m);
  bind_counters(m);
  bind_scope(m);
  bind_plan(m);
  bind_reports(m);
}

}  // namespace plimsoll::python
