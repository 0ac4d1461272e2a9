#include "io/gguf.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <unordered_set>

#include "base/byte_stream.h"
#include "base/bytes.h"
#include "base/check.h"
#include "graph/node.h"
#include "memory/new_file.h"
#include "plimsoll/ops/binary.h"
#include "plimsoll/ops/cast.h"
#include "plimsoll/ops/creation.h"
#include "plimsoll/ops/join.h"
#include "plimsoll/ops/reinterpret.h"
#include "plimsoll/ops/view.h"

namespace plimsoll::io {
namespace {

constexpr std::string_view kMagic = "GGUF";
constexpr uint32_t kVersion = 3;
constexpr uint64_t kAlignment = 32;
constexpr std::string_view kAlignmentKey = "general.alignment";
constexpr int64_t kBlockElements = 32;  // of Q4_0, Q4_1 and Q8_0

// ---- Types.

enum ValueType : uint32_t { kBoolValue = 7, kStringValue = 8, kArrayValue = 9 };

/// A metadata type of numbers (and bool) is a dtype.
std::optional<Dtype> dtype_of_value(uint32_t type) {
  constexpr Dtype kTypes[] = {Dtype::kUint8,  Dtype::kInt8,  Dtype::kUint16,  Dtype::kInt16,
                              Dtype::kUint32, Dtype::kInt32, Dtype::kFloat32, Dtype::kBool};
  if (type < std::size(kTypes)) return kTypes[type];
  if (type == 10) return Dtype::kUint64;
  if (type == 11) return Dtype::kInt64;
  if (type == 12) return Dtype::kFloat64;
  return std::nullopt;
}

std::optional<uint32_t> value_type_of(Dtype dtype) {
  for (uint32_t type = 0; type <= 12; ++type)
    if (dtype_of_value(type) == dtype) return type;
  return std::nullopt;
}

struct TensorType {
  uint32_t number;
  Dtype dtype;
};
constexpr TensorType kTensorTypes[] = {
    {0, Dtype::kFloat32}, {1, Dtype::kFloat16}, {24, Dtype::kInt8},    {25, Dtype::kInt16},
    {26, Dtype::kInt32},  {27, Dtype::kInt64},  {28, Dtype::kFloat64}, {30, Dtype::kBfloat16}};

/// Blocks of 32 elements: a scale, perhaps an offset (float16), the elements.
struct BlockType {
  uint32_t number;
  int bits;
  bool offset;
  int64_t bytes() const { return 2 + 2 * offset + kBlockElements * bits / 8; }
};
constexpr BlockType kBlockTypes[] = {{2, 4, false}, {3, 4, true}, {8, 8, false}};

/// The bytes of each block of a tensor's last axis.
Shape shape_of_blocks(Shape shape, const BlockType& type) {
  shape.back() /= kBlockElements;
  shape.push_back(type.bytes());
  return shape;
}

template <typename T, size_t N>
const T* find_type(const T (&types)[N], uint32_t number) {
  const T* at = std::find_if(types, types + N, [&](const T& t) { return t.number == number; });
  return at == types + N ? nullptr : at;
}

// ---- Reading.

/// Goes through the region from its beginning, a piece at a time.
class Cursor {
 public:
  explicit Cursor(const Region& region) : region_(region) {}

  uint64_t position() const { return at_; }
  uint64_t left() const { return region_.size() - at_; }
  template <typename T>
  T number() {
    T value;
    read({reinterpret_cast<char*>(&value), sizeof(T)}, "a number");
    return value;
  }
  std::string text(const char* what) {
    auto size = number<uint64_t>();
    need(size, what);
    std::string out(size, '\0');
    read({out.data(), out.size()}, what);
    return out;
  }
  /// A number of things of at least `least` bytes each.
  uint64_t count(uint64_t least, const char* what) {
    auto n = number<uint64_t>();
    PLIMSOLL_CHECK(n <= left() / least, ValueError,
                   "[load] expected a number of {} that the {} bytes left can hold, got {} in {}",
                   what, left(), n, region_.name);
    return n;
  }
  void skip(uint64_t bytes, const char* what) {
    need(bytes, what);
    at_ += bytes;
  }

