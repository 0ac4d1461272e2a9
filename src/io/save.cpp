#include "io/save.h"

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "graph/node.h"
#include "io/npy.h"
#include "io/safetensors.h"
#include "plimsoll/ops/view.h"

namespace plimsoll {
namespace io {

void write_file(memory::NewFile& target, const std::string& header, uint64_t total,
                std::span<const array> arrays, const Sinks& sinks) {
  memory::File& file = *target.file();
  // A full disk is known before anything is computed.
  file.allocate(0, total);
  memory::write_all(file, std::as_bytes(std::span(header)), 0);
  if (!arrays.empty()) graph::evaluator().eval_into(arrays, sinks);
  target.commit();
  for (const auto& sink : sinks) sink->seal();
}

array row_major_of(const array& a) {
  const graph::Node& node = *a.node();
  if (node.is(graph::Node::kConstant)) return a;
  // What an operation makes lies row-major; a view may not.
  bool done = node.storage ? is_row_contiguous(node.shape, node.storage->layout.strides)
                           : node.def != nullptr && node.def->kind != graph::Kind::kView;
  return done ? a : contiguous(a);
}

void save_npy(memory::NewFile& file, const array& a) {
  std::string header = npy_header(a.dtype(), a.shape());
  array out = row_major_of(a);
  write_file(file, header, header.size() + a.nbytes(), {&out, 1},
             {std::make_shared<memory::FileSink>(file.file(), header.size(), a.nbytes())});
}

void save_safetensors(memory::NewFile& file, const NamedArrays& arrays,
                      const FileMetadata& metadata) {
  std::vector<SafetensorsEntry> entries = entries_of(arrays);
  std::string header = safetensors_header(entries, metadata);
  std::vector<array> outputs;
  Sinks sinks;
  for (size_t i = 0; i < arrays.size(); ++i) {
    outputs.push_back(row_major_of(arrays[i].second));
    sinks.push_back(std::make_shared<memory::FileSink>(
        file.file(), header.size() + entries[i].begin, entries[i].end - entries[i].begin));
  }
  uint64_t total = header.size();
  for (const auto& sink : sinks) total += sink->size();
  write_file(file, header, total, outputs, sinks);
}

}  // namespace io

array load_npy(const std::string& path) { return io::load_npy(io::open_region(path)); }

Safetensors load_safetensors(const std::string& path) {
  return io::load_safetensors(io::open_region(path));
}

void save_npy(const std::string& path, const array& a) {
  memory::NewFile file(path, graph::evaluator().faults());
  io::save_npy(file, a);
}

void save_safetensors(const std::string& path, const NamedArrays& arrays,
                      const FileMetadata& metadata) {
  memory::NewFile file(path, graph::evaluator().faults());
  io::save_safetensors(file, arrays, metadata);
}

}  // namespace plimsoll
