#include "bindings/op_function.h"

#include <structmember.h>

#include <cstring>
#include <memory>
#include <string>

#include "base/check.h"
#include "bindings/argument_hint.h"
#include "bindings/array_type.h"
#include "bindings/convert.h"
#include "bindings/device.h"
#include "bindings/errors.h"
#include "bindings/signature.h"

namespace plimsoll::python {
namespace {

constexpr int kMaxSlots = 20;

struct Function {
  Signature signature;
  graph::Entry entry;
  const char* doc;
  bool as_list;
  bool takes_key;  // a random operation: a key of None means the next one of the global state
  bool reduces;    // over any axes: NumPy's functions hand it dtype=None and out=None
};

struct PyFunction {
  PyObject_HEAD vectorcallfunc vectorcall;
  Function* f;
};

PyTypeObject* function_type = nullptr;

// Boxes on the stack: only those that the signature has are built and destroyed.
class BoxStack {
 public:
  explicit BoxStack(int n) : n_(n) {
    for (int i = 0; i < n; ++i) new (at(i)) graph::Box;
  }
  BoxStack(const BoxStack&) = delete;
  BoxStack& operator=(const BoxStack&) = delete;
  ~BoxStack() {
    for (int i = 0; i < n_; ++i) at(i)->~variant();
  }
  graph::Box* at(int i) { return reinterpret_cast<graph::Box*>(room_) + i; }
  std::span<graph::Box> span() { return {at(0), static_cast<size_t>(n_)}; }

