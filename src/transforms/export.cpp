#include "plimsoll/export.h"

#include <algorithm>
#include <set>

#include "base/bytes.h"
#include "base/check.h"
#include "graph/room.h"
#include "io/region.h"
#include "io/save.h"
#include "memory/new_file.h"
#include "transforms/export_format.h"

namespace plimsoll {
namespace transforms {
namespace {

constexpr std::string_view kMagic("PLIMSFN\n", 8);
constexpr uint32_t kVersion = 1;
constexpr uint64_t kHead = 24;  // magic, version, zeros, length of the body

// ---- Which dimensions may differ.

/// The place of a dimension: an input and an axis of it.
using Place = std::pair<size_t, size_t>;

/// Traces the function for other sizes and looks whether its operations stay the same.
class FreeDimensions {
 public:
  FreeDimensions(const Function& fn, const Recording& first)
      : fn_(fn), form_(shapeless_form(first)) {
    for (const array& a : first.inputs()) specs_.push_back(a.node()->spec());
    for (const TensorSpec& s : specs_)
      for (int64_t d : s.shape) taken_.insert(d);
  }

  /// Symbols of the dimensions: those that may differ on their own have one each; of the others,
  /// those of one size that may differ together share one; 0: fixed.
  void find(std::vector<TraceInput>& inputs) {
    std::vector<Place> free, rest;
    for (size_t i = 0; i < specs_.size(); ++i)
      for (size_t d = 0; d < specs_[i].shape.size(); ++d)
        (stays_with({{i, d}}) ? free : rest).push_back({i, d});
    for (const Place& p : free) inputs[p.first].symbols[p.second] = ++symbols_;
    while (!rest.empty()) {
      const int64_t size = size_at(rest[0]);
      std::vector<Place> alike;
      std::erase_if(rest, [&](const Place& p) {
        if (size_at(p) != size) return false;
        alike.push_back(p);
        return true;
      });
      if (alike.size() < 2 || !stays_with(alike)) continue;
      ++symbols_;
      for (const Place& p : alike) inputs[p.first].symbols[p.second] = symbols_;
      free.insert(free.end(), alike.begin(), alike.end());
    }
    if (free.empty() || together(inputs)) return;
    for (TraceInput& input : inputs) std::fill(input.symbols.begin(), input.symbols.end(), 0);
  }

 private:
  int64_t size_at(const Place& p) const { return specs_[p.first].shape[p.second]; }

  int64_t other_size(int64_t size) {
    int64_t other = 2 * size + 3;
    while (!taken_.insert(other).second) other += 2;
    return other;
  }

  bool stays_with(const std::vector<Place>& places) {
    std::vector<TensorSpec> specs = specs_;
    const int64_t other = other_size(size_at(places[0]));
    for (const Place& p : places) specs[p.first].shape[p.second] = other;
    return stays(specs);
  }

  /// All free dimensions at once, each symbol with a size of its own.
  bool together(const std::vector<TraceInput>& inputs) {
    std::vector<TensorSpec> specs = specs_;
    std::vector<int64_t> sizes(symbols_ + size_t{1}, 0);
    for (size_t i = 0; i < specs.size(); ++i)
      for (size_t d = 0; d < specs[i].shape.size(); ++d)
        if (uint16_t symbol = inputs[i].symbols[d]) {
          if (sizes[symbol] == 0) sizes[symbol] = other_size(specs[i].shape[d]);
          specs[i].shape[d] = sizes[symbol];
        }
    return stays(specs);
  }

  bool stays(const std::vector<TensorSpec>& specs) {
    Arrays inputs;
    for (const TensorSpec& s : specs) inputs.push_back(placeholder(s.shape, s.dtype));
    try {
      return shapeless_form(Recording(fn_, inputs)) == form_;
    } catch (const ValueError&) {  // the function does not take such shapes
    } catch (const TypeError&) {
    } catch (const IndexError&) {
    }
    return false;
  }

