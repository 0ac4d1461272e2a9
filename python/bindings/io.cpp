#include "bindings/io.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/variant.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>

#include "base/check.h"
#include "bindings/array_type.h"
#include "bindings/dtype.h"
#include "bindings/errors.h"
#include "graph/node.h"
#include "io/gguf.h"
#include "io/npy.h"
#include "io/region.h"
#include "io/safetensors.h"
#include "io/save.h"
#include "memory/new_file.h"
#include "plimsoll/io.h"

namespace plimsoll::python {

namespace nb = nanobind;

namespace {

using memory::File;
using memory::FileIdentity;

// A Python object with read and seek as a File that is read once, from front to back where that
// can be. Takes the GIL for each call; the object outlives it.
class StreamFile final : public File {
 public:
  StreamFile(nb::handle stream, uint64_t start) : stream_(stream), start_(start) {}

  size_t pread(std::span<std::byte> to, uint64_t offset) override {
    nb::gil_scoped_acquire gil;
    if (offset != position_) {
      stream_.attr("seek")(start_ + offset);
      position_ = offset;
    }
    nb::object data = stream_.attr("read")(std::min(to.size(), kMost));
    Py_buffer view;
    if (PyObject_GetBuffer(data.ptr(), &view, PyBUF_SIMPLE) != 0) throw nb::python_error();
    size_t size = static_cast<size_t>(view.len);
    bool fits = size <= to.size();
    if (fits && size > 0) std::memcpy(to.data(), view.buf, size);
    PyBuffer_Release(&view);
    PLIMSOLL_CHECK(fits, ValueError, "[load] expected read(n) to return at most {} bytes, got {}",
                   to.size(), size);
    position_ += size;
    return size;
  }
  size_t pwrite(std::span<const std::byte>, uint64_t) override { refuse(); }
  bool allocate(uint64_t, uint64_t) override { refuse(); }
  void punch(uint64_t, uint64_t) noexcept override {}
  void truncate(uint64_t) override { refuse(); }
  void sync() override {}
  uint64_t size() override { refuse(); }
  FileIdentity identity() override { return {}; }
  std::string name() const override { return "a stream"; }
  void drop_cache(uint64_t, uint64_t) noexcept override {}
  bool direct() const override { return false; }

