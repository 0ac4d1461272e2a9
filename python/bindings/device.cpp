#include "bindings/device.h"

#include <nanobind/nanobind.h>
#include <nanobind/operators.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <atomic>
#include <optional>

#include "base/check.h"

namespace plimsoll::python {

namespace nb = nanobind;

namespace {

enum class DeviceType : uint8_t { kCpu, kGpu };

struct Device {
  DeviceType type = DeviceType::kCpu;
  int index = 0;
  bool operator==(const Device&) const = default;
};

struct Stream {
  int index = 0;
  Device device;
  bool operator==(const Stream&) const = default;
};

// A stream a thread: here as good as the one that it was made with, since a device has one
// executor.
struct ThreadLocalStream {
  Stream stream;
  bool operator==(const ThreadLocalStream&) const = default;
};

// What set_default_stream and `with stream(...)` change, per thread as in MLX.
thread_local Stream current_stream;
std::atomic<int> next_stream{1};

const char* name_of(DeviceType t) { return t == DeviceType::kCpu ? "cpu" : "gpu"; }

Device require_cpu(Device d, const char* op) {
  PLIMSOLL_CHECK(d.type == DeviceType::kCpu, ValueError,
                 "[{}] expected a cpu, got a gpu; this build has no gpu backend", op);
  return d;
}

std::optional<Device> to_device(nb::handle o) {
  DeviceType t;
  if (nb::try_cast(o, t)) return Device{t, 0};
  Device d;
  if (nb::try_cast(o, d)) return d;
  return std::nullopt;
}

Device device_of(nb::handle o, const char* op) {
  std::optional<Device> d = to_device(o);
  PLIMSOLL_CHECK(d, TypeError, "[{}] expected a Device or DeviceType, got {}", op,
                 Py_TYPE(o.ptr())->tp_name);
  return require_cpu(*d, op);
}

Stream stream_of(nb::handle o, const char* op) {
  Stream s;
  if (nb::try_cast(o, s)) return s;
  if (ThreadLocalStream t; nb::try_cast(o, t)) return t.stream;
  return Stream{0, device_of(o, op)};
}

struct StreamContext {
  Stream wanted, before;
};

void bind_types(nb::module_& m) {
  nb::enum_<DeviceType>(m, "DeviceType", "Kind of device.")
      .value("cpu", DeviceType::kCpu)
      .value("gpu", DeviceType::kGpu)
      .export_values()
      .def("__repr__", [](DeviceType t) { return std::string("DeviceType.") + name_of(t); });
  nb::class_<Device>(m, "Device", "A device that runs operations.")
      .def(nb::init<DeviceType, int>(), nb::arg("type"), nb::arg("index") = 0)
      .def_ro("type", &Device::type)
      .def_ro("index", &Device::index)
      .def(
          "__eq__",
          [](const Device& d, nb::handle o) {
            std::optional<Device> other = to_device(o);
            return other && *other == d;
          },
          nb::arg("other").none())
      .def("__hash__", [](const Device& d) { return static_cast<int>(d.type) * 1024 + d.index; })
      .def("__repr__",
           [](const Device& d) { return fmt::format("Device({}, {})", name_of(d.type), d.index); });
  nb::class_<Stream>(m, "Stream", "A queue of work on a device.")
      .def_ro("device", &Stream::device)
      .def_ro("index", &Stream::index)
      .def(
          "__eq__",
          [](const Stream& s, nb::handle o) {
            Stream other;
            return nb::try_cast(o, other) && other == s;
          },
          nb::arg("other").none())
      .def("__hash__", [](const Stream& s) { return s.index; })
      .def("__repr__", [](const Stream& s) {
        return fmt::format("Stream(Device({}, {}), {})", name_of(s.device.type), s.device.index,
                           s.index);
      });
  nb::class_<ThreadLocalStream>(m, "ThreadLocalStream", "A queue of work for each thread.")
      .def_prop_ro("device", [](const ThreadLocalStream& s) { return s.stream.device; })
      .def("__repr__", [](const ThreadLocalStream& s) {
        return fmt::format("ThreadLocalStream(Device({}, {}), {})", name_of(s.stream.device.type),
                           s.stream.device.index, s.stream.index);
      });
  nb::class_<StreamContext>(m, "StreamContext", "What stream() returns; use it with `with`.")
      .def("__enter__",
           [](StreamContext& c) {
             c.before = current_stream;
             current_stream = c.wanted;
           })
      .def(
          "__exit__", [](StreamContext& c, nb::args) { current_stream = c.before; },
          nb::sig("def __exit__(self, exc_type: object, exc: object, tb: object, /) -> None"));
}

void bind_functions(nb::module_& m) {
  m.def(
      "default_device", [] { return current_stream.device; }, "The device that operations run on.");
  m.def(
      "set_default_device",
      [](nb::handle d) {
        current_stream = {0, device_of(d, "set_default_device")};
      },
      nb::arg("device"), nb::sig("def set_default_device(device: Device | DeviceType) -> None"),
      "Sets the device that operations run on. ValueError for one that this build lacks.");
  m.def(
      "default_stream",
      [](nb::handle d) {
        device_of(d, "default_stream");
        return current_stream;
      },
      nb::arg("device"), nb::sig("def default_stream(device: Device | DeviceType) -> Stream"),
      "The stream that operations on `device` go to.");
  m.def(
      "set_default_stream", [](const Stream& s) { current_stream = s; }, nb::arg("stream"),
      "Sets the stream that operations on the stream's device go to.");
  m.def(
      "new_stream",
      [](nb::handle d) {
        return Stream{next_stream++, device_of(d, "new_stream")};
      },
      nb::arg("device"), nb::sig("def new_stream(device: Device | DeviceType) -> Stream"),
      "A new stream on `device`.");
  m.def(
      "new_thread_local_stream",
      [](nb::handle d) {
        return ThreadLocalStream{{next_stream++, device_of(d, "new_thread_local_stream")}};
      },
      nb::arg("device"),
      nb::sig("def new_thread_local_stream(device: Device | DeviceType) -> ThreadLocalStream"),
      "A new stream on `device` that every thread may use.");
  m.def(
      "new_thread_unsafe_stream",
      [](nb::handle d) {
        return Stream{next_stream++, device_of(d, "new_thread_unsafe_stream")};
      },
      nb::arg("device"),
      nb::sig("def new_thread_unsafe_stream(device: Device | DeviceType) -> Stream"),
      "A new stream on `device`. Every stream may be used by any thread here.");
  m.def(
      "clear_streams",
      [] {
        current_stream = {0, current_stream.device};
      },
      "Makes the thread's operations go to the default stream again.");
  m.def(
      "stream",
      [](nb::handle s) {
        return StreamContext{stream_of(s, "stream"), {}};
      },
      nb::arg("s"), nb::sig("def stream(s: Stream | Device | DeviceType) -> StreamContext"),
      "A context in which operations go to that stream or device.");
  m.def(
      "is_available",
      [](nb::handle d) {
        std::optional<Device> device = to_device(d);
        return device && device->type == DeviceType::kCpu && device->index == 0;
      },
      nb::arg("device"), nb::sig("def is_available(device: Device | DeviceType) -> bool"),
      "Whether this build and machine have that device.");
  m.def(
      "device_count", [](DeviceType t) { return t == DeviceType::kCpu ? 1 : 0; },
      nb::arg("device_type"), "How many devices of that kind there are.");
}

}  // namespace

bool check_stream(PyObject* o) {
  if (o == Py_None) return true;
  Stream s;
  ThreadLocalStream t;
  if (nb::try_cast(nb::handle(o), s) || nb::try_cast(nb::handle(o), t)) return true;
  std::optional<Device> d = to_device(o);
  if (!d) return false;
  require_cpu(*d, "stream");
  return true;
}

void bind_device(nb::module_& m) {
  bind_types(m);
  bind_functions(m);
}

}  // namespace plimsoll::python