  const Function& fn_;
  std::string form_;
  std::vector<TensorSpec> specs_;
  std::set<int64_t> taken_;
  uint16_t symbols_ = 0;
};

bool fits(const TraceInput& expected, const array& a) {
  if (a.dtype() != expected.dtype || a.shape().size() != expected.shape.size()) return false;
  for (size_t d = 0; d < expected.shape.size(); ++d)
    if (expected.symbols[d] == 0 && a.shape()[d] != expected.shape[d]) return false;
  return true;
}

/// REQUIRES: the keywords ascend.
bool fits(const std::vector<TraceInput>& inputs, const Arrays& arrays,
          const std::vector<std::string>& names) {
  if (arrays.size() != inputs.size()) return false;
  std::unordered_map<uint16_t, int64_t> sizes;
  for (size_t i = 0; i < arrays.size(); ++i) {
    const TraceInput& expected = inputs[i];
    if (names[i] != expected.keyword || !fits(expected, arrays[i])) return false;
    for (size_t d = 0; d < expected.shape.size(); ++d)
      if (uint16_t symbol = expected.symbols[d])
        if (sizes.emplace(symbol, arrays[i].shape()[d]).first->second != arrays[i].shape()[d])
          return false;
  }
  return true;
}

std::string signature(const TraceInput& input) {
  std::vector<std::string> dims;
  for (size_t d = 0; d < input.shape.size(); ++d)
    dims.push_back(input.symbols[d] ? fmt::format("n{}", input.symbols[d])
                                    : std::to_string(input.shape[d]));
  return fmt::format("{}{}{}({})", input.keyword, input.keyword.empty() ? "" : "=",
                     name_of(input.dtype), fmt::join(dims, ", "));
}

std::string signature(const std::vector<TraceInput>& inputs) {
  std::vector<std::string> parts;
  parts.reserve(inputs.size());
  for (const TraceInput& input : inputs) parts.push_back(signature(input));
  return fmt::format("({})", fmt::join(parts, ", "));
}

/// Arguments in the order of a trace's inputs.
struct Arguments {
  Arrays arrays;
  std::vector<std::string> names;  // empty: positional

  Arguments(const Arrays& args, const NamedArrays& keywords) : arrays(args), names(args.size()) {
    NamedArrays sorted = keywords;
    std::sort(sorted.begin(), sorted.end(), [](auto& a, auto& b) { return a.first < b.first; });
    for (auto& [name, a] : sorted) {
      names.push_back(std::move(name));
      arrays.push_back(std::move(a));
    }
  }