 private:
  void need(uint64_t bytes, const char* what) const {
    PLIMSOLL_CHECK(bytes <= left(), ValueError,
                   "[load] expected {} of {} bytes, got the end of the file {} bytes on: {}", what,
                   bytes, left(), region_.name);
  }
  void read(std::span<char> to, const char* what) {
    need(to.size(), what);
    while (!to.empty()) {
      if (at_ < begin_ || at_ >= begin_ + piece_.size()) fill();
      size_t n = std::min<size_t>(to.size(), begin_ + piece_.size() - at_);
      std::memcpy(to.data(), piece_.data() + (at_ - begin_), n);
      to = to.subspan(n);
      at_ += n;
    }
  }
  void fill() {
    constexpr uint64_t kPiece = 64 << 10;
    piece_.resize(std::min(kPiece, left()));
    begin_ = at_;
    region_.read(std::as_writable_bytes(std::span(piece_)), at_);
  }

  const Region& region_;
  std::string piece_;
  uint64_t begin_ = 0, at_ = 0;
};

struct Tensor {
  std::string name;
  Shape shape;
  uint32_t type = 0;
  uint64_t begin = 0, bytes = 0;
};

array numbers(const Region& region, Cursor& in, Dtype dtype, Shape shape) {
  uint64_t bytes = checked_bytes(shape, dtype, region.name), begin = in.position();
  in.skip(bytes, "metadata");
  return array_at(region, begin, shape, dtype, decode_of(dtype, false));
}

GgufValue read_value(const Region& region, Cursor& in, const std::string& key) {
  auto type = in.number<uint32_t>();
  if (type == kStringValue) return in.text("metadata");
  if (auto dtype = dtype_of_value(type)) return numbers(region, in, *dtype, {});
  PLIMSOLL_CHECK(type == kArrayValue, ValueError,
                 "[load] expected metadata of a type below 13, got {} for {} in {}", type,
                 quote(key), region.name);
  auto inner = in.number<uint32_t>();
  if (inner == kStringValue) {
    std::vector<std::string> texts(in.count(8, "texts"));
    for (std::string& text : texts) text = in.text("metadata");
    return texts;
  }
  auto dtype = dtype_of_value(inner);
  PLIMSOLL_CHECK(dtype, ValueError,
                 "[load] expected a list of texts or numbers as {}, got elements of type {} in {}",
                 quote(key), inner, region.name);
  uint64_t n = in.count(size_of(*dtype), "numbers");
  return numbers(region, in, *dtype, {static_cast<int64_t>(n)});
}

GgufMetadata read_metadata(const Region& region, Cursor& in, uint64_t count) {
  GgufMetadata out;
  std::unordered_set<std::string> seen;
  for (uint64_t i = 0; i < count; ++i) {
    std::string key = in.text("a key");
    PLIMSOLL_CHECK(seen.insert(key).second, ValueError, "[load] expected a key once, got {} in {}",
                   quote(key), region.name);
    GgufValue value = read_value(region, in, key);
    out.emplace_back(std::move(key), std::move(value));
  }
  return out;
}

uint64_t alignment_of(const GgufMetadata& metadata, const std::string& file) {
  for (const auto& [key, value] : metadata) {
    if (key != kAlignmentKey) continue;
    const auto* a = std::get_if<array>(&value);
    PLIMSOLL_CHECK(a && a->ndim() == 0 && a->dtype() == Dtype::kUint32, ValueError,
                   "[load] expected {} of type uint32 in {}", key, file);
    int64_t alignment = a->item_int();
    PLIMSOLL_CHECK(alignment > 0 && alignment % 8 == 0 && alignment <= (1 << 20), ValueError,
                   "[load] expected a multiple of 8 up to 2^20 as {}, got {} in {}", key, alignment,
                   file);
    return static_cast<uint64_t>(alignment);
  }
  return kAlignment;
}

Tensor read_tensor(const Region& region, Cursor& in, uint64_t alignment) {
  Tensor t;
  t.name = in.text("a tensor's name");
  auto dims = in.number<uint32_t>();
  PLIMSOLL_CHECK(dims <= kMaxDims, ValueError,
                 "[load] expected at most {} dimensions, got {} for {} in {}", kMaxDims, dims,
                 quote(t.name), region.name);
  t.shape.resize(dims);
  for (uint32_t i = 0; i < dims; ++i) {  // the innermost comes first
    auto d = in.number<uint64_t>();
    PLIMSOLL_CHECK(d <= uint64_t{1} << 56, ValueError,
                   "[load] expected a dimension of at most 2^56, got {} for {} in {}", d,
                   quote(t.name), region.name);
    t.shape[dims - 1 - i] = static_cast<int64_t>(d);
  }
  t.type = in.number<uint32_t>();
  t.begin = in.number<uint64_t>();
  PLIMSOLL_CHECK(t.begin % alignment == 0, ValueError,
                 "[load] expected {} on a multiple of {} bytes, got {} in {}", quote(t.name),
                 alignment, t.begin, region.name);
  if (const TensorType* type = find_type(kTensorTypes, t.type)) {
    t.bytes = checked_bytes(t.shape, type->dtype, region.name);
    return t;
  }
  const BlockType* type = find_type(kBlockTypes, t.type);
  PLIMSOLL_CHECK(
      type, ValueError,
      "[load] expected a tensor of F32, F16, BF16, F64, I8, I16, I32, I64, Q4_0, Q4_1 or "
      "Q8_0, got type {} for {} in {}",
      t.type, quote(t.name), region.name);
  PLIMSOLL_CHECK(dims > 0 && t.shape.back() % kBlockElements == 0, ValueError,
                 "[load] expected a last axis of whole blocks of {}, got shape {} for {} in {}",
                 kBlockElements, to_string(t.shape), quote(t.name), region.name);
  t.bytes = checked_bytes(shape_of_blocks(t.shape, *type), Dtype::kUint8, region.name);
  return t;
}

/// Every tensor is inside the data and apart from the others.
void check_ranges(const std::vector<Tensor>& tensors, uint64_t data, const std::string& file) {
  std::vector<const Tensor*> order;
  for (const Tensor& t : tensors) {
    PLIMSOLL_CHECK(t.begin <= data && t.bytes <= data - t.begin, ValueError,
                   "[load] expected {} inside the {} bytes of data, got {} bytes at {} in {}; is "
                   "the file complete?",
                   quote(t.name), data, t.bytes, t.begin, file);
    if (t.bytes > 0) order.push_back(&t);
  }
  std::sort(order.begin(), order.end(), [](auto* a, auto* b) { return a->begin < b->begin; });
  for (size_t i = 1; i < order.size(); ++i)
    PLIMSOLL_CHECK(order[i - 1]->begin + order[i - 1]->bytes <= order[i]->begin, ValueError,
                   "[load] expected tensors that do not overlap, got {} and {} in {}",
                   quote(order[i - 1]->name), quote(order[i]->name), file);
}

// ---- Blocks of quantized elements.

/// Columns [begin, end) of the last axis.
array columns(const array& a, int64_t begin, int64_t end, int64_t step = 1) {
  Dims start(a.shape().size(), 0), stop = a.shape(), by(a.shape().size(), 1);
  start.back() = begin;
  stop.back() = end;
  by.back() = step;
  return slice(a, start, stop, by);
}

array byte(int value) { return array(int64_t{value}, Dtype::kUint8); }

/// Elements of MLX's order, an element in the low bits before one in the high bits, of blocks that
/// hold elements 0 to 15 in the low halves of their bytes and 16 to 31 in the high halves.
array nibbles(const array& packed) {
  array even = columns(packed, 0, 16, 2), odd = columns(packed, 1, 16, 2);
  array low = bitwise_or(bitwise_and(even, byte(15)), left_shift(odd, byte(4)));
  array high = bitwise_or(right_shift(even, byte(4)), bitwise_and(odd, byte(240)));
  return concatenate({low, high}, -1);
}

/// weight (uint32), scales and biases (float16) of quantized_matmul's affine mode, groups of 32.
void add_blocks(NamedArrays& out, const Region& region, uint64_t data, const Tensor& t,
                const BlockType& type) {
  Shape shape = shape_of_blocks(t.shape, type);
  const int64_t bytes = type.bytes(), blocks = shape[shape.size() - 2];
  const Shape scale_shape(shape.begin(), shape.end() - 1);
  array raw = array_at(region, data + t.begin, shape, Dtype::kUint8, memory::Decode::kAsIs);
  const int64_t head = 2 + 2 * type.offset;
  array scales = reshape(view(columns(raw, 0, 2), Dtype::kFloat16), scale_shape);
  const int zero = 1 << (type.bits - 1);
  array biases = type.offset ? reshape(view(columns(raw, 2, 4), Dtype::kFloat16), scale_shape)
                             : scales * array(static_cast<double>(-zero), Dtype::kFloat16);
  array elements = columns(raw, head, bytes);
  elements = type.bits == 4 ? nibbles(elements) : bitwise_xor(elements, byte(128));
  shape.pop_back();
  shape.back() = blocks * (bytes - head) / 4;
  Shape in_bytes = shape;
  in_bytes.back() *= 4;
  array weight = view(reshape(elements, in_bytes), Dtype::kUint32);
  constexpr std::string_view kWeight = ".weight";
  std::string stem = t.name;
  if (stem.ends_with(kWeight)) stem.resize(stem.size() - kWeight.size());
  out.emplace_back(t.name, weight);
  out.emplace_back(stem + ".scales", scales);
  out.emplace_back(stem + ".biases", biases);
}

NamedArrays arrays_of(const Region& region, uint64_t data, const std::vector<Tensor>& tensors) {
  // In the order of the file: a stream is then read without going back.
  std::vector<const Tensor*> order;
  order.reserve(tensors.size());
  for (const Tensor& t : tensors) order.push_back(&t);
  std::stable_sort(order.begin(), order.end(),
                   [](auto* a, auto* b) { return a->begin < b->begin; });
  NamedArrays out;
  for (const Tensor* t : order) {
    if (const TensorType* type = find_type(kTensorTypes, t->type))
      out.emplace_back(
          t->name, array_at(region, data + t->begin, t->shape, type->dtype, memory::Decode::kAsIs));
    else
      add_blocks(out, region, data, *t, *find_type(kBlockTypes, t->type));
  }
  std::unordered_set<std::string_view> seen;
  for (const auto& [name, a] : out)
    PLIMSOLL_CHECK(seen.insert(name).second, ValueError,
                   "[load] expected names that differ, got {} again in {}", quote(name),
                   region.name);
  return out;
}

uint64_t aligned(uint64_t n, uint64_t to) { return (n + to - 1) / to * to; }

// ---- Writing.

void put_text(std::string& out, std::string_view text) {
  put(out, static_cast<uint64_t>(text.size()));
  out += text;
}

void put_value(std::string& out, const std::string& key, const GgufValue& value) {
  if (const auto* text = std::get_if<std::string>(&value)) {
    put(out, uint32_t{kStringValue});
    put_text(out, *text);
    return;
  }
  if (const auto* texts = std::get_if<std::vector<std::string>>(&value)) {
    put(out, uint32_t{kArrayValue});
    put(out, uint32_t{kStringValue});
    put(out, static_cast<uint64_t>(texts->size()));
    for (const std::string& text : *texts) put_text(out, text);
    return;
  }
  const array& a = std::get<array>(value);
  auto type = value_type_of(a.dtype());
  PLIMSOLL_CHECK(
      type, ValueError,
      "[save_gguf] expected metadata of bool, integers, float32 or float64, got {} as {}",
      name_of(a.dtype()), quote(key));
  PLIMSOLL_CHECK(a.ndim() <= 1 && a.size() > 0, ValueError,
                 "[save_gguf] expected a number or a list of numbers as {}, got shape {}",
                 quote(key), to_string(a.shape()));
  if (a.ndim() == 1) put(out, uint32_t{kArrayValue});
  put(out, *type);
  if (a.ndim() == 1) put(out, static_cast<uint64_t>(a.size()));
  std::string bytes(a.nbytes(), '\0');
  a.copy_to(bytes.data());
  out += bytes;
}

uint32_t tensor_type_of(const std::string& name, Dtype dtype) {
  for (const TensorType& t : kTensorTypes)
    if (t.dtype == dtype) return t.number;
  throw ValueError(fmt::format(
      "[save_gguf] expected float32, float16, bfloat16, float64 or signed integers, got {} as {}; "
      "cast it with astype",
      name_of(dtype), quote(name)));
}

}  // namespace

Gguf load_gguf(const Region& region) {
  Cursor in(region);
  PLIMSOLL_CHECK(region.size() >= 24, ValueError,
                 "[load] expected a GGUF file, got one of {} bytes: {}", region.size(),
                 region.name);
  char magic[4];
  for (char& c : magic) c = in.number<char>();
  PLIMSOLL_CHECK(std::string_view(magic, 4) == kMagic, ValueError,
                 "[load] expected a GGUF file, got one that starts with {}: {}", quote({magic, 4}),
                 region.name);
  auto version = in.number<uint32_t>();
  PLIMSOLL_CHECK(version == 2 || version == 3, ValueError,
                 "[load] expected GGUF of version 2 or 3, little-endian, got {} in {}", version,
                 region.name);
  uint64_t num_tensors = in.count(24, "tensors");
  uint64_t num_metadata = in.count(13, "metadata");
  Gguf out;
  out.metadata = read_metadata(region, in, num_metadata);
  const uint64_t alignment = alignment_of(out.metadata, region.name);
  std::vector<Tensor> tensors;
  for (uint64_t i = 0; i < num_tensors; ++i) tensors.push_back(read_tensor(region, in, alignment));
  const uint64_t data = std::min(aligned(in.position(), alignment), region.size());
  check_ranges(tensors, region.size() - data, region.name);
  out.arrays = arrays_of(region, data, tensors);
  return out;
}

GgufHeader gguf_header(const NamedArrays& arrays, const GgufMetadata& metadata) {
  GgufHeader header;
  std::string& out = header.text;
  out = kMagic;
  put(out, kVersion);
  put(out, static_cast<uint64_t>(arrays.size()));
  put(out, static_cast<uint64_t>(metadata.size()));
  std::unordered_set<std::string_view> seen;
  for (const auto& [key, value] : metadata) {
    PLIMSOLL_CHECK(seen.insert(key).second && key != kAlignmentKey, ValueError,
                   "[save_gguf] expected a key once, and none of {}, got {}", kAlignmentKey,
                   quote(key));
    put_text(out, key);
    put_value(out, key, value);
  }
  seen.clear();
  for (const auto& [name, a] : arrays) {
    PLIMSOLL_CHECK(seen.insert(name).second, ValueError,
                   "[save_gguf] expected names that differ, got {} again", quote(name));
    put_text(out, name);
    put(out, static_cast<uint32_t>(a.shape().size()));
    for (size_t i = a.shape().size(); i-- > 0;) put(out, static_cast<uint64_t>(a.shape()[i]));
    put(out, tensor_type_of(name, a.dtype()));
    header.begins.push_back(aligned(header.bytes, kAlignment));
    put(out, header.begins.back());
    header.bytes = header.begins.back() + a.nbytes();
  }
  out.resize(aligned(out.size(), kAlignment), '\0');
  return header;
}

}  // namespace plimsoll::io

namespace plimsoll {

Gguf load_gguf(const std::string& path) { return io::load_gguf(io::open_region(path)); }

void save_gguf(const std::string& path, const NamedArrays& arrays, const GgufMetadata& metadata) {
  io::GgufHeader header = io::gguf_header(arrays, metadata);
  memory::NewFile file(path, graph::evaluator().faults());
  std::vector<array> outputs;
  io::Sinks sinks;
  for (size_t i = 0; i < arrays.size(); ++i) {
    outputs.push_back(io::row_major_of(arrays[i].second));
    sinks.push_back(std::make_shared<memory::FileSink>(
        file.file(), header.text.size() + header.begins[i], outputs.back().nbytes()));
  }
  io::write_file(file, header.text, header.text.size() + header.bytes, outputs, sinks);
}

}  // namespace plimsoll
