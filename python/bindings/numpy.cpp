#include "bindings/numpy.h"

#include <nanobind/nanobind.h>

#include <string>

#include "bindings/array_type.h"
#include "bindings/convert.h"
#include "bindings/errors.h"
#include "bindings/host_convert.h"

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

}  // namespace

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
