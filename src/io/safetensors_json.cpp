#include "io/safetensors_json.h"

#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_set>
#include <utility>

#include "base/check.h"

namespace plimsoll::io {
namespace {

using Json = nlohmann::json;

constexpr std::array<std::pair<std::string_view, Dtype>, kNumDtypes + 1> kTypes{{
    {"BOOL", Dtype::kBool},
    {"U8", Dtype::kUint8},
    {"U16", Dtype::kUint16},
    {"U32", Dtype::kUint32},
    {"U64", Dtype::kUint64},
    {"I8", Dtype::kInt8},
    {"I16", Dtype::kInt16},
    {"I32", Dtype::kInt32},
    {"I64", Dtype::kInt64},
    {"F16", Dtype::kFloat16},
    {"BF16", Dtype::kBfloat16},
    {"F32", Dtype::kFloat32},
    {"F64", Dtype::kFloat64},
    {"C64", Dtype::kComplex64},
    {"F8_E4M3", Dtype::kUint8},  // its bits, as MLX reads it
}};

// Events of nlohmann's parser, which keeps its own stack: nesting costs no recursion, and the first
// level too deep ends it.
class Reader final : public nlohmann::json_sax<Json> {
 public:
  Reader(const std::string& file, SafetensorsHeader& header) : file_(file), header_(header) {}

  bool null() override {
    // What MLX writes where there is no metadata.
    if (place_ == Place::kRoot && key_ == "__metadata__") return true;
    return fail("null");
  }
  bool boolean(bool) override { return fail("a boolean"); }
  bool number_integer(number_integer_t v) override { return fail(std::to_string(v)); }
  bool number_float(number_float_t, const string_t& text) override { return fail(text); }
  bool binary(binary_t&) override { return fail("binary data"); }

  bool number_unsigned(number_unsigned_t v) override {
    if (place_ == Place::kShape) {
      if (v > static_cast<uint64_t>(INT64_MAX) || entry_.shape.size() == kMaxDims)
        return fail(fmt::format("{} as dimension {}", v, entry_.shape.size()));
      entry_.shape.push_back(static_cast<int64_t>(v));
      return true;
    }
    if (place_ == Place::kOffsets && offsets_ < 2) {
      (offsets_++ == 0 ? entry_.begin : entry_.end) = v;
      return true;
    }
    return fail(std::to_string(v));
  }

  bool string(string_t& text) override {
    if (place_ == Place::kMetadata) {
      header_.metadata.emplace_back(key_, std::move(text));
      return true;
    }
    if (place_ != Place::kEntry || key_ != "dtype") return fail(quote(text));
    for (auto [name, dtype] : kTypes) {
      if (name != text) continue;
      entry_.dtype = dtype;
      seen_ |= kDtype;
      return true;
    }
    throw ValueError(fmt::format(
        "[load] expected a dtype such as F32, BF16 or I64 for {}, got {} in {}; convert the file",
        quote(entry_.name), quote(text), file_));
  }

  bool start_object(std::size_t) override {
    if (place_ == Place::kStart) return go(Place::kRoot);
    if (place_ != Place::kRoot) return fail("an object");
    if (key_ == "__metadata__") return go(Place::kMetadata);
    entry_ = {};
    entry_.name = key_;
    seen_ = offsets_ = 0;
    return go(Place::kEntry);
  }

  bool key(string_t& text) override {
    key_ = std::move(text);
    if (place_ == Place::kEntry) {
      int which = key_ == "dtype"          ? kDtype
                  : key_ == "shape"        ? kShape
                  : key_ == "data_offsets" ? kOffsets
                                           : 0;
      return which != 0 && (seen_ & which) == 0 ? true : fail("the key " + quote(key_));
    }
    auto& names = place_ == Place::kMetadata ? metadata_names_ : names_;
    return names.insert(key_).second ? true : fail("the key " + quote(key_) + " twice");
  }

  bool end_object() override {
    if (place_ == Place::kEntry) {
      if (seen_ != (kDtype | kShape | kOffsets)) return fail("no more keys");
      header_.entries.push_back(std::move(entry_));
    }
    return go(place_ == Place::kRoot ? Place::kEnd : Place::kRoot);
  }

  bool start_array(std::size_t) override {
    if (place_ != Place::kEntry || key_ == "dtype") return fail("a list");
    return go(key_ == "shape" ? Place::kShape : Place::kOffsets);
  }

  bool end_array() override {
    if (place_ == Place::kOffsets && offsets_ != 2) return fail("the end of the list");
    seen_ |= place_ == Place::kShape ? kShape : kOffsets;
    return go(Place::kEntry);
  }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception& e) override {
    throw ValueError(
        fmt::format("[load] expected a safetensors header in JSON, got an error at byte {} of the "
                    "header of {}: {}",
                    position, file_, quote(e.what(), 200)));
  }

 private:
  enum class Place { kStart, kRoot, kMetadata, kEntry, kShape, kOffsets, kEnd };
  enum Seen { kDtype = 1, kShape = 2, kOffsets = 4 };

  bool go(Place place) {
    place_ = place;
    return true;
  }

  [[noreturn]] bool fail(const std::string& got) const {
    std::string_view expected;
    switch (place_) {
      case Place::kStart:
      case Place::kEnd:
        expected = "one object";
        break;
      case Place::kRoot:
        expected = "an object for every name, each name once,";
        break;
      case Place::kMetadata:
        expected = "texts in __metadata__, each name once,";
        break;
      case Place::kEntry:
        expected = "a text as dtype and lists as shape and data_offsets, once each,";
        break;
      case Place::kShape:
        expected = "at most 64 whole numbers of at least 0 as shape";
        break;
      case Place::kOffsets:
        expected = "two whole numbers of at least 0 as data_offsets";
        break;
    }
    std::string where;
    if (place_ == Place::kEntry || place_ == Place::kShape || place_ == Place::kOffsets)
      where = " of " + quote(entry_.name);
    throw ValueError(fmt::format("[load] expected {}{} in the safetensors header of {}, got {}",
                                 expected, where, file_, got));
  }

  const std::string& file_;
  SafetensorsHeader& header_;
  Place place_ = Place::kStart;
  std::string key_;
  SafetensorsEntry entry_;
  int seen_ = 0;
  int offsets_ = 0;
  std::unordered_set<std::string> names_, metadata_names_;
};

}  // namespace

void parse_safetensors_json(std::string_view text, const std::string& file,
                            SafetensorsHeader& header) {
  Reader reader(file, header);
  Json::sax_parse(text.begin(), text.end(), &reader);
}

std::string_view safetensors_name(Dtype dtype) {
  for (auto [name, type] : kTypes)
    if (type == dtype) return name;
  return "";
}

std::string json_string(const std::string& text) {
  try {
    return Json(text).dump();
  } catch (const Json::exception&) {
    throw ValueError(fmt::format("[save_safetensors] expected UTF-8, got {}", quote(text)));
  }
}

}  // namespace plimsoll::io
