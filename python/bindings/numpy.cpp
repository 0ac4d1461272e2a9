#include "bindings/numpy.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <algorithm>
#include <string>

#include "base/check.h"
#include "bindings/array_type.h"
#include "bindings/convert.h"
#include "bindings/errors.h"
#include "bindings/host_convert.h"
#include "graph/node.h"

namespace plimsoll::python {
namespace {

class WritableBytes {
 public:
  explicit WritableBytes(PyObject* o) {
    if (PyObject_GetBuffer(o, &view_, PyBUF_WRITABLE | PyBUF_C_CONTIGUOUS | PyBUF_FORMAT) < 0)
      throw nb::python_error();
  }
  WritableBytes(const WritableBytes&) = delete;
  WritableBytes& operator=(const WritableBytes&) = delete;
  ~WritableBytes() { PyBuffer_Release(&view_); }
  void* data() const { return view_.buf; }

 private:
  Py_buffer view_{};
};

bool is_traced(nb::handle o) {
  return is_array(o.ptr()) && unwrap(o.ptr()).node()->is(graph::Node::kTracer);
}

/// Our function of a ufunc's name, or null.
nb::object function_of(nb::handle ufunc) {
  nb::module_ core = nb::module_::import_("plimsoll.core");
  auto name = nb::cast<std::string>(ufunc.attr("__name__"));
  if (name == "absolute") name = "abs";
  if (name == "invert") name = "bitwise_invert";
  return nb::hasattr(core, name.c_str()) ? nb::object(core.attr(name.c_str())) : nb::object();
}

}  // namespace

nb::object apply_ufunc(nb::handle ufunc, nb::handle method, const nb::args& inputs,
                       const nb::kwargs& options) {
  bool plain = options.size() == 0 && nb::cast<std::string>(method) == "__call__";
  if (plain && std::any_of(inputs.begin(), inputs.end(), is_traced))
    if (nb::object ours = function_of(ufunc)) return ours(*inputs);
  if (options.contains("out"))
    for (nb::handle out : nb::borrow<nb::tuple>(options["out"]))
      PLIMSOLL_CHECK(!is_array(out.ptr()), TypeError,
                     "[numpy] expected NumPy's array as out, got an array; take what is returned");
  nb::object asarray = nb::module_::import_("numpy").attr("asarray");
  nb::list converted;
  for (nb::handle in : inputs) converted.append(is_array(in.ptr()) ? asarray(in) : nb::borrow(in));
  return ufunc.attr(method)(*converted, **options);
}

nb::object to_numpy(const array& a, nb::handle dtype) {
  array held = a;
  bool bfloat = held.dtype() == Dtype::kBfloat16;
  Dtype given = bfloat ? Dtype::kFloat32 : held.dtype();
  nb::module_ numpy = nb::module_::import_("numpy");
  nb::object shape = nb::steal(from_box(graph::Box(Dims(held.shape())), false));
  nb::object out = numpy.attr("empty")(shape, std::string(name_of(given)).c_str());
  {
    WritableBytes bytes(out.ptr());
    without_gil([&] {
      held.copy_to(bytes.data());
      if (!bfloat) return;
      // The 2-byte elements lie in the first half: widen from the last one down.
      auto* base = static_cast<std::byte*>(bytes.data());
      for (int64_t i = held.size() - 1; i >= 0; --i) {
        uint32_t wide = uint32_t{load_as<uint16_t>(base + 2 * i)} << 16;
        std::memcpy(base + 4 * i, &wide, 4);
      }
    });
  }
  if (!dtype.is_none()) out = out.attr("astype")(dtype, nb::arg("copy") = false);
  return out;
}

}  // namespace plimsoll::python
