#include "io/npy.h"

#include <array>
#include <charconv>
#include <cstring>
#include <optional>
#include <utility>

#include "base/check.h"
#include "plimsoll/io.h"

namespace plimsoll::io {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr uint64_t kMaxHeader = 1 << 16;

constexpr std::array<std::pair<std::string_view, Dtype>, kNumDtypes> kTypes{{
    {"b1", Dtype::kBool},
    {"u1", Dtype::kUint8},
    {"u2", Dtype::kUint16},
    {"u4", Dtype::kUint32},
    {"u8", Dtype::kUint64},
    {"i1", Dtype::kInt8},
    {"i2", Dtype::kInt16},
    {"i4", Dtype::kInt32},
    {"i8", Dtype::kInt64},
    {"f2", Dtype::kFloat16},
    {"V2", Dtype::kBfloat16},  // what NumPy writes for ml_dtypes' bfloat16, and MLX
    {"f4", Dtype::kFloat32},
    {"f8", Dtype::kFloat64},
    {"c8", Dtype::kComplex64},
}};

// The dictionary of the header, as a Python literal: strings, True and False, a tuple of integers.
class Literal {
 public:
  Literal(std::string_view text, const std::string& name) : text_(text), name_(name) {}

  NpyHeader read() {
    expect('{');
    std::optional<std::string_view> descr;
    std::optional<bool> fortran;
    std::optional<Shape> shape;
    while (peek() != '}') {
      std::string_view key = string();
      expect(':');
      if (key == "descr" && !descr)
        descr = string();
      else if (key == "fortran_order" && !fortran)
        fortran = boolean();
      else if (key == "shape" && !shape)
        shape = tuple();
      else
        fail("the keys 'descr', 'fortran_order' and 'shape', once each", quote(key));
      if (peek() != '}') expect(',');
    }
    expect('}');
    if (peek() != '\0') fail("nothing after the dictionary", rest());
    if (!descr || !fortran || !shape)
      fail("the keys 'descr', 'fortran_order' and 'shape'", quote(text_));
    NpyHeader header;
    header.fortran_order = *fortran;
    header.shape = std::move(*shape);
    set_type(*descr, header);
    return header;
  }

 private:
  [[noreturn]] void fail(std::string_view expected, const std::string& got) const {
    throw ValueError(
        fmt::format("[load] expected {} in the npy header of {}, got {}", expected, name_, got));
  }
  std::string rest() const { return quote(text_.substr(at_)); }

  // The next character that is no space; '\0' at the end.
  char peek() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  void expect(char c) {
    if (peek() != c) fail(fmt::format("'{}'", c), rest());
    ++at_;
  }
  bool accept(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }
  std::string_view string() {
    char mark = peek();
    if (mark != '\'' && mark != '"') fail("a string", rest());
    size_t end = text_.find(mark, at_ + 1);
    if (end == std::string_view::npos) fail("the end of a string", rest());
    std::string_view out = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return out;
  }
  bool boolean() {
    peek();
    if (accept("True")) return true;
    if (accept("False")) return false;
    fail("True or False", rest());
  }
  Shape tuple() {
    Shape shape;
    expect('(');
    while (peek() != ')') {
      int64_t value = 0;
      const char* begin = text_.data() + at_;
      auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), value);
      if (error != std::errc{} || value < 0) fail("sizes of at least 0 in the shape", rest());
      if (shape.size() == kMaxDims) fail(fmt::format("at most {} dimensions", kMaxDims), rest());
      shape.push_back(value);
      at_ += static_cast<size_t>(end - begin);
      accept("L");  // Python 2 wrote long integers so
      if (peek() != ')') expect(',');
    }
    expect(')');
    return shape;
  }
  void set_type(std::string_view descr, NpyHeader& header) const {
    std::string_view kind = descr;
    char order = '|';
    if (!kind.empty() && std::string_view("<>|=").find(kind[0]) != std::string_view::npos) {
      order = kind[0];
      kind.remove_prefix(1);
    }
    header.big_endian = order == '>';
    for (auto [text, dtype] : kTypes) {
      if (text != kind || (dtype == Dtype::kBfloat16 && header.big_endian)) continue;
      header.dtype = dtype;
      return;
    }
    fail("a type of bool, int, uint, float16 to float64, complex64 or bfloat16 ('<V2')",
         quote(descr));
  }

  std::string_view text_;
  const std::string& name_;
  size_t at_ = 0;
};

}  // namespace