 private:
  int n_;
  alignas(graph::Box) std::byte room_[kMaxSlots * sizeof(graph::Box)];
};

std::string type_name(PyObject* o) { return is_array(o) ? "array" : Py_TYPE(o)->tp_name; }

[[noreturn]] void bad_arguments(const Function& f, PyObject* const* args, Py_ssize_t n,
                                PyObject* kwnames) {
  std::string got;
  for (Py_ssize_t i = 0; i < n; ++i) got += (got.empty() ? "" : ", ") + type_name(args[i]);
  for (Py_ssize_t i = 0; kwnames && i < PyTuple_GET_SIZE(kwnames); ++i) {
    const char* name = PyUnicode_AsUTF8(PyTuple_GET_ITEM(kwnames, i));
    got += (got.empty() ? "" : ", ") +
           fmt::format("{}: {}", name ? name : "?", type_name(args[n + i]));
  }
  throw TypeError(fmt::format(
      "{}(): incompatible function arguments. The following argument types are "
      "supported:\n    1. {}\n\nInvoked with types: ({})\n\n{}",
      f.signature.name, f.signature.text, got, argument_hint(f.signature, args, n, kwnames)));
}

bool is_numpys_default(const Function& f, PyObject* name, PyObject* value) {
  return f.reduces && value == Py_None &&
         (PyUnicode_CompareWithASCIIString(name, "out") == 0 ||
          PyUnicode_CompareWithASCIIString(name, "dtype") == 0);
}

bool set_param(const Param& p, PyObject* value, BoxStack& boxes) {
  if (p.slot < 0) return check_stream(value);
  return to_box(value, p.types, *boxes.at(p.slot));
}

// Fills the boxes; false where the arguments do not fit the signature.
bool fill(const Function& f, PyObject* const* args, Py_ssize_t n, PyObject* kwnames,
          BoxStack& boxes) {
  const Signature& s = f.signature;
  uint32_t given = 0;
  Py_ssize_t next = 0;
  for (size_t i = 0; i < s.params.size() && next < n; ++i) {
    const Param& p = s.params[i];
    if (p.kind == ParamKind::kKeywordOnly) break;
    given |= 1u << i;
    if (p.kind == ParamKind::kVariadic) {
      std::vector<array> rest;
      for (; next < n; ++next) {
        graph::Box one;
        if (!to_box(args[next], kArray | kScalar, one)) return false;
        rest.push_back(std::get<array>(std::move(one)));
      }
      *boxes.at(p.slot) = std::move(rest);
      break;
    }
    if (!set_param(p, args[next++], boxes)) return false;
  }
  if (next < n) return false;
  for (Py_ssize_t k = 0; kwnames && k < PyTuple_GET_SIZE(kwnames); ++k) {
    PyObject* name = PyTuple_GET_ITEM(kwnames, k);
    int i = find_param(s, name);
    if (i < 0 && is_numpys_default(f, name, args[n + k])) continue;
    if (i < 0 || (given & (1u << i))) return false;
    ParamKind kind = s.params[i].kind;
    if (kind == ParamKind::kPositionalOnly || kind == ParamKind::kVariadic) return false;
    given |= 1u << i;
    if (!set_param(s.params[i], args[n + k], boxes)) return false;
  }
  for (size_t i = 0; i < s.params.size(); ++i) {
    if (given & (1u << i)) continue;
    const Param& p = s.params[i];
    if (!p.has_default) return false;
    if (p.slot >= 0 && p.fallback.index() != 0) *boxes.at(p.slot) = p.fallback;
  }
  return true;
}

void fill_key(const Function& f, BoxStack& boxes) {
  for (const Param& p : f.signature.params)
    if (p.name == "key" && std::holds_alternative<std::monostate>(*boxes.at(p.slot)))
      *boxes.at(p.slot) = next_random_key();
}

PyObject* call(PyObject* self, PyObject* const* args, size_t nargsf, PyObject* kwnames) {
  const Function& f = *reinterpret_cast<PyFunction*>(self)->f;
  Py_ssize_t n = PyVectorcall_NARGS(nargsf);
  return guarded([&]() -> PyObject* {
    BoxStack boxes(f.signature.num_slots);
    if (!fill(f, args, n, kwnames, boxes)) bad_arguments(f, args, n, kwnames);
    if (f.takes_key) fill_key(f, boxes);
    return from_box(f.entry(boxes.span()), f.as_list);
  });
}

PyObject* bind_to_instance(PyObject* self, PyObject* instance, PyObject*) {
  if (instance == nullptr || instance == Py_None) {
    Py_INCREF(self);
    return self;
  }
  return PyMethod_New(self, instance);
}

const Function& function_of(PyObject* o) { return *reinterpret_cast<PyFunction*>(o)->f; }

PyObject* text(const std::string& s) {
  return PyUnicode_FromStringAndSize(s.data(), static_cast<Py_ssize_t>(s.size()));
}

PyObject* get_name(PyObject* self, void*) { return text(function_of(self).signature.name); }

PyObject* get_module(PyObject* self, void*) {
  const std::string& sub = function_of(self).signature.module;
  return text(sub.empty() ? "plimsoll.core" : "plimsoll.core." + sub);
}

PyObject* get_doc(PyObject* self, void*) {
  const Function& f = function_of(self);
  return text(fmt::format("{}\n\n{}", f.signature.text, f.doc ? f.doc : ""));
}

// For inspect.signature.
PyObject* get_signature(PyObject* self, void*) {
  PyObject* module = PyImport_ImportModule("plimsoll._signature");
  if (!module) return nullptr;
  PyObject* found =
      PyObject_CallMethod(module, "parse", "s", function_of(self).signature.text.c_str());
  Py_DECREF(module);
  return found;
}

// What nanobind's stub generator writes for this object, word for word.
PyObject* get_stub(PyObject* self, void*) {
  const Function& f = function_of(self);
  std::string doc = f.doc ? f.doc : "";
  return text(fmt::format("def {}:\n    r\"\"\"{}\"\"\"", f.signature.text, doc));
}

PyObject* repr(PyObject* self) {
  return text(fmt::format("<function {}>", function_of(self).signature.name));
}

PyGetSetDef getters[] = {{"__name__", get_name, nullptr, nullptr, nullptr},
                         {"__qualname__", get_name, nullptr, nullptr, nullptr},
                         {"__module__", get_module, nullptr, nullptr, nullptr},
                         {"__doc__", get_doc, nullptr, nullptr, nullptr},
                         {"__signature__", get_signature, nullptr, nullptr, nullptr},
                         {"__nb_signature__", get_stub, nullptr, nullptr, nullptr},
                         {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyMemberDef members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(PyFunction, vectorcall), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr}};

template <typename F>
void* slot(F* f) {
  return reinterpret_cast<void*>(f);
}

}  // namespace

void init_op_function(nanobind::module_& m) {
  PyType_Slot slots[] = {{Py_tp_call, slot(PyVectorcall_Call)},
                         {Py_tp_descr_get, slot(bind_to_instance)},
                         {Py_tp_repr, slot(repr)},
                         {Py_tp_getset, getters},
                         {Py_tp_members, members},
                         {0, nullptr}};
  PyType_Spec spec{"plimsoll._core.OpFunction", sizeof(PyFunction), 0,
                   Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_METHOD_DESCRIPTOR |
                       Py_TPFLAGS_DISALLOW_INSTANTIATION,
                   slots};
  function_type =
      reinterpret_cast<PyTypeObject*>(PyType_FromModuleAndSpec(m.ptr(), &spec, nullptr));
  if (!function_type) throw nanobind::python_error();
}

nanobind::object make_op_function(const graph::OpDef& def, const char* alias) {
  auto f = std::make_unique<Function>();
  f->signature = parse_signature(def.signature);
  f->entry = def.entry;
  f->doc = def.doc;
  if (alias) {
    f->signature.text.replace(0, f->signature.name.size(), alias);
    f->signature.name = alias;
  }
  f->as_list = f->signature.returns.find("list[") != std::string::npos;
  f->takes_key = f->reduces = false;
  for (const Param& p : f->signature.params) {
    f->takes_key |= p.name == "key" && p.has_default && f->signature.module == "random";
    f->reduces |= p.name == "axis" && (p.types & kInts);
  }
  PLIMSOLL_CHECK(f->signature.num_slots <= kMaxSlots, Error, "signature of {}: too many parameters",
                 def.name);
  PyObject* o = function_type->tp_alloc(function_type, 0);
  if (!o) throw nanobind::python_error();
  auto* self = reinterpret_cast<PyFunction*>(o);
  self->vectorcall = call;
  self->f = f.release();  // functions live as long as the process
  return nanobind::steal(o);
}

const char* op_function_module(nanobind::handle function) {
  return function_of(function.ptr()).signature.module.c_str();
}

const char* op_function_name(nanobind::handle function) {
  return function_of(function.ptr()).signature.name.c_str();
}

}  // namespace plimsoll::python