 private:
  static constexpr size_t kMost = 4 << 20;
  [[noreturn]] static void refuse() { throw IoError("[load] expected a stream to be read only"); }
  nb::handle stream_;
  uint64_t start_;
  uint64_t position_ = 0;
};

io::Region region_of(nb::handle stream, uint64_t start, uint64_t size, const std::string& name) {
  return {std::make_shared<StreamFile>(stream, start), 0, size, name, false};
}

nb::object text(const std::string& s) {
  PyObject* out = PyUnicode_DecodeUTF8(s.data(), static_cast<Py_ssize_t>(s.size()), nullptr);
  if (out == nullptr) PyErr_Clear();
  PLIMSOLL_CHECK(out != nullptr, ValueError, "[load] expected texts in UTF-8, got {}",
                 io::quote(s));
  return nb::steal(out);
}

nb::tuple to_python(Safetensors&& loaded) {
  nb::dict arrays, metadata;
  for (auto& [name, a] : loaded.arrays) arrays[text(name)] = a;
  for (auto& [name, value] : loaded.metadata) metadata[text(name)] = text(value);
  return nb::make_tuple(arrays, metadata);
}

nb::tuple to_python(Gguf&& loaded) {
  nb::dict arrays, metadata;
  for (auto& [name, a] : loaded.arrays) arrays[text(name)] = a;
  for (auto& [name, value] : loaded.metadata) {
    nb::object out;
    if (auto* a = std::get_if<array>(&value)) {
      out = nb::cast(*a);
    } else if (auto* s = std::get_if<std::string>(&value)) {
      out = text(*s);
    } else {
      nb::list texts;
      for (const std::string& s : std::get<std::vector<std::string>>(value)) texts.append(text(s));
      out = texts;
    }
    metadata[text(name)] = out;
  }
  return nb::make_tuple(arrays, metadata);
}

nb::bytes to_bytes(const std::string& text) { return nb::bytes(text.data(), text.size()); }

// A file that stays open for the arrays that are read from it.
struct InputFile {
  io::Region region;
};

void bind_input(nb::module_& m) {
  nb::class_<InputFile>(m, "_InputFile")
      .def(
          "__init__",
          [](InputFile* self, const std::string& path) {
            new (self) InputFile{io::open_region(path)};
          },
          nb::arg("path"))
      .def_prop_ro("size", [](const InputFile& f) { return f.region.end; })
      .def(
          "read_at",
          [](const InputFile& f, uint64_t offset, uint64_t size) {
            uint64_t end = f.region.end;
            offset = std::min(offset, end);
            std::string bytes(std::min(size, end - offset), '\0');
            without_gil([&] { f.region.read(std::as_writable_bytes(std::span(bytes)), offset); });
            return to_bytes(bytes);
          },
          nb::arg("offset"), nb::arg("size"))
      .def(
          "load_npy",
          [](const InputFile& f, uint64_t begin, uint64_t end, const std::string& name) {
            PLIMSOLL_CHECK(begin <= end && end <= f.region.end, ValueError,
                           "[load] expected {} inside the {} bytes of {}, got [{}, {}]", name,
                           f.region.end, f.region.name, begin, end);
            return without_gil([&] {
              return io::load_npy({f.region.file, begin, end, name + " of " + f.region.name, true});
            });
          },
          nb::arg("begin"), nb::arg("end"), nb::arg("name"));
}

void bind_load(nb::module_& m) {
  m.def(
      "_load_npy",
      [](const std::string& path) { return without_gil([&] { return load_npy(path); }); },
      nb::arg("path"), nb::sig("def _load_npy(path: str) -> array"));
  m.def(
      "_load_safetensors",
      [](const std::string& path) {
        return to_python(without_gil([&] { return load_safetensors(path); }));
      },
      nb::arg("path"),
      nb::sig("def _load_safetensors(path: str) -> tuple[dict[str, array], dict[str, str]]"));
  m.def(
      "_load_gguf",
      [](const std::string& path) {
        return to_python(without_gil([&] { return load_gguf(path); }));
      },
      nb::arg("path"),
      nb::sig("def _load_gguf(path: str) -> tuple[dict[str, array], dict[str, array | str | "
              "list[str]]]"));
  m.def(
      "_load_gguf_stream",
      [](nb::handle stream, uint64_t start, uint64_t size, const std::string& name) {
        return to_python(
            without_gil([&] { return io::load_gguf(region_of(stream, start, size, name)); }));
      },
      nb::arg("stream"), nb::arg("start"), nb::arg("size"), nb::arg("name"),
      nb::sig("def _load_gguf_stream(stream: object, start: int, size: int, name: str) -> "
              "tuple[dict[str, array], dict[str, array | str | list[str]]]"));
  m.def(
      "_load_npy_stream",
      [](nb::handle stream, uint64_t start, uint64_t size, const std::string& name) {
        return without_gil([&] { return io::load_npy(region_of(stream, start, size, name)); });
      },
      nb::arg("stream"), nb::arg("start"), nb::arg("size"), nb::arg("name"),
      nb::sig("def _load_npy_stream(stream: object, start: int, size: int, name: str) -> array"));
  m.def(
      "_load_safetensors_stream",
      [](nb::handle stream, uint64_t start, uint64_t size, const std::string& name) {
        return to_python(without_gil(
            [&] { return io::load_safetensors(region_of(stream, start, size, name)); }));
      },
      nb::arg("stream"), nb::arg("start"), nb::arg("size"), nb::arg("name"),
      nb::sig("def _load_safetensors_stream(stream: object, start: int, size: int, name: str) -> "
              "tuple[dict[str, array], dict[str, str]]"));
}

void bind_save(nb::module_& m) {
  m.def(
      "_save_npy",
      [](const std::string& path, const array& a) { without_gil([&] { save_npy(path, a); }); },
      nb::arg("path"), nb::arg("arr"));
  m.def(
      "_save_safetensors",
      [](const std::string& path, const NamedArrays& arrays, const FileMetadata& metadata) {
        without_gil([&] { save_safetensors(path, arrays, metadata); });
      },
      nb::arg("path"), nb::arg("arrays"), nb::arg("metadata"));
  m.def(
      "_save_gguf",
      [](const std::string& path, const NamedArrays& arrays, const GgufMetadata& metadata) {
        without_gil([&] { save_gguf(path, arrays, metadata); });
      },
      nb::arg("path"), nb::arg("arrays"), nb::arg("metadata"));
  m.def(
      "_gguf_header",
      [](const NamedArrays& arrays, const GgufMetadata& metadata) {
        io::GgufHeader header = without_gil([&] { return io::gguf_header(arrays, metadata); });
        return nb::make_tuple(to_bytes(header.text), header.begins);
      },
      nb::arg("arrays"), nb::arg("metadata"),
      nb::sig("def _gguf_header(arrays: list[tuple[str, array]], metadata: list[tuple[str, array | "
              "str | list[str]]]) -> tuple[bytes, list[int]]"));
  m.def(
      "_npy_header", [](const array& a) { return to_bytes(io::npy_header(a.dtype(), a.shape())); },
      nb::arg("arr"));
  m.def(
      "_safetensors_header",
      [](const NamedArrays& arrays, const FileMetadata& metadata) {
        std::vector<io::SafetensorsEntry> entries = io::entries_of(arrays);
        std::string text = io::safetensors_header(entries, metadata);
        std::vector<size_t> order(entries.size());
        for (size_t i = 0; i < order.size(); ++i) order[i] = i;
        std::stable_sort(order.begin(), order.end(),
                         [&](size_t a, size_t b) { return entries[a].begin < entries[b].begin; });
        return nb::make_tuple(to_bytes(text), order);
      },
      nb::arg("arrays"), nb::arg("metadata"),
      nb::sig("def _safetensors_header(arrays: list[tuple[str, array]], metadata: "
              "list[tuple[str, str]]) -> tuple[bytes, list[int]]"));
  m.def(
      "_row_major",
      [](const array& a) {
        return without_gil([&] {
          array out = io::row_major_of(a);
          out.eval();
          return out;
        });
      },
      nb::arg("arr"), "The array, evaluated, its elements in row-major order in memory.");
  m.def(
      "_read_bytes",
      [](const array& a, uint64_t begin, uint64_t end) {
        PLIMSOLL_CHECK(a.is_available() && begin <= end && end <= a.nbytes(), ValueError,
                       "expected a range of an evaluated array");
        std::string bytes(end - begin, '\0');
        without_gil([&] { graph::evaluator().copy_out(*a.node(), {begin, end}, bytes.data()); });
        return to_bytes(bytes);
      },
      nb::arg("arr"), nb::arg("begin"), nb::arg("end"),
      "Some of the bytes of an array that _row_major returned.");
}

// A file for Python's zipfile that takes its name in the end.
struct OutputFile {
  explicit OutputFile(const std::string& path)
      : target(std::make_unique<memory::NewFile>(path, graph::evaluator().faults())) {}