NpyHeader read_npy_header(const Region& region) {
  std::array<std::byte, 12> start{};
  auto* bytes = reinterpret_cast<const unsigned char*>(start.data());
  size_t have = std::min<uint64_t>(region.size(), 10);
  region.read({start.data(), have}, 0);
  PLIMSOLL_CHECK(have == 10 && std::memcmp(bytes, kMagic.data(), kMagic.size()) == 0, ValueError,
                 "[load] expected an npy file, got one that starts with {} in {}",
                 quote({reinterpret_cast<const char*>(bytes), have}), region.name);
  int version = bytes[6];
  PLIMSOLL_CHECK(version >= 1 && version <= 3, ValueError,
                 "[load] expected version 1, 2 or 3 of npy, got {} in {}", version, region.name);
  uint64_t begin = version == 1 ? 10 : 12;
  PLIMSOLL_CHECK(begin <= region.size(), ValueError,
                 "[load] expected an npy header, got the end of the file in {}", region.name);
  if (version > 1) region.read({start.data() + 10, 2}, 10);
  uint64_t size = bytes[8] | bytes[9] << 8;
  if (version > 1)
    size |= static_cast<uint64_t>(bytes[10]) << 16 | static_cast<uint64_t>(bytes[11]) << 24;
  PLIMSOLL_CHECK(size <= kMaxHeader && size <= region.size() - begin, ValueError,
                 "[load] expected an npy header of at most {} bytes inside the file, got one of {} "
                 "bytes in a file of {} bytes: {}",
                 kMaxHeader, size, region.size(), region.name);
  std::string text(size, '\0');
  region.read(std::as_writable_bytes(std::span(text)), begin);
  NpyHeader header = Literal(text, region.name).read();
  header.data = begin + size;
  header.bytes = checked_bytes(header.shape, header.dtype, region.name);
  PLIMSOLL_CHECK(header.bytes <= region.size() - header.data, ValueError,
                 "[load] expected {} bytes for an array of shape {} and dtype {}, got {} before "
                 "the end of {}; was it written to the end?",
                 header.bytes, to_string(header.shape), name_of(header.dtype),
                 region.size() - header.data, region.name);
  return header;
}

array load_npy(const Region& region) {
  NpyHeader h = read_npy_header(region);
  return array_at(region, h.data, h.shape, h.dtype, decode_of(h.dtype, h.big_endian),
                  h.fortran_order);
}

std::string npy_header(Dtype dtype, const Shape& shape) {
  std::string_view kind;
  for (auto [text, type] : kTypes)
    if (type == dtype) kind = text;
  std::string sizes;
  for (int64_t d : shape) sizes += fmt::format("{}, ", d);
  if (shape.size() > 1) sizes.resize(sizes.size() - 2);
  if (shape.size() == 1) sizes.resize(sizes.size() - 1);
  std::string text = fmt::format("{{'descr': '{}{}', 'fortran_order': False, 'shape': ({}), }}",
                                 size_of(dtype) == 1 ? '|' : '<', kind, sizes);
  uint64_t bytes = static_cast<uint64_t>(num_elements(shape)) * size_of(dtype);
  uint64_t whole = round_up(10 + text.size() + 1, bytes >= kLargeData ? kBlock : 64);
  text.resize(whole - 11, ' ');
  text += '\n';
  std::string header(kMagic);
  header += {'\1', '\0', static_cast<char>(text.size() & 255), static_cast<char>(text.size() >> 8)};
  return header + text;
}

}  // namespace plimsoll::io
