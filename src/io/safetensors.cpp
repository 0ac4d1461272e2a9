#include "io/safetensors.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <unordered_set>
#include <utility>

#include "base/check.h"
#include "graph/node.h"
#include "graph/room.h"
#include "io/safetensors_json.h"

namespace plimsoll::io {
namespace {

constexpr uint64_t kMaxHeader = 100'000'000;  // the format's own bound

uint64_t header_size(const Region& region) {
  std::array<unsigned char, 8> bytes{};
  PLIMSOLL_CHECK(region.size() >= 8, ValueError,
                 "[load] expected a safetensors file, got one of {} bytes: {}", region.size(),
                 region.name);
  region.read(std::as_writable_bytes(std::span(bytes)), 0);
  uint64_t size = 0;
  for (size_t i = 0; i < 8; ++i) size |= static_cast<uint64_t>(bytes[i]) << (8 * i);
  PLIMSOLL_CHECK(size <= kMaxHeader && size <= region.size() - 8, ValueError,
                 "[load] expected a safetensors header of at most {} bytes inside the file, got "
                 "one of {} bytes in a file of {} bytes: {}",
                 kMaxHeader, size, region.size(), region.name);
  return size;
}

void check_entry(const SafetensorsEntry& e, const std::string& file, uint64_t data_size) {
  uint64_t bytes = checked_bytes(e.shape, e.dtype, file);
  PLIMSOLL_CHECK(e.begin <= e.end && e.end <= data_size, ValueError,
                 "[load] expected data_offsets of {} inside the {} bytes of data, got [{}, {}] in "
                 "{}; is the file complete?",
                 quote(e.name), data_size, e.begin, e.end, file);
  PLIMSOLL_CHECK(e.end - e.begin == bytes, ValueError,
                 "[load] expected {} bytes for {} of shape {} and dtype {}, got data_offsets of {} "
                 "bytes in {}",
                 bytes, quote(e.name), to_string(e.shape), name_of(e.dtype), e.end - e.begin, file);
}

void check_apart(const std::vector<SafetensorsEntry>& entries, const std::string& file) {
  std::vector<const SafetensorsEntry*> order;
  for (const SafetensorsEntry& e : entries)
    if (e.end > e.begin) order.push_back(&e);
  std::sort(order.begin(), order.end(), [](auto* a, auto* b) { return a->begin < b->begin; });
  for (size_t i = 1; i < order.size(); ++i)
    PLIMSOLL_CHECK(order[i - 1]->end <= order[i]->begin, ValueError,
                   "[load] expected arrays that do not overlap, got {} at [{}, {}] and {} at [{}, "
                   "{}] in {}",
                   quote(order[i - 1]->name), order[i - 1]->begin, order[i - 1]->end,
                   quote(order[i]->name), order[i]->begin, order[i]->end, file);
}

std::string entry_text(const SafetensorsEntry& e) {
  return fmt::format(R"({}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})",
                     json_string(e.name), safetensors_name(e.dtype),
                     fmt::join(e.shape.begin(), e.shape.end(), ","), e.begin, e.end);
}

}  // namespace

SafetensorsHeader read_safetensors_header(const Region& region) {
  uint64_t size = header_size(region);
  // A header may be large: its text is charged like an array.
  graph::Room room = graph::make_room(size);
  SafetensorsHeader header;
  header.data = 8 + size;
  region.read({room.pin.data(), size}, 8);
  parse_safetensors_json({reinterpret_cast<const char*>(room.pin.data()), size}, region.name,
                         header);
  for (const SafetensorsEntry& e : header.entries)
    check_entry(e, region.name, region.size() - header.data);
  check_apart(header.entries, region.name);
  return header;
}

Safetensors load_safetensors(const Region& region) {
  SafetensorsHeader header = read_safetensors_header(region);
  Safetensors out;
  out.metadata = std::move(header.metadata);
  out.arrays.resize(header.entries.size());
  // In the order of the file: a stream is then read without going back.
  std::vector<size_t> order(header.entries.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return header.entries[a].begin < header.entries[b].begin; });
  for (size_t i : order) {
    SafetensorsEntry& e = header.entries[i];
    array a = array_at(region, header.data + e.begin, e.shape, e.dtype, decode_of(e.dtype, false));
    out.arrays[i] = {std::move(e.name), std::move(a)};
  }
  return out;
}

std::vector<SafetensorsEntry> entries_of(const NamedArrays& arrays) {
  std::vector<SafetensorsEntry> entries;
  std::unordered_set<std::string_view> names{"__metadata__"};
  for (const auto& [name, a] : arrays) {
    PLIMSOLL_CHECK(names.insert(name).second, ValueError,
                   "[save_safetensors] expected names that differ from each other and from "
                   "__metadata__, got {} again",
                   quote(name));
    entries.push_back({name, a.dtype(), a.shape(), 0, 0});
  }
  return entries;
}

std::string safetensors_header(std::vector<SafetensorsEntry>& entries,
                               const FileMetadata& metadata) {
  std::vector<SafetensorsEntry*> order;
  order.reserve(entries.size());
  for (SafetensorsEntry& e : entries) order.push_back(&e);
  std::stable_sort(order.begin(), order.end(),
                   [](auto* a, auto* b) { return size_of(a->dtype) > size_of(b->dtype); });
  uint64_t at = 0;
  for (SafetensorsEntry* e : order) {
    e->begin = at;
    at += static_cast<uint64_t>(num_elements(e->shape)) * size_of(e->dtype);
    e->end = at;
  }
  std::vector<std::string> parts;
  for (const auto& [key, value] : metadata)
    parts.push_back(json_string(key) + ":" + json_string(value));
  std::string texts = fmt::format("{{{}}}", fmt::join(parts, ","));
  parts.clear();
  if (!metadata.empty()) parts.push_back("\"__metadata__\":" + texts);
  for (const SafetensorsEntry& e : entries) parts.push_back(entry_text(e));
  std::string text = fmt::format("{{{}}}", fmt::join(parts, ","));
  text.resize(round_up(8 + text.size(), at >= kLargeData ? kBlock : 8) - 8, ' ');
  PLIMSOLL_CHECK(text.size() <= kMaxHeader, ValueError,
                 "[save_safetensors] expected names and metadata of at most {} bytes, got {}",
                 kMaxHeader, text.size());
  std::string length(8, '\0');
  for (size_t i = 0; i < 8; ++i) length[i] = static_cast<char>(text.size() >> (8 * i) & 255);
  return length + text;
}

}  // namespace plimsoll::io