  memory::NewFile& open() {
    if (!target) throw ValueError("[save] expected an open file, got one that was closed");
    return *target;
  }
  void write(std::string_view bytes) {
    File& file = *open().file();
    memory::write_all(file, std::as_bytes(std::span(bytes)), position);
    position += bytes.size();
    if (position < clean || position - clean >= kPiece) drop_cache();
  }
  // What is written leaves the page cache, which a cgroup charges to us.
  void drop_cache() {
    uint64_t begin = std::min(clean, position);
    target->file()->drop_cache(begin, position - begin);
    clean = position;
  }

  static constexpr uint64_t kPiece = 8 << 20;
  std::unique_ptr<memory::NewFile> target;
  uint64_t position = 0;
  uint64_t clean = 0;
};

void bind_output(nb::module_& m) {
  nb::class_<OutputFile>(m, "_OutputFile")
      .def(nb::init<const std::string&>(), nb::arg("path"))
      .def(
          "write",
          [](OutputFile& f, nb::handle data) {
            Py_buffer view;
            if (PyObject_GetBuffer(data.ptr(), &view, PyBUF_SIMPLE) != 0) throw nb::python_error();
            struct Release {
              Py_buffer& view;
              ~Release() { PyBuffer_Release(&view); }
            } release{view};
            std::string_view bytes(static_cast<const char*>(view.buf),
                                   static_cast<size_t>(view.len));
            without_gil([&] { f.write(bytes); });
            return bytes.size();
          },
          nb::arg("data"))
      .def("tell", [](OutputFile& f) { return f.position; })
      .def(
          "seek",
          [](OutputFile& f, int64_t offset, int whence) {
            int64_t base = whence == 0   ? 0
                           : whence == 1 ? static_cast<int64_t>(f.position)
                                         : static_cast<int64_t>(f.open().file()->size());
            PLIMSOLL_CHECK(whence >= 0 && whence <= 2 && base + offset >= 0, ValueError,
                           "[save] expected an offset inside the file, got {}", offset);
            return f.position = static_cast<uint64_t>(base + offset);
          },
          nb::arg("offset"), nb::arg("whence") = 0)
      .def("flush", [](OutputFile&) {})
      .def("commit",
           [](OutputFile& f) {
             without_gil([&] {
               f.open();
               f.drop_cache();
               f.target->commit();
               f.target.reset();
             });
           })
      .def("abandon", [](OutputFile& f) { f.target.reset(); });
}

}  // namespace

void bind_io(nb::module_& m) {
  bind_input(m);
  bind_load(m);
  bind_save(m);
  bind_output(m);
}

}  // namespace plimsoll::python
