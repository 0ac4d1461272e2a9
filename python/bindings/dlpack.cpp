#include "bindings/dlpack.h"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>

#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "bindings/array_type.h"
#include "bindings/errors.h"
#include "bindings/exports.h"
#include "bindings/host_convert.h"
#include "core/shape.h"

namespace plimsoll::python {
namespace {

// ---- The C structs of the standard (dmlc/dlpack, version 1.0); their layout is its ABI.

struct DLDevice {
  int32_t type, id;
};
constexpr int32_t kDLCpu = 1;

struct DLDataType {
  uint8_t code, bits;
  uint16_t lanes;
};
enum DLCode : uint8_t {
  kDLInt = 0,
  kDLUint = 1,
  kDLFloat = 2,
  kDLBfloat = 4,
  kDLComplex = 5,
  kDLBool = 6
};

struct DLTensor {
  void* data;
  DLDevice device;
  int32_t ndim;
  DLDataType dtype;
  int64_t *shape, *strides;  // strides in elements; null: row-major
  uint64_t byte_offset;
};

struct DLManagedTensor {
  DLTensor tensor;
  void* context;
  void (*deleter)(DLManagedTensor*);
};

struct DLManagedTensorVersioned {
  struct {
    uint32_t major, minor;
  } version;
  void* context;
  void (*deleter)(DLManagedTensorVersioned*);
  uint64_t flags;
  DLTensor tensor;
};
constexpr uint64_t kDLReadOnly = 1, kDLCopied = 2;

template <typename Managed>
constexpr const char* capsule_name() {
  return std::is_same_v<Managed, DLManagedTensor> ? "dltensor" : "dltensor_versioned";
}
template <typename Managed>
constexpr const char* used_name() {
  return std::is_same_v<Managed, DLManagedTensor> ? "used_dltensor" : "used_dltensor_versioned";
}

DLDataType to_dl(Dtype t) {
  auto bits = static_cast<uint8_t>(8 * size_of(t));
  switch (kind_of(t)) {
    case DtypeKind::kBool:
      return {kDLBool, bits, 1};
    case DtypeKind::kUnsigned:
      return {kDLUint, bits, 1};
    case DtypeKind::kSigned:
      return {kDLInt, bits, 1};
    case DtypeKind::kComplex:
      return {kDLComplex, bits, 1};
    default:
      return {t == Dtype::kBfloat16 ? kDLBfloat : kDLFloat, bits, 1};
  }
}

// ---- Giving.

template <typename Managed>
struct Given {
  Managed managed;
  std::unique_ptr<Export> held;
  std::vector<int64_t> shape, strides;