  std::vector<TraceInput> inputs() const {
    std::vector<TraceInput> out;
    for (size_t i = 0; i < arrays.size(); ++i)
      out.push_back({names[i], arrays[i].dtype(), arrays[i].shape(),
                     std::vector<uint16_t>(arrays[i].shape().size(), 0)});
    return out;
  }
};

// ---- The file.

std::string head_of(const std::string& body, uint64_t data_bytes) {
  std::string out(kMagic);
  put(out, kVersion);
  put(out, uint32_t{0});
  put(out, static_cast<uint64_t>(body.size()));
  out += body;
  out.resize(round_up(out.size(), data_bytes >= io::kLargeData ? io::kBlock : 64), '\0');
  return out;
}

struct FileHead {
  uint64_t body = 0;  // its length
  uint64_t data = 0;  // offset of the arrays
};

FileHead read_head(const io::Region& region) {
  PLIMSOLL_CHECK(region.size() >= kHead, ValueError, "expected at least {} bytes, got {}", kHead,
                 region.size());
  std::string bytes(kHead, '\0');
  region.read(std::as_writable_bytes(std::span(bytes)), 0);
  ByteReader in(bytes);
  PLIMSOLL_CHECK(in.take(kMagic.size()) == kMagic, ValueError,
                 "expected a file of export_function, got other bytes");
  auto version = in.get<uint32_t>();
  PLIMSOLL_CHECK(version == kVersion, ValueError, "expected version {}, got {}", kVersion, version);
  PLIMSOLL_CHECK(in.get<uint32_t>() == 0, ValueError, "expected 0 behind the version");
  FileHead head;
  head.body = in.get<uint64_t>();
  PLIMSOLL_CHECK(head.body > 0 && head.body <= region.size() - kHead, ValueError,
                 "expected {} bytes of traces, got {}; is the file complete?", head.body,
                 region.size() - kHead);
  return head;
}

/// Arrays lie behind each other, each on a multiple of 64 bytes of the data.
uint64_t place(uint64_t& end, uint64_t bytes) {
  uint64_t begin = round_up(end, bytes >= io::kLargeData ? io::kBlock : 64);
  end = begin + bytes;
  return begin;
}

Arrays read_arrays(const io::Region& region, uint64_t body, ByteReader& in) {
  struct Entry {
    TensorSpec spec;
    uint64_t begin, bytes;
  };
  std::vector<Entry> entries(in.count(10));
  uint64_t end = 0;
  for (Entry& e : entries) {
    e.spec = get_spec(in);
    e.bytes = io::checked_bytes(e.spec.shape, e.spec.dtype, region.name);
    e.begin = in.get<uint64_t>();
    PLIMSOLL_CHECK(e.begin >= end && e.begin <= region.size() && e.bytes <= region.size() - e.begin,
                   ValueError,
                   "expected arrays behind each other inside the file, got {} bytes "
                   "at {} of {}",
                   e.bytes, e.begin, region.size());
    end = e.begin + e.bytes;
  }
  const uint64_t data = round_up(kHead + body, end >= io::kLargeData ? io::kBlock : 64);
  PLIMSOLL_CHECK(end == 0 || (data <= region.size() && end <= region.size() - data), ValueError,
                 "expected {} bytes of arrays at {}, got {} bytes; is the file complete?", end,
                 data, region.size());
  Arrays out;
  for (const Entry& e : entries)
    out.push_back(io::array_at(region, e.bytes ? data + e.begin : 0, e.spec.shape, e.spec.dtype,
                               io::decode_of(e.spec.dtype, false)));
  return out;
}

}  // namespace
}  // namespace transforms

using transforms::Arguments;
using transforms::SavedTrace;

struct FunctionExporter::State {
  std::string path, metadata;
  bool shapeless;
  bool closed = false;
  transforms::CapturedArrays captured;
  std::vector<std::string> traces;
  std::vector<std::vector<transforms::TraceInput>> signatures;
};

FunctionExporter::FunctionExporter(std::string path, bool shapeless, std::string metadata)
    : state_(new State{std::move(path), std::move(metadata), shapeless, false, {}, {}, {}}) {}
FunctionExporter::~FunctionExporter() = default;

void FunctionExporter::add(const Function& fn, const Arrays& args, const NamedArrays& keywords) {
  PLIMSOLL_CHECK(!state_->closed, Error, "[export_function] expected an open exporter");
  Arguments given(args, keywords);
  for (const auto& s : state_->signatures)
    PLIMSOLL_CHECK(!transforms::fits(s, given.arrays, given.names), Error,
                   "[export_function] expected one trace for a signature, got {} again",
                   transforms::signature(s));
  SavedTrace trace{given.inputs(), transforms::Recording(fn, given.arrays)};
  if (state_->shapeless) transforms::FreeDimensions(fn, trace.recording).find(trace.inputs);
  state_->traces.push_back(transforms::encode_trace(trace, state_->captured));
  state_->signatures.push_back(std::move(trace.inputs));
}

void FunctionExporter::close() {
  PLIMSOLL_CHECK(!state_->closed, Error, "[export_function] expected an open exporter");
  state_->closed = true;
  memory::NewFile file(state_->path, graph::evaluator().faults());
  std::string body;
  put(body, std::string_view(state_->metadata));
  Arrays arrays;
  std::vector<uint64_t> begins;
  uint64_t end = 0;
  put(body, static_cast<uint32_t>(state_->captured.arrays().size()));
  for (const array& a : state_->captured.arrays()) {
    arrays.push_back(io::row_major_of(a));
    begins.push_back(transforms::place(end, a.nbytes()));
    transforms::put_spec(body, a.dtype(), a.shape());
    put(body, begins.back());
  }
  put(body, static_cast<uint32_t>(state_->traces.size()));
  for (const std::string& trace : state_->traces) put(body, std::string_view(trace));
  std::string head = transforms::head_of(body, end);
  io::Sinks sinks;
  for (size_t i = 0; i < arrays.size(); ++i)
    sinks.push_back(std::make_shared<memory::FileSink>(file.file(), head.size() + begins[i],
                                                       arrays[i].nbytes()));
  io::write_file(file, head, head.size() + end, arrays, sinks);
}

struct ImportedFunction::State {
  std::string metadata;
  std::vector<SavedTrace> traces;
};

ImportedFunction::ImportedFunction(const std::string& path) {
  auto state = std::make_shared<State>();
  io::Region region = io::open_region(path);
  try {
    transforms::FileHead head = transforms::read_head(region);
    // Traces may be large: their bytes are charged like an array.
    graph::Room room = graph::make_room(head.body);
    region.read({room.pin.data(), head.body}, transforms::kHead);
    ByteReader in({reinterpret_cast<const char*>(room.pin.data()), head.body});
    state->metadata = in.text();
    Arrays captured = transforms::read_arrays(region, head.body, in);
    auto count = in.count(sizeof(uint32_t));
    for (uint32_t i = 0; i < count; ++i)
      state->traces.push_back(transforms::decode_trace(in.text(), captured));
    PLIMSOLL_CHECK(in.empty(), ValueError, "expected nothing behind the last trace");
  } catch (const ValueError& e) {
    throw ValueError(fmt::format("[import_function] {}: {}", path, e.what()));
  }
  state_ = std::move(state);
}

Arrays ImportedFunction::operator()(const Arrays& args, const NamedArrays& keywords) const {
  Arguments given(args, keywords);
  for (const SavedTrace& trace : state_->traces)
    if (transforms::fits(trace.inputs, given.arrays, given.names))
      return trace.recording.fits(given.arrays) ? trace.recording.replay(given.arrays)
                                                : trace.recording.replay_anew(given.arrays);
  std::vector<std::string> known;
  for (const SavedTrace& trace : state_->traces)
    known.push_back(transforms::signature(trace.inputs));
  throw ValueError(fmt::format("[import_function] expected arguments of one of {}, got {}",
                               fmt::join(known, ", "), transforms::signature(given.inputs())));
}

const std::string& ImportedFunction::metadata() const { return state_->metadata; }

}  // namespace plimsoll
