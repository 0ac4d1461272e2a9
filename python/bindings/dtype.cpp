#include "bindings/dtype.h"

#include <nanobind/nanobind.h>
#include <nanobind/operators.h>
#include <nanobind/stl/string.h>

#include <array>
#include <string>

#include "bindings/array_type.h"

namespace plimsoll::python {
namespace {

// The value behind a Dtype object; a class of its own, since Dtype has a caster.
struct DtypeValue {
  Dtype dtype;
};

struct Category {
  std::string name;
  uint32_t members;  // a bit for each dtype
};

std::array<PyObject*, kNumDtypes> objects{};
PyTypeObject* dtype_class = nullptr;

constexpr uint32_t bit(Dtype t) { return 1u << static_cast<int>(t); }

uint32_t members_of(bool (*accepts)(Dtype)) {
  uint32_t set = 0;
  for (int i = 0; i < kNumDtypes; ++i)
    if (accepts(static_cast<Dtype>(i))) set |= 1u << i;
  return set;
}

void bind_values(nanobind::module_& m) {
  nb::class_<DtypeValue> cls(m, "Dtype", "The type of an array's elements.");
  dtype_class = reinterpret_cast<PyTypeObject*>(cls.ptr());
  cls.def_prop_ro(
         "size", [](const DtypeValue& d) { return size_of(d.dtype); }, "Bytes of an element.")
      .def_prop_ro(
          "name", [](const DtypeValue& d) { return std::string(name_of(d.dtype)); },
          "The name, such as \"float32\".")
      .def("__repr__",
           [](const DtypeValue& d) { return "plimsoll.core." + std::string(name_of(d.dtype)); })
      .def(
          "__eq__",
          [](const DtypeValue& d, nb::handle other) {
            Dtype o;
            return to_dtype(other.ptr(), o) && o == d.dtype;
          },
          nb::arg("other").none())
      .def("__hash__", [](const DtypeValue& d) { return static_cast<int>(d.dtype); })
      .def("__reduce__", [](const DtypeValue& d) {
        return nb::make_tuple(nb::module_::import_("plimsoll._pickle").attr("dtype"),
                              nb::make_tuple(std::string(name_of(d.dtype))));
      });
  for (int i = 0; i < kNumDtypes; ++i) {
    auto dtype = static_cast<Dtype>(i);
    nb::object o = nb::cast(DtypeValue{dtype});
    std::string name(name_of(dtype));
    m.attr(name == "bool" ? "bool_" : name.c_str()) = o;
    objects[i] = o.release().ptr();
  }
  m.def(
      "_dtype", [](const std::string& name) { return dtype_from_name(name); },
      "The Dtype of that name.");
}

void bind_categories(nanobind::module_& m) {
  nb::class_<Category>(m, "DtypeCategory", "A set of dtypes, for issubdtype.")
      .def("__repr__", [](const Category& c) { return "DtypeCategory." + c.name; })
      .def_ro("name", &Category::name);
  auto add = [&](const char* name, bool (*accepts)(Dtype)) {
    nb::object o = nb::cast(Category{name, members_of(accepts)});
    m.attr(name) = o;
    m.attr("DtypeCategory").attr(name) = o;
  };
  add("generic", [](Dtype) { return true; });
  add("number", [](Dtype t) { return t != Dtype::kBool; });
  add("integer", [](Dtype t) {
    return kind_of(t) == DtypeKind::kSigned || kind_of(t) == DtypeKind::kUnsigned;
  });
  add("signedinteger", [](Dtype t) { return kind_of(t) == DtypeKind::kSigned; });
  add("unsignedinteger", [](Dtype t) { return kind_of(t) == DtypeKind::kUnsigned; });
  add("inexact", [](Dtype t) { return is_inexact(t); });
  add("floating", [](Dtype t) { return is_floating(t); });
  add("complexfloating", [](Dtype t) { return kind_of(t) == DtypeKind::kComplex; });
}

uint32_t set_of(nb::handle o) {
  Dtype d;
  if (to_dtype(o.ptr(), d)) return bit(d);
  return nb::cast<const Category&>(o).members;
}

}  // namespace

bool to_dtype(PyObject* o, Dtype& out) noexcept {
  if (Py_TYPE(o) != dtype_class) return false;
  out = nb::inst_ptr<DtypeValue>(nb::handle(o))->dtype;
  return true;
}

PyObject* dtype_object(Dtype dtype) noexcept { return objects[static_cast<int>(dtype)]; }

void bind_dtype(nanobind::module_& m) {
  bind_values(m);
  bind_categories(m);
  m.def(
      "issubdtype",
      [](nb::handle arg1, nb::handle arg2) {
        Dtype d;
        if (to_dtype(arg2.ptr(), d)) {
          Dtype e;
          return to_dtype(arg1.ptr(), e) && d == e;
        }
        uint32_t a = set_of(arg1), b = set_of(arg2);
        return (a & ~b) == 0;
      },
      nb::arg("arg1"), nb::arg("arg2"),
      "Whether a Dtype or DtypeCategory lies within another.\n\n"
      "Example:\n\n    >>> issubdtype(float32, floating)\n    True");
  m.def(
      "_promote_types", [](Dtype a, Dtype b) { return promote_types(a, b); },
      "The dtype that holds both.");
}

}  // namespace plimsoll::python