  static void release(Managed* m) { delete static_cast<Given*>(m->context); }
};

template <typename Managed>
void destroy_unused(PyObject* capsule) {
  if (!PyCapsule_IsValid(capsule, capsule_name<Managed>())) return;  // its taker releases it
  auto* m = static_cast<Managed*>(PyCapsule_GetPointer(capsule, capsule_name<Managed>()));
  m->deleter(m);
}

template <typename Managed>
nb::object give(std::unique_ptr<Export> e, bool copied) {
  auto given = std::make_unique<Given<Managed>>();
  const array& a = e->held;
  auto item = static_cast<int64_t>(a.itemsize());
  for (Py_ssize_t d : e->shape) given->shape.push_back(d);
  for (Py_ssize_t s : e->strides) given->strides.push_back(s / item);
  Managed& m = given->managed;
  m = {};
  m.tensor = {.data = e->data,
              .device = {kDLCpu, 0},
              .ndim = a.ndim(),
              .dtype = to_dl(a.dtype()),
              .shape = given->shape.data(),
              .strides = given->strides.data(),
              .byte_offset = 0};
  if constexpr (std::is_same_v<Managed, DLManagedTensorVersioned>) {
    m.version = {1, 0};
    if (!e->copy.empty()) m.flags |= kDLReadOnly;
    if (copied) m.flags |= kDLCopied;
  }
  m.context = given.get();
  m.deleter = Given<Managed>::release;
  given->held = std::move(e);
  nb::object capsule =
      nb::steal(PyCapsule_New(&m, capsule_name<Managed>(), destroy_unused<Managed>));
  if (!capsule) throw nb::python_error();
  (void)given.release();  // NOLINT(bugprone-unused-return-value): the capsule owns it
  return capsule;
}

nb::object to_dlpack(const array& a, nb::handle, nb::handle max_version, nb::handle device,
                     std::optional<bool> copy) {
  if (!device.is_none()) {
    auto [type, id] = nb::cast<std::pair<int, int>>(device);
    if (type != kDLCpu || id != 0) {
      PyErr_SetString(PyExc_BufferError, "[__dlpack__] expected the device (1, 0), the CPU");
      throw nb::python_error();
    }
  }
  bool versioned = !max_version.is_none() && nb::cast<int>(max_version[nb::int_(0)]) >= 1;
  array shown = a;
  std::unique_ptr<Export> e = without_gil([&] {
    if (copy.value_or(false)) {
      std::vector<std::byte> bytes(shown.nbytes());
      shown.copy_to(bytes.data());
      shown = array(bytes.data(), shown.shape(), shown.dtype());
    }
    return make_export(shown, "DLPack");
  });
  bool copied = copy.value_or(false);
  return versioned ? give<DLManagedTensorVersioned>(std::move(e), copied)
                   : give<DLManagedTensor>(std::move(e), copied);
}

// ---- Taking.

HostElement element_of(const DLDataType& t) {
  for (int i = 0; i < kNumDtypes; ++i) {
    auto dtype = static_cast<Dtype>(i);
    DLDataType ours = to_dl(dtype);
    if (t.lanes == 1 && ours.code == t.code && ours.bits == t.bits) return {dtype};
  }
  PLIMSOLL_CHECK(t.code == kDLComplex && t.bits == 128 && t.lanes == 1, ValueError,
                 "[from_dlpack] expected one of Plimsoll's dtypes, got code {} of {} bits and {} "
                 "lanes",
                 t.code, t.bits, t.lanes);
  return {Dtype::kComplex64, true};
}

void gather(const std::byte* from, const DLTensor& t, int64_t item, int axis, std::byte*& to) {
  if (axis == t.ndim) {
    std::memcpy(to, from, static_cast<size_t>(item));
    to += item;
    return;
  }
  for (int64_t i = 0; i < t.shape[axis]; ++i)
    gather(from + i * t.strides[axis] * item, t, item, axis + 1, to);
}

array read(const DLTensor& t, std::optional<Dtype> wanted) {
  PLIMSOLL_CHECK(t.device.type == kDLCpu, ValueError,
                 "[from_dlpack] expected an array on the CPU (device type 1), got device type {}",
                 t.device.type);
  HostElement element = element_of(t.dtype);
  Shape shape(t.shape, t.shape + t.ndim);
  auto count = static_cast<size_t>(num_elements(shape));
  Dtype dtype = wanted.value_or(element.dtype == Dtype::kFloat64 ? Dtype::kFloat32 : element.dtype);
  size_t item = t.dtype.bits / 8;
  const auto* bytes = static_cast<const std::byte*>(t.data) + t.byte_offset;
  std::vector<std::byte> packed;
  Strides rows = row_major(shape);
  if (t.strides && count > 0 && !std::equal(rows.begin(), rows.end(), t.strides)) {
    packed.resize(count * item);
    std::byte* to = packed.data();
    gather(bytes, t, static_cast<int64_t>(item), 0, to);
    bytes = packed.data();
  }
  return from_elements(bytes, element, std::move(shape), dtype);
}

template <typename Managed>
std::optional<array> take(PyObject* capsule, std::optional<Dtype> dtype) {
  if (!PyCapsule_IsValid(capsule, capsule_name<Managed>())) return std::nullopt;
  auto* m = static_cast<Managed*>(PyCapsule_GetPointer(capsule, capsule_name<Managed>()));
  if constexpr (std::is_same_v<Managed, DLManagedTensorVersioned>)
    PLIMSOLL_CHECK(m->version.major == 1, ValueError,
                   "[from_dlpack] expected version 1 of DLPack, got {}", m->version.major);
  array out = without_gil([&] { return read(m->tensor, dtype); });
  PyCapsule_SetName(capsule, used_name<Managed>());
  if (m->deleter) m->deleter(m);
  return out;
}

nb::object capsule_of(nb::handle o) {
  if (PyCapsule_CheckExact(o.ptr())) return nb::borrow(o);
  PLIMSOLL_CHECK(nb::hasattr(o, "__dlpack__"), TypeError,
                 "from_dlpack(): expected an object with __dlpack__, got {}",
                 Py_TYPE(o.ptr())->tp_name);
  try {
    return o.attr("__dlpack__")(nb::arg("max_version") = nb::make_tuple(1, 0));
  } catch (nb::python_error& e) {
    if (!e.matches(PyExc_TypeError)) throw;  // an older library does not know the argument
  }
  return o.attr("__dlpack__")();
}

}  // namespace

array from_dlpack(nb::handle o, std::optional<Dtype> dtype) {
  nb::object capsule = capsule_of(o);
  if (auto a = take<DLManagedTensorVersioned>(capsule.ptr(), dtype)) return *std::move(a);
  if (auto a = take<DLManagedTensor>(capsule.ptr(), dtype)) return *std::move(a);
  throw ValueError("[from_dlpack] expected a capsule of DLPack that was not used yet");
}

void bind_dlpack(nb::module_& m) {
  nb::handle cls(reinterpret_cast<PyObject*>(array_type));
  nb::cpp_function_def(
      to_dlpack, nb::scope(cls), nb::name("__dlpack__"), nb::is_method(), nb::kw_only(),
      nb::arg("stream") = nb::none(), nb::arg("max_version") = nb::none(),
      nb::arg("dl_device") = nb::none(), nb::arg("copy") = nb::none(),
      "A DLPack capsule of the array's own bytes, which stay in memory until its taker lets go of\n"
      "them; memory_report() names them.");
  nb::cpp_function_def([](const array&) { return nb::make_tuple(kDLCpu, 0); }, nb::scope(cls),
                       nb::name("__dlpack_device__"), nb::is_method(),
                       "DLPack's device: (1, 0), the CPU.");
  m.def(
      "from_dlpack",
      [](nb::handle x, std::optional<bool> copy) {
        if (is_array(x.ptr()) && !copy.value_or(false)) return unwrap(x.ptr());
        PLIMSOLL_CHECK(copy.value_or(true), ValueError,
                       "[from_dlpack] Cannot import a CPU array without a copy.");
        return from_dlpack(x);
      },
      nb::arg("x"), nb::kw_only(), nb::arg("copy") = nb::none(),
      nb::sig("def from_dlpack(x: object, /, *, copy: bool | None = None) -> array"),
      "An array from an object that supports DLPack (a NumPy array, a PyTorch tensor).\n\n"
      "The elements are copied, because memory of another library is not inside the limit.\n\n"
      "Args:\n"
      "    x: Has ``__dlpack__``; its elements are on the CPU.\n"
      "    copy: None or True; False is refused unless ``x`` is an array of ours.\n\n"
      "Returns:\n"
      "    An array of the same dtype; float32 for float64 and complex64 for complex128.\n\n"
      "Raises:\n"
      "    TypeError: where ``x`` has no ``__dlpack__``.\n"
      "    ValueError: for another device or dtype, or ``copy=False``.\n\n"
      "Example:\n\n"
      "    >>> import numpy\n"
      "    >>> from_dlpack(numpy.array([1, 2])).tolist()\n"
      "    [1, 2]\n");
}

}  // namespace plimsoll::python
